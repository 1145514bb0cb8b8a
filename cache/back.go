package cache

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"dmalloc/message"
)

// Absorption is what became of a write that was to stay in the copy.
type Absorption uint8

const (
	// NotAbsorbed: nothing was done; the write has to go through the log.
	NotAbsorbed Absorption = iota
	// Absorbed: it is in the copy, and may be acknowledged as that.
	Absorbed
	// Late: it is in the copy, but meanwhile the lease's time has ended. It may be acknowledged, as written through
	// the log, once it has been flushed; if it is lost then, it was not done.
	Late
)

// Absorb writes bytes at an address into the copy, if an exclusive write-back lease allows it and the copy has the
// bytes that they replace. txn is as in Read.
func (c *Cache) Absorb(a message.Addr, txn message.Txn, bytes []byte, now Clock) Absorption {
	company, first, last, ok := bounds(a, uint64(len(bytes)))
	if !ok || last-first >= maxPages {
		return NotAbsorbed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	co := &c.companies[company]
	h := co.covering(first, last)
	if h == nil || !h.absorbs() || h.doubtful || co.asked(first, last) || !h.knows(first, last, uint64(a), uint64(len(bytes)), txn) || now() >= h.until {
		return NotAbsorbed
	}
	if first != last { // so that nobody sees a part of it (readMany)
		for n := first; n <= last; n++ {
			c.hide(h.pages[n])
		}
	}
	for n := first; n <= last; n++ {
		p := h.pages[n]
		co.change(n)
		c.overlay(p, uint64(a), bytes)
		start := h.address(n)
		p.dirty = p.dirty.add(span{max(uint64(a), start), min(uint64(a)+uint64(len(bytes)), start+message.PageSize)})
		c.touch(p)
	}
	for n := first; n <= last; n++ {
		c.settle(h.pages[n])
	}
	if now() >= h.until {
		return Late
	}
	return Absorbed
}

// knows says whether no write of the pages is under way and all of the bytes are there, of one block.
func (h *held) knows(first, last, from, size uint64, txn message.Txn) bool {
	to := from + size
	var block message.Addr
	for n := first; n <= last; n++ {
		p := h.pages[n]
		if p == nil || p.image == nil || len(p.writes) > 0 {
			return false
		}
		start := h.address(n)
		part := p.image.find(max(from, start), min(to, start+message.PageSize))
		if part == nil || part.txn != txn || n > first && part.block != block {
			return false
		}
		block = part.block
	}
	return true
}

// Piece is dirty bytes on their way to the log: a WRITE with the token, and with PartOf where Txn is not zero. It is
// sent again, as the same request, until its outcome is known; Flushed is to be called in any case.
type Piece struct {
	Company message.CompanyID
	Token   uint64
	Address message.Addr
	Txn     message.Txn
	Data    []byte
	lease   *held
}

func (p *Piece) span() span {
	return span{uint64(p.Address), uint64(p.Address) + uint64(len(p.Data))}
}

// Flush returns what is dirty in a range and neither on its way nor beside a write that is.
func (c *Cache) Flush(a message.Addr, size uint64) (pieces []Piece) {
	company, first, last, ok := bounds(a, size)
	if !ok {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.companies[company].over(first, last) {
		pieces = append(pieces, c.collect(h, first, last)...)
	}
	return pieces
}

// FlushAll is Flush of everything.
func (c *Cache) FlushAll() (pieces []Piece) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.companies {
		for _, h := range c.companies[i].leases {
			pieces = append(pieces, c.collect(h, h.first, h.last)...)
		}
	}
	return pieces
}

// Unwritten is how many bytes of a range are dirty or on their way: 0 says that a sync of it is done.
func (c *Cache) Unwritten(a message.Addr, size uint64) (n uint64) {
	company, first, last, ok := bounds(a, size)
	if !ok {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.companies[company].over(first, last) {
		n += h.unwritten(first, last)
	}
	return n
}

// unwritten is how many bytes of the pages from first to last are dirty or on their way.
func (h *held) unwritten(first, last uint64) (n uint64) {
	for i, p := range h.dirty {
		if first <= i && i <= last {
			n += p.dirty.bytes() + p.flying.bytes()
		}
	}
	return n
}

// collect takes the dirty bytes of the pages from first to last and lets them fly (K8). A page with a write under
// way is left out: what is dirty of it must not come behind that write.
func (c *Cache) collect(h *held, first, last uint64) (pieces []Piece) {
	if len(h.dirty) == 0 {
		return nil
	}
	var chosen []*page
	for _, n := range slices.Sorted(maps.Keys(h.dirty)) {
		if p := h.dirty[n]; first <= n && n <= last && len(p.writes) == 0 {
			chosen = append(chosen, p)
		}
	}
	return c.launch(h, chosen)
}

// launch makes pieces of the dirty bytes of pages, which are of one lease and sorted.
func (c *Cache) launch(h *held, chosen []*page) (pieces []Piece) {
	var block message.Addr
	for _, p := range chosen {
		if len(p.dirty) == 0 || len(p.flying) > 0 {
			continue
		}
		for _, x := range p.dirty {
			for x.from < x.to {
				k := p.image.at(x.from)
				part := span{x.from, min(x.to, k.to)}
				bytes := p.image.data[part.from%message.PageSize:][:part.to-part.from]
				x.from = part.to
				if i := len(pieces) - 1; i >= 0 && pieces[i].span().to == part.from && block == k.block && pieces[i].Txn == k.txn && len(pieces[i].Data)+len(bytes) <= MaxPiece {
					pieces[i].Data = append(pieces[i].Data, bytes...)
					continue
				}
				pieces = append(pieces, Piece{h.lease.Company, h.lease.Token, message.Addr(part.from), k.txn, slices.Clone(bytes), h})
				block = k.block
			}
		}
		p.flying, p.dirty = p.dirty, nil
		c.settle(p)
	}
	return pieces
}

// at returns the part of the image that has the byte at an address; a dirty byte always has one.
func (im *image) at(from uint64) *known { return im.find(from, from+1) }

// Flushed says what became of a piece, and returns what is lost for it. After Written, bytes that were not absorbed
// again since are clean; after Refused they are dirty as before. Unknown is for who gives up to send it again: the
// lease ends, and should be given back.
func (c *Cache) Flushed(x Piece, outcome Outcome) []Range {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := x.lease
	if h == nil || len(x.Data) == 0 || h.gone && outcome == Written {
		return nil
	}
	if h.gone {
		return c.ranges(h.without(x.span()))
	}
	if outcome == Fenced || outcome == Unknown {
		return c.ranges(append(c.drop(h), x.span()))
	}
	var lost []span
	co := &c.companies[h.lease.Company]
	all := x.span()
	for n := (all.from - h.address(0)) / message.PageSize; n <= (all.to-1-h.address(0))/message.PageSize; n++ {
		p := h.pages[n]
		if p == nil {
			continue
		}
		start := h.address(n)
		part := span{max(all.from, start), min(all.to, start+message.PageSize)}
		p.flying = p.flying.remove(part)
		co.change(n)
		switch {
		case outcome == Refused && p.image == nil: // a write of unknown outcome has spoilt it
			lost = append(lost, part)
		case outcome == Refused:
			p.dirty = p.dirty.add(part)
		}
		c.settle(p)
	}
	c.leave(h)
	c.room(0)
	return c.ranges(lost)
}

// without returns what is left of a span without the pages that went over to a newer lease, where they are dirty.
func (h *held) without(x span) []span {
	left := spans{x}
	for n := range h.moved {
		left = left.remove(span{h.address(n), h.address(n + 1)})
	}
	return left
}

// NextFlush returns what should be written back now: of leases that are closing, or that end within a quarter of
// their length or half a second, and, where more than half of the budget is dirty, what was used least recently.
func (c *Cache) NextFlush(now time.Duration) (pieces []Piece) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.companies {
		for _, h := range c.companies[i].leases {
			if h.closing || now >= h.flushAt() {
				pieces = append(pieces, c.collect(h, h.first, h.last)...)
			}
		}
	}
	return append(pieces, c.pressed()...)
}

// flushAt is when the dirty bytes of a lease should begin to be written back.
func (h *held) flushAt() time.Duration {
	return h.until - max(500*time.Millisecond, time.Duration(h.lease.LengthMS)*time.Millisecond/4)
}

// pressed lets dirty pages fly, least recently used first, until the rest is at most half of the budget.
func (c *Cache) pressed() (pieces []Piece) {
	var all []*page
	var sum uint64
	for i := range c.companies {
		for _, h := range c.companies[i].leases {
			for _, p := range h.dirty {
				if p.image != nil && len(p.flying) == 0 && len(p.writes) == 0 {
					all = append(all, p)
					sum += p.image.cost() + nodeBytes
				}
			}
		}
	}
	if sum <= c.budget/2 {
		return nil
	}
	slices.SortFunc(all, func(a, b *page) int {
		return cmp.Or(cmp.Compare(a.used.Load(), b.used.Load()), cmp.Compare(a.lease.lease.Company, b.lease.lease.Company), cmp.Compare(a.number, b.number))
	})
	chosen := map[*held][]*page{}
	var order []*held
	for _, p := range all {
		if sum <= c.budget/2 {
			break
		}
		sum -= p.image.cost() + nodeBytes
		if chosen[p.lease] == nil {
			order = append(order, p.lease)
		}
		chosen[p.lease] = append(chosen[p.lease], p)
	}
	for _, h := range order {
		slices.SortFunc(chosen[h], func(a, b *page) int { return cmp.Compare(a.number, b.number) })
		pieces = append(pieces, c.launch(h, chosen[h])...)
	}
	return pieces
}

// Next is when Expire or NextFlush will have something to do next, as far as time brings it, and false for never.
func (c *Cache) Next() (at time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.companies {
		for _, h := range c.companies[i].leases {
			if h.closing {
				continue
			}
			when := h.until
			for _, p := range h.dirty {
				if len(p.dirty) > 0 {
					when = h.flushAt()
					break
				}
			}
			if !ok || when < at {
				at, ok = when, true
			}
		}
	}
	return at, ok
}
