package cache

import (
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/message"
)

const (
	// MaxLeases is how many leases of one company a node uses at once. A further one is not used: Granted says so.
	MaxLeases = 16384
	// MaxWrites is how many writes are under way at once. A further one is told to wait.
	MaxWrites = 4096
	// MaxPiece is the most bytes that one piece takes to the log.
	MaxPiece = 256 << 10
	// marks is in how many places a company remembers when pages changed.
	marks = 256
	// maxFloors is how many ranges remember a token of their own (K7).
	maxFloors = 512
)

// Cache is what a node holds under leases. Use New.
type Cache struct {
	tables [message.MaxCompany + 1]table
	stamp  atomic.Uint64 // moves on with each fill: what readers write to the pages that they use
	counts [stripes]count
	held   atomic.Int64 // leases

	mu        sync.Mutex // guards everything below
	companies [message.MaxCompany + 1]company
	budget    uint64
	bytes     uint64 // of images and the tables' nodes
	pages     uint64 // images
	clean     ranking
	underway  int // writes
	evictions uint64
	lost      uint64 // bytes
}

// company is the leases of one company.
type company struct {
	leases  []*held       // by their pages; no page is in two
	floors  []floor       // by token
	floor   uint64        // no token up to it is used for any page
	version uint64        // counts the changes of pages (T7)
	changed [marks]uint64 // by the number of a page: the version of its last change, or of another's there

	questions []*Question // LEASEs under way
}

// floor is a token that must not be used any more for the pages from first to last, nor any before it (T5).
type floor struct{ first, last, token uint64 }

// held is a lease of this node.
type held struct {
	lease       message.Lease
	first, last uint64        // its pages
	until       time.Duration // when its use ends (T1)
	pages       map[uint64]*page
	dirty       map[uint64]*page // those with dirty or flying bytes
	closing     bool             // it is not used any more but to write back
	gone        bool             // it is not used at all
	doubtful    bool             // a LEASE was sent that may have taken its place
	moved       map[uint64]bool  // pages that went over to the lease that took its place
}

func (h *held) exclusive() bool { return h.lease.Mode == "w" }

// absorbs says whether writes may stay in the copy.
func (h *held) absorbs() bool { return h.exclusive() && h.lease.WriteBack }

// page is what is kept of a page besides its image.
type page struct {
	number uint64
	used   atomic.Uint64 // stamp of the last use
	lease  *held
	image  *image   // nil while there is none; readers see it where K1 allows
	writes []*Write // under way
	spoilt bool     // nobody knows what it holds when the writes are over
	doubt  bool     // a write of it may still be done, for as long as the lease stands
	dirty  spans    // not yet written back
	flying spans    // on their way to the log
	ranked uint64   // the stamp by which it stands in the ranking
	slot   int      // its place there, -1 for none
}

// Range is bytes beside each other.
type Range struct {
	Address message.Addr
	Size    uint64
}

// New makes a cache that keeps up to so many bytes.
func New(budget uint64) *Cache { return &Cache{budget: budget} }

// find returns the place of the first lease that ends at or behind page n.
func (co *company) find(n uint64) int {
	low, high := 0, len(co.leases)
	for low < high {
		if mid := (low + high) / 2; co.leases[mid].last < n {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// over returns the leases that have one of the pages.
func (co *company) over(first, last uint64) []*held {
	i := co.find(first)
	j := i
	for j < len(co.leases) && co.leases[j].first <= last {
		j++
	}
	return co.leases[i:j]
}

// covering returns the one usable lease that has all of the pages, nil where there is none.
func (co *company) covering(first, last uint64) *held {
	i := co.find(first)
	if i == len(co.leases) {
		return nil
	}
	if h := co.leases[i]; h.first <= first && last <= h.last && !h.closing {
		return h
	}
	return nil
}

// change notes that a page changes. Pages share marks, so that what is to be remembered of pages that are not kept
// is bounded; a fill that is dropped for a change of another page is asked for again.
func (co *company) change(n uint64) {
	co.version++
	co.changed[n%marks] = co.version
}

// forbid keeps a token from being used again (K7). Where there are too many to remember, the smallest is
// remembered for all pages: tokens grow, so what it then forbids too much is an answer that is long overdue.
func (co *company) forbid(first, last, token uint64) {
	if token <= co.floor {
		return
	}
	kept := co.floors[:0]
	for _, f := range co.floors {
		if f.token > token || f.first < first || f.last > last {
			kept = append(kept, f)
		}
	}
	i := len(kept)
	for i > 0 && kept[i-1].token > token {
		i--
	}
	kept = append(kept, floor{})
	copy(kept[i+1:], kept[i:])
	kept[i] = floor{first, last, token}
	if len(kept) > maxFloors {
		co.floor = kept[0].token
		kept = append(kept[:0], kept[1:]...)
	}
	co.floors = kept
}

// forbidden says whether a token must not be used for one of the pages.
func (co *company) forbidden(first, last, token uint64) bool {
	if token <= co.floor {
		return true
	}
	for _, f := range co.floors {
		if f.token >= token && f.first <= last && first <= f.last {
			return true
		}
	}
	return false
}

// entry returns what is kept of a page under a lease, made where there is nothing.
func (h *held) entry(n uint64) *page {
	p := h.pages[n]
	if p == nil {
		p = &page{number: n, lease: h, slot: -1}
		h.pages[n] = p
	}
	return p
}

// setImage changes what a page holds, and the sums. settle must follow.
func (c *Cache) setImage(p *page, im *image) {
	if p.image != nil {
		c.bytes -= p.image.cost()
		c.pages--
	}
	p.image = im
	if im != nil {
		c.bytes += im.cost()
		c.pages++
	}
}

// hide takes a page from the readers.
func (c *Cache) hide(p *page) { c.place(p, nil) }

func (c *Cache) place(p *page, im *image) {
	grown := c.tables[p.lease.lease.Company].set(p.number, im)
	c.bytes += uint64(grown * nodeBytes) // wraps round where it is negative, and back again
}

// settle brings everything in line with a page that has changed: what readers see (K1), whether it may be evicted
// (K6), whether its lease has dirty pages, and whether there is still anything to remember of it.
func (c *Cache) settle(p *page) {
	h := p.lease
	quiet := p.image != nil && len(p.writes) == 0 && !h.closing && !h.gone
	if quiet {
		c.place(p, p.image)
	} else {
		c.hide(p)
	}
	dirty := len(p.dirty) > 0 || len(p.flying) > 0
	if quiet && !dirty {
		c.clean.insert(p)
	} else {
		c.clean.remove(p)
	}
	if dirty {
		h.dirty[p.number] = p
	} else {
		delete(h.dirty, p.number)
	}
	if p.image == nil && len(p.writes) == 0 && !dirty && !p.doubt {
		delete(h.pages, p.number)
	}
}

// address is the first address of a page of the lease.
func (h *held) address(n uint64) uint64 {
	return uint64(h.lease.Company.Base()) + n*message.PageSize
}

// ranges makes spans what callers see, and counts them as lost.
func (c *Cache) ranges(all []span) (out []Range) {
	for _, x := range join(all) {
		out = append(out, Range{message.Addr(x.from), x.to - x.from})
		c.lost += x.to - x.from
	}
	return out
}
