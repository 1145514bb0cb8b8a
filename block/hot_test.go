package block

import (
	"math/rand/v2"
	"testing"

	"dmalloc/internal/allocs"
	"dmalloc/message"
)

// hot is the search for room, in a space with a thousand gaps.
func hot(tb testing.TB) []allocs.Operation {
	s := New(message.CompanyID(1).Base(), message.CompanyID(1).Limit())
	random := rand.New(rand.NewPCG(1, 2))
	taken := make([]Extent, 2000)
	take := func(i int) {
		f := Footprint(16 + random.Uint64N(2000))
		a, ok := s.Take(f)
		if !ok {
			tb.Fatal("no room")
		}
		taken[i] = Extent{a, f}
	}
	give := func(i int) {
		if err := s.Give(taken[i]); err != nil {
			tb.Fatal(err)
		}
	}
	for i := range taken {
		take(i)
	}
	for i := 0; i < len(taken); i += 2 {
		give(i)
	}
	i := 1
	return []allocs.Operation{
		{Name: "give and take", Most: 0, Do: func() {
			give(i)
			take(i)
			i = (i + 2) % len(taken)
		}},
		{Name: "what room it opens", Most: 0, Do: func() { s.Opens(4096) }},
		{Name: "is it free", Most: 0, Do: func() { s.Contains(taken[i].Addr) }},
	}
}

// What this package is asked again and again allocates no more than it did.
func TestAllocations(t *testing.T) { allocs.Test(t, hot(t)...) }

func BenchmarkHot(b *testing.B) { allocs.Bench(b, hot(b)...) }
