package ring

import (
	"testing"

	"dmalloc/internal/allocs"
	"dmalloc/message"
)

// hot is finding out who keeps a register, and what that is made from when members change.
func hot(testing.TB) []allocs.Operation {
	var members []message.Member
	for _, n := range ids(20) {
		members = append(members, message.Member{Node: n})
	}
	p, nodes, key := Place(message.Registers{Epoch: 1, Replicas: 3, Members: members}), ids(20), uint64(0)
	return []allocs.Operation{
		{Name: "who keeps a register", Most: 0, Do: func() { key++; p.Groups(Shard(message.RegisterID{Address: key})) }},
		{Name: "weigh 20 nodes", Most: 1, Do: func() { key++; Owners(key, nodes, 3) }},
		{Name: "replicas of a shard among 20", Most: 6, Do: func() { key++; Replicas(int(key%Shards), members, 3) }},
	}
}

// What this package is asked again and again allocates no more than it did.
func TestAllocations(t *testing.T) { allocs.Test(t, hot(t)...) }

func BenchmarkHot(b *testing.B) { allocs.Bench(b, hot(b)...) }
