package ring

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmalloc/message"
)

func members(n int) []message.Member {
	m := make([]message.Member, n)
	for i := range m {
		m[i].Node = message.NodeID(i)
	}
	return m
}

func nodesOf(members []message.Member) []message.NodeID {
	nodes := make([]message.NodeID, len(members))
	for i, m := range members {
		nodes[i] = m.Node
	}
	slices.Sort(nodes)
	return nodes
}

// Kept registers lie where this said. The first rows are the example that users of three nodes with two
// replicas know: 1 is on the first two nodes, 3 on the first and the last.
func TestReplicasNeverChange(t *testing.T) {
	for _, row := range []struct {
		address  uint64
		nodes, r int
		want     []message.NodeID
	}{
		{1, 3, 2, []message.NodeID{0, 1}}, {3, 3, 2, []message.NodeID{0, 2}}, {0, 3, 2, []message.NodeID{1, 2}},
		{1, 20, 3, []message.NodeID{14, 15, 16}}, {1 << 63, 20, 3, []message.NodeID{9, 14, 18}}, {7, 2, 3, []message.NodeID{0, 1}},
	} {
		got := nodesOf(Replicas(Shard(message.RegisterID{Address: row.address}), members(row.nodes), row.r))
		if !slices.Equal(got, row.want) {
			t.Errorf("register %d on %d nodes: %v; want %v", row.address, row.nodes, got, row.want)
		}
	}
	if Shard(message.RegisterID{Address: 1}) == Shard(message.RegisterID{Space: message.JobSpace, Address: 1}) {
		t.Error("the space does not count")
	}
}

// G2: a member that comes or goes changes nothing between the others, and what moves is its fair share.
func TestReplicasMoveLittle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, r := rapid.IntRange(2, 24).Draw(t, "nodes"), rapid.IntRange(1, 5).Draw(t, "replicas")
		all := members(n)
		gone := rapid.IntRange(0, n-1).Draw(t, "gone")
		rest := slices.Delete(slices.Clone(all), gone, gone+1)
		moved := 0
		for s := range Shards {
			before, after := nodesOf(Replicas(s, all, r)), nodesOf(Replicas(s, rest, r))
			for _, m := range after {
				if !slices.Contains(before, m) {
					moved++
				}
			}
			for _, m := range before {
				if m != message.NodeID(gone) && !slices.Contains(after, m) {
					t.Fatalf("G2: shard %d leaves node %s, though node %d is the one that goes", s, m, gone)
				}
			}
		}
		if fair := float64(Shards*min(r, n)) / float64(n); r < n && (float64(moved) > 1.5*fair || float64(moved) < fair/1.5) {
			t.Fatalf("%d replicas move; the share of one of %d nodes is %.0f", moved, n, fair)
		}
	})
}

func TestReplicasAreEven(t *testing.T) {
	for _, n := range []int{3, 5, 8, 20} {
		held := make([]int, n)
		for s := range Shards {
			for _, m := range Replicas(s, members(n), 3) {
				held[m.Node]++
			}
		}
		fair := Shards * 3 / n
		if most, least := slices.Max(held), slices.Min(held); most > fair*5/4 || least < fair*3/4 {
			t.Errorf("%d nodes hold between %d and %d shards; the fair share is %d", n, least, most, fair)
		}
	}
	spread := make([]int, Shards)
	for a := range uint64(Shards * 64) {
		spread[Shard(message.RegisterID{Address: a})]++
	}
	if most := slices.Max(spread); most > 2*64 {
		t.Errorf("neighbouring registers crowd: %d of %d in one shard", most, Shards*64)
	}
}

// While members change, both groups are asked where they differ, and only there. A new incarnation is
// another member in the same place.
func TestPlace(t *testing.T) {
	old := members(5)
	next := slices.Clone(old)
	next[2].Incarnation = 1
	p := Place(message.Registers{Epoch: 7, Replicas: 3, Members: old, Next: next})
	for s := range Shards {
		before := Replicas(s, old, 3)
		if moving := slices.Contains(before, old[2]); moving != p.Moving(s) || len(p.Groups(s)) != 1+map[bool]int{true: 1}[moving] {
			t.Fatalf("shard %d on %v: moving is %v", s, before, p.Moving(s))
		}
		if p.Moving(s) && (!p.Holds(s, old[2]) || !p.Holds(s, next[2]) || !slices.Equal(nodesOf(p.Groups(s)[1]), nodesOf(before))) {
			t.Fatalf("shard %d goes from %v to %v", s, before, p.Groups(s)[1])
		}
	}
	if p.Epoch != 7 {
		t.Error("the epoch is lost")
	}
}

func TestShort(t *testing.T) {
	r := message.Registers{Replicas: 3}
	for n := range message.NodeID(5) {
		r.Members = append(r.Members, message.Member{Node: n})
	}
	for _, row := range []struct {
		members []message.Member
		away    []message.NodeID
		few     bool
	}{
		{r.Members, nil, false},
		{r.Members, []message.NodeID{3}, false},
		{r.Members, []message.NodeID{3, 4}, true}, // some shard has both
		{r.Members[:3], []message.NodeID{2}, false},
		{r.Members[:2], []message.NodeID{1}, true},
		{r.Members[2:3], []message.NodeID{2}, true},
	} {
		r := r
		r.Members = row.members
		replicas, few := Short(r, func(m message.Member) bool { return !slices.Contains(row.away, m.Node) })
		if few != row.few || few == (len(replicas) == 0) {
			t.Errorf("of %v without %v: %v, %v", row.members, row.away, few, replicas)
		}
	}
}
