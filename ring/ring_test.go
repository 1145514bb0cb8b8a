package ring

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmalloc/message"
)

func ids(n int) []message.NodeID {
	nodes := make([]message.NodeID, n)
	for i := range nodes {
		nodes[i] = message.NodeID(i)
	}
	return nodes
}

// The values are part of the format of kept data: a change of the hash would move it.
func TestOwnersNeverChange(t *testing.T) {
	for key, want := range map[uint64][]message.NodeID{
		0: {5, 12, 14}, 1: {3, 1, 5}, 0x5000_0000_1000: {8, 11, 14},
	} {
		if got := Owners(key, ids(20), 3); !slices.Equal(got, want) {
			t.Errorf("Owners(%#x) = %v; want %v", key, got, want)
		}
	}
}

func TestOwnersAtTheEdges(t *testing.T) {
	for _, c := range []struct {
		nodes []message.NodeID
		r     int
		want  int
	}{{nil, 3, 0}, {ids(5), 0, 0}, {ids(5), -1, 0}, {ids(2), 3, 2}, {ids(5), 5, 5}, {[]message.NodeID{4, 4, 4}, 3, 1}} {
		if got := Owners(7, c.nodes, c.r); len(got) != c.want {
			t.Errorf("Owners(7, %v, %d) = %v; want %d of them", c.nodes, c.r, got, c.want)
		}
	}
}

func drawNodes(t *rapid.T) []message.NodeID {
	return rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) message.NodeID {
		return message.NodeID(rapid.Uint32Range(0, message.MaxNodes-1).Draw(t, "node"))
	}), 1, 40, rapid.ID[message.NodeID]).Draw(t, "nodes")
}

func TestOwnersAreDistinctAndIgnoreOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes, key, r := drawNodes(t), rapid.Uint64().Draw(t, "key"), rapid.IntRange(1, 9).Draw(t, "r")
		got := Owners(key, nodes, r)
		if len(got) != min(r, len(nodes)) || len(slices.Compact(slices.Sorted(slices.Values(got)))) != len(got) {
			t.Fatalf("G1: %v of %v", got, nodes)
		}
		turned := slices.Clone(nodes)
		slices.Reverse(turned)
		if other := Owners(key, append(turned, nodes...), r); !slices.Equal(got, other) {
			t.Fatalf("G1: %v, but %v in another order", got, other)
		}
	})
}

func TestOwnersMoveLittle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes, key, r := drawNodes(t), rapid.Uint64().Draw(t, "key"), rapid.IntRange(1, 9).Draw(t, "r")
		gone := rapid.SampledFrom(nodes).Draw(t, "gone")
		rest := slices.DeleteFunc(slices.Clone(nodes), func(n message.NodeID) bool { return n == gone })
		with, without := Owners(key, nodes, r), Owners(key, rest, r)
		stay := slices.DeleteFunc(slices.Clone(with), func(n message.NodeID) bool { return n == gone })
		if len(stay) > len(without) || !slices.Equal(stay, without[:len(stay)]) {
			t.Fatalf("G2: with node %d %v, without it %v", gone, with, without)
		}
		if !slices.Contains(with, gone) && !slices.Equal(with, without) {
			t.Fatalf("G2: node %d owned nothing, yet %v became %v", gone, with, without)
		}
	})
}

func TestOwnersLoadIsEven(t *testing.T) {
	const keys, nodes, r = 20000, 20, 3
	load := make([]int, nodes)
	for k := range uint64(keys) {
		for _, n := range Owners(k*message.PageSize, ids(nodes), r) {
			load[n]++
		}
	}
	for n, l := range load {
		if want := keys * r / nodes; l < want*9/10 || l > want*11/10 {
			t.Errorf("node %d owns %d keys; want %d, give or take a tenth", n, l, want)
		}
	}
}

func TestCompanies(t *testing.T) {
	for _, c := range []struct {
		nodes  int
		memory uint64
		want   int
	}{
		{0, 1 << 30, 1}, {-5, 1 << 30, 1}, {1, 1 << 30, 1}, {5, 1 << 30, 5}, {20, 64 << 20, 20}, {64, 1 << 30, 64}, {65, 1 << 30, 64},
		{message.MaxNodes, 1 << 30, 64}, {5, 0, 1}, {20, 16 << 10, 5}, {20, 1<<64 - 1, 20}, {3, 64 << 10, 3},
	} {
		if got := Companies(c.nodes, c.memory); got != c.want {
			t.Errorf("Companies(%d, %d) = %d; want %d", c.nodes, c.memory, got, c.want)
		}
	}
}

