package ring

import (
	"slices"
	"testing"

	"dmalloc/message"

	"pgregory.net/rapid"
)

func TestLead(t *testing.T) {
	may := func(nodes ...message.NodeID) []message.NodeID { return nodes }
	for _, row := range []struct {
		name string
		all  []Led
		c    message.CompanyID
		to   message.NodeID
		ok   bool
	}{
		{"nothing", nil, 0, 0, false},
		{"even", []Led{{1, 0, may(0, 1)}, {2, 1, may(1, 0)}}, 0, 0, false},
		{"a difference of one stays", []Led{{1, 0, may(1)}}, 0, 0, false},
		{"two", []Led{{1, 0, may(0, 1)}, {2, 0, may(0, 1)}}, 1, 1, true},
		{"the preferred one", []Led{{1, 0, may(0, 2, 1)}, {2, 0, may(1, 2)}}, 1, 2, true},
		{"the largest difference", []Led{{1, 0, may(0, 1)}, {2, 0, may(0, 1)}, {3, 0, may(2)}, {4, 1, may(1)}}, 3, 2, true},
		{"only to who may", []Led{{1, 0, may(0)}, {2, 0, may(0)}, {3, 1, may(0, 1, 2)}}, 0, 0, false},
	} {
		if c, to, ok := Lead(row.all); c != row.c || to != row.to || ok != row.ok {
			t.Errorf("%s: company %d to node %d, %v", row.name, c, to, ok)
		}
	}
}

// It ends, never goes back, and then no hand-over is worth it.
func TestLeadEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.IntRange(1, 9).Draw(t, "nodes")
		all := make([]Led, rapid.IntRange(0, 20).Draw(t, "companies"))
		squares := func() (sum int) {
			leads := make([]int, nodes)
			for _, x := range all {
				leads[x.Leader]++
			}
			for _, n := range leads {
				sum += n * n
			}
			return sum
		}
		for i := range all {
			all[i].Company = message.CompanyID(i + 1)
			for range rapid.IntRange(1, 5).Draw(t, "owners") {
				if n := message.NodeID(rapid.IntRange(0, nodes-1).Draw(t, "owner")); !slices.Contains(all[i].May, n) {
					all[i].May = append(all[i].May, n)
				}
			}
			all[i].Leader = all[i].May[rapid.IntRange(0, len(all[i].May)-1).Draw(t, "leader")]
		}
		for before := squares(); ; before = squares() {
			c, to, ok := Lead(all)
			if !ok {
				return
			}
			x := &all[c-1]
			if !slices.Contains(x.May, to) {
				t.Fatalf("company %d goes to node %d", c, to)
			}
			if x.Leader = to; squares() >= before {
				t.Fatalf("company %d to node %d is no gain", c, to)
			}
		}
	})
}
