package company

import (
	"dmalloc/block"
	"dmalloc/message"
)

// What follows is section 5 of package message: allocations over several companies. Each operation may
// come again, late, or for a transaction that is over, and then finds out by the tie and by C5.

func gone(m *message.Message) Result {
	return refuse(message.Aborted, "transaction %s is over here: it was aborted, or what it allocated was freed; nothing was done, begin a new one", m.Txn)
}

func (c *Company) reserve(e *entry, m *message.Message) Result {
	if c.ended.has(m.Txn) {
		return gone(m)
	}
	if t, ok := c.tieOf(m.Txn); ok {
		r, _ := c.recordAt(t.at)
		if r.home || r.size != m.Size || uint64(t.company) != m.Value {
			return *wrong("transaction %s has %d bytes of home %s at %s already; it cannot reserve %d of home %d, a company holds one extent of a transaction",
				m.Txn, r.size, t.company, c.addr(t.at), m.Size, m.Value)
		}
		return Result{Address: c.addr(t.at), Size: r.size, Txn: m.Txn}
	}
	if !c.fits(m.Size) {
		return c.noRoom(m.Size)
	}
	a, ok := c.take(m.Size)
	if !ok {
		return c.noRoom(m.Size)
	}
	at := c.at(a)
	c.keep(record{at: at, state: message.Reserved, size: m.Size}, &tie{txn: m.Txn, at: at, company: message.CompanyID(m.Value)})
	c.did(e, m, a, m.Size)
	return Result{Address: a, Size: m.Size, Txn: m.Txn}
}

// commit makes the allocation exist: its addresses are taken here, its home, but only its first block is
// charged here.
func (c *Company) commit(e *entry, m *message.Message) Result {
	if c.ended.has(m.Txn) && !plantedRevive {
		return gone(m)
	}
	if t, ok := c.tieOf(m.Txn); ok {
		if r, _ := c.recordAt(t.at); r.home {
			return c.committed(r)
		}
		return *wrong("company %s holds a part of transaction %s and cannot be its home", c.cfg.ID, m.Txn)
	}
	if !c.fits(m.Value) {
		return c.noRoom(m.Value)
	}
	a, ok := c.take(m.Size)
	if !ok {
		return c.noRoom(m.Size)
	}
	blocks := make([]message.Block, 0, 1+len(m.Blocks))
	blocks = append(blocks, message.Block{Address: a, Size: m.Value, Company: c.cfg.ID, Behind: a})
	next := a + message.Addr(m.Value)
	for _, b := range m.Blocks {
		blocks = append(blocks, message.Block{Address: next, Size: b.Size, Company: b.Company, Behind: b.Behind})
		next += message.Addr(b.Size)
	}
	r := record{at: c.at(a), state: message.Allocated, home: true, size: m.Size}
	c.keep(r, &tie{txn: m.Txn, at: r.at, company: c.cfg.ID, home: a, blocks: blocks})
	c.did(e, m, a, m.Size)
	return c.committed(r)
}

func (c *Company) committed(r record) Result {
	t := c.tieAt(r.at)
	return Result{Address: t.home, Size: r.size, Txn: t.txn, Blocks: t.blocks}
}

// confirm makes a reservation a part.
func (c *Company) confirm(e *entry, m *message.Message) Result {
	t, ok := c.tieOf(m.Txn)
	if !ok {
		return refuse(message.NotAllocated, "company %s holds no reservation of transaction %s; it was given back or never made", c.cfg.ID, m.Txn)
	}
	r, _ := c.recordAt(t.at)
	a := c.addr(t.at)
	switch {
	case r.home:
		return *wrong("company %s is the home of transaction %s; confirm at the companies of the other blocks", c.cfg.ID, m.Txn)
	case r.state == message.Part && t.home != m.Address:
		return *wrong("the part of transaction %s is confirmed for the allocation at %s, not %s", m.Txn, t.home, m.Address)
	case r.state == message.Reserved:
		r.state = message.Part
		c.records.ReplaceOrInsert(r)
		c.bind(&tie{txn: t.txn, at: t.at, company: t.company, home: m.Address})
		c.did(e, m, a, r.size)
	}
	return Result{Address: a, Size: r.size, Txn: m.Txn}
}

// abort gives a reservation back and lets none follow.
func (c *Company) abort(e *entry, m *message.Message) Result {
	t, ok := c.tieOf(m.Txn)
	if !ok {
		c.over(e, m)
		return Result{Txn: m.Txn}
	}
	r, _ := c.recordAt(t.at)
	if r.state != message.Reserved {
		return *wrong("transaction %s is %s here and cannot be aborted; free the allocation at %s", m.Txn, r.state, t.home)
	}
	return c.giveBack(e, m, r)
}

// over records the end of a transaction that has nothing here.
func (c *Company) over(e *entry, m *message.Message) {
	if c.ended.add(m.Txn, c.clock) {
		c.log(e, m, 0, 0)
	}
}

// giveBack frees what a transaction has here, and ends it.
func (c *Company) giveBack(e *entry, m *message.Message, r record) Result {
	a := c.addr(r.at)
	if refused := c.fence(m, c.off(a), block.Footprint(c.backed(r))); refused != nil {
		return *refused
	}
	c.remove(r)
	c.ended.add(m.Txn, c.clock)
	c.did(e, m, a, r.size)
	return Result{Address: a, Size: r.size, Txn: m.Txn}
}

// outcome says at the home what became of a transaction: Value 1 means committed. What is not committed
// by now is aborted by the question, so that the answer stays true.
func (c *Company) outcome(e *entry, m *message.Message) Result {
	t, ok := c.tieOf(m.Txn)
	if !ok {
		c.over(e, m)
		return Result{Txn: m.Txn}
	}
	r, _ := c.recordAt(t.at)
	if !r.home {
		return *wrong("company %s holds a part of transaction %s; ask its home, company %s", c.cfg.ID, m.Txn, t.company)
	}
	x := c.committed(r)
	x.Value = 1
	return x
}

// drop gives back the part of an allocation that was freed at its home.
func (c *Company) drop(e *entry, m *message.Message) Result {
	t, ok := c.tieOf(m.Txn)
	if !ok {
		c.over(e, m)
		return Result{Txn: m.Txn}
	}
	r, _ := c.recordAt(t.at)
	if r.home {
		return *wrong("company %s is the home of transaction %s; free the allocation at %s", c.cfg.ID, m.Txn, t.home)
	}
	return c.giveBack(e, m, r)
}

// finish frees the addresses of an allocation whose parts are all given back.
func (c *Company) finish(e *entry, m *message.Message) Result {
	t, ok := c.tieOf(m.Txn)
	if !ok {
		return Result{Txn: m.Txn}
	}
	r, _ := c.recordAt(t.at)
	if r.state != message.Freeing || t.home != m.Address {
		return *wrong("transaction %s is %s here for the allocation at %s, not being freed at %s; free it first", m.Txn, r.state, t.home, m.Address)
	}
	return c.giveBack(e, m, r)
}
