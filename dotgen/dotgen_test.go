package dotgen

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"dmalloc/message"
)

var rewrite = flag.Bool("rewrite", false, "write the pictures into testdata")

const nasty = "a\"b\\c{d}|<e>\n\x1b[31m&lt;\\N\xff\u202e"

// pictures are the golden ones.
func pictures() map[string]string {
	one := message.Addr(message.HeapBase + 4096)
	two := message.CompanyID(2).Base() + 4096
	allocations := []message.Allocation{
		{Address: one, Size: 100, State: message.Allocated, Blocks: []message.Block{{Address: one, Size: 100, Company: 1, Nodes: []message.NodeID{2, 0, 1}}}},
		{Address: two, Size: 3 << 20, State: message.Allocated, Blocks: []message.Block{
			{Address: two, Size: 1 << 20, Company: 2, Behind: two, Nodes: []message.NodeID{1, 2, 3}},
			{Address: two + 1<<20, Size: 1 << 20, Company: 1, Behind: one + 4096, Nodes: []message.NodeID{0, 1, 2}},
			{Address: two + 2<<20, Size: 1 << 20, Company: 3, Behind: message.CompanyID(3).Base() + 4096, Nodes: []message.NodeID{2, 3, 4}}}},
		{Address: two + 4<<20, Size: 16, State: message.Freeing},
	}
	leader := message.NodeID(1)
	cluster := Cluster{
		Nodes: []Node{
			{ID: 0, State: "alive", Host: "localhost", Address: "127.0.0.1:7000"},
			{ID: 1, State: "alive", Host: nasty, Address: "127.0.0.1:7001", Leads: []message.CompanyID{1, 0}, Owns: []message.CompanyID{0, 1}},
			{ID: 2, State: "dead"}, {ID: 3, State: "paused"}, {ID: 4},
		},
		Companies: []Company{
			{ID: 0, Owners: []message.NodeID{0, 1, 2}, Leader: &leader, Term: 3},
			{ID: 1, Owners: []message.NodeID{2, 1, 7}, Leader: &leader, Term: 4, Used: 100, Capacity: 64 << 20},
			{ID: 2, Owners: []message.NodeID{2, 3, 4}, Term: 9, Capacity: 64 << 20},
		},
		Topology: []message.Edge{{A: 1, B: 0}, {A: 1, B: 2, LatencyUS: 20_000}, {A: 2, B: 3, LatencyUS: 1500}, {A: 3, B: 3}},
	}
	elections := []message.Tenure{
		{Company: 1, Term: 2, Leader: 0, FromMS: 1_700_000_000_150, ToMS: 1_700_000_004_000, GapMS: 150},
		{Company: 1, Term: 4, Leader: 2, FromMS: 1_700_000_004_250, ToMS: 1_700_000_009_000, GapMS: 250},
		{Company: 1, Term: 5, Leader: 1, FromMS: 1_700_000_009_000},
		{Company: 0, Term: 1, Leader: 3, FromMS: 1_700_000_000_020, ToMS: 1_700_000_005_000},
	}
	return map[string]string{
		"allocations":       DrawAllocations(Allocations{Allocations: allocations, Nodes: cluster.Nodes}),
		"allocations_cut":   DrawAllocations(Allocations{Allocations: allocations, Limit: 2}),
		"allocations_empty": DrawAllocations(Allocations{}),
		"cluster":           DrawCluster(cluster),
		"cluster_rumours":   DrawCluster(Cluster{Nodes: cluster.Nodes}),
		"cluster_empty":     DrawCluster(Cluster{}),
		"elections":         DrawElections(Elections{Tenures: elections}),
		"elections_cut":     DrawElections(Elections{Tenures: elections, Limit: 1}),
		"elections_empty":   DrawElections(Elections{}),
	}
}

func id[T ~uint32](t *rapid.T, most int) T { return T(rapid.IntRange(0, most).Draw(t, "id")) }

func ids[T ~uint32](t *rapid.T) []T {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) T { return id[T](t, 4) }), 0, 4).Draw(t, "ids")
}

func shuffled[T any](t *rapid.T, all []T) []T {
	if len(all) == 0 {
		return nil
	}
	return rapid.Permutation(all).Draw(t, "order")
}

