package register

import (
	"math"
	"slices"

	"dmalloc/message"
)

// Call is what an operation has to know. The zero values of its last three fields are good.
type Call struct {
	ID       OpID // client and number; the operation counts its own phases on from Phase
	Register message.RegisterID
	Epoch    uint64
	Groups   Groups // kept, so not to be changed any more

	// WriteAll makes the write quorum all replicas of each group (--acks all): the operation waits while
	// one of them is away. A read that has it returns what is on all replicas.
	WriteAll bool

	// Values are the replicas that a read asks for the value at first, nil for all of them. The others
	// send it if it has at most Inline bytes.
	Values []message.Member
	Inline uint64
}

// Result is what came of an operation. Before it is done only Tag and Rounds have a meaning.
type Result struct {
	Tag    message.Tag // read or written; zero for a register that was never written
	Value  []byte      // that was read or written; nil of a copy that found it where it should be
	Rounds int         // phases that were begun
	Err    error       // why it ended without; a write has then done nothing
}

// purpose is what an operation is for.
type purpose uint8

const (
	reading purpose = iota
	writing
	copying
)

// Operation is one read, write or copy of one register, as a machine: it sends nothing itself and knows
// no time. Start, Step, Resend and Restart return what is to be sent. One goroutine owns it.
type Operation struct {
	call    Call
	purpose purpose
	writer  message.ClientID
	op      uint64

	kind     Kind     // of the phase that runs, zero before Start
	got      []Reply  // what counts in it, one a replica (R5)
	room     [3]Reply // where got begins: few registers have more replicas than three
	everyone bool     // is asked for the value, whatever its size
	tag      message.Tag
	value    []byte
	chosen   bool // tag is that of the write, for ever (R3)
	rounds   int
	done     bool
	err      error

	planted   variants
	suspected []message.Member // by the variant quorumOfAlive only
}

// NewRead makes a read.
func NewRead(c Call) *Operation { return newOperation(c, reading) }

// NewWrite makes a write of value under a tag with this writer and op. No two writes have both in common
// (R3): a writer is one live process, which counts its writes. To try again is to Resend or Restart this Operation, never to make another one,
// which would take another tag and could bring the value back after it was overwritten.
func NewWrite(c Call, writer message.ClientID, op uint64, value []byte) *Operation {
	o := newOperation(c, writing)
	o.writer, o.op, o.value = writer, op, value
	return o
}

func newOperation(c Call, p purpose) *Operation {
	c.Groups = c.Groups.own()
	o := &Operation{call: c, purpose: p, planted: planted}
	o.got = o.room[:0]
	return o
}

// Start begins: requests to all replicas, once each also if they are in both groups. The driver may hold
// some of them back, and send them when others are slow or fail.
func (o *Operation) Start() []Request {
	if o.kind != 0 || o.done {
		return o.Resend()
	}
	return o.first()
}

// Step takes a reply and returns what to send next. It drops replies that are late, foreign, repeated or of
// another epoch. A refusal does not count either: the driver learns from its Config that it has to Restart,
// or, where there is none, that the replica must be told of the configuration.
func (o *Operation) Step(r Reply) []Request {
	if !o.expects(r) {
		return nil
	}
	o.got = append(o.got, r)
	if o.missing(o.kind, every) > 0 {
		return nil
	}
	return o.next()
}

// Resend returns the requests of the running phase to those that have not answered, as they were.
func (o *Operation) Resend() []Request {
	if o.kind == 0 || o.done {
		return nil
	}
	if out, planted := o.wrongResend(); planted {
		return out
	}
	return o.requests()
}

// Restart begins anew in a newer configuration. What was answered in the old one does not count. A write
// that has its tag keeps it, since replicas may have it already, and goes on with putting it; everything
// else starts over. A copy ends with Stale, as the change that it was for is over.
func (o *Operation) Restart(epoch uint64, groups Groups) []Request {
	if o.done || epoch <= o.call.Epoch {
		return nil
	}
	if o.purpose == copying {
		return o.fail(message.Stale, "%s was not copied: the change of epoch %d is over, epoch %d has begun", o.call.Register, o.call.Epoch, epoch)
	}
	o.call.Epoch, o.call.Groups, o.suspected = epoch, groups.own(), nil
	switch {
	case o.kind == 0:
		return nil
	case o.chosen:
		return o.begin(Put)
	}
	return o.first()
}

