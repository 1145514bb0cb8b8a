package cache

import (
	"cmp"
	"slices"

	"dmalloc/message"
)

// Fill is the right to bring the pages of a range, for as long as nothing happens to them. Its token goes with
// the READ: the holder itself may read what it holds.
type Fill struct {
	Token   uint64
	Address message.Addr // whole pages
	Size    uint64
	lease   *held
	version uint64
}

// Extent is a live block as its company names it: Txn is zero but for a part.
type Extent struct {
	Address message.Addr
	Size    uint64
	Txn     message.Txn
}

// Want begins to bring the pages of a range. It fails where no one usable lease has all of them, and where a write
// of one is under way. Only then is the READ to be sent, so that its answer is at least as new as the lease.
func (c *Cache) Want(a message.Addr, size uint64) (Fill, bool) {
	company, first, last, ok := bounds(a, size)
	if !ok || last-first >= maxPages {
		return Fill{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	co := &c.companies[company]
	h := co.covering(first, last)
	if h == nil {
		return Fill{}, false
	}
	for n := first; n <= last; n++ {
		// Of a page in doubt nothing can be known before its lease is over. One without an image of which bytes still
		// fly was spoilt: what it holds is not known until they land.
		if p := h.pages[n]; p != nil && (p.doubt || len(p.writes) > 0 || p.image == nil && len(p.flying) > 0) {
			return Fill{}, false
		}
	}
	return Fill{h.lease.Token, message.Addr(h.address(first)), (last - first + 1) * message.PageSize, h, co.version}, true
}

// Filled takes the bytes at an address, which the READ of f brought, and the blocks that were live then: what is in
// none of them is not kept. It says whether all was kept. Under a lease that absorbs writes the node's copy can be
// newer than the READ; so the answer to a client is what Read says after it, not what the READ brought.
func (c *Cache) Filled(f Fill, a message.Addr, bytes []byte, live []Extent) bool {
	company, first, last, ok := bounds(a, uint64(len(bytes)))
	if !ok || f.lease == nil || a < f.Address || uint64(a-f.Address)+uint64(len(bytes)) > f.Size {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	h := f.lease
	if h.closing || h.gone || h.lease.Company != company {
		return false
	}
	c.stamp.Add(1)
	for n := first; n <= last; n++ {
		if !c.fill(f, n, uint64(a), bytes, live) {
			ok = false
		}
	}
	return ok
}

func (c *Cache) fill(f Fill, n, at uint64, bytes []byte, live []Extent) bool {
	h := f.lease
	p := h.pages[n]
	if c.companies[h.lease.Company].changed[n%marks] > f.version || p != nil && (p.doubt || len(p.writes) > 0) {
		return false // T7
	}
	from := max(at, h.address(n))
	to := min(at+uint64(len(bytes)), h.address(n)+message.PageSize)
	var old *image
	if p != nil {
		old = p.image
	}
	im := merged(old, span{from, to}, bytes[from-at:to-at], live)
	if im == nil {
		return false
	}
	more := im.cost()
	if old != nil {
		c.clean.remove(p) // not for itself
		more -= old.cost()
	}
	if !c.room(more + 2*nodeBytes) {
		if p != nil {
			c.settle(p)
		}
		return false
	}
	p = h.entry(n)
	p.used.Store(c.stamp.Load())
	im.lease, im.page = h, p
	c.setImage(p, im)
	c.settle(p)
	return true
}

// merged is an image with the bytes of x added where it has none. Nil means that what came contradicts what is
// there, or itself.
func merged(old *image, x span, bytes []byte, live []Extent) *image {
	im := &image{data: new(data)}
	var have []known
	if old != nil {
		*im.data, have = *old.data, old.known
	}
	all := slices.Clone(have)
	for _, e := range live {
		part := span{max(x.from, uint64(e.Address)), min(x.to, uint64(e.Address)+e.Size)}
		if e.Size > message.WindowSize || part.from >= part.to {
			continue
		}
		gaps := spans{part}
		for _, k := range have {
			if k.from < part.to && part.from < k.to && (k.block != e.Address || k.txn != e.Txn) {
				return nil
			}
			gaps = gaps.remove(span{k.from, k.to})
		}
		for _, g := range gaps {
			copy(im.data[g.from%message.PageSize:], bytes[g.from-x.from:g.to-x.from])
			all = append(all, known{g.from, g.to, e.Address, e.Txn})
		}
	}
	slices.SortFunc(all, func(a, b known) int { return cmp.Compare(a.from, b.from) })
	for _, k := range all {
		last := len(im.known) - 1
		switch {
		case last >= 0 && k.from < im.known[last].to:
			return nil
		case last >= 0 && k.from == im.known[last].to && k.block == im.known[last].block && k.txn == im.known[last].txn:
			im.known[last].to = k.to
		default:
			im.known = append(im.known, k)
		}
	}
	return im
}