func TestPlanOfFive(t *testing.T) {
	d := Plan(message.Settings{Nodes: 5, Replicas: 3, Memory: 192 << 20}, nil)
	want := [][]message.NodeID{{0, 1, 2, 3, 4}, {0, 1, 2}, {1, 2, 3}, {2, 3, 4}, {3, 4, 0}, {4, 0, 1}}
	if d.Epoch != 1 || d.Settings.Companies != 5 || len(d.Nodes) != 5 || len(d.Companies) != len(want) {
		t.Fatalf("%s", message.JSON(d))
	}
	for i, c := range d.Companies {
		if int(c.ID) != i || !slices.Equal(c.OwnerNodes(), want[i]) || c.Next != uint64(len(want[i]))+1 {
			t.Errorf("company %d: %s; want owners %v", i, message.JSON(c), want[i])
		}
		if i > 0 && (c.Base != c.ID.Base() || c.Limit != c.ID.Limit() || c.Capacity != 64<<20) {
			t.Errorf("company %d: window or capacity of %s", i, message.JSON(c))
		}
	}
	if c := d.Companies[0]; c.Base != 0 || c.Limit != 0 || c.Capacity != 0 {
		t.Errorf("the directory has a window: %s", message.JSON(c))
	}
}

func TestPlanSpreadsOverHosts(t *testing.T) {
	hosts := []string{"a", "a", "a", "a", "b", "b", "b", "b", "c", "c", "c", "c"}
	for _, c := range Plan(message.Settings{Nodes: 12, Replicas: 3, Memory: 1 << 20}, hosts).Companies[1:] {
		seen := map[string]bool{}
		for _, n := range c.OwnerNodes() {
			seen[hosts[n]] = true
		}
		if len(seen) != 3 {
			t.Errorf("company %d is on %v, which is %d hosts; want 3", c.ID, c.OwnerNodes(), len(seen))
		}
	}
}

func TestPlanTakesNonsense(t *testing.T) {
	for _, s := range []message.Settings{{}, {Nodes: -1, Replicas: -1, Companies: -1}, {Nodes: 1 << 40, Replicas: 1 << 40, Companies: 1 << 40, Memory: 1<<64 - 1}, {Companies: 5}} {
		Plan(s, []string{"x"})
	}
	if c := Plan(message.Settings{Nodes: 1, Replicas: 3, Memory: 1<<64 - 1}, nil).Companies[1]; c.Capacity != MaxCapacity {
		t.Errorf("capacity %d; want no more than the window holds", c.Capacity)
	}
}

func spread(counts []int) int { return slices.Max(counts) - slices.Min(counts) }

func TestPlanIsEven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := message.Settings{Nodes: rapid.IntRange(1, 100).Draw(t, "nodes"), Replicas: rapid.IntRange(1, 9).Draw(t, "replicas"),
			Companies: rapid.IntRange(0, 64).Draw(t, "companies"), Memory: rapid.Uint64Range(1<<20, 1<<40).Draw(t, "memory")}
		hosts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 100).Draw(t, "hosts")
		d := Plan(s, hosts)
		if !reflect.DeepEqual(d, Plan(s, hosts)) {
			t.Fatal("two plans of one cluster differ")
		}
		held, first, need := make([]int, s.Nodes), make([]int, s.Nodes), make([]uint64, s.Nodes)
		for _, c := range d.Companies[1:] {
			if len(c.Owners) != min(s.Replicas, s.Nodes) {
				t.Fatalf("company %d has owners %v", c.ID, c.Owners)
			}
			distinct := map[message.NodeID]bool{}
			for i, o := range c.Owners {
				if o.Replica != uint64(i)+1 || o.Joining {
					t.Fatalf("company %d has owners %v", c.ID, c.Owners)
				}
				distinct[o.Node] = true
				held[o.Node]++
				need[o.Node] += c.Capacity
			}
			if len(distinct) != len(c.Owners) {
				t.Fatalf("company %d has an owner twice: %v", c.ID, c.Owners)
			}
			first[c.Owners[0].Node]++
		}
		if spread(held) > 1 || spread(first) > 1 {
			t.Fatalf("G3: replicas a node %v, first to lead %v", held, first)
		}
		for n, bytes := range need {
			if bytes > s.Memory {
				t.Fatalf("G4: node %d gives %d bytes, its companies want %d", n, s.Memory, bytes)
			}
		}
	})
}
