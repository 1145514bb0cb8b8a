package page

import (
	"bytes"
	"iter"

	"dmalloc/message"
)

const (
	size       = message.PageSize
	chunkPages = 512

	// Max is how many bytes a store addresses.
	Max = message.WindowSize
)

type data [size]byte

var zeros data

// chunk holds 512 pages. It may be changed only by a store of its generation.
type chunk struct {
	gen   uint64
	count int                     // pages that exist
	own   [chunkPages / 64]uint64 // a bit for each page made since gen began, which no snapshot knows
	pages [chunkPages]*data
}

func (c *chunk) owns(i uint64) bool { return c.own[i/64]&(1<<(i%64)) != 0 }

// Store is the bytes of a window by offset. Its zero value is all zeros.
type Store struct {
	gen    uint64
	shared bool // a snapshot has top
	top    []*chunk
	count  uint64 // pages that exist
	left   uint64 // pages that were copied or dropped while a snapshot might have them, ever
}

// Snapshot is a store's bytes at one moment.
type Snapshot struct {
	top   []*chunk
	count uint64
}

// Snapshot keeps the bytes as they are now. It changes the store's bookkeeping, so it must not run
// beside reads of the store.
func (s *Store) Snapshot() *Snapshot {
	s.gen++
	s.shared = true
	return &Snapshot{s.top, s.count}
}

// Resident is how many bytes the existing pages take.
func (s *Store) Resident() uint64 { return s.count * size }

// Left is how many bytes of pages the store has ever left to snapshots: it copied or dropped them while there might be
// one that has them. What this grew by since a snapshot was taken is what only that snapshot, or an older one, still has.
func (s *Store) Left() uint64 { return s.left * size }

// Resident is how many bytes the existing pages take.
func (s *Snapshot) Resident() uint64 { return s.count * size }

// Pages is how many pages exist.
func (s *Snapshot) Pages() uint64 { return s.count }

// find returns page i, nil where it does not exist.
func find(top []*chunk, i uint64) *data {
	if k := i / chunkPages; k < uint64(len(top)) && top[k] != nil {
		return top[k].pages[i%chunkPages]
	}
	return nil
}

// all lists the pages in order.
func all(top []*chunk) iter.Seq2[uint64, []byte] {
	return func(yield func(uint64, []byte) bool) {
		for k, c := range top {
			if c == nil {
				continue
			}
			for i, p := range c.pages {
				if p != nil && !yield((uint64(k)*chunkPages+uint64(i))*size, p[:]) {
					return
				}
			}
		}
	}
}

// All lists the existing pages with their offsets, in order. The bytes must not be changed.
func (s *Snapshot) All() iter.Seq2[uint64, []byte] { return all(s.top) }

// All lists the existing pages with their offsets, in order. The bytes must not be changed.
func (s *Store) All() iter.Seq2[uint64, []byte] { return all(s.top) }

func readAt(top []*chunk, off uint64, p []byte) {
	for len(p) > 0 {
		at := off % size
		n := min(uint64(len(p)), size-at)
		if page := find(top, off/size); page != nil {
			copy(p[:n], page[at:])
		} else {
			clear(p[:n])
		}
		p, off = p[n:], off+n
	}
}

// ReadAt fills p. What was never written is zero.
func (s *Store) ReadAt(off uint64, p []byte) { readAt(s.top, off, p) }

// ReadAt fills p. What was never written is zero.
func (s *Snapshot) ReadAt(off uint64, p []byte) { readAt(s.top, off, p) }

// WriteAt writes p, all of it or, where it would leave the window, nothing.
func (s *Store) WriteAt(off uint64, p []byte) error {
	if off > Max || uint64(len(p)) > Max-off {
		return message.Errorf(message.OutOfBounds, "%d bytes at offset %d do not fit in a window of %d bytes", len(p), off, uint64(Max))
	}
	for len(p) > 0 {
		at := off % size
		n := min(uint64(len(p)), size-at)
		s.writePage(off/size, at, p[:n])
		p, off = p[n:], off+n
	}
	return nil
}

func (s *Store) writePage(i, at uint64, p []byte) {
	if isZero(p) {
		s.zeroPage(i, at, uint64(len(p)))
		return
	}
	copy(s.mutable(i)[at:], p)
}

// Zero makes n bytes zero. Pages of which nothing is left are dropped.
func (s *Store) Zero(off, n uint64) {
	end := uint64(len(s.top)) * chunkPages * size // there is nothing behind it
	if off >= end {
		return
	}
	n = min(n, end-off)
	for n > 0 {
		if s.top[off/(chunkPages*size)] == nil {
			skip := min(n, chunkPages*size-off%(chunkPages*size))
			off, n = off+skip, n-skip
			continue
		}
		at := off % size
		part := min(n, size-at)
		s.zeroPage(off/size, at, part)
		off, n = off+part, n-part
	}
}

// zeroPage keeps P1: a page of which nothing is left is dropped.
func (s *Store) zeroPage(i, at, n uint64) {
	page := find(s.top, i)
	if page == nil || isZero(page[at:at+n]) {
		return
	}
	if isZero(page[:at]) && isZero(page[at+n:]) {
		s.drop(i)
		return
	}
	clear(s.mutable(i)[at : at+n])
}

func isZero(p []byte) bool {
	return len(p) == 0 || p[0] == 0 && bytes.Equal(p, zeros[:len(p)])
}

// chunk returns the chunk of page i in the store's own generation.
func (s *Store) chunk(i uint64) *chunk {
	k := i / chunkPages
	if s.shared {
		s.top = append([]*chunk(nil), s.top...)
		s.shared = false
	}
	for uint64(len(s.top)) <= k {
		s.top = append(s.top, nil)
	}
	c := s.top[k]
	switch {
	case c == nil:
		c = &chunk{gen: s.gen}
	case c.gen != s.gen:
		c = &chunk{gen: s.gen, count: c.count, pages: c.pages} // owns no page
	}
	s.top[k] = c
	return c
}

// mutable returns page i to write to, made or copied where need be (P2). It is a slice, for to take one of a pointer
// reads from it, to see that it is not nil; reading first from new memory that is then written costs two page faults.
func (s *Store) mutable(i uint64) []byte {
	c, in := s.chunk(i), i%chunkPages
	old := c.pages[in]
	if c.owns(in) && old != nil {
		return old[:]
	}
	page := new(data)
	if old != nil {
		*page = *old
		s.left++
	} else {
		c.count++
		s.count++
	}
	c.pages[in] = page
	c.own[in/64] |= 1 << (in % 64)
	return page[:]
}

func (s *Store) drop(i uint64) {
	c := s.chunk(i)
	if !c.owns(i % chunkPages) {
		s.left++
	}
	c.pages[i%chunkPages] = nil
	c.count--
	s.count--
	if c.count == 0 {
		s.top[i/chunkPages] = nil
	}
}

// Check verifies P1 and P3, for tests and for states that were loaded.
func (s *Store) Check() error {
	var count uint64
	for off, p := range s.All() {
		count++
		if isZero(p) {
			return message.Errorf(message.Internal, "page: P1: the page at offset %d is all zero", off)
		}
	}
	if count != s.count {
		return message.Errorf(message.Internal, "page: P3: %d pages exist, %d are counted", count, s.count)
	}
	return nil
}
