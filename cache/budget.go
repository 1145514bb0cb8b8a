package cache

import (
	"container/heap"

	"dmalloc/message"
)

// ranking has the pages that may be evicted, the least recently used first. A page stands where its last use put it
// when that was last looked at; uses only come later, so the first page whose place is right is the right one.
type ranking struct{ pages []*page }

func (r *ranking) Len() int { return len(r.pages) }
func (r *ranking) Less(i, j int) bool {
	a, b := r.pages[i], r.pages[j]
	if a.ranked != b.ranked {
		return a.ranked < b.ranked
	}
	if a.lease.lease.Company != b.lease.lease.Company {
		return a.lease.lease.Company < b.lease.lease.Company
	}
	return a.number < b.number
}
func (r *ranking) Swap(i, j int) {
	r.pages[i], r.pages[j] = r.pages[j], r.pages[i]
	r.pages[i].slot, r.pages[j].slot = i, j
}
func (r *ranking) Push(x any) {
	p := x.(*page)
	p.slot = len(r.pages)
	r.pages = append(r.pages, p)
}
func (r *ranking) Pop() any {
	last := len(r.pages) - 1
	p := r.pages[last]
	r.pages[last], r.pages = nil, r.pages[:last]
	p.slot = -1
	return p
}

func (r *ranking) insert(p *page) {
	if p.slot < 0 {
		p.ranked = p.used.Load()
		heap.Push(r, p)
	}
}

func (r *ranking) remove(p *page) {
	if p.slot >= 0 {
		heap.Remove(r, p.slot)
	}
}

// least returns the page that was used least recently, nil where there is none. It stays where it is.
func (r *ranking) least() *page {
	for len(r.pages) > 0 {
		p := r.pages[0]
		used := p.used.Load()
		if used == p.ranked {
			return p
		}
		p.ranked = used
		heap.Fix(r, 0)
	}
	return nil
}

// room evicts clean pages until so many more bytes fit, and says whether they do (K6).
func (c *Cache) room(more uint64) bool {
	for c.bytes+more > c.budget {
		p := c.clean.least()
		if p == nil {
			return false
		}
		c.setImage(p, nil)
		c.settle(p)
		c.evictions++
	}
	return true
}

// SetBudget says how many bytes may be kept from now on. Clean pages are given up at once; where that is not enough,
// the pieces are to be written back, and Flushed gives their pages up.
func (c *Cache) SetBudget(bytes uint64) (pieces []Piece) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.budget = bytes
	if c.room(0) {
		return nil
	}
	return c.pressed()
}

// Stats is what a cache holds, and what it has done since it began.
type Stats struct {
	Budget    uint64 // bytes that it may keep
	Bytes     uint64 // that it keeps, with what it needs to know of them
	Pages     uint64
	Dirty     uint64 // bytes that are not written back
	Leases    uint64
	Hits      uint64
	Misses    uint64
	Evictions uint64
	Lost      uint64 // bytes that were absorbed and could not be written back
}

// Stats counts.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Stats{Budget: c.budget, Bytes: c.bytes, Pages: c.pages, Evictions: c.evictions, Lost: c.lost}
	for i := range c.companies {
		for _, h := range c.companies[i].leases {
			s.Leases++
			for _, p := range h.dirty {
				s.Dirty += p.dirty.bytes() + p.flying.bytes()
			}
		}
	}
	for i := range c.counts {
		s.Hits += c.counts[i].hits.Load()
		s.Misses += c.counts[i].misses.Load()
	}
	return s
}

// Check verifies what the package comment promises, as far as it can be seen between two calls.
func (c *Cache) Check() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var pages, bytes uint64
	for i := range c.companies {
		if err := c.checkCompany(message.CompanyID(i), &pages, &bytes); err != nil {
			return err
		}
	}
	var leases int64
	for i := range c.companies {
		leases += int64(len(c.companies[i].leases))
	}
	if leases != c.held.Load() {
		return message.Errorf(message.Internal, "cache: %d leases are counted as %d", leases, c.held.Load())
	}
	if pages != c.pages || bytes != c.bytes {
		return message.Errorf(message.Internal, "cache: %d pages with %d bytes are counted as %d with %d", pages, bytes, c.pages, c.bytes)
	}
	return nil
}

func (c *Cache) checkCompany(id message.CompanyID, pages, bytes *uint64) error {
	fail := func(name string, p *page) error {
		return message.Errorf(message.Internal, "cache: %s: page %#x of company %s under lease %d", name, p.number, id, p.lease.lease.Token)
	}
	t := &c.tables[id]
	seen := uint64(0)
	for i, h := range c.companies[id].leases {
		if i > 0 && c.companies[id].leases[i-1].last >= h.first {
			return message.Errorf(message.Internal, "cache: leases %d and %d of company %s have a page in common", c.companies[id].leases[i-1].lease.Token, h.lease.Token, id)
		}
		for n, p := range h.pages {
			quiet := p.image != nil && len(p.writes) == 0 && !h.closing
			dirty := len(p.dirty) > 0 || len(p.flying) > 0
			shown := t.get(n)
			switch {
			case n != p.number || p.lease != h || n < h.first || n > h.last || h.gone:
				return fail("out of place", p)
			case (shown != nil) != quiet || quiet && shown != p.image:
				return fail("K1", p)
			case p.image != nil && (p.image.lease != h || p.image.page != p):
				return fail("K2", p)
			case (p.slot >= 0) != (quiet && !dirty), p.slot >= 0 && c.clean.pages[p.slot] != p, dirty && p.image == nil && len(p.dirty) > 0:
				return fail("K6", p)
			case (h.dirty[n] == p) != dirty || !p.dirty.sorted() || !p.flying.sorted():
				return fail("K8", p)
			}
			if p.image != nil {
				*pages++
				*bytes += p.image.cost()
			}
			if shown != nil {
				seen++
			}
		}
	}
	images, nodes := t.size()
	if images != seen {
		return message.Errorf(message.Internal, "cache: K1: readers see %d pages of company %s, %d of them under no lease", images, id, images-seen)
	}
	*bytes += nodes * nodeBytes
	return nil
}

// size counts the images and the nodes of a table.
func (t *table) size() (images, nodes uint64) {
	for i := range t.branches {
		b := t.branches[i].Load()
		if b == nil {
			continue
		}
		nodes++
		for j := range b.leaves {
			l := b.leaves[j].Load()
			if l == nil {
				continue
			}
			nodes++
			for k := range l.images {
				if l.images[k].Load() != nil {
					images++
				}
			}
		}
	}
	return images, nodes
}
