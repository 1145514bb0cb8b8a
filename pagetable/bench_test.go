package pagetable

import (
	"context"
	"testing"

	"dmalloc/message"
)

// plainSource has n plain allocations of a page, without a lock or a map in the way.
type plainSource int

func (n plainSource) at(a message.Addr) Extent {
	return Extent{Address: a, Size: 4096, State: message.Allocated}
}

func (n plainSource) Extent(a message.Addr) (Extent, bool) { return n.at(a), true }

func (n plainSource) Extents(from message.Addr, most int) (out []Extent) {
	i := 0
	if from > message.HeapBase {
		i = int((from - message.HeapBase + 4095) / 4096)
	}
	for ; i < int(n) && len(out) < most; i++ {
		out = append(out, n.at(message.HeapBase+message.Addr(i)*4096))
	}
	return out
}

func (n plainSource) Summary() Summary { return Summary{} }

func (n plainSource) Lease(uint64) (message.Lease, bool) { return message.Lease{}, false }

func (n plainSource) Leases(message.Addr, uint64, int) []message.Lease { return nil }

func BenchmarkChanged(b *testing.B) {
	table := opened(b)
	table.Attach(1, plainSource(0))
	if err := table.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
	addrs, log := make([]message.Addr, 1), lines(1, 1, 1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		addrs[0] = message.HeapBase + message.Addr(i%5000)*16
		table.Changed(1, addrs, log)
	}
}

func BenchmarkFlush10kChanges(b *testing.B) {
	table := opened(b)
	table.Attach(1, plainSource(0))
	addrs := make([]message.Addr, 10000)
	for i := range addrs {
		addrs[i] = message.HeapBase + message.Addr(i*37%len(addrs))*4096
	}
	for b.Loop() {
		table.Changed(1, addrs, nil)
		if err := table.Flush(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRebuild100k(b *testing.B) {
	table := opened(b)
	for b.Loop() {
		table.Attach(1, plainSource(100_000))
		if err := table.Flush(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkQueryClean(b *testing.B) {
	table := opened(b)
	table.Attach(1, plainSource(1000))
	for b.Loop() {
		if _, err := table.Query(context.Background(), "SELECT count(*) FROM companies", 0); err != nil {
			b.Fatal(err)
		}
	}
}
