package sim

import (
	"slices"

	"dmalloc/message"
)

const (
	attemptTime = 40      // until the next owner is asked
	attemptLong = 700     // for what is tried again by somebody else
	forEver     = 1 << 40 // for what has to be done
)

// session is one instance of a client: what package client does between a caller and the companies.
type session struct {
	w       *world
	name    string
	id      message.ClientID
	number  uint64
	open    []uint64 // numbers that may still be asked again
	leaders []message.NodeID
	closed  bool
	config  message.Registers // of the registers, as the client knows it
	runs    []*quorumRun
	writes  uint64
	dir     *message.Directory // as it knows it
}

func (w *world) newSession(name string) *session {
	s := &session{w: w, name: name, id: w.name(), leaders: make([]message.NodeID, len(w.plan.Companies)),
		config: w.plan.Registers, dir: w.plan}
	for i := range s.leaders {
		s.leaders[i] = message.NoNode
	}
	return s
}

// close is the client's death: nobody hears of what it asked.
func (s *session) close() {
	s.closed = true
	s.runs = nil
}

// begin gives a request its number; low is the least that may still be asked again.
func (s *session) begin() (seq, low uint64) {
	s.number++
	s.open = append(s.open, s.number)
	return s.number, slices.Min(s.open)
}

// finished ends a number.
func (s *session) finished(seq uint64) {
	s.open = slices.DeleteFunc(s.open, func(x uint64) bool { return x == seq })
}

// call is a request on its way through all its attempts. It ends once: with an answer, or with none when
// the client gave up; sent says whether it may have happened then.
type call struct {
	s       *session
	company message.CompanyID
	m       *message.Message
	until   int64
	turn    int
	try     int
	sent    bool
	over    bool
	foreign bool    // its number is of another session
	x       *cell   // that it is about, where a holder may help
	via     *holder // who is asked before the company
	back    bool    // the holder may absorb it
	end     func(a *message.Message, sent bool)
}

// do has a message done, or gives it up after a time. A logged one keeps its number through all attempts.
func (s *session) do(company message.CompanyID, m *message.Message, patience int64, end func(a *message.Message, sent bool)) *call {
	c := s.prepare(company, m, patience, end)
	c.attempt(s.leader(company))
	return c
}

// prepare makes the call of a message.
func (s *session) prepare(company message.CompanyID, m *message.Message, patience int64, end func(a *message.Message, sent bool)) *call {
	m.Company = company
	if m.Op.Logged() {
		m.Client = s.id
		m.Seq, m.Low = s.begin()
	}
	return &call{s: s, company: company, m: m, until: s.w.now + patience, turn: s.w.dice.IntN(8), end: end}
}

// finish ends the call. The client is done with the number; what still comes of it is refused or answered
// from memory.
func (c *call) finish(a *message.Message) {
	if c.over || c.s.closed {
		return
	}
	c.over = true
	if !c.foreign {
		c.s.finished(c.m.Seq)
	}
	c.end(a, c.sent || a != nil)
}

// target is the believed leader, or else the owners in turn.
func (c *call) target(hint message.NodeID) message.NodeID {
	if hint != message.NoNode {
		return hint
	}
	known := c.s.dir.Company(c.company)
	if known == nil {
		known = c.s.w.directory().Company(c.company)
	}
	owners := known.Owners
	c.turn++
	return owners[c.turn%len(owners)].Node
}

func (c *call) attempt(hint message.NodeID) {
	w := c.s.w
	if c.over || c.s.closed {
		return
	}
	if w.now > c.until {
		c.finish(nil)
		return
	}
	if w.cfg.planted == newNumberOnRetry && !c.foreign && c.try > 0 && c.m.Op.Logged() {
		n := *c.m
		c.s.number++
		n.Seq = c.s.number
		c.m = &n
	}
	c.try++
	if c.via != nil {
		c.askHolder()
		return
	}
	try, to, m := c.try, c.target(hint), c.m
	w.mix(3, uint64(w.now), uint64(to), uint64(m.Op), m.Seq, uint64(c.company))
	if w.cfg.Tell {
		w.say(w.subject(c.company, m), "%s asks node %s: %s%s", c.s.name, to, tell(m), again(try))
	}
	twice := w.reach(to, func(n *node) {
		o := w.groups[c.company].seat(n.id)
		reply := func(a *message.Message) {
			w.carry(func() { c.hear(to, try, a) })
		}
		if o == nil || !o.up() {
			reply(m.Answer(message.Stale, ""))
			return
		}
		o.handle(waiting{m, reply})
	})
	// The network of real nodes brings nothing twice, so there a refusal says that nothing was done. Here the
	// other copy may still be on its way.
	c.sent = c.sent || twice && m.Op.Logged()
	w.in(attemptTime*int64(1+min(try/3, 4)), func() {
		if c.try == try && !c.over {
			c.sent = c.sent || m.Op.Logged()
			c.s.leaders[c.company] = message.NoNode
			c.s.ask()
			c.attempt(message.NoNode)
		}
	})
}

// hear judges an answer: it ends the call, or says where or when to go on. A refusal of an earlier attempt
// says nothing of the one that is under way.
func (c *call) hear(from message.NodeID, try int, a *message.Message) {
	w := c.s.w
	if c.over || c.s.closed {
		return
	}
	elsewhere := a.Status == message.Leased || a.Status == message.Unavailable || a.Status == message.NotLeader || a.Status == message.Retry || a.Status == message.Busy || a.Status == message.Stale
	if elsewhere && try != c.try {
		return
	}
	if elsewhere && w.cfg.Tell {
		w.say(w.subject(c.company, c.m), "%s hears of %s from node %s: %s", c.s.name, tell(c.m), from, a.Status)
	}
	switch a.Status {
	case message.NotLeader:
		if a.Final != message.NoNode && a.Final != from {
			c.later(3, a.Final)
		} else {
			c.later(15, message.NoNode)
		}
	case message.Retry:
		c.via = nil
		c.sent = c.sent || c.m.Op.Logged()
		c.later(10, message.NoNode)
	case message.Leased:
		// It is not kept as an answer, so a second copy of the entry may still find a better moment.
		c.sent = c.sent || c.m.Op.Logged()
		c.later(10, from)
	case message.Unavailable: // the holder cannot help
		c.via = nil
		c.attempt(message.NoNode)
	case message.Busy, message.Stale:
		c.s.ask()
		c.later(10, message.NoNode)
	default:
		if c.via == nil {
			c.s.leaders[c.company] = from
		}
		w.mix(4, uint64(w.now), uint64(a.Status), uint64(a.Address), a.Value)
		if w.cfg.Tell {
			w.say(w.subject(c.company, c.m), "%s hears of %s: %s", c.s.name, tell(c.m), tellAnswer(a))
		}
		c.finish(a)
	}
}

// later makes the next attempt after a pause.
func (c *call) later(pause int64, hint message.NodeID) {
	try := c.try
	c.s.w.in(pause+c.s.w.dice.Int64N(pause+1), func() {
		if c.try == try {
			c.attempt(hint)
		}
	})
}

// ask asks any node for the directory: owners may have moved.
func (s *session) ask() {
	w := s.w
	if !w.growing() {
		return
	}
	w.reach(w.anyNode(), func(n *node) {
		d := n.dir
		w.carry(func() {
			if d.Epoch > s.dir.Epoch {
				s.dir = d
			}
		})
	})
}