func drawAllocation(t *rapid.T) message.Allocation {
	a := message.Allocation{Address: message.HeapBase + message.Addr(rapid.IntRange(0, 5).Draw(t, "address")), Size: uint64(rapid.IntRange(0, 2).Draw(t, "size")),
		State: message.State(rapid.IntRange(0, 6).Draw(t, "state"))}
	for i := range rapid.IntRange(0, 3).Draw(t, "blocks") {
		a.Blocks = append(a.Blocks, message.Block{Address: a.Address + message.Addr(i/2), Size: uint64(rapid.IntRange(0, 2).Draw(t, "size")),
			Company: id[message.CompanyID](t, 2), Behind: message.Addr(rapid.IntRange(0, 2).Draw(t, "behind")), Nodes: ids[message.NodeID](t)})
	}
	return a
}

// D1: the order of what is told changes no byte; nor does telling it twice.
func TestOrderDoesNotCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := Allocations{Allocations: rapid.SliceOfN(rapid.Custom(drawAllocation), 0, 6).Draw(t, "allocations"),
			Nodes: rapid.SliceOfN(rapid.Custom(drawNode), 0, 4).Draw(t, "nodes"), Limit: rapid.IntRange(0, 8).Draw(t, "limit")}
		other := Allocations{Allocations: shuffled(t, append(in.Allocations, in.Allocations...)), Nodes: shuffled(t, in.Nodes), Limit: in.Limit}
		for i := range other.Allocations {
			a := &other.Allocations[i]
			a.Blocks = shuffled(t, a.Blocks)
			for k := range a.Blocks {
				a.Blocks[k].Nodes = shuffled(t, a.Blocks[k].Nodes)
			}
		}
		equal(t, DrawAllocations(in), DrawAllocations(other))
	})
	rapid.Check(t, func(t *rapid.T) {
		in := Cluster{Nodes: rapid.SliceOfN(rapid.Custom(drawNode), 0, 6).Draw(t, "nodes"), Companies: rapid.SliceOfN(rapid.Custom(drawCompany), 0, 6).Draw(t, "companies"),
			Topology: rapid.SliceOfN(rapid.Custom(drawLink), 0, 6).Draw(t, "links")}
		other := Cluster{shuffled(t, append(in.Nodes, in.Nodes...)), shuffled(t, in.Companies), shuffled(t, append(in.Topology, in.Topology...))}
		for i := range other.Nodes {
			other.Nodes[i].Leads, other.Nodes[i].Owns = shuffled(t, other.Nodes[i].Leads), shuffled(t, other.Nodes[i].Owns)
		}
		for i := range other.Companies {
			other.Companies[i].Owners = shuffled(t, other.Companies[i].Owners)
		}
		for i, e := range other.Topology {
			if rapid.Bool().Draw(t, "turn") {
				other.Topology[i] = message.Edge{A: e.B, B: e.A, LatencyUS: e.LatencyUS}
			}
		}
		equal(t, DrawCluster(in), DrawCluster(other))
	})
	rapid.Check(t, func(t *rapid.T) {
		in := Elections{Tenures: rapid.SliceOfN(rapid.Custom(drawTenure), 0, 12).Draw(t, "tenures"), Limit: rapid.IntRange(0, 4).Draw(t, "limit")}
		equal(t, DrawElections(in), DrawElections(Elections{shuffled(t, append(in.Tenures, in.Tenures...)), in.Limit}))
	})
}

func drawNode(t *rapid.T) Node {
	return Node{ID: id[message.NodeID](t, 4), State: rapid.SampledFrom([]string{"", "alive", "dead", "paused", nasty}).Draw(t, "state"),
		Host: rapid.String().Draw(t, "host"), Leads: ids[message.CompanyID](t), Owns: ids[message.CompanyID](t)}
}

func drawCompany(t *rapid.T) Company {
	c := Company{ID: id[message.CompanyID](t, 3), Owners: ids[message.NodeID](t), Term: uint64(rapid.IntRange(0, 2).Draw(t, "term")), Capacity: uint64(rapid.IntRange(0, 1).Draw(t, "capacity"))}
	if rapid.Bool().Draw(t, "led") {
		leader := rapid.SampledFrom([]message.NodeID{0, 1, 6, message.NoNode}).Draw(t, "leader")
		c.Leader = &leader
	}
	return c
}

func drawLink(t *rapid.T) message.Edge {
	return message.Edge{A: id[message.NodeID](t, 5), B: id[message.NodeID](t, 5), LatencyUS: int64(rapid.IntRange(-1, 2).Draw(t, "latency"))}
}

