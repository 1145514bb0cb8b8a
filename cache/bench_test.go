package cache

import (
	"testing"
	"time"
)

func filled(b testing.TB, pages int) *Cache {
	c := New(64 << 20)
	if ok, _ := c.Granted(lease(5, "wb", 0, pages), 0, 0); !ok {
		b.Fatal("not granted")
	}
	bytes := make([]byte, ps)
	for i := range pages {
		f, _ := c.Want(addr(i, 0), ps)
		if !c.Filled(f, f.Address, bytes, []Extent{{Address: base, Size: uint64(pages * ps)}}) {
			b.Fatal("not filled")
		}
	}
	return c
}

func stopped() time.Duration { return 0 }

func benchmarkRead(b *testing.B, size, pages int) {
	c := filled(b, 1024)
	b.ReportAllocs()
	b.SetBytes(int64(size))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		p := make([]byte, size)
		for i := 0; pb.Next(); i++ {
			if !c.Read(addr(i*7%pages, 64), none, p, stopped) {
				b.Error("missed")
				return
			}
		}
	})
}

func BenchmarkRead16(b *testing.B)     { benchmarkRead(b, 16, 1000) }
func BenchmarkRead16Hot(b *testing.B)  { benchmarkRead(b, 16, 1) }
func BenchmarkRead4K(b *testing.B)     { benchmarkRead(b, ps-64, 1000) }
func BenchmarkRead4KOver(b *testing.B) { benchmarkRead(b, ps, 1000) }
func BenchmarkRead256K(b *testing.B)   { benchmarkRead(b, 256<<10, 900) }

func BenchmarkAbsorb16(b *testing.B) {
	c := filled(b, 1024)
	b.ReportAllocs()
	p := make([]byte, 16)
	for i := 0; b.Loop(); i++ {
		if c.Absorb(addr(i*7%1000, 64), none, p, stopped) != Absorbed {
			b.Fatal("not absorbed")
		}
	}
}

func BenchmarkWriteThrough16(b *testing.B) {
	c := filled(b, 1024)
	b.ReportAllocs()
	p := make([]byte, 16)
	for i := 0; b.Loop(); i++ {
		w, _, _ := c.Begin(addr(i*7%1000, 64), 16, 0)
		c.End(w, Written, p)
	}
}
