package block

import (
	"fmt"
	"iter"
	"math"
	"strings"

	"github.com/google/btree"

	"dmalloc/message"
)

const degree = 32 // of the trees: 31 to 63 extents a node

// Footprint is the space that size bytes take: whole units of 16 bytes below a page, whole pages from a
// page on. What would not fit in 64 bits is MaxUint64, which no window can give.
func Footprint(size uint64) uint64 {
	unit := uint64(message.Alignment)
	if size >= message.PageSize {
		unit = message.PageSize
	}
	if size > math.MaxUint64-unit {
		return math.MaxUint64
	}
	return (size + unit - 1) / unit * unit
}

// Extent is a range of addresses.
type Extent struct {
	Addr message.Addr
	Size uint64
}

// End is the first address after the extent.
func (e Extent) End() message.Addr { return e.Addr + message.Addr(e.Size) }

func (e Extent) String() string { return fmt.Sprintf("%s+%d", e.Addr, e.Size) }

// pages is the part of the extent that consists of whole pages; its size is 0 where there is none.
func (e Extent) pages() Extent {
	const mask = message.PageSize - 1
	from, to := (e.Addr+mask)&^mask, e.End()&^mask
	if to <= from {
		return Extent{}
	}
	return Extent{from, uint64(to - from)}
}

// edges are the parts of the extent that lie in pages with something else in them: before its whole pages and behind
// them, or all of it where it has none. Their sizes are 0 where there are none.
func (e Extent) edges() [2]Extent {
	p := e.pages()
	if p.Size == 0 {
		return [2]Extent{e}
	}
	return [2]Extent{{e.Addr, uint64(p.Addr - e.Addr)}, {p.End(), uint64(e.End() - p.End())}}
}

// Space is the free space of a window.
type Space struct {
	base, limit message.Addr
	high        message.Addr
	free        uint64
	whole       uint64 // bytes of the pages of which all is free
	byAddr      *btree.BTreeG[Extent]
	bySize      *btree.BTreeG[Extent]
	byPages     *btree.BTreeG[Extent] // Extent.pages of those that have some, not the extents themselves
	byEdges     *btree.BTreeG[Extent] // Extent.edges of all
}

func addrLess(a, b Extent) bool { return a.Addr < b.Addr }

func sizeLess(a, b Extent) bool {
	if a.Size != b.Size {
		return a.Size < b.Size
	}
	return a.Addr < b.Addr
}

// New makes a window of which all is free. Its ends are rounded inwards to 16 bytes.
func New(base, limit message.Addr) *Space {
	const mask = message.Alignment - 1
	if base > math.MaxUint64-mask {
		base = math.MaxUint64 &^ mask
	}
	base, limit = (base+mask)&^mask, limit&^mask
	s := &Space{base: base, limit: max(base, limit), high: base, byAddr: btree.NewG(degree, addrLess),
		bySize: btree.NewG(degree, sizeLess), byPages: btree.NewG(degree, sizeLess), byEdges: btree.NewG(degree, sizeLess)}
	s.insert(Extent{s.base, uint64(s.limit - s.base)})
	return s
}

func (s *Space) insert(e Extent) {
	if e.Size == 0 {
		return
	}
	s.byAddr.ReplaceOrInsert(e)
	s.bySize.ReplaceOrInsert(e)
	if p := e.pages(); p.Size > 0 {
		s.byPages.ReplaceOrInsert(p)
		s.whole += p.Size
	}
	for _, x := range e.edges() {
		if x.Size > 0 {
			s.byEdges.ReplaceOrInsert(x)
		}
	}
	s.free += e.Size
}

func (s *Space) remove(e Extent) {
	s.byAddr.Delete(e)
	s.bySize.Delete(e)
	if p := e.pages(); p.Size > 0 {
		s.byPages.Delete(p)
		s.whole -= p.Size
	}
	for _, x := range e.edges() {
		if x.Size > 0 {
			s.byEdges.Delete(x)
		}
	}
	s.free -= e.Size
}

// Take takes the best fit for a footprint, which is what Footprint returned: for less than a page, in pages that are
// in use, as long as there is a fit. false means that no free extent is large enough, or that it is no footprint.
func (s *Space) Take(footprint uint64) (message.Addr, bool) {
	if footprint == 0 || Footprint(footprint) != footprint {
		return 0, false
	}
	best, ok := first(s.byPages, Extent{Size: footprint})
	if footprint < message.PageSize {
		if best, ok = first(s.byEdges, Extent{Size: footprint}); !ok {
			best, ok = first(s.bySize, Extent{Size: footprint})
		}
	}
	if !ok {
		return 0, false
	}
	outer, ok := s.Contains(best.Addr)
	if !ok {
		return 0, false // contradicts B2
	}
	s.carve(outer, Extent{best.Addr, footprint})
	return best.Addr, true
}

func first(t *btree.BTreeG[Extent], least Extent) (e Extent, ok bool) {
	t.AscendGreaterOrEqual(least, func(x Extent) bool {
		e, ok = x, true
		return false
	})
	return e, ok
}