func drawTenure(t *rapid.T) message.Tenure {
	return message.Tenure{Company: id[message.CompanyID](t, 2), Term: uint64(rapid.IntRange(0, 3).Draw(t, "term")), Leader: id[message.NodeID](t, 2),
		FromMS: rapid.OneOf(rapid.Int64Range(0, 2), rapid.Int64()).Draw(t, "from"), ToMS: int64(rapid.IntRange(0, 2).Draw(t, "to")), GapMS: int64(rapid.IntRange(0, 2).Draw(t, "gap"))}
}

func equal(t *rapid.T, a, b string) {
	t.Helper()
	valid(t, a)
	if a != b {
		t.Fatalf("one order gives\n%s\nanother one\n%s", a, b)
	}
}

// The callers' slices stay as they are.
func TestInputIsNotChanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := Cluster{Nodes: rapid.SliceOfN(rapid.Custom(drawNode), 0, 6).Draw(t, "nodes"), Companies: rapid.SliceOfN(rapid.Custom(drawCompany), 0, 6).Draw(t, "companies")}
		all := rapid.SliceOfN(rapid.Custom(drawAllocation), 0, 6).Draw(t, "allocations")
		before := fmt.Sprintf("%+v", in) + fmt.Sprintf("%+v", all)
		DrawCluster(in)
		DrawAllocations(Allocations{Allocations: all})
		if after := fmt.Sprintf("%+v", in) + fmt.Sprintf("%+v", all); after != before {
			t.Fatalf("was %s\nnow %s", before, after)
		}
	})
}

// D3: of many, so many are drawn, and it is said.
func TestLimits(t *testing.T) {
	var all []message.Allocation
	for i := range 2*DefaultBlocks + 1 {
		all = append(all, message.Allocation{Address: message.HeapBase + message.Addr(i)*16, Size: 16, State: message.Allocated})
	}
	text := DrawAllocations(Allocations{Allocations: all})
	if n := strings.Count(text, `shape=box`); n != DefaultBlocks || !strings.Contains(text, "only the first 2000 blocks") {
		t.Errorf("%d boxes", n)
	}
	var tenures []message.Tenure
	for i := range 256 {
		tenures = append(tenures, message.Tenure{Company: 1, Term: uint64(i + 1), FromMS: int64(i + 1)})
	}
	text = DrawElections(Elections{Tenures: tenures})
	if n := strings.Count(text, `shape=box`); n != DefaultTenures || !strings.Contains(text, "206 earlier not shown") {
		t.Errorf("%d boxes", n)
	}
}

func TestSeconds(t *testing.T) {
	for ms, want := range map[int64]string{0: "0.000 s", 7: "0.007 s", 1234: "1.234 s", -5: "-0.005 s", -1 << 63: "-9223372036854775.808 s"} {
		if got := seconds(ms); got != want {
			t.Errorf("seconds(%d) = %s; want %s", ms, got, want)
		}
	}
}

func TestQuote(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{nasty, `"a\"b\\c{d}|<e>\\n\\x1b[31m&amp;lt;\\N\\xff\\u202e"`},
		{"", `""`}, {"Grüße 日本", `"Grüße 日本"`}, {"\x00\t\u00a0\u2028", `"\\x00\\t\\u00a0\\u2028"`}, {`\`, `"\\"`}, {`\"`, `"\\\""`}, {"\ufffd", "\"\ufffd\""},
		{strings.Repeat("x", 300), `"` + strings.Repeat("x", 200) + `…"`},
	} {
		if got := string(quote(c.in)); got != c.want {
			t.Errorf("quote(%q) = %s; want %s", c.in, got, c.want)
		}
	}
	if got := quote("a", "", "b"); got != `"a\n\nb"` {
		t.Errorf("lines: %s", got)
	}
}

// D2: a label says what it was given, and is one word of DOT.
func FuzzQuote(f *testing.F) {
	f.Add(nasty)
	f.Add(`\`)
	f.Add(`\n"];n1->n2;`)
	f.Fuzz(func(t *testing.T, s string) {
		q := string(quote(s))
		if token.FindString(q) != q {
			t.Fatalf("quote(%q) = %s, which is not one word", s, q)
		}
		// Undo what graphviz undoes: \" in the quoted string, then \\ and &amp; in the label.
		shown := strings.NewReplacer(`\"`, `"`, `\\`, `\`, "&amp;", "&").Replace(q[1 : len(q)-1])
		if plain := !slices.ContainsFunc([]rune(s), func(r rune) bool { return r < ' ' || r > '~' }); plain && len(s) <= maxLine && shown != s {
			t.Errorf("quote(%q) shows %q", s, shown)
		}
		for _, r := range shown {
			if r < ' ' {
				t.Errorf("quote(%q) has the control character %q", s, r)
			}
		}
	})
}
