package page

import (
	"bytes"
	"testing"

	"dmalloc/internal/allocs"
)

// hot is reading and writing of pages that exist.
func hot(tb testing.TB) []allocs.Operation {
	var s Store
	write := func(off uint64, p []byte) {
		if err := s.WriteAt(off, p); err != nil {
			tb.Fatal(err)
		}
	}
	whole, small := bytes.Repeat([]byte{1}, size), []byte("sixteen bytes...")
	for i := range uint64(1024) {
		write(i*size, whole)
	}
	i := uint64(0)
	next := func() uint64 { i = (i + 7) % 1024; return i * size }
	return []allocs.Operation{
		{Name: "write 16 bytes", Most: 0, Do: func() { write(next()+64, small) }},
		{Name: "write a page", Most: 0, Do: func() { write(next(), whole) }},
		{Name: "read 16 bytes", Most: 0, Do: func() { s.ReadAt(next()+64, small) }},
		{Name: "write 16 bytes behind a snapshot", Most: 3, Do: func() {
			s.Snapshot()
			write(next()+64, []byte("sixteen bytes..."))
		}},
	}
}

// What this package is asked again and again allocates no more than it did.
func TestAllocations(t *testing.T) { allocs.Test(t, hot(t)...) }

func BenchmarkHot(b *testing.B) { allocs.Bench(b, hot(b)...) }
