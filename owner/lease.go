package owner

import (
	"slices"
	"time"

	"dmalloc/message"
)

// hold is a leader's leave to answer reads by itself (ballot.go says why it may).
type hold struct {
	of    *leadership
	until time.Duration
}

// inlineRead is up to how many bytes a read is answered where it arrives, if the leader holds a lease and nothing is
// being applied. Larger ones would keep those waiting that arrive behind them.
const inlineRead = 64 << 10

// leads says whether nobody else can have led the company until this moment. What was read before is then what the
// company held while it was being read.
func (r *Replica) leads() bool { return r.left(r.hold.Load()) > 0 }

// left is how much longer a hold lasts; no more than 0 where it is over.
func (r *Replica) left(h *hold) time.Duration {
	if h == nil || h.of != r.lead.Load() || !h.of.mine || raftTerm(h.of.term) <= r.barred.Load() {
		return 0
	}
	return h.until - r.host.clock.Now()
}

// confirmed takes in that a majority has acknowledged the leader since begin.
func (r *Replica) confirmed(l *leadership, begin time.Duration) {
	until := begin + r.host.lease
	for {
		old := r.hold.Load()
		if old != nil && old.of == l && old.until >= until {
			return
		}
		if r.hold.CompareAndSwap(old, &hold{l, until}) {
			return
		}
	}
}

// bar ends every lease in a term of Raft, and in those before it, for ever.
func (r *Replica) bar(term uint64) {
	for {
		old := r.barred.Load()
		if old >= term || r.barred.CompareAndSwap(old, term) {
			return
		}
	}
}

// barLease is bar for the replica of a shard here.
func (h *Host) barLease(shard, term uint64) {
	id, _ := splitShard(shard)
	if r := h.Replica(id); r != nil && r.shard() == shard {
		r.bar(term)
	}
}

// readAtOnce answers a read here and now, or not at all.
func (r *Replica) readAtOnce(m *message.Message) *message.Message {
	h := r.hold.Load()
	if h == nil || m.Op != message.READ || m.Size > inlineRead || confirm(m) {
		return nil
	}
	a := r.machine.tryRead(m)
	if a == nil {
		return nil
	}
	left := r.left(h) // a hold that was there before the read, and is not over behind it: the clock is read once
	if left <= 0 {
		return nil
	}
	r.renew(left)
	a.Term = h.of.term
	return a
}

// renew has a lease that lasts for so much longer confirmed anew, once half of it is over. It does not wait.
func (r *Replica) renew(left time.Duration) {
	if left < r.host.lease/2 {
		select {
		case r.renewal <- struct{}{}:
		default: // it is under way
		}
	}
}

// renewals confirms the leader whenever renew asks for it, until the replica ends.
func (r *Replica) renewals() {
	for {
		select {
		case <-r.renewal:
			r.index(r.lead.Load())
		case <-r.ended:
			return
		}
	}
}

// index has a majority confirm that this replica leads, and says whether it did: everything that was acknowledged
// before the call is applied here then.
func (r *Replica) index(l *leadership) bool {
	if !l.mine {
		return false
	}
	begin := r.host.clock.Now()
	state, err := r.host.nh.ReadIndex(r.shard(), entryTimeout)
	if err != nil {
		return false
	}
	select {
	case res := <-state.ResultC():
		ok := res.Completed()
		state.Release()
		if ok {
			r.confirmed(l, begin)
			r.host.readIndex(r.host.clock.Now() - begin)
		}
		return ok
	case <-l.over:
	case <-r.ended:
	}
	return false
}

// confirm says whether a majority has to confirm the leader for this very read: who asks trusts no clock.
func confirm(m *message.Message) bool { return m.Flags&message.Confirm != 0 }

// readTogether answers all reads that wait, under the leader's lease or, if one of them is to be confirmed, with one
// ReadIndex.
func (r *Replica) readTogether(batch []request) {
	l := r.lead.Load()
	if !slices.ContainsFunc(batch, func(q request) bool { return confirm(q.m) }) && r.leads() {
		answers := make([]*message.Message, len(batch))
		for i, q := range batch {
			answers[i] = r.machine.read(q.m)
		}
		if r.leads() { // still: nobody else can have changed what was read
			r.host.cfg.Together(func() {
				for i, q := range batch {
					answers[i].Term = l.term
					q.reply(answers[i])
				}
			})
			r.renew(r.left(r.hold.Load()))
			return
		}
	}
	ok := plantedStale || r.index(l)
	r.host.cfg.Together(func() {
		for _, q := range batch {
			switch {
			case ok:
				a := r.machine.read(q.m)
				a.Term = l.term
				q.reply(a)
			case !l.mine:
				q.reply(r.notLeader(q.m, l))
			default:
				q.reply(q.m.Answer(message.Retry, "company "+r.ID.String()+" could not confirm its leader"))
			}
		}
	})
}