// carve takes x out of the free extent outer.
func (s *Space) carve(outer, x Extent) {
	s.remove(outer)
	s.insert(Extent{outer.Addr, uint64(x.Addr - outer.Addr)})
	s.insert(Extent{x.End(), uint64(outer.End() - x.End())})
	s.high = max(s.high, x.End())
}

// proper refuses what cannot be an extent of this window.
func (s *Space) proper(x Extent) error {
	const mask = message.Alignment - 1
	if x.Size == 0 || uint64(x.Addr)&mask != 0 || x.Size&mask != 0 {
		return message.Errorf(message.InvalidArgument, "extent %s is empty or not aligned to %d bytes", x, message.Alignment)
	}
	if x.Addr < s.base || x.Addr >= s.limit || x.Size > uint64(s.limit-x.Addr) {
		return message.Errorf(message.InvalidArgument, "extent %s is not inside the window %s to %s", x, s.base, s.limit)
	}
	return nil
}

// TakeAt takes exactly x: what is loaded or replayed has its place already.
func (s *Space) TakeAt(x Extent) error {
	if err := s.proper(x); err != nil {
		return err
	}
	outer, ok := s.Contains(x.Addr)
	if !ok || outer.End() < x.End() {
		return message.Errorf(message.InvalidArgument, "extent %s is not free; take what is free only", x)
	}
	s.carve(outer, x)
	return nil
}

// Give makes x free again and merges it with its neighbours. Nothing of it may be free already.
func (s *Space) Give(x Extent) error {
	if err := s.proper(x); err != nil {
		return err
	}
	before, ok := s.Contains(x.Addr - 1)
	if free, is := s.Contains(x.Addr); is {
		return message.Errorf(message.AlreadyFree, "extent %s overlaps the free extent %s; give back what is taken only", x, free)
	}
	after, next := first(s.byAddr, x)
	if next && after.Addr < x.End() {
		return message.Errorf(message.AlreadyFree, "extent %s overlaps the free extent %s; give back what is taken only", x, after)
	}
	if ok {
		s.remove(before)
		x = Extent{before.Addr, before.Size + x.Size}
	}
	if next && after.Addr == x.End() {
		s.remove(after)
		x.Size += after.Size
	}
	s.insert(x)
	return nil
}

// Free is how many bytes are free.
func (s *Space) Free() uint64 { return s.free }

// Len is how many free extents there are.
func (s *Space) Len() int { return s.byAddr.Len() }

// Contains finds the free extent that holds a.
func (s *Space) Contains(a message.Addr) (e Extent, ok bool) {
	s.byAddr.DescendLessOrEqual(Extent{Addr: a}, func(x Extent) bool {
		e, ok = x, a < x.End()
		return false
	})
	if !ok {
		return Extent{}, false
	}
	return e, true
}

// Largest is the largest footprint that Take would grant now.
func (s *Space) Largest() uint64 {
	if e, ok := s.byPages.Max(); ok {
		return e.Size
	}
	e, _ := s.bySize.Max()
	return min(e.Size, message.PageSize-message.Alignment)
}

// Whole is how many bytes are in pages of which all is free. The others of the window are in use (B6).
func (s *Space) Whole() uint64 { return s.whole }

// Opens is how many of the pages of which all is free Take would break into for a footprint that it grants: none for
// what fits between others, and one for anything else below a page.
func (s *Space) Opens(footprint uint64) uint64 {
	if footprint >= message.PageSize {
		return footprint / message.PageSize
	}
	if _, ok := first(s.byEdges, Extent{Size: footprint}); ok {
		return 0
	}
	return 1
}

// Between is the largest footprint below a page that Take would grant without a page of which all is free.
func (s *Space) Between() uint64 {
	e, _ := s.byEdges.Max()
	return min(e.Size, message.PageSize-message.Alignment)
}

// High is the end of the highest extent that was ever taken, the base if none was.
func (s *Space) High() message.Addr { return s.high }

// Raise lifts the high-water mark to where it was when a snapshot was taken.
func (s *Space) Raise(high message.Addr) error {
	if high < s.high || high > s.limit {
		return message.Errorf(message.InvalidArgument, "high-water mark %s is not between %s and %s", high, s.high, s.limit)
	}
	s.high = high
	return nil
}

// Clone copies the space in O(1). The two share their trees until one of them changes, and may then be
// used from two goroutines.
func (s *Space) Clone() *Space {
	c := *s
	c.byAddr, c.bySize, c.byPages, c.byEdges = s.byAddr.Clone(), s.bySize.Clone(), s.byPages.Clone(), s.byEdges.Clone()
	return &c
}

// All lists the free extents by address.
func (s *Space) All() iter.Seq[Extent] {
	return func(yield func(Extent) bool) { s.byAddr.Ascend(yield) }
}

// String lists the free extents, one a line.
func (s *Space) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "window %s to %s, free %d, high %s\n", s.base, s.limit, s.free, s.high)
	for e := range s.All() {
		fmt.Fprintf(&b, "  %s\n", e)
	}
	return b.String()
}
