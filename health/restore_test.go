package health

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmalloc/message"
)

func ids(ns ...int) []message.NodeID {
	out := make([]message.NodeID, len(ns))
	for i, n := range ns {
		out[i] = message.NodeID(n)
	}
	return out
}

func TestRestore(t *testing.T) {
	for name, c := range map[string]struct {
		needs []need
		want  [][]message.NodeID
	}{
		"nothing":                    {nil, nil},
		"one of two":                 {[]need{{1, ids(0, 2)}}, [][]message.NodeID{ids(0), ids(2)}},
		"two of three":               {[]need{{2, ids(0, 1, 2)}}, [][]message.NodeID{ids(0, 1), ids(0, 2), ids(1, 2)}},
		"what two have in common":    {[]need{{1, ids(0, 2)}, {1, ids(2, 3)}}, [][]message.NodeID{ids(2)}},
		"two that have nothing":      {[]need{{1, ids(0)}, {1, ids(3)}}, [][]message.NodeID{ids(0, 3)}},
		"the greedy answer is worse": {[]need{{1, ids(1, 9)}, {1, ids(1, 8)}, {1, ids(2, 9)}, {1, ids(2, 8)}}, [][]message.NodeID{ids(1, 2), ids(8, 9)}},
		"the same twice":             {[]need{{1, ids(4)}, {1, ids(4)}}, [][]message.NodeID{ids(4)}},
	} {
		if got, exact := restore(c.needs); !reflect.DeepEqual(got, c.want) || !exact {
			t.Errorf("%s: %v (exact %v), want %v", name, got, exact, c.want)
		}
	}
}

// H3: the sets are exactly those that trying all subsets finds.
func TestRestoreIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const nodes = 7
		needs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) need {
			of := rapid.SliceOfNDistinct(rapid.Map(rapid.IntRange(0, nodes-1), func(i int) message.NodeID { return message.NodeID(i) }), 1, 4, rapid.ID[message.NodeID]).Draw(t, "of")
			slices.Sort(of)
			return need{rapid.IntRange(1, len(of)).Draw(t, "k"), of}
		}), 1, 6).Draw(t, "needs")
		var best [][]message.NodeID
		for subset := range 1 << nodes {
			set := map[message.NodeID]bool{}
			for i := range nodes {
				if subset>>i&1 == 1 {
					set[message.NodeID(i)] = true
				}
			}
			if slices.ContainsFunc(needs, func(n need) bool { return !filled(n, set) }) {
				continue
			}
			if best == nil || len(set) < len(best[0]) {
				best = nil
			}
			if best == nil || len(set) == len(best[0]) {
				best = append(best, sorted(set))
			}
		}
		slices.SortFunc(best, slices.Compare)
		if got, exact := restore(needs); !reflect.DeepEqual(got, best) || !exact {
			t.Fatalf("%v: %v (exact %v), want %v", needs, got, exact, best)
		}
	})
}

// A search that would take too long ends with sets that are enough, and says so.
func TestRestoreEnds(t *testing.T) {
	var needs []need
	for i := range 300 {
		needs = append(needs, need{1, ids(i*7%100, 100+i*11%100, 200+i*13%100)})
	}
	sets, exact := restore(needs)
	if exact || len(sets) == 0 {
		t.Fatalf("%d sets, exact %v", len(sets), exact)
	}
	for _, set := range sets {
		in := map[message.NodeID]bool{}
		for _, n := range set {
			in[n] = true
		}
		for _, n := range needs {
			if !filled(n, in) {
				t.Fatalf("%v does not fill %v", set, n)
			}
		}
	}
}
