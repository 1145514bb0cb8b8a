package sim

import (
	"encoding/binary"
	"fmt"
	"slices"

	"dmalloc/message"
)

// client is a user: one operation after the other, over the lives of several sessions. What it holds it
// knows also after it died: allocations have no owner.
type client struct {
	w       *world
	name    string
	s       *session
	rooms   []uint64 // believed, by company
	left    int      // operations to begin
	busy    bool
	abandon func() // what becomes of the running operation if the client dies
	held    []*holding
	things  int
	focus   int   // how many of the next operations are on that cell
	leased  *cell // of which the client had a node take a lease
}

func (w *world) hire(name string, ops int) *client {
	c := &client{w: w, name: name, left: ops, s: w.newSession(name), rooms: make([]uint64, len(w.groups))}
	for i := range min(len(c.rooms), len(w.plan.Companies)) - 1 {
		c.rooms[i+1] = w.plan.Companies[i+1].Capacity
	}
	w.clients = append(w.clients, c)
	return c
}

// die ends the session, with whatever runs, and begins another one.
func (c *client) die() {
	c.s.close()
	c.w.did(died)
	if c.busy && c.abandon != nil {
		c.w.unknown++
		c.abandon()
	}
	c.w.say("", "%s dies and starts anew", c.name)
	c.busy, c.abandon = false, nil
	c.s = c.w.newSession(c.name)
	c.s.config = c.w.plan.Registers
	if c.left > 0 {
		c.workSoon()
	}
}

func (c *client) workSoon() {
	s := c.s
	c.w.in(1+c.w.dice.Int64N(20), func() {
		if c.s == s && !c.busy && c.left > 0 {
			c.left--
			if c.focus == 0 && c.w.has(Leases) && c.w.odds(3) {
				c.lend()
				return
			}
			c.work()
		}
	})
}

// begin marks the client as busy, and returns what ends the operation.
func (c *client) begin(abandon func()) (end func()) {
	s := c.s
	c.w.ops++
	c.busy, c.abandon = true, abandon
	return func() {
		if c.s != s {
			return
		}
		c.busy, c.abandon = false, nil
		if c.left > 0 {
			c.workSoon()
		}
	}
}

func (c *client) patience() int64 {
	if c.w.calm {
		return patience / 2
	}
	if c.w.has(Impatient) {
		return 30 + c.w.dice.Int64N(200)
	}
	return 400 + c.w.dice.Int64N(1200)
}

// work begins one operation.
func (c *client) work() {
	if c.focus > 0 && c.w.has(Leases) {
		c.focus--
		c.useCell(c.leased)
		return
	}
	switch d := c.w.dice.IntN(10); {
	case d < 4 && len(c.w.shared) > 0:
		c.useCell(c.w.shared[c.w.dice.IntN(len(c.w.shared))])
	case d < 7:
		c.useOwn()
	default:
		c.useRegister()
	}
}

func (c *client) useRegister() {
	w := c.w
	id := registerAt(w.dice.IntN(registers))
	value := uint64(0)
	if w.odds(2) {
		value = w.value()
	}
	c.register(id, value, c.patience())
}

// register reads, or writes a value that is not 0.
func (c *client) register(id message.RegisterID, value uint64, patience int64) {
	w := c.w
	r := record{about: id.String(), client: c.name, kind: reads, call: w.moment()}
	if value != 0 {
		r.kind, r.in = writes, value
	}
	var run *quorumRun
	lost := func() {
		if run != nil && run.op.Chosen() && r.kind == writes {
			w.keep(r)
		}
	}
	end := c.begin(lost)
	if w.cfg.Tell {
		w.say(r.about, "%s begins: %s", c.name, r.what())
	}
	run = c.s.runRegister(id, value, patience, func(out uint64, ok bool) {
		if ok {
			r.ret, r.out = w.moment(), out
			w.keep(r)
			if w.cfg.Tell {
				w.say(r.about, "%s ends: %s", c.name, r)
			}
		} else {
			w.unknown++
			w.say(r.about, "%s gives up: %s", c.name, r.what())
			lost()
		}
		end()
	})
}

// useOwn allocates, writes, reads or frees something of the client's own.
func (c *client) useOwn() {
	w := c.w
	if len(c.held) == 0 || len(c.held) < 4 && w.odds(3) {
		c.allocate(c.chooseSize())
		return
	}
	h := c.held[w.dice.IntN(len(c.held))]
	switch d := w.dice.IntN(5); {
	case d < 2:
		c.writeEnd(h, w.dice.IntN(2))
	case d < 4:
		c.readEnd(h, w.dice.IntN(2), c.patience())
	default:
		c.giveBack(h)
	}
}

