package cache

import (
	"testing"

	"dmalloc/internal/allocs"
)

// hot is what a holder answers from its own memory, and what it does when a write goes through the log.
func hot(tb testing.TB) []allocs.Operation {
	c, p, i := filled(tb, 1024), make([]byte, 16), 0
	next := func() int { i = (i + 7) % 50; return i } // few: what a page is told first is not what happens again and again
	return []allocs.Operation{
		{Name: "read 16 bytes", Most: 0, Do: func() {
			if !c.Read(addr(next(), 64), none, p, stopped) {
				tb.Fatal("missed")
			}
		}},
		{Name: "write 16 bytes through", Most: 4, Do: func() {
			w, _, _ := c.Begin(addr(next(), 64), 16, 0)
			c.End(w, Written, p)
		}},
		{Name: "absorb 16 bytes", Most: 3, Do: func() {
			if c.Absorb(addr(next(), 64), none, p, stopped) != Absorbed {
				tb.Fatal("not absorbed")
			}
		}},
	}
}

// What this package is asked again and again allocates no more than it did.
func TestAllocations(t *testing.T) { allocs.Test(t, hot(t)...) }

func BenchmarkHot(b *testing.B) { allocs.Bench(b, hot(b)...) }
