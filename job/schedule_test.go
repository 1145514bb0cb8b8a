package job

import (
	"cmp"
	"slices"
	"testing"

	"dmalloc/message"

	"pgregory.net/rapid"
)

type ids = []message.NodeID

func TestPlace(t *testing.T) {
	idle := func(message.NodeID) int { return 0 }
	alive := func(message.NodeID) bool { return true }
	for _, c := range []struct {
		name    string
		holders []ids
		nodes   ids
		load    func(message.NodeID) int
		usable  func(message.NodeID) bool
		want    ids
	}{
		{"two registers, two replicas, three nodes", []ids{{0, 1}, {2, 0}}, ids{0, 1, 2}, idle, alive, ids{0, 1, 2}},
		{"a tie goes to the least loaded", []ids{{0, 1}}, ids{0, 1, 2}, func(n message.NodeID) int { return 5 - int(n) }, alive, ids{1, 0, 2}},
		{"then to the lowest id", []ids{{2, 1}}, ids{0, 1, 2}, idle, alive, ids{1, 2, 0}},
		{"data weighs more than load", []ids{{2}}, ids{0, 1, 2}, func(n message.NodeID) int { return int(n) * 100 }, alive, ids{2, 0, 1}},
		{"dead holders", []ids{{0, 1}}, ids{0, 1, 2}, idle, func(n message.NodeID) bool { return n == 2 }, ids{2}},
		{"no addresses", nil, ids{1, 0}, idle, alive, ids{0, 1}},
		{"a node twice for one address", []ids{{1, 1}, {0}, {0}}, ids{0, 1}, idle, alive, ids{0, 1}},
		{"a holder that nobody lists", []ids{{7}}, ids{0}, idle, alive, ids{7, 0}},
		{"nobody", []ids{{1}}, ids{0, 1}, idle, func(message.NodeID) bool { return false }, ids{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Place(c.holders, c.nodes, c.load, c.usable); !slices.Equal(got, c.want) {
				t.Errorf("%v instead of %v", got, c.want)
			}
		})
	}
}

// No usable node is better than its predecessor, none is missing or there twice, and the order of the
// arguments does not matter.
func TestPlaceIsSorted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		node := rapid.Map(rapid.IntRange(0, 8), func(i int) message.NodeID { return message.NodeID(i) })
		holders := rapid.SliceOfN(rapid.SliceOfN(node, 0, 4), 0, 8).Draw(t, "holders")
		nodes := rapid.SliceOfDistinct(node, rapid.ID[message.NodeID]).Draw(t, "nodes")
		loads := rapid.SliceOfN(rapid.IntRange(0, 3), 9, 9).Draw(t, "loads")
		dead := rapid.SliceOfN(rapid.Bool(), 9, 9).Draw(t, "dead")
		load := func(n message.NodeID) int { return loads[n] }
		usable := func(n message.NodeID) bool { return !dead[n] }

		got := Place(holders, nodes, load, usable)
		count := func(n message.NodeID) (held int) {
			for _, h := range holders {
				if slices.Contains(h, n) {
					held++
				}
			}
			return held
		}
		for i := 1; i < len(got); i++ {
			a, b := got[i-1], got[i]
			if cmp.Or(cmp.Compare(count(b), count(a)), cmp.Compare(loads[a], loads[b]), cmp.Compare(a, b)) >= 0 {
				t.Fatalf("%d stands before %d in %v", a, b, got)
			}
		}
		for n := range message.NodeID(9) {
			known := slices.Contains(nodes, n) || count(n) > 0
			if slices.Contains(got, n) != (known && !dead[n]) {
				t.Fatalf("node %d in %v: known %t, dead %t", n, got, known, dead[n])
			}
		}
		slices.Reverse(holders)
		slices.Reverse(nodes)
		if again := Place(holders, nodes, load, usable); !slices.Equal(got, again) {
			t.Fatalf("%v, and in another order %v", got, again)
		}
	})
}
