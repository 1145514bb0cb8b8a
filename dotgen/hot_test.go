package dotgen

import (
	"testing"

	"dmalloc/internal/allocs"
	"dmalloc/message"
)

// hot is the pictures that a page shows again and again.
func hot(testing.TB) []allocs.Operation {
	var blocks []message.Allocation
	var nodes []Node
	for i := range message.Addr(100) {
		a := message.CompanyID(1+i%4).Base() + i<<12
		blocks = append(blocks, message.Allocation{Address: a, Size: 100, State: message.Allocated,
			Blocks: []message.Block{{Address: a, Size: 100, Company: message.CompanyID(1 + i%4), Nodes: []message.NodeID{0, 1, 2}}}})
	}
	for i := range message.NodeID(20) {
		nodes = append(nodes, Node{ID: i, State: "alive", Host: "localhost"})
	}
	return []allocs.Operation{
		{Name: "100 allocations", Most: 4932, Do: func() { DrawAllocations(Allocations{Allocations: blocks, Nodes: nodes}) }},
		{Name: "20 nodes", Most: 716, Do: func() { DrawCluster(Cluster{Nodes: nodes}) }},
	}
}

// What this package is asked again and again allocates no more than it did.
func TestAllocations(t *testing.T) { allocs.Test(t, hot(t)...) }

func BenchmarkHot(b *testing.B) { allocs.Bench(b, hot(b)...) }
