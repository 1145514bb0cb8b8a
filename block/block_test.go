package block

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"dmalloc/message"
)

func TestFootprint(t *testing.T) {
	for size, want := range map[uint64]uint64{0: 0, 1: 16, 16: 16, 17: 32, 4080: 4080, 4081: 4096, 4095: 4096, 4096: 4096, 4097: 8192,
		1 << 36: 1 << 36, math.MaxUint64: math.MaxUint64, math.MaxUint64 - 4096: math.MaxUint64 - 4095} {
		if got := Footprint(size); got != want {
			t.Errorf("Footprint(%d) = %d; want %d", size, got, want)
		}
	}
}

const testBase, testLimit = 0x10000, 0x10000 + 16*message.PageSize

// model is a map of 16-byte cells: true is taken.
type model [(testLimit - testBase) / message.Alignment]bool

func (m *model) extents() (all []Extent) {
	for i := 0; i < len(m); i++ {
		if m[i] {
			continue
		}
		j := i
		for j < len(m) && !m[j] {
			j++
		}
		all = append(all, Extent{testBase + message.Addr(i*message.Alignment), uint64(j-i) * message.Alignment})
		i = j
	}
	return all
}

func (m *model) set(x Extent, taken bool) {
	for a := x.Addr; a < x.End(); a += message.Alignment {
		m[(a-testBase)/message.Alignment] = taken
	}
}

// all says whether every cell of x is what is asked for.
func (m *model) all(x Extent, taken bool) bool {
	for a := x.Addr; a < x.End(); a += message.Alignment {
		if m[(a-testBase)/message.Alignment] != taken {
			return false
		}
	}
	return true
}

// inUse says whether a cell of a's page is taken.
func (m *model) inUse(a message.Addr) bool {
	return !m.all(Extent{a &^ (message.PageSize - 1), message.PageSize}, false)
}

// whole is how many bytes are in pages of which all is free.
func (m *model) whole() (n uint64) {
	for a := message.Addr(testBase); a < testLimit; a += message.PageSize {
		if !m.inUse(a) {
			n += message.PageSize
		}
	}
	return n
}

// between lists the runs of free cells in pages that are in use.
func (m *model) between() (all []Extent) {
	for _, e := range m.extents() {
		run := Extent{}
		for a := e.Addr; a < e.End(); a += message.Alignment {
			switch {
			case !m.inUse(a) && run.Size > 0:
				all, run = append(all, run), Extent{}
			case !m.inUse(a):
			case run.Size == 0:
				run = Extent{a, message.Alignment}
			default:
				run.Size += message.Alignment
			}
		}
		if run.Size > 0 {
			all = append(all, run)
		}
	}
	return all
}

// take is best fit by trying every start: the least that the place offers, then the least address; for less than a page
// in pages that are in use before any other.
func (m *model) take(footprint uint64) (message.Addr, bool) {
	if footprint < message.PageSize {
		if a, ok := m.best(m.between(), footprint); ok {
			return a, ok
		}
	}
	return m.best(m.extents(), footprint)
}

func (m *model) best(places []Extent, footprint uint64) (message.Addr, bool) {
	var best Extent
	for _, e := range places {
		if footprint >= message.PageSize {
			from := message.Addr((uint64(e.Addr) + message.PageSize - 1) / message.PageSize * message.PageSize)
			to := message.Addr(uint64(e.End()) / message.PageSize * message.PageSize)
			if to <= from {
				continue
			}
			e = Extent{from, uint64(to - from)}
		}
		if e.Size >= footprint && (best.Size == 0 || e.Size < best.Size) {
			best = e
		}
	}
	return best.Addr, best.Size > 0
}

