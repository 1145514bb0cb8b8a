package company

import (
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"dmalloc/block"
	"dmalloc/message"
)

// Verify checks every invariant of the package comment, in time that grows with the state.
func (c *Company) Verify() error {
	if c.defect != nil {
		return c.defect
	}
	if err := c.space.Check(); err != nil {
		return err
	}
	if err := c.pages.Check(); err != nil {
		return err
	}
	for _, check := range []func() error{c.verifyRecords, c.verifyTies, c.verifyZeros, c.verifyClients, c.verifyLeases, c.verifyRuns} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func defect(format string, args ...any) error {
	return message.Errorf(message.Internal, "company: "+format, args...)
}

// verifyRecords checks C1 and C2.
func (c *Company) verifyRecords() (err error) {
	var taken, used, charged, count, held uint64
	paged := c.cfg.first() // the end of the last page that was counted
	last := c.cfg.first()
	c.records.Ascend(func(r record) bool {
		x := c.extentOf(r)
		if x.Addr < last || x.End() > c.cfg.Limit || r.size == 0 {
			err = defect("C1: the record %s begins before %s, is empty or leaves the window", x, last)
			return false
		}
		n := c.backed(r)
		last, taken, used, charged = x.End(), taken+x.Size, used+n, charged+block.Footprint(n)
		from, to := max(paged, x.Addr&^inPage), (x.Addr+message.Addr(block.Footprint(n))+inPage)&^inPage
		if from < to {
			held, paged = held+uint64(to-from), to
		}
		if r.homed() {
			count++
		}
		return true
	})
	switch {
	case err != nil:
	case last > c.space.High():
		err = defect("C1: the last record ends at %s, behind the high-water mark %s", last, c.space.High())
	case taken+c.space.Free() != c.cfg.window():
		err = defect("C1: %d bytes taken and %d free are not the window's %d", taken, c.space.Free(), c.cfg.window())
	case used != c.used || charged != c.charged || count != c.count || charged > c.cfg.Capacity:
		err = defect("C2: used %d (%d), charged %d (%d) of %d, allocations %d (%d)", c.used, used, c.charged, charged, c.cfg.Capacity, c.count, count)
	case held != c.pagesHeld() || c.pages.Resident() > held:
		err = defect("C2: %d bytes of pages are in use (%d), %d exist", c.pagesHeld(), held, c.pages.Resident())
	}
	for x := range c.space.All() {
		if r, ok := c.holder(x.Addr); ok && err == nil {
			err = defect("C1: %s is free and taken by %s", x, c.extentOf(r))
		}
	}
	return err
}

// verifyTies checks C4 and C5.
func (c *Company) verifyTies() (err error) {
	tied := 0
	c.records.Ascend(func(r record) bool {
		if r.tied() {
			tied++
		}
		return true
	})
	if tied != c.ties.Len() || tied != c.byTxn.Len() {
		return defect("C4: %d extents have ties, there are %d, by transaction %d", tied, c.ties.Len(), c.byTxn.Len())
	}
	c.ties.Ascend(func(t *tie) bool {
		r, ok := c.recordAt(t.at)
		u, same := c.tieOf(t.txn)
		switch {
		case !ok || !r.tied() || !same || u != t:
			err = defect("C4: the tie of %s at %s has no extent", t.txn, c.addr(t.at))
		case c.ended.has(t.txn):
			err = defect("C5: transaction %s has ended and is tied to %s", t.txn, c.addr(t.at))
		case r.home:
			err = c.verifyHome(r, t)
		case t.blocks != nil || t.company == c.cfg.ID || t.company == 0 || (t.home != 0) != (r.state == message.Part):
			err = defect("C4: the %s extent of %s at %s has the home %s in company %s", r.state, t.txn, c.addr(t.at), t.home, t.company)
		}
		return err == nil
	})
	return err
}

// verifyHome checks that a home's blocks could have come by COMMIT.
func (c *Company) verifyHome(r record, t *tie) error {
	a := c.addr(r.at)
	m := message.Message{Op: message.COMMIT, Txn: t.txn, Size: r.size, Value: t.blocks[0].Size, Blocks: t.blocks[1:]}
	if wrong := c.arguments(&m); wrong != nil {
		return defect("C4: the home at %s: %s", a, wrong.Text)
	}
	if first := t.blocks[0]; t.home != a || t.company != c.cfg.ID || first.Behind != a || first.Company != c.cfg.ID {
		return defect("C4: the home at %s calls itself %s in company %s, behind it %s", a, t.home, t.company, first.Behind)
	}
	next := a
	for _, b := range t.blocks {
		if b.Address != next {
			return defect("C4: a block of the home at %s is at %s, not %s", a, b.Address, next)
		}
		next += message.Addr(b.Size)
	}
	return nil
}

// verifyZeros checks C3.
func (c *Company) verifyZeros() error {
	mine := make([]byte, message.PageSize)
	for off, p := range c.pages.All() {
		copy(mine, p)
		from := c.cfg.Base + message.Addr(off)
		to := from + message.PageSize
		blank := func(r record) bool {
			if r.state != message.Allocated && r.state != message.Part || !r.live() {
				return c.addr(r.at) < to
			}
			begin, end := c.addr(r.at), c.addr(r.at)+message.Addr(c.backed(r))
			if begin, end = max(begin, from), min(end, to); begin < end {
				clear(mine[begin-from : end-from])
			}
			return end < to
		}
		if r, ok := c.holder(from); ok {
			blank(r)
		}
		c.ascend(from, blank)
		if i := slices.IndexFunc(mine, func(b byte) bool { return b != 0 }); i >= 0 {
			return defect("C3: the byte at %s is not zero and in no live block", from+message.Addr(i))
		}
	}
	return nil
}

// verifyClients checks C6.
func (c *Company) verifyClients() error {
	answers, last := 0, uint64(0)
	for _, k := range c.clients.list() {
		answers += k.w.answers.len()
		if k.last < last || k.last > c.clock || c.clients.byID[k.id] == nil {
			return defect("C6: client %s was heard at %d, the one before it at %d; it is %d", k.id, k.last, last, c.clock)
		}
		last = k.last
		for i, a := range k.w.answers.kept() {
			if a.seq < k.w.low || a.seq-k.w.low >= MaxWindow {
				return defect("C6: client %s has an answer to %d; low is %d", k.id, a.seq, k.w.low)
			}
			if i > 0 && a.seq <= k.w.answers.kept()[i-1].seq {
				return defect("C6: the answers of client %s are out of order at %d", k.id, a.seq)
			}
		}
	}
	if answers != c.clients.answers || len(c.clients.byID) != c.clients.used.Len() {
		return defect("C6: %d answers kept, %d counted; %d clients, %d in order of use", answers, c.clients.answers, len(c.clients.byID), c.clients.used.Len())
	}
	return nil
}

// verifyLeases checks the table, and that it stays inside the window.
func (c *Company) verifyLeases() error {
	for l := range c.leases.All() {
		if l.End() > uint64(c.cfg.Limit-c.cfg.Base)/message.PageSize {
			return defect("L1: the lease with token %d ends behind the window", l.Token)
		}
	}
	return c.leases.Check()
}

// String tells the whole state, of the bytes only a checksum. Equal states give equal strings.
func (c *Company) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "company %s from %s to %s: used %d, charged %d of %d, room %d, allocations %d\n", c.cfg.ID, c.cfg.Base, c.cfg.Limit,
		c.used, c.charged, c.cfg.Capacity, c.room(), c.count)
	fmt.Fprintf(&b, "index %d, clock %d ms, node %s leads in term %d since index %d\n", c.index, c.clock, c.lead.node, c.lead.term, c.lead.index)
	c.records.Ascend(func(r record) bool {
		fmt.Fprintf(&b, "  %s %s %d", c.addr(r.at), r.state, r.size)
		if r.mark != noMark {
			b.WriteString([...]string{aside: " aside", open: " open", dropped: " dropped"}[r.mark])
		}
		if r.tied() {
			t := c.tieAt(r.at)
			fmt.Fprintf(&b, " txn %s home %s in company %s", t.txn, t.home, t.company)
			for _, k := range t.blocks {
				fmt.Fprintf(&b, "\n    %s %d in company %s behind %s", k.Address, k.Size, k.Company, k.Behind)
			}
		}
		b.WriteByte('\n')
		return true
	})
	b.WriteString("free: " + c.space.String())
	for _, k := range c.clients.list() {
		fmt.Fprintf(&b, "client %s heard at %d, low %d:", k.id, k.last, k.w.low)
		for _, a := range k.w.answers.kept() {
			fmt.Fprintf(&b, " %d=%s", a.seq, a.code)
		}
		b.WriteByte('\n')
	}
	c.ended.byAge.Ascend(func(x end) bool {
		fmt.Fprintf(&b, "ended %s at %d\n", x.txn, x.clock)
		return true
	})
	if c.leases.Last() > 0 {
		fmt.Fprintf(&b, "leases %d, last token %d\n", c.leases.Len(), c.leases.Last())
	}
	for l := range c.leases.All() {
		x := c.shown(l)
		fmt.Fprintf(&b, "  %s %d %s token %d of node %s in session %d for %d ms, write-back %v\n", x.Address, x.Size, x.Mode, x.Token, x.Holder, x.Session, x.LengthMS, x.WriteBack)
	}
	c.runs.Ascend(func(x *run) bool {
		fmt.Fprintf(&b, "run %d of node %s in session %d: %d blocks of %d, claimed %d, open to %d, heard at %d, claim %d\n", x.number, x.node, x.session, len(x.blocks), x.size, x.next, x.end, x.heard, x.order)
		return true
	})
	c.settled.Ascend(func(s settled) bool {
		fmt.Fprintf(&b, "node %s is settled to session %d\n", s.node, s.session)
		return true
	})
	var sum uint32
	for off, p := range c.pages.All() {
		sum = crc32.Update(sum, castagnoli, fmt.Appendf(nil, "%d", off))
		sum = crc32.Update(sum, castagnoli, p)
	}
	fmt.Fprintf(&b, "pages %d bytes, sum %08x\n", c.pages.Resident(), sum)
	return b.String()
}
