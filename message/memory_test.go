package message

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestMemoryUse(t *testing.T) {
	bytes := rapid.OneOf(rapid.Uint64Range(0, 1<<40), rapid.SampledFrom([]uint64{0, 1, 1 << 30, Overhead}))
	rapid.Check(t, func(t *rapid.T) {
		u := MemoryUse{Pages: bytes.Draw(t, "pages"), Snapshots: bytes.Draw(t, "snapshots"), Cache: bytes.Draw(t, "cache"), Log: bytes.Draw(t, "log"),
			Tables: bytes.Draw(t, "tables"), Registers: bytes.Draw(t, "registers")}
		heap, cache := bytes.Draw(t, "heap"), bytes.Draw(t, "cache limit")
		u = u.WithLimits(heap, cache).WithResident(bytes.Draw(t, "resident"))
		var sum uint64
		for _, p := range u.Parts() {
			sum += p.Bytes
		}
		if counted := sum - u.Other; sum != max(u.Resident, counted) {
			t.Fatalf("the parts of %+v sum to %d", u, sum)
		}
		if u.Limit != heap+cache+Overhead || u.Full() != (u.Resident > u.Limit) {
			t.Fatalf("%+v", u)
		}
		b := u.CacheBudget()
		if need := sum - u.Other - u.Cache; b > cache || b > 0 && need+b > u.Limit-Overhead/2 {
			t.Fatalf("the budget of %+v is %d", u, b)
		}
		if u.Pages+u.Snapshots+u.Log+u.Tables+u.Registers <= heap+Overhead/2 && b != cache {
			t.Fatalf("%+v takes %d from a cache that does no harm", u, cache-b)
		}
	})
	if u := (MemoryUse{}).WithLimits(math.MaxUint64, 1); u.Limit != math.MaxUint64 {
		t.Errorf("%+v", u)
	}
	d := &Directory{Settings: Settings{Memory: 7}, Nodes: []Node{{}, {Memory: 9}}}
	for id, want := range []uint64{7, 9, 7} {
		if got := d.Memory(NodeID(id)); got != want {
			t.Errorf("node %d gives %d, want %d", id, got, want)
		}
	}
}
