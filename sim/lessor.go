package sim

import (
	"time"

	"dmalloc/company"
	"dmalloc/lease"
	"dmalloc/message"
)

// pace is how much faster than the simulation's time the clocks go that leases live by, so that many leases live
// and die in a history.
const pace = 4

// clock is the node's CLOCK_BOOTTIME: it goes on while the process does not, and is wrong by as much as is allowed.
func (n *node) clock() time.Duration {
	return time.Duration(n.w.now*pace*(10_000+n.drift)) * (time.Millisecond / 10_000)
}

// driftOf is by how many hundredths of a percent a node's clock goes wrong.
func (w *world) driftOf(id message.NodeID) int64 {
	if w.faults&Drift == 0 {
		return 0
	}
	return int64((w.cfg.Seed*31+uint64(id)*77)%201) - 100
}

// watches feeds the watch with what an entry did: package node's lessor around lease.Watch.
func (o *owner) watches(a *company.Applied) {
	if len(a.Leases) == 0 && a.Term == 0 {
		return
	}
	now := o.n.clock()
	for _, e := range a.Leases {
		if e.Ended {
			o.watch.Ended(e.Lease.Token)
		} else {
			o.watch.Seen(e.Lease, now)
		}
	}
	if a.Term != 0 {
		o.watch.Lost()
		if a.Leader == o.n.id {
			all := o.heap.AllLeases()
			o.watch.Led(all, now)
			o.hasten(all)
		}
	}
	o.alarm()
}

// hasten is a planted bug: who comes to lead believes that the time of what it found is over.
func (o *owner) hasten(all []lease.Lease) {
	if o.g.w.cfg.planted == hastyLeader && o.mine {
		for _, l := range all {
			o.expire(l.Token)
		}
	}
}

// alarm looks at the leases again when the next one is over.
func (o *owner) alarm() {
	next, ok := o.watch.Next(o.n.clock())
	if !ok {
		return
	}
	at := o.g.w.now + 1 + int64(next/(time.Millisecond*pace))
	if o.alarmAt > o.g.w.now && o.alarmAt <= at {
		return
	}
	o.alarmAt = at
	o.later(at-o.g.w.now, func() {
		o.ripen()
		o.alarm()
	})
}

// ripen has the log end what is over.
func (o *owner) ripen() {
	if !o.mine || o.heap == nil {
		return
	}
	for _, token := range o.watch.Ripe(o.n.clock()) {
		o.expire(token)
	}
}

func (o *owner) expire(token uint64) {
	o.handle(waiting{expiry(o.g.id, o.term, token), func(*message.Message) {}})
}

func expiry(id message.CompanyID, term, token uint64) *message.Message {
	m := message.New(message.EXPIRE)
	m.Company, m.Term, m.Token = id, term, token
	return m
}

// contend asks the holders of leases that stand in somebody's way to give them back.
func (o *owner) contend(tokens []uint64) {
	if !o.mine || len(tokens) == 0 {
		return
	}
	for _, l := range o.watch.Ask(tokens, o.n.clock()) {
		o.revoke(l)
	}
}

// inTheWay are the leases for which a READ was refused.
func (o *owner) inTheWay(m *message.Message) (tokens []uint64) {
	page := uint64(m.Address-o.g.id.Base()) / message.PageSize
	for _, l := range o.heap.AllLeases() {
		if l.WriteBack && l.Touches(page, 1) {
			tokens = append(tokens, l.Token)
		}
	}
	return tokens
}

func (o *owner) revoke(l lease.Lease) {
	w := o.g.w
	w.did(revoked)
	shown := l.Message(o.g.id, o.g.id.Base())
	if w.cfg.Tell {
		w.say(w.pageOf(shown), "node %s, which leads company %s, asks node %s for the lease with token %d", o.n.id, o.g.id, l.Node, l.Token)
	}
	w.reach(l.Node, func(n *node) {
		n.gives(shown, func() {
			w.reach(o.n.id, func(*node) {
				if o.up() {
					o.watch.Consent(l.Token)
					o.ripen()
				}
			})
		})
	})
}

// strays are what a leader that was deposed has decided by a clock that went wrong, and which reaches the log late:
// that all leases are over. Its term is all that tells them from what is right (L4).
func (o *owner) strays(term uint64) {
	w, g := o.g.w, o.g
	if o.heap == nil || !w.has(Deposed) || !w.has(Leases) {
		return
	}
	b := &message.Batch{Origin: o.origin, Term: term, Node: o.n.id}
	for _, l := range o.heap.AllLeases() {
		b.Messages = append(b.Messages, expiry(g.id, term, l.Token))
	}
	if len(b.Messages) == 0 {
		return
	}
	w.in(1+w.dice.Int64N(150), func() {
		if g.begun > term && g.majority() && !w.calm {
			w.did(strayed)
			g.append(b)
		}
	})
}