// Missing is how many more replies the running phase takes at least: a driver need not call Step before it has so many.
func (o *Operation) Missing() int {
	if o.kind == 0 || o.done {
		return 0
	}
	return o.missing(o.kind, every)
}

// Done says whether Result is final.
func (o *Operation) Done() bool { return o.done }

// Chosen says whether a write has its tag. If it is then given up its outcome is unknown: it may take
// effect at any later time, or never. A write that is given up before has done and will do nothing.
func (o *Operation) Chosen() bool { return o.chosen }

// Result is what came of it.
func (o *Operation) Result() Result {
	return Result{Tag: o.tag, Value: o.value, Rounds: o.rounds, Err: o.err}
}

// Epoch is that of the configuration in which the operation runs now.
func (o *Operation) Epoch() uint64 { return o.call.Epoch }

// Register is the one that it is about.
func (o *Operation) Register() message.RegisterID { return o.call.Register }

// Phase names the phase that runs: what its requests carry, and the replies that count.
func (o *Operation) Phase() (OpID, Kind) { return o.call.ID, o.kind }

// Waiting are the replicas that the running phase has not heard of, in the order of the groups.
func (o *Operation) Waiting() []message.Member {
	if o.kind == 0 || o.done {
		return nil
	}
	var silent []message.Member
	for _, m := range o.asked() {
		if !o.heard(m) {
			silent = append(silent, m)
		}
	}
	return silent
}

func (o *Operation) first() []Request {
	if o.call.Groups.empty() || o.purpose == copying && len(o.call.Groups) != 2 {
		return o.fail(message.Unavailable, "%s has no replicas in epoch %d: wait for nodes to join", o.call.Register, o.call.Epoch)
	}
	if o.purpose == writing {
		return o.begin(GetTag)
	}
	return o.begin(Get)
}

// begin starts a phase under a name of its own.
func (o *Operation) begin(k Kind) []Request { return o.beginWith(k, o.got[:0]) }

// beginWith starts one in which some have been heard of.
func (o *Operation) beginWith(k Kind, got []Reply) []Request {
	o.kind, o.got = k, got
	o.call.ID.Phase++
	o.rounds++
	return o.requests()
}

// next leaves a phase that has enough replies.
func (o *Operation) next() []Request {
	switch {
	case o.kind == Put:
		o.done = true
		return nil
	case o.purpose == writing:
		return o.choose()
	}
	return o.settle()
}

// choose gives a write its tag, once and for ever: larger than all that a quorum has, and so larger than
// that of every write that was completed before this one began (R2).
func (o *Operation) choose() []Request {
	newest := o.newest()
	if newest.Tag.TS == math.MaxUint64 {
		return o.fail(message.Unsupported, "%s has the last timestamp that there is, %d: no write can follow, so write to another register", o.call.Register, newest.Tag.TS)
	}
	o.tag = o.wrongTag(message.Tag{TS: newest.Tag.TS + 1, Writer: o.writer, Op: o.op})
	o.chosen = true
	return o.begin(Put)
}

// settle makes sure that the newest of what was read is on a quorum before it is returned (R4): those that
// showed it have it on disk and count, the others are sent it. Where those that showed it are a quorum the
// read is over in one round.
func (o *Operation) settle() []Request {
	newest := o.newest()
	has := func(r *Reply) bool { return r.Tag == newest.Tag }
	// That nothing was written need not be put anywhere.
	there := newest.Tag.IsZero() || o.missing(Put, has) == 0
	needed := !newest.Tag.IsZero() && !(there && o.purpose == copying)
	if needed && !newest.HasValue {
		o.everyone = true
		return o.begin(Get)
	}
	o.tag, o.value = newest.Tag, nil
	if needed {
		o.value = newest.Value
	}
	if out, planted := o.wrongSettle(); planted {
		return out
	}
	if there {
		o.done = true
		return nil
	}
	return o.beginWith(Put, slices.DeleteFunc(o.got, func(r Reply) bool { return r.Tag != newest.Tag }))
}

// newest is the reply with the largest tag, with its value if any reply has it.
func (o *Operation) newest() Reply {
	best := o.got[0]
	for _, r := range o.got[1:] {
		if c := r.Tag.Compare(best.Tag); c > 0 || c == 0 && r.HasValue && !best.HasValue {
			best = r
		}
	}
	return best
}

func (o *Operation) fail(c message.Code, format string, args ...any) []Request {
	o.done, o.value = true, nil
	o.err = message.Errorf(c, format, args...)
	return nil
}
