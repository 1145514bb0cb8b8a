package disk

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"dmalloc/message"
)

func benchStore(b *testing.B, dir string) *Store {
	b.Helper()
	s, err := Open(dir, me, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// Puts of 64 bytes by so many callers, each of whom waits for its own.
func BenchmarkPut(b *testing.B) {
	for _, callers := range []int{1, 64, 256} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			s := benchStore(b, b.TempDir())
			b.ResetTimer()
			var all sync.WaitGroup
			for c := range callers {
				all.Go(func() {
					value, done := make([]byte, 64), make(chan error, 1)
					for i := c; i < b.N; i += callers {
						s.Put(message.RegisterID{Address: uint64(i)}, message.Tag{TS: 1}, value, func(err error) { done <- err })
						if err := <-done; err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
			b.ReportMetric(float64(b.N)/float64(max(s.Stats().Syncs, 1)), "puts/sync")
		})
	}
}

// fill puts n registers of 64 bytes.
func fill(b *testing.B, s *Store, n int) {
	b.Helper()
	var all sync.WaitGroup
	value := make([]byte, 64)
	for i := range n {
		all.Add(1)
		if i%10000 == 0 {
			runtime.Gosched()
		}
		s.Put(message.RegisterID{Address: uint64(i) * 0x9e3779b97f4a7c15}, message.Tag{TS: 1}, value, func(err error) {
			if err != nil {
				b.Error(err)
			}
			all.Done()
		})
		if i%100000 == 99999 {
			all.Wait()
		}
	}
	all.Wait()
}

func BenchmarkGet(b *testing.B) {
	s := benchStore(b, b.TempDir())
	fill(b, s, 100000)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for i := uint64(0); p.Next(); i++ {
			if _, ok, err := s.Get(message.RegisterID{Address: i % 100000 * 0x9e3779b97f4a7c15}, 64); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "gets/s")
}

// Opening 100,000 registers, and what memory each of them takes.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := benchStore(b, dir)
	fill(b, s, 100000)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	var before, after runtime.MemStats
	b.ResetTimer()
	for range b.N {
		runtime.GC()
		runtime.ReadMemStats(&before)
		s, err := Open(dir, me, Options{})
		if err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/100000, "bytes/register")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
