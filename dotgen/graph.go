package dotgen

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/emicklei/dot"

	"dmalloc/message"
)

const (
	white  = "white"
	green  = "palegreen"
	yellow = "lightgoldenrod1"
	red    = "lightpink"
	grey   = "grey85"
)

// newGraph begins a picture. Its boxes are plain ones, whose labels mean nothing to graphviz (D2).
func newGraph(name string, options ...string) *dot.Graph {
	g := dot.NewGraph(dot.Directed)
	g.ID(name)
	g.Attr("fontname", dot.Literal("monospace"))
	g.Attr("rankdir", dot.Literal("LR"))
	for i := 0; i+1 < len(options); i += 2 {
		g.Attr(options[i], quote(options[i+1]))
	}
	g.NodeInitializer(func(n dot.Node) {
		n.Attr("shape", dot.Literal("box"))
		n.Attr("style", dot.Literal("filled"))
		n.Attr("fontname", dot.Literal("monospace"))
	})
	g.EdgeInitializer(func(e dot.Edge) { e.Attr("fontname", dot.Literal("monospace")) })
	return g
}

// write finishes a picture with a header that says what it is, and nothing that changes by itself.
func write(g *dot.Graph, what string) string {
	return "// dmalloc: " + what + ". Look at it with xdot, or dot -Tsvg.\n" + g.String()
}

// box adds a node of a picture: id is unique in it, and comes out as an attribute.
func box(g *dot.Graph, id, colour string, lines ...string) dot.Node {
	n := g.Node(id)
	n.Attr("id", quote(id))
	n.Attr("label", quote(lines...))
	n.Attr("fillcolor", dot.Literal(colour))
	return n
}

// frame adds a cluster of a picture.
func frame(g *dot.Graph, id, label string) *dot.Graph {
	f := g.Subgraph(id, dot.ClusterOption{})
	f.Attr("id", quote(id))
	f.Attr("label", quote(label))
	return f
}

// note adds a remark about what is not drawn (D3).
func note(g *dot.Graph, id, text string) dot.Node {
	n := box(g, id, white, text)
	n.Attr("shape", dot.Literal("note"))
	return n
}

// list writes numbers, sorted and once each; "none" for none of them.
func list[T ~uint32](ids []T) string {
	if len(ids) == 0 {
		return "none"
	}
	words := []string{}
	for _, id := range unique(ids) {
		words = append(words, strconv.FormatUint(uint64(id), 10))
	}
	return strings.Join(words, ", ")
}

// unique sorts a copy and drops what is there twice.
func unique[T cmp.Ordered](all []T) []T {
	all = slices.Clone(all)
	slices.Sort(all)
	return slices.Compact(all)
}

// uniqueFunc is unique by an order that compares all that is drawn.
func uniqueFunc[T any](all []T, order func(a, b T) int) []T {
	all = slices.Clone(all)
	slices.SortFunc(all, order)
	return slices.CompactFunc(all, func(a, b T) bool { return order(a, b) == 0 })
}

// once makes ids unique that would be the same: a state that names one thing twice is drawn as it is told.
type once map[string]int

func (o once) id(id string) string {
	o[id]++
	if n := o[id]; n > 1 {
		return id + "_" + strconv.Itoa(n)
	}
	return id
}

// seconds writes milliseconds as seconds.
func seconds(ms int64) string {
	sign := ""
	if ms < 0 {
		sign = "-"
	}
	n := max(ms, -ms) // also right for the least, read as unsigned
	rest := strconv.FormatUint(uint64(n)%1000, 10)
	return sign + strconv.FormatUint(uint64(n)/1000, 10) + "." + strings.Repeat("0", 3-len(rest)) + rest + " s"
}

func nodeName(n message.NodeID) string {
	if n == message.NoNode {
		return "nobody"
	}
	return "node " + n.String()
}
