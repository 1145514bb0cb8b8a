package register

import (
	"slices"

	"dmalloc/message"
)

// variant is a way to get the protocol wrong. Each was believed right by someone. The tests plant them one
// by one, to show that they would be found, by the schedule that is named here and by chance; in the product
// none is ever set.
type variant uint8

const (
	noWriteBack      variant = iota // CE1: a read returns the newest of a quorum at once
	writeBackToOne                  // CE18: a read's second round waits for one acknowledgement
	writeToOne                      // CE19: a write waits for one acknowledgement
	twoAgree                        // CE17: a read takes one round if two replies are equal, of five
	halfQuorum                      // CE12: half of an even number is a quorum
	quorumOfAlive                   // CE2 to CE5: a quorum is one of those that a detector believes alive
	countDuplicates                 // CE11: the same reply counts twice
	countStale                      // CE10: a reply of an earlier phase counts
	noOpNumber                      // CE8: a tag is timestamp and writer
	noWriter                        // CE20: a tag is a timestamp
	newTagOnRetry                   // CE9: a write that is tried again takes a new tag
	newTagOnRead                    // CE21: a read puts what it read under a tag of its own
	newOnly                         // CE15: while members change, the new replicas are enough
	copyFromOne                     // CE16: a copy reads one of the old replicas
	noFence                         // CE13: a replica answers in whatever epoch it is asked
	lateAnswer                      // CE14: a replica answers by the epoch in which the request came
	overwrite                       // CE22: a replica keeps what came last
	acknowledgeEarly                // CE23: a replica acknowledges before the value is on its disk
	showEarly                       // CE24: a replica shows what is not on its disk yet
	forgetAndServe                  // CE6: a replica that lost its disk answers as the same member
	recoverAndServe                 // CE7: the same, after it has read everything from a quorum of the others

	variantEnd
)

var variantNames = [variantEnd]string{
	noWriteBack: "no-write-back", writeBackToOne: "write-back-to-one", writeToOne: "write-to-one", twoAgree: "two-agree",
	halfQuorum: "half-quorum", quorumOfAlive: "quorum-of-alive", countDuplicates: "count-duplicates", countStale: "count-stale",
	noOpNumber: "no-op-number", noWriter: "no-writer", newTagOnRetry: "new-tag-on-retry", newTagOnRead: "new-tag-on-read",
	newOnly: "new-only", copyFromOne: "copy-from-one", noFence: "no-fence", lateAnswer: "late-answer", overwrite: "overwrite",
	acknowledgeEarly: "acknowledge-early", showEarly: "show-early", forgetAndServe: "forget-and-serve", recoverAndServe: "recover-and-serve",
}

func (v variant) String() string { return variantNames[v] }

// variants is a set of them.
type variants uint32

func (s variants) has(v variant) bool { return s&(1<<v) != 0 }

// planted is what each new Operation and Memory gets. Only plant.go, behind the build tag planted, sets it.
var planted variants

// wrongNeed is how many replies the variants need.
func (o *Operation) wrongNeed(k Kind, group, n int) (int, bool) {
	last := len(o.call.Groups) - 1
	switch {
	case o.planted.has(newOnly) && o.purpose != copying && group < last:
		return 0, true
	case o.planted.has(copyFromOne) && o.purpose == copying && k == Get && group == 0:
		return 1, true
	case o.purpose == copying:
		return 0, false
	case o.planted.has(writeToOne) && o.purpose == writing && k == Put,
		o.planted.has(writeBackToOne) && o.purpose == reading && k == Put:
		return 1, true
	case o.planted.has(halfQuorum):
		return max(1, n/2), true
	case o.planted.has(quorumOfAlive):
		alive := n
		for _, m := range o.call.Groups[group] {
			if slices.Contains(o.suspected, m) {
				alive--
			}
		}
		return Quorum(max(alive, 1)), true
	}
	return 0, false
}

// wrongID says whether a reply of another phase counts.
func (o *Operation) wrongID(id OpID) bool {
	return o.planted.has(countStale) && id.Client == o.call.ID.Client
}

// wrongTag is what the variants make of a tag.
func (o *Operation) wrongTag(t message.Tag) message.Tag {
	if o.planted.has(noOpNumber) {
		t.Op = 0
	}
	if o.planted.has(noWriter) {
		t.Writer, t.Op = message.ClientID{}, 0
	}
	return t
}

// wrongSettle ends a read otherwise.
func (o *Operation) wrongSettle() ([]Request, bool) {
	agree := 0
	for _, r := range o.got {
		if r.Tag == o.tag {
			agree++
		}
	}
	switch {
	case o.planted.has(noWriteBack) && o.purpose == reading,
		o.planted.has(twoAgree) && o.purpose == reading && agree >= 2:
		o.done = true
		return nil, true
	case o.planted.has(writeBackToOne) && o.purpose == reading && agree < len(o.got):
		return o.begin(Put), true
	case o.planted.has(newTagOnRead) && o.purpose == reading && agree < len(o.got):
		o.tag = message.Tag{TS: o.tag.TS + 1, Writer: o.call.ID.Client, Op: o.call.ID.Seq}
		return o.begin(Put), true
	}
	return nil, false
}

// wrongResend tries again otherwise.
func (o *Operation) wrongResend() ([]Request, bool) {
	switch {
	case o.planted.has(newTagOnRetry) && o.purpose == writing && o.kind == Put:
		return o.first(), true
	case o.planted.has(quorumOfAlive):
		o.suspected = o.Waiting()
		if len(o.got) > 0 && o.missing(o.kind, every) == 0 {
			return o.next(), true
		}
	}
	return nil, false
}
