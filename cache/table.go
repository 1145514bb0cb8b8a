package cache

import (
	"sync/atomic"
	"time"

	"dmalloc/message"
)

// fan is how many children a node of a table has: three levels of it are the pages of a window.
const fan = 256

// nodeBytes is what a node of the table below its root takes.
const nodeBytes = fan * 8

// data is the bytes of one page.
type data [message.PageSize]byte

// image is a page as readers see it. Nothing in it changes (K2).
type image struct {
	data  *data
	known []known // sorted, disjoint, of which no two could be one
	lease *held
	page  *page
}

// known says that the image has bytes of a live block, and that they may be answered.
type known struct {
	from, to uint64 // addresses
	block    message.Addr
	txn      message.Txn
}

// find returns the part of the image that has all bytes from from to to, nil where there is none.
func (im *image) find(from, to uint64) *known {
	low, high := 0, len(im.known)
	for low < high { // the first that ends behind from
		if mid := (low + high) / 2; im.known[mid].to <= from {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == len(im.known) || im.known[low].from > from || im.known[low].to < to {
		return nil
	}
	return &im.known[low]
}

// cost is what the image counts against the budget, with what is kept of its page.
func (im *image) cost() uint64 {
	const besides = 320 // image, page, and its places in maps and heaps
	return message.PageSize + besides + 48*uint64(len(im.known))
}

// table leads from the number of a page in its window to its image. Anybody reads it; it is written under the
// cache's mutex, which also guards the counts.
type table struct {
	branches [fan]atomic.Pointer[branch]
}

type branch struct {
	leaves [fan]atomic.Pointer[leaf]
	count  int // leaves
}

type leaf struct {
	images [fan]atomic.Pointer[image]
	count  int // images
}

func (t *table) get(n uint64) *image {
	b := t.branches[n/fan/fan%fan].Load()
	if b == nil {
		return nil
	}
	l := b.leaves[n/fan%fan].Load()
	if l == nil {
		return nil
	}
	return l.images[n%fan].Load()
}

// set puts an image, or nil, into its place, and returns by how many nodes the table has grown. A node without
// children is let go, and never used again: a reader that is still in it finds nothing.
func (t *table) set(n uint64, im *image) (grown int) {
	slot := &t.branches[n/fan/fan%fan]
	b := slot.Load()
	if b == nil {
		if im == nil {
			return 0
		}
		b = new(branch)
		slot.Store(b)
		grown++
	}
	below := &b.leaves[n/fan%fan]
	l := below.Load()
	if l == nil {
		if im == nil {
			return grown
		}
		l = new(leaf)
		below.Store(l)
		b.count++
		grown++
	}
	old := l.images[n%fan].Load()
	if old == im {
		return grown
	}
	l.images[n%fan].Store(im)
	switch {
	case old == nil:
		l.count++
	case im == nil:
		l.count--
	}
	if l.count == 0 {
		below.Store(nil)
		b.count--
		grown--
	}
	if b.count == 0 {
		slot.Store(nil)
		grown--
	}
	return grown
}

// Clock reads the time that has passed since some start, on a clock that also counts while the machine sleeps.
type Clock func() time.Duration