func (c *client) chooseSize() uint64 {
	w := c.w
	switch d := w.dice.IntN(10); {
	case d < 5:
		return 16 + w.dice.Uint64N(300)
	case d < 7:
		return message.PageSize * (1 + w.dice.Uint64N(3))
	}
	// More than any company is believed to have, so that it has to span some.
	return slices.Max(c.rooms)/message.PageSize*message.PageSize + message.PageSize*(1+w.dice.Uint64N(3)) - 40
}

func (c *client) allocate(size uint64) {
	w := c.w
	c.things++
	name := fmt.Sprintf("%s's allocation %d", c.name, c.things)
	if w.cfg.Tell {
		w.say(name, "%s asks for %d bytes", c.name, size)
	}
	end := c.begin(func() { w.lostMallocs = append(w.lostMallocs, &holding{size: size}) })
	c.malloc(size, c.patience(), func(h *holding) {
		if h != nil {
			h.name = name
			if w.cfg.Tell {
				w.say(name, "%s has %d bytes at %s: %s", c.name, size, h.at, tellBlocks(h.blocks))
			}
			w.hold(h)
			c.held = append(c.held, h)
		}
		end()
	})
}

func (c *client) giveBack(h *holding) {
	w := c.w
	c.held = slices.DeleteFunc(c.held, func(x *holding) bool { return x == h })
	w.say(h.name, "%s frees %s at %s", c.name, h.name, h.at)
	end := c.begin(func() {})
	c.free(h, c.patience(), end)
}

// bytesAt addresses 8 bytes of a holding, at its begin or its end, wherever they lie. No allocation here is
// so small that the two would meet.
func (h *holding) bytesAt(which int, op message.Op) (message.CompanyID, *message.Message) {
	m := message.New(op)
	m.Size = 8
	if which == 0 {
		home, _ := h.at.Company()
		m.Address = h.at
		return home, m
	}
	last := h.blocks[len(h.blocks)-1]
	off := (last.Size - 8) &^ 7
	if len(h.blocks) == 1 {
		m.Address = h.at + message.Addr(off)
		return last.Company, m
	}
	m.Flags |= message.PartOf
	m.Txn, m.Address = h.txn, last.Behind+message.Addr(off)
	return last.Company, m
}

func (c *client) writeEnd(h *holding, which int) {
	w := c.w
	value := w.value()
	company, m := h.bytesAt(which, message.WRITE)
	m.Data = binary.LittleEndian.AppendUint64(nil, value)
	e := &h.ends[which]
	maybe := func() { e.maybe = append(e.maybe, value) }
	end := c.begin(maybe)
	w.say(h.name, "%s writes %d to the %s of %s", c.name, value, endName(which), h.name)
	c.s.do(company, m, c.patience(), func(a *message.Message, sent bool) {
		switch {
		case a == nil:
			w.unknown++
			maybe()
		case a.Status != message.Done:
			w.fail("S9", h.name, "%s writes to %s at %s and is answered %s: %s", c.name, h.name, h.at, a.Status, a.Text)
		default:
			e.value, e.written = value, true
		}
		end()
	})
}

func endName(which int) string { return [...]string{"begin", "end"}[which] }

// readEnd compares with what was written, or with zero (S7).
func (c *client) readEnd(h *holding, which int, patience int64) {
	w := c.w
	company, m := h.bytesAt(which, message.READ)
	e := &h.ends[which]
	end := c.begin(func() {})
	c.s.do(company, m, patience, func(a *message.Message, _ bool) {
		switch {
		case a == nil:
			w.unknown++
		case a.Status != message.Done:
			w.fail("S9", h.name, "%s reads %s at %s and is answered %s: %s", c.name, h.name, h.at, a.Status, a.Text)
		default:
			if got := number(a.Data); got != e.value && !slices.Contains(e.maybe, got) && !slices.Contains(w.strays, got) {
				w.fail("S7", h.name, "%s reads %d from the %s of %s at %s; acknowledged was %d, of unknown outcome are %v", c.name, got, endName(which),
					h.name, h.at, e.value, e.maybe)
			}
		}
		end()
	})
}
