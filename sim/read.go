package sim

import "dmalloc/message"

// read is a ReadIndex: the leader of a majority says how long the log is, and the owner reads when it has
// applied so much. Any owner may ask; those that do not lead do it only for clients that read near.
func (o *owner) read(q waiting) {
	w := o.g.w
	if !o.mine && !w.has(Near) && w.cfg.planted != staleRead {
		q.reply(o.notLeader(q.m))
		return
	}
	if w.cfg.planted == staleRead {
		q.reply(o.answer(q.m))
		return
	}
	if w.cfg.planted == removedCounts && o.removed {
		q.reply(o.answer(q.m))
		return
	}
	o.later(1+w.dice.Int64N(4), func() {
		if o.removed || o.n.cutOff || !o.g.majority() || o.g.leader == nil || !o.g.leader.reaches() {
			o.later(entryTimeout, func() { q.reply(q.m.Answer(message.Retry, "")) })
			return
		}
		length := o.g.length()
		o.later(1+w.dice.Int64N(4), func() {
			o.readers = append(o.readers, reader{length, q})
			o.serve()
		})
	})
}

// serve answers the readers whose time has come.
func (o *owner) serve() {
	kept := o.readers[:0]
	ready := []reader(nil)
	for _, r := range o.readers {
		if r.index <= o.applied {
			ready = append(ready, r)
		} else {
			kept = append(kept, r)
		}
	}
	o.readers = kept
	for _, r := range ready {
		r.reply(o.answer(r.m))
	}
}

func (o *owner) answer(m *message.Message) *message.Message {
	var a *message.Message
	if o.dir != nil {
		a = o.dir.Read(m)
	} else {
		a = o.heap.Read(m)
		if a.Status == message.Leased {
			o.contend(o.inTheWay(m))
		}
	}
	a.Term = o.term
	return a
}
