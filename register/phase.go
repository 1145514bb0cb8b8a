package register

import (
	"math"
	"slices"

	"dmalloc/message"
)

// expects says whether a reply counts in the running phase: it is an answer, of a replica that was asked,
// of this phase and this epoch, and the first of that replica (R5).
func (o *Operation) expects(r Reply) bool {
	if o.kind == 0 || o.done || r.Behind || r.Register != o.call.Register || r.Epoch != o.call.Epoch {
		return false
	}
	if r.ID != o.call.ID && !o.wrongID(r.ID) {
		return false
	}
	if !slices.Contains(o.asked(), r.From) || o.heard(r.From) && !o.planted.has(countDuplicates) {
		return false
	}
	// Whoever was asked for the value and has a tag has to send it. Otherwise the read would ask for ever.
	return !(o.kind == Get && o.everyone && !r.Tag.IsZero() && !r.HasValue)
}

func (o *Operation) heard(m message.Member) bool {
	for i := range o.got {
		if o.got[i].From == m {
			return true
		}
	}
	return false
}

// asked are the replicas that the running phase is about.
func (o *Operation) asked() []message.Member {
	if o.purpose != copying {
		return o.call.Groups.Members()
	}
	if o.kind == Put {
		return o.call.Groups[1]
	}
	return o.call.Groups[0]
}

// missing is how many more replies a phase needs at least, if those count that count says.
func (o *Operation) missing(k Kind, counts func(*Reply) bool) int {
	most := 0
	for i, group := range o.call.Groups {
		need := o.need(k, i)
		for j := range o.got {
			if r := &o.got[j]; slices.Contains(group, r.From) && counts(r) {
				need--
			}
		}
		most = max(most, need)
	}
	return most
}

// every has every reply count.
func every(*Reply) bool { return true }

// need is how many of a group's replicas a phase needs.
func (o *Operation) need(k Kind, group int) int {
	n := len(o.call.Groups[group])
	if o.planted != 0 {
		if need, planted := o.wrongNeed(k, group, n); planted {
			return need
		}
	}
	switch {
	case o.purpose == copying:
		return needOfCopy(k, group, n)
	case o.call.WriteAll && k != GetTag:
		// A read waits for all at once: it could not end before they answer, as what it returns has to be
		// on all of them.
		return n
	}
	return Quorum(n)
}

// needOfCopy: from as many of the old as meet every quorum, to a quorum of the new.
func needOfCopy(k Kind, group, n int) int {
	switch {
	case group == 0 && k == Get:
		return Meets(n)
	case group == 1 && k == Put:
		return Quorum(n)
	}
	return 0
}

// requests are those of the running phase to whom it has not heard of.
func (o *Operation) requests() []Request {
	asked := o.asked()
	out := make([]Request, 0, len(asked))
	for _, m := range asked {
		if o.heard(m) {
			continue
		}
		q := Request{Kind: o.kind, To: m, Register: o.call.Register, Epoch: o.call.Epoch, ID: o.call.ID}
		switch o.kind {
		case Get:
			q.Most = o.most(m)
		case Put:
			q.Tag, q.Value = o.tag, o.value
		}
		out = append(out, q)
	}
	return out
}

// most is how large a value a replica may send.
func (o *Operation) most(m message.Member) uint64 {
	if o.everyone || o.call.Values == nil || slices.Contains(o.call.Values, m) {
		return math.MaxUint64
	}
	return o.call.Inline
}
