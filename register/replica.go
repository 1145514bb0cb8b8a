package register

import (
	"fmt"
	"math"
	"slices"

	"dmalloc/message"
)

// Verdict is what a replica has to do with a request.
type Verdict uint8

const (
	Refuse Verdict = iota // answer Refused
	Show                  // answer Shown with what is on disk
	Store                 // keep the value where its tag is larger, wait until that is on disk, answer Acknowledged
)

func (v Verdict) String() string {
	if v > Store {
		return fmt.Sprintf("verdict %d", uint8(v))
	}
	return [...]string{"refuse", "show", "store"}[v]
}

// Replica judges requests for one member. It has no data: they are on a disk, which others write. Shown and
// Acknowledged judge once more, for the configuration may have changed while the disk was waited for: a
// replica that has taken an epoch completes nothing of an older one (R7). Its methods and the changes of its
// Config need one goroutine or one lock.
type Replica struct {
	Self   message.Member
	Config message.Registers // whose epoch it serves; on disk before anything is answered under it

	planted variants
}

// Judge says what to do with a request.
func (r *Replica) Judge(q Request) Verdict {
	if q.To != r.Self || !r.serves(q.Epoch) {
		return Refuse
	}
	switch q.Kind {
	case GetTag, Get:
		return Show
	case Put:
		return Store
	}
	return Refuse
}

func (r *Replica) serves(epoch uint64) bool {
	if epoch != r.Config.Epoch && !r.wrong(noFence) {
		return false
	}
	return slices.Contains(r.Config.Members, r.Self) || slices.Contains(r.Config.Next, r.Self) || r.wrong(noFence)
}

// Adopt takes a configuration that is newer than its own. The caller keeps it on disk before it answers the
// next request or says that it has it, so that an epoch that was refused stays refused (R7).
func (r *Replica) Adopt(c message.Registers) (changed bool) {
	if c.Epoch <= r.Config.Epoch {
		return false
	}
	r.Config = c.Clone()
	return true
}

// Shown answers a request for the tag, or tag and value, with what is on disk. The size is that of the whole
// value; the value is left out if the asker wants at most fewer bytes, and the caller need not read it from
// disk then: see Wants.
func (r *Replica) Shown(q Request, t message.Tag, size uint64, value []byte) Reply {
	if r.late(q) {
		return r.Refused(q)
	}
	a := r.reply(q)
	a.Tag, a.Size = t, size
	if q.Wants(size) {
		a.Value, a.HasValue = value, true
	}
	return a
}

// Acknowledged answers a Put whose value, or one under a larger tag, is on disk.
func (r *Replica) Acknowledged(q Request) Reply {
	if r.late(q) {
		return r.Refused(q)
	}
	a := r.reply(q)
	a.Tag, a.Size = q.Tag, uint64(len(q.Value))
	return a
}

// late says whether the replica serves the request's epoch no more.
func (r *Replica) late(q Request) bool {
	return r.Judge(q) == Refuse && !r.wrong(lateAnswer)
}

// Refused answers a request that is not served, with the configuration if it is newer than the asker's.
func (r *Replica) Refused(q Request) Reply {
	a := r.reply(q)
	a.Epoch, a.Behind = r.Config.Epoch, true
	if r.Config.Epoch > q.Epoch {
		c := r.Config.Clone()
		a.Config = &c
	}
	return a
}

func (r *Replica) reply(q Request) Reply {
	return Reply{From: r.Self, ID: q.ID, Epoch: q.Epoch, Register: q.Register}
}

// Wants says whether the asker wants a value of this size.
func (q Request) Wants(size uint64) bool {
	return q.Kind == Get && (q.Most == math.MaxUint64 || size <= q.Most)
}

func (r *Replica) wrong(v variant) bool { return (r.planted | planted).has(v) }
