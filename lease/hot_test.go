package lease

import (
	"testing"

	"dmalloc/internal/allocs"
	"dmalloc/message"
)

// hot is what a leader asks of a table of many leases, for each read and write.
func hot(testing.TB) []allocs.Operation {
	const many = 4096
	table := New()
	for i := range uint64(many) {
		table.Grant(i, Lease{First: i * 3, Pages: 2, Node: message.NodeID(i % 7), Session: 1, Length: 1})
	}
	queue := Queue{}
	i := uint64(0)
	next := func() uint64 { i += 7919; return i % (3 * many) }
	return []allocs.Operation{
		{Name: "who has these pages", Most: 0, Do: func() {
			for range table.Over(next(), 1) {
			}
		}},
		{Name: "may it write", Most: 0, Do: func() { table.Writes(next()%many, next(), 1) }},
		{Name: "does it have to wait", Most: 0, Do: func() { queue.Free(next(), 1, true) }},
		{Name: "grant and end", Most: 18, Do: func() {
			o := table.Grant(0, Lease{First: 4 * many, Pages: 1, Node: 1, Session: 1, Length: 1})
			table.End(o.Lease.Token)
		}},
	}
}

// What this package is asked again and again allocates no more than it did.
func TestAllocations(t *testing.T) { allocs.Test(t, hot(t)...) }

func BenchmarkHot(b *testing.B) { allocs.Bench(b, hot(b)...) }
