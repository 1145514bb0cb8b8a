package company

import (
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"dmalloc/message"
)

// benchmarkMallocFree keeps so many allocations of 1 to 300 bytes, each done through Apply with a client's
// number, and replaces one at a time.
func benchmarkMallocFree(b *testing.B, live int) {
	d := &driver{Company: New(Config{ID: 1, Capacity: 1 << 36})}
	random := rand.New(rand.NewPCG(1, 2))
	seq := uint64(0)
	ask := func(m *message.Message) Result {
		seq++
		m.Client[0], m.Seq, m.Low = 1, seq, seq-min(seq, 16)
		r := d.do(m)
		if r.Code != message.Done {
			b.Fatal(r)
		}
		return r
	}
	var before, after runtime.MemStats
	at := make([]message.Addr, live)
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range at {
		at[i] = ask(malloc(1 + random.Uint64N(300))).Address
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	for b.Loop() {
		i := random.IntN(live)
		ask(free(at[i]))
		at[i] = ask(malloc(1 + random.Uint64N(300))).Address
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(live), "B/allocation")
}

func BenchmarkMallocFree1e3(b *testing.B) { benchmarkMallocFree(b, 1e3) }
func BenchmarkMallocFree1e6(b *testing.B) { benchmarkMallocFree(b, 1e6) }

func BenchmarkWrite64(b *testing.B) {
	d := &driver{Company: New(Config{ID: 1, Capacity: 1 << 36})}
	a := d.do(malloc(1 << 20)).Address
	m := write(a, make([]byte, 64))
	m.Data[0] = 1
	for b.Loop() {
		m.Address = a + message.Addr(m.Seq*64%(1<<20))
		m.Client[0], m.Low = 1, m.Seq
		m.Seq++
		d.do(m)
	}
}

func BenchmarkSnapshot1e6(b *testing.B) {
	d := &driver{Company: New(Config{ID: 1, Capacity: 1 << 36})}
	for range int(1e6) {
		d.do(malloc(100))
	}
	b.Run("take", func(b *testing.B) {
		for b.Loop() {
			d.Snapshot()
		}
	})
	b.Run("write", func(b *testing.B) {
		s := d.Snapshot()
		for b.Loop() {
			if _, err := s.WriteTo(io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
}
