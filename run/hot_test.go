package run

import (
	"testing"
	"time"

	"dmalloc/internal/allocs"
	"dmalloc/message"
)

// hot is handing out blocks, with all that asking for more of them takes.
func hot(tb testing.TB) []allocs.Operation {
	const size, most = 64, 1024
	s, now, number := New(most), time.Duration(0), uint64(0)
	pieces := []message.Block{{Address: 4096, Size: most * size}}
	return []allocs.Operation{
		{Name: "take", Most: 0, Do: func() {
			if _, ok, _ := s.Take(size, now); ok {
				return
			}
			s.Take(size, now) // there is none aside: have it asked for
			asks, _ := s.Due(now)
			for _, a := range asks {
				if a.Kind == Run {
					number++
					if !s.Gave(a, &Given{Company: 1, Number: number, End: 32, Pieces: pieces}, false, now) {
						tb.Fatal("a run was not taken in")
					}
					continue
				}
				s.Done(a, Did, a.End, now)
			}
		}},
		{Name: "is it handed out", Most: 0, Do: func() { s.Handed(4096) }},
	}
}

// What this package is asked again and again allocates no more than it did.
func TestAllocations(t *testing.T) { allocs.Test(t, hot(t)...) }

func BenchmarkHot(b *testing.B) { allocs.Bench(b, hot(b)...) }
