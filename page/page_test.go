package page

import (
	"bytes"
	"math"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"dmalloc/message"
)

// flat is the model: all bytes of a small window that ends in the third chunk.
const flat = 2*chunkPages*size + 3*size

// drawRange prefers the neighbourhood of page and chunk borders.
func drawRange(t *rapid.T) (off, n uint64) {
	border := rapid.SampledFrom([]uint64{0, size, 3 * size, chunkPages * size, 2 * chunkPages * size, flat}).Draw(t, "border")
	off = min(border+rapid.Uint64Range(0, 2*size).Draw(t, "behind"), flat)
	off -= min(off, rapid.Uint64Range(0, 2*size).Draw(t, "before"))
	n = min(rapid.OneOf(rapid.Uint64Range(0, 40), rapid.Uint64Range(0, 3*size), rapid.SampledFrom([]uint64{size, flat})).Draw(t, "n"), flat-off)
	return off, n
}

func TestAgainstFlat(t *testing.T) {
	type kept struct {
		s *Snapshot
		b []byte
	}
	rapid.Check(t, func(t *rapid.T) {
		var s Store
		model := make([]byte, flat)
		var snaps []kept
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				off, n := drawRange(t)
				p := bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, int(min(n, 5*size)))
				if err := s.WriteAt(off, p); err != nil {
					t.Fatal(err)
				}
				copy(model[off:], p)
			},
			"zero": func(t *rapid.T) {
				off, n := drawRange(t)
				s.Zero(off, n)
				clear(model[off : off+n])
			},
			"snapshot": func(t *rapid.T) {
				if len(snaps) < 3 {
					snaps = append(snaps, kept{s.Snapshot(), bytes.Clone(model)})
				}
			},
			"read": func(t *rapid.T) {
				off, n := drawRange(t)
				p := bytes.Repeat([]byte{0xee}, int(n))
				s.ReadAt(off, p)
				if !bytes.Equal(p, model[off:off+n]) {
					t.Fatalf("%d bytes at %d are not what was written", n, off)
				}
			},
			"reload": func(t *rapid.T) {
				var l Store
				for off, p := range s.Snapshot().All() {
					if err := l.WriteAt(off, p); err != nil {
						t.Fatal(err)
					}
				}
				if l.Resident() != s.Resident() {
					t.Fatalf("%d bytes resident, %d after loading", s.Resident(), l.Resident())
				}
				s = l
			},
			"": func(t *rapid.T) {
				if err := s.Check(); err != nil {
					t.Fatal(err)
				}
			},
		})
		p := make([]byte, flat)
		for i, k := range append(snaps, kept{s.Snapshot(), model}) {
			k.s.ReadAt(0, p)
			if !bytes.Equal(p, k.b) {
				t.Fatalf("P2: snapshot %d changed", i)
			}
			clear(p)
			last := -1
			for off, page := range k.s.All() {
				if int(off) <= last {
					t.Fatal("pages are out of order")
				}
				last = int(off)
				copy(p[off:], page)
			}
			if !bytes.Equal(p, k.b) {
				t.Fatalf("snapshot %d does not list all that it holds", i)
			}
		}
	})
}

func TestSparse(t *testing.T) {
	var s Store
	if err := s.WriteAt(Max-1, []byte{0}); err != nil || s.Resident() != 0 {
		t.Errorf("a zero written to nothing: %v, %d bytes resident", err, s.Resident())
	}
	if err := s.WriteAt(Max-1, []byte{7}); err != nil || s.Resident() != size {
		t.Errorf("the last byte: %v, %d bytes resident", err, s.Resident())
	}
	for _, off := range []uint64{Max, Max + 1, math.MaxUint64} {
		if err := s.WriteAt(off, []byte{1}); message.CodeOf(err) != message.OutOfBounds {
			t.Errorf("a write at %d: %v", off, err)
		}
		p := []byte{9}
		s.ReadAt(off, p)
		s.Zero(off, math.MaxUint64)
		if p[0] != 0 {
			t.Errorf("read at %d gave %d", off, p[0])
		}
	}
	s.Zero(0, math.MaxUint64)
	if s.Resident() != 0 {
		t.Errorf("%d bytes resident after all was made zero", s.Resident())
	}
}

// Run with -race: readers of snapshots beside the writer of the store (P2).
func TestReadersBesideWriter(t *testing.T) {
	var s Store
	var wg sync.WaitGroup
	for round := range 20 {
		for i := range uint64(30) {
			if err := s.WriteAt(i*i*1000, bytes.Repeat([]byte{byte(round + 1)}, 300)); err != nil {
				t.Fatal(err)
			}
		}
		s.Zero(uint64(round)*500, 4000)
		snap, want := s.Snapshot(), make([]byte, 1<<20)
		s.ReadAt(0, want)
		wg.Go(func() {
			got := make([]byte, len(want))
			for range 5 {
				snap.ReadAt(0, got)
				if !bytes.Equal(got, want) {
					t.Error("P2: a snapshot changed")
				}
			}
			for range snap.All() {
			}
		})
	}
	wg.Wait()
}

func BenchmarkWrite4KiB(b *testing.B) {
	var s Store
	p := bytes.Repeat([]byte{1}, size)
	var i uint64
	for b.Loop() {
		_ = s.WriteAt(i%(64<<20), p)
		i += size
	}
}

func BenchmarkSnapshotAndWrite(b *testing.B) {
	var s Store
	for off := uint64(0); off < 256<<20; off += size {
		_ = s.WriteAt(off, []byte{1})
	}
	for b.Loop() {
		s.Snapshot()
		_ = s.WriteAt(1000, []byte{2})
	}
}

// What the store leaves to a snapshot is what the snapshot has and the store has not.
func TestLeftToSnapshots(t *testing.T) {
	var s Store
	put := func(i uint64, b byte) {
		if err := s.WriteAt(i*size, []byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint64(8) {
		put(i, 1)
	}
	for _, step := range []struct {
		name string
		do   func()
		want uint64 // pages
	}{
		{"writes before a snapshot", func() { put(0, 2) }, 0},
		{"a snapshot", func() { s.Snapshot() }, 0},
		{"the first write to a page", func() { put(0, 3) }, 1},
		{"the second", func() { put(0, 4) }, 1},
		{"a page of which nothing is left", func() { s.Zero(size, size) }, 2},
		{"one that only the store had", func() { put(9, 1); s.Zero(9*size, size) }, 2},
		{"one that the store had copied", func() { s.Zero(0, size) }, 2},
		{"another snapshot", func() { s.Snapshot(); put(2, 5) }, 3},
	} {
		if step.do(); s.Left() != step.want*size {
			t.Errorf("after %s %d bytes were left to snapshots, want %d pages", step.name, s.Left(), step.want)
		}
	}
}
