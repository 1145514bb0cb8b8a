package transport

import (
	"fmt"
	"reflect"
	"sort"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmalloc/message"
)

func edges(pairs ...message.NodeID) (out []message.Edge) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, message.Edge{A: pairs[i], B: pairs[i+1]})
	}
	return out
}

// reference is the graph of the original: six nodes, from 1.
func reference() []message.Edge { return edges(1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 1, 4, 2, 4, 3, 6) }

func TestReferenceDistances(t *testing.T) {
	for _, c := range []struct {
		a, b message.NodeID
		hops int
	}{
		{1, 2, 1}, {1, 3, 2}, {1, 4, 1}, {1, 5, 2}, {1, 6, 3}, {2, 4, 1}, {2, 5, 2}, {2, 6, 2}, {3, 5, 2}, {3, 6, 1}, {4, 6, 2}, {5, 6, 1},
	} {
		for _, way := range [][2]message.NodeID{{c.a, c.b}, {c.b, c.a}} {
			if got := newRoutes(way[0], 7, reference(), nil).path(way[1]); len(got) != c.hops {
				t.Errorf("%v -> %v: path %v, want %d hops", way[0], way[1], got, c.hops)
			}
		}
	}
}

func TestPaths(t *testing.T) {
	down := map[message.NodeID]bool{2: true, 4: true}
	for _, c := range []struct {
		name  string
		self  message.NodeID
		edges []message.Edge
		down  map[message.NodeID]bool
		to    message.NodeID
		want  []message.NodeID
	}{
		{"ties to the lower", 1, reference(), nil, 3, []message.NodeID{2, 3}},
		{"ties all along", 1, reference(), nil, 6, []message.NodeID{2, 3, 6}},
		{"around the dead", 1, reference(), map[message.NodeID]bool{2: true}, 3, []message.NodeID{4, 3}},
		{"no way around", 1, reference(), down, 3, nil},
		{"the dead can be addressed", 1, reference(), down, 4, []message.NodeID{4}},
		{"unconnected", 1, reference(), nil, 0, nil},
		{"not there", 1, reference(), nil, 99, nil},
		{"nobody", 1, reference(), nil, message.NoNode, nil},
		{"itself", 1, reference(), nil, 1, nil},
		{"mesh", 1, nil, down, 900, []message.NodeID{900}},
		{"edges that lead out and loops", 0, edges(0, 0, 0, 50, 0, 1), nil, 1, []message.NodeID{1}},
		{"a client has no topology", message.NoNode, reference(), nil, 3, []message.NodeID{3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRoutes(c.self, 7, c.edges, c.down)
			if got := r.path(c.to); !reflect.DeepEqual(got, c.want) {
				t.Fatalf("path %v, want %v", got, c.want)
			}
			if hop, ok := r.hop(c.to); ok != (c.want != nil) || (ok && hop != c.want[0]) {
				t.Fatalf("hop %v %v", hop, ok)
			}
		})
	}
}

// Every node routes by itself. Together they must follow the first one's path, and that is as short as
// the slowest correct algorithm says.
func TestHopByHopIsShortest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 9).Draw(t, "n")
		node := rapid.Custom(func(t *rapid.T) message.NodeID { return message.NodeID(rapid.IntRange(0, n-1).Draw(t, "node")) })
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) message.Edge {
			return message.Edge{A: node.Draw(t, "a"), B: node.Draw(t, "b")}
		}), 1, 20).Draw(t, "edges")
		down := rapid.MapOf(node, rapid.Just(true)).Draw(t, "down")
		all := make([]*routes, n)
		for i := range all {
			all[i] = newRoutes(message.NodeID(i), n, list, down)
		}
		for a := range message.NodeID(n) {
			distance := bellmanFord(n, list, down, a)
			for b := range message.NodeID(n) {
				path := all[a].path(b)
				if a == b {
					continue
				}
				if len(path) != distance[b] {
					t.Fatalf("%d -> %d: path %v, but distance %d", a, b, path, distance[b])
				}
				var walked []message.NodeID
				for at := a; at != b && path != nil; {
					next, ok := all[at].hop(b)
					if !ok || len(walked) > n {
						t.Fatalf("%d -> %d: walked %v and is stuck", a, b, walked)
					}
					walked = append(walked, next)
					at = next
				}
				if !down[a] && fmt.Sprint(walked) != fmt.Sprint(path) {
					t.Fatalf("%d -> %d: walked %v, path %v", a, b, walked, path)
				}
			}
		}
	})
}

// bellmanFord gives hops from a, 0 where there is no way.
func bellmanFord(n int, list []message.Edge, down map[message.NodeID]bool, a message.NodeID) []int {
	const far = 1 << 20
	d := make([]int, n)
	for i := range d {
		d[i] = far
	}
	d[a] = 0
	for range n {
		for _, e := range list {
			for _, w := range [][2]message.NodeID{{e.A, e.B}, {e.B, e.A}} {
				if !down[w[0]] || w[0] == a {
					d[w[1]] = min(d[w[1]], d[w[0]]+1)
				}
			}
		}
	}
	for i := range d {
		if d[i] >= far {
			d[i] = 0
		}
	}
	return d
}

func TestNeighboursAreSorted(t *testing.T) {
	for i, l := range neighbours(7, reference()) {
		if !sort.SliceIsSorted(l, func(a, b int) bool { return l[a] < l[b] }) {
			t.Errorf("neighbours of %d: %v", i, l)
		}
	}
}

func TestLongestRoundTrip(t *testing.T) {
	edge := func(a, b message.NodeID, ms int64) message.Edge {
		return message.Edge{A: a, B: b, LatencyUS: ms * 1000}
	}
	for name, c := range map[string]struct {
		n     int
		edges []message.Edge
		want  time.Duration
	}{
		"a mesh":                 {3, nil, 0},
		"one node":               {1, []message.Edge{}, 0},
		"a line adds up":         {3, []message.Edge{edge(0, 1, 10), edge(1, 2, 20)}, 60 * time.Millisecond},
		"fewest hops are taken":  {3, []message.Edge{edge(0, 1, 1), edge(1, 2, 1), edge(0, 2, 50)}, 100 * time.Millisecond},
		"a link without latency": {3, []message.Edge{edge(0, 1, 0), edge(1, 2, 5)}, 10 * time.Millisecond},
	} {
		if got := LongestRoundTrip(c.n, c.edges); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
