package sim

import "dmalloc/message"

// lend has a node take a lease on a cell, or give one back, or sync the cell, and goes on with that cell.
func (c *client) lend() {
	w := c.w
	x := w.shared[w.dice.IntN(len(w.shared))]
	id := message.NodeID(w.dice.IntN(len(w.nodes)))
	if x.near != message.NoNode && !w.odds(4) {
		id = x.near
	}
	end := c.begin(nil)
	w.in(20+w.dice.Int64N(40), end)
	if w.odds(12) {
		w.reach(id, func(n *node) {
			if n.holder != nil {
				n.holder.releaseAll()
			}
		})
		return
	}
	if w.odds(8) {
		w.reach(id, func(n *node) {
			if n.holder != nil {
				n.holder.sync(x)
			}
		})
		return
	}
	exclusive := w.odds(2)
	back := exclusive && w.has(Back) && !w.odds(4)
	all, length := w.odds(6), uint64(200+w.dice.Int64N(3000))
	if w.cfg.Tell {
		w.say(x.name, "%s has node %s ask for a lease, to write: %t, with write-back: %t, for %d ms", c.name, id, exclusive, back, length)
	}
	x.near, c.focus, c.leased = id, 6, x
	w.reach(id, func(n *node) {
		if !w.calm {
			n.take(x, exclusive, back, all, length)
		}
	})
}

// near is do for a cell: the node that has a lease of it, as far as the client knows, is asked first.
func (s *session) near(x *cell, company message.CompanyID, m *message.Message, patience int64, end func(*message.Message, bool)) {
	w := s.w
	c := s.prepare(company, m, patience, end)
	if w.has(Leases) && x.near != message.NoNode && !w.odds(9) {
		id := x.near
		if w.odds(8) {
			id = message.NodeID(w.dice.IntN(len(w.nodes)))
		}
		c.x, c.via = x, w.nodes[id].holder
		c.back = m.Op == message.WRITE && w.has(Back) && !w.odds(4)
	}
	c.attempt(s.leader(company))
}

// forward has a message of another client done under its number.
func (s *session) forward(company message.CompanyID, m *message.Message, patience int64, end func(*message.Message, bool)) {
	c := &call{s: s, company: company, m: m, until: s.w.now + patience, turn: s.w.dice.IntN(8), foreign: true, end: end}
	c.attempt(s.leader(company))
}

// askHolder is an attempt at a holder. A write that it may have absorbed is asked of it alone: elsewhere it could be
// done a second time.
func (c *call) askHolder() {
	w, h := c.s.w, c.via
	to, x, m, try, back := h.n.id, c.x, c.m, c.try, c.back
	if w.cfg.Tell {
		w.say(x.name, "%s asks node %s as a holder: %s%s", c.s.name, to, tell(m), again(try))
	}
	reply := func(a *message.Message) { w.carry(func() { c.hear(to, try, a) }) }
	w.reach(to, func(n *node) {
		if n.holder == h { // in the session in which the lease was
			h.ask(x, m, back, reply)
		}
	})
	c.sent = c.sent || m.Op.Logged()
	w.in(attemptTime, func() {
		if c.try != try || c.over {
			return
		}
		if !back {
			c.via = nil
		}
		c.attempt(message.NoNode)
	})
}

// leader is who is believed to lead a company.
func (s *session) leader(id message.CompanyID) message.NodeID {
	for len(s.leaders) <= int(id) {
		s.leaders = append(s.leaders, message.NoNode)
	}
	return s.leaders[id]
}
