package company

import "dmalloc/message"

// fills says whether a READ brings pages for the holder of a lease: it has the lease's token and asks for whole
// pages. Its answer is what lies there, whoever it is of; blocks are those that live.
func fills(m *message.Message) bool {
	return m.Token != 0 && m.Address%message.PageSize == 0 && m.Size%message.PageSize == 0
}

// fill answers it while that lease stands and covers the pages. The parts of allocations among the blocks, which have
// something behind them, are of one transaction: that of the answer. Those of another one are left out, and so is
// what finds no room.
func (c *Company) fill(m *message.Message) *message.Message {
	off := c.off(m.Address)
	first, pages := pagesOf(off, m.Size)
	if l, ok := c.leases.Get(m.Token); !ok || !l.Covers(first, pages) {
		r := refuse(message.Fenced, "%s of %s was asked under the lease with token %d, which is over, or is of other pages; nothing was read, take the lease anew",
			m.Op, c.pageText(first, pages), m.Token)
		r.Index = c.index
		return r.Answer(m)
	}
	x := Result{Address: m.Address, Size: m.Size, Index: c.index, Token: m.Token}
	add := func(r record) bool {
		a := c.addr(r.at)
		if a >= m.Address+message.Addr(m.Size) || len(x.Blocks) == message.MaxBlocks {
			return false
		}
		b := message.Block{Company: c.cfg.ID, Address: a, Size: c.backed(r)}
		switch {
		case r.state == message.Part:
			txn := c.tieAt(r.at).txn
			if !x.Txn.IsZero() && x.Txn != txn {
				return true
			}
			x.Txn, b.Behind = txn, a
		case r.state != message.Allocated || !r.live():
			return true
		}
		x.Blocks = append(x.Blocks, b)
		return true
	}
	from := m.Address
	if r, ok := c.holder(from); ok {
		if add(r); c.addr(r.at) >= from {
			from = c.addr(r.at) + message.Alignment
		}
	}
	c.ascend(from, add)
	a := x.Answer(m)
	a.Data = make([]byte, m.Size)
	c.pages.ReadAt(off, a.Data)
	return a
}
