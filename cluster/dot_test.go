package cluster

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"dmalloc/message"
)

func edges(pairs ...int) []message.Edge {
	out := []message.Edge{}
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, message.Edge{A: message.NodeID(pairs[i]), B: message.NodeID(pairs[i+1])})
	}
	return out
}

func TestParseTopology(t *testing.T) {
	for _, c := range []struct {
		n    int
		text string
		want []message.Edge
	}{
		{2, "graph { 0 -- 1 }", edges(0, 1)},
		{4, "graph net { 0 -- 1; 1 -- 2 -- 3; }", edges(0, 1, 1, 2, 2, 3)},
		{3, "GRAPH \"my net\"{2--1;1--0}", edges(0, 1, 1, 2)},
		{3, "strict graph X{\n    1 -- 2;\n    0 -- 1;\n}\n", edges(0, 1, 1, 2)},
		{2, `graph { "0" -- "1"; }`, edges(0, 1)},
		{1, "graph {}", edges()},
		{1, "graph { 0 }", edges()},
		{2, "graph { 0--1 1--0 0--1 }", edges(0, 1)},
		{2, "# by hand\n// so\n/* and\nso */ graph { 0 /* a */ -- 1 // b\n}", edges(0, 1)},
		{2, "\ufeffgraph { 0 -- 1 }", edges(0, 1)},
		{3, "graph { rankdir=LR; node [shape=circle, color=\"red\"; style=filled]; graph [a=b]; 0 [label=\"a \\\" b\"]; 0:n -- 1:s:w -- 2 [color=red] }", edges(0, 1, 1, 2)},
		{2, "graph { edge [color=red]; 0 -- 1 [x][y=z] }", edges(0, 1)},
		{3, "graph { edge [latency=5ms]; 0 -- 1; 1 -- 2 [latency=20ms] }", []message.Edge{{A: 0, B: 1, LatencyUS: 5000}, {A: 1, B: 2, LatencyUS: 20000}}},
		{3, "graph { 0 -- 1 -- 2 [latency=\"1.5ms\"]; 2 -- 1 [latency=1500us] }", []message.Edge{{A: 0, B: 1, LatencyUS: 1500}, {A: 1, B: 2, LatencyUS: 1500}}},
		{2, "graph { 0 -- 1 [latency=0s] }", edges(0, 1)},
		{2, "graph { 0 -- 1;; }\n", edges(0, 1)},
	} {
		got, err := ParseTopology("net.dot", c.text, c.n)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.text, got, err, c.want)
		}
	}
}

func TestParseTopologyRefuses(t *testing.T) {
	original := "graph X{\n    1 -- 2;\n    2 -- 3;\n    3 -- 4;\n    4 -- 5;\n    5 -- 6;\n    1 -- 4;\n    2 -- 4;\n    3 -- 6;\n}\n"
	for _, c := range []struct {
		n     int
		text  string
		words []string
	}{
		{7, original, []string{"node 0 has no edge", "0 -- 1"}},
		{2, "", []string{"net.dot:1:1:", "end of the file", "graph {"}},
		{2, "digraph { 0 -> 1 }", []string{"net.dot:1:1:", "digraph", "--"}},
		{2, "graph { 0 -> 1 }", []string{"net.dot:1:11:", "->", "write --"}},
		{2, "graph {\n  0 -- 1;\n  1 -- 0 [latency=2ms];\n}", []string{"net.dot:3:8:", "0 -- 1", "0s", "2ms", "line 2"}},
		{2, "graph { 0 -- 0 }", []string{"1:14:", "node 0 to itself"}},
		{2, "graph { 0 -- 2 }", []string{"1:14:", "no node 2", "0 to 1"}},
		{2, "graph { a -- 1 }", []string{"1:9:", `"a"`, "0 to 1"}},
		{2, "graph { 0 -- -1 }", []string{"1:14:", `"-1"`}},
		{2, "graph { 0 -- 1.0 }", []string{`"1.0"`}},
		{2, "graph { 0 -- 99999999999999999999 }", []string{"99999999999999999999"}},
		{2, "graph { subgraph s { 0 -- 1 } }", []string{"1:9:", "subgraph"}},
		{2, "graph { 0 -- { 1 } }", []string{"1:14:", "subgraph"}},
		{2, "graph { { 0 -- 1 } }", []string{"subgraph"}},
		{2, "graph { 0 -- 1", []string{"1:15:", "}"}},
		{2, "graph 0 -- 1", []string{"1:9:", "{"}},
		{2, "graph { 0 -- ; 1 }", []string{"1:14:", "name or number"}},
		{2, "graph { 0 -- 1 } graph { }", []string{"1:18:", "one graph"}},
		{2, "graph { 0 -- 1 [latency=20] }", []string{`"20"`, "20ms"}},
		{2, "graph { 0 -- 1 [latency=-20ms] }", []string{"between 0 and"}},
		{2, "graph { 0 -- 1 [latency=2h] }", []string{"between 0 and"}},
		{2, "graph { 0 -- 1 [latency=20ms }", []string{"1:30:", "name or number"}},
		{2, "graph { 0 -- 1 /* so", []string{"1:16:", "/*"}},
		{2, "graph { \"0 -- 1 }", []string{"1:9:", "quoted string"}},
		{2, "graph { <b>0</b> -- 1 }", []string{"HTML"}},
		{2, "graph { 0 -- 1 & }", []string{"1:16:", "'&'"}},
		{4, "graph { 0 -- 1; 2 -- 3 }", []string{"node 2", "cannot be reached"}},
		{3, "graph { 0 -- 1 }", []string{"node 2 has no edge"}},
		{0, "graph { }", []string{"1 to 1024"}},
	} {
		got, err := ParseTopology("net.dot", c.text, c.n)
		if err == nil {
			t.Errorf("%s was taken as %v", c.text, got)
			continue
		}
		refused(t, err, message.InvalidArgument, c.words...)
	}
	_, err := ReadTopology("/nonexistent/net.dot", 2)
	refused(t, err, message.InvalidArgument, "/nonexistent/net.dot")
}

func FuzzParseTopology(f *testing.F) {
	for _, s := range []string{"graph { 0 -- 1 -- 2 [latency=20ms]; }", "strict graph \"x\" {0--1;1--2}", "graph { /* */ \"0\" -- 1 // x\n 2 -- 1 }", "digraph {", "graph { edge [latency=1s] 0 -- 1:n 1--2 }"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		const n = 3
		got, err := ParseTopology("x", s, n)
		if err != nil {
			refused(t, err, message.InvalidArgument)
			return
		}
		var b strings.Builder
		b.WriteString("graph {\n")
		for _, e := range got {
			if e.A >= e.B || e.B >= n || e.LatencyUS < 0 {
				t.Fatalf("%q gave %v", s, got)
			}
			fmt.Fprintf(&b, "%d -- %d [latency=%dus];\n", e.A, e.B, e.LatencyUS)
		}
		if again, err := ParseTopology("x", b.String()+"}", n); err != nil || !slices.Equal(again, got) {
			t.Fatalf("%q gave %v, and written down %v (%v)", s, got, again, err)
		}
	})
}