func TestAgainstCells(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, m := New(testBase, testLimit), new(model)
		high := message.Addr(testBase)
		var taken []Extent
		var clone *Space
		var cloned string
		drawExtent := func(t *rapid.T) Extent {
			at := rapid.IntRange(0, len(m)-1).Draw(t, "cell")
			n := rapid.IntRange(1, min(600, len(m)-at)).Draw(t, "cells")
			return Extent{testBase + message.Addr(at*message.Alignment), uint64(n) * message.Alignment}
		}
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				f := Footprint(rapid.Uint64Range(1, 5*message.PageSize).Draw(t, "size"))
				want, wantOK := m.take(f)
				largest, between, opens := s.Largest(), s.Between(), s.Opens(f)
				whole := m.whole()
				got, ok := s.Take(f)
				if got != want || ok != wantOK {
					t.Fatalf("Take(%d) = %s, %v; want %s, %v", f, got, ok, want, wantOK)
				}
				if ok != (f <= largest) {
					t.Fatalf("Take(%d) gave %v while the largest was %d", f, ok, largest)
				}
				if ok {
					x := Extent{got, f}
					m.set(x, true)
					if now := m.whole(); now != s.Whole() || whole-now != opens*message.PageSize || f < message.PageSize && (opens == 0) != (f <= between) {
						t.Fatalf("Take(%d) left %d of %d bytes in whole pages, %d are counted; it was to open %d, and %d was free between others", f, now, whole, s.Whole(), opens, between)
					}
					taken, high = append(taken, x), max(high, x.End())
				}
			},
			"takeAt": func(t *rapid.T) {
				x := drawExtent(t)
				if ok := s.TakeAt(x) == nil; ok != m.all(x, false) {
					t.Fatalf("TakeAt(%s) = %v", x, ok)
				} else if ok {
					m.set(x, true)
					taken, high = append(taken, x), max(high, x.End())
				}
			},
			"give": func(t *rapid.T) {
				if len(taken) == 0 {
					t.Skip("nothing is taken")
				}
				i := rapid.IntRange(0, len(taken)-1).Draw(t, "which")
				x := taken[i]
				taken = append(taken[:i], taken[i+1:]...)
				if err := s.Give(x); err != nil {
					t.Fatal(err)
				}
				m.set(x, false)
			},
			"giveWrong": func(t *rapid.T) {
				x := drawExtent(t)
				if m.all(x, true) {
					t.Skip("it is taken")
				}
				if err := s.Give(x); message.CodeOf(err) != message.AlreadyFree {
					t.Fatalf("Give(%s): %v", x, err)
				}
			},
			"clone": func(t *rapid.T) {
				if clone != nil && clone.String() != cloned {
					t.Fatalf("the clone changed:\n%s\nwas\n%s", clone, cloned)
				}
				clone = s.Clone()
				cloned = clone.String()
			},
			"": func(t *rapid.T) {
				if err := s.Check(); err != nil {
					t.Fatal(err)
				}
				want := m.extents()
				var free uint64
				i := 0
				for e := range s.All() {
					if i >= len(want) || e != want[i] {
						t.Fatalf("free extents are\n%s\nwant %v", s, want)
					}
					free += e.Size
					i++
				}
				if i != len(want) || free != s.Free() || s.High() != high || s.Len() != i {
					t.Fatalf("%d extents, want %v; free %d, want %d; high %s, want %s", i, want, s.Free(), free, s.High(), high)
				}
			},
		})
	})
}

func TestRefusals(t *testing.T) {
	s := New(testBase, testLimit)
	for _, x := range []Extent{{testBase, 0}, {testBase + 1, 16}, {testBase, 15}, {testBase - 16, 16}, {testLimit, 16}, {testBase, testLimit - testBase + 16},
		{testBase + 16, math.MaxUint64 &^ 15}, {0, 16}} {
		if err := s.TakeAt(x); message.CodeOf(err) != message.InvalidArgument {
			t.Errorf("TakeAt(%s): %v", x, err)
		}
		if err := s.Give(x); message.CodeOf(err) != message.InvalidArgument {
			t.Errorf("Give(%s): %v", x, err)
		}
	}
	for _, f := range []uint64{0, 1, 17, message.PageSize + 16, testLimit - testBase + message.PageSize, math.MaxUint64} {
		if a, ok := s.Take(f); ok {
			t.Errorf("Take(%d) = %s", f, a)
		}
	}
	if err := s.Raise(testLimit + 16); err == nil {
		t.Error("Raise went over the limit")
	}
	for _, w := range []*Space{New(5, 4), New(16, 16), New(math.MaxUint64, 0), New(1, math.MaxUint64)} {
		if err := w.Check(); err != nil {
			t.Error(err)
		}
	}
}

// A page allocation fits best where the fewest whole pages are, even if that extent has more bytes.
func TestBestFitCountsWholePages(t *testing.T) {
	s := New(testBase, testLimit)
	for _, x := range []Extent{
		{testBase + 2*message.PageSize, 16},
		{testBase + 5*message.PageSize - 16, message.PageSize},
		{testBase + 6*message.PageSize, 9 * message.PageSize},
	} {
		if err := s.TakeAt(x); err != nil {
			t.Fatal(err)
		}
	}
	// Left are two pages, then 12256 bytes with one whole page in them, 16 bytes, and the last page.
	for _, step := range []struct {
		pages uint64
		want  message.Addr
	}{{1, testBase + 3*message.PageSize}, {2, testBase}, {1, testBase + 15*message.PageSize}} {
		if a, ok := s.Take(step.pages * message.PageSize); !ok || a != step.want {
			t.Errorf("%d pages went to %s, want %s", step.pages, a, step.want)
		}
	}
}

func benchmarkTakeGive(b *testing.B, live int) {
	s := New(message.CompanyID(1).Base(), message.CompanyID(1).Limit())
	random := rand.New(rand.NewPCG(1, 2))
	taken := make([]Extent, live)
	fill := func(i int) {
		f := Footprint(16 + random.Uint64N(2000))
		a, ok := s.Take(f)
		if !ok {
			b.Fatal("no room")
		}
		taken[i] = Extent{a, f}
	}
	for i := range taken {
		fill(i)
	}
	for b.Loop() {
		i := random.IntN(live)
		if err := s.Give(taken[i]); err != nil {
			b.Fatal(err)
		}
		fill(i)
	}
}

func BenchmarkTakeGive1e3(b *testing.B) { benchmarkTakeGive(b, 1e3) }
func BenchmarkTakeGive1e6(b *testing.B) { benchmarkTakeGive(b, 1e6) }
