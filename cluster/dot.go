package cluster

import (
	"cmp"
	"os"
	"slices"
	"strconv"
	"time"

	"dmalloc/message"
)

// maxDot bounds a topology: a complete graph of 1024 nodes, written generously, is smaller.
const maxDot = 32 << 20

// ReadTopology reads the network of a cluster of n nodes from a file.
func ReadTopology(path string, n int) ([]message.Edge, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, message.Errorf(message.InvalidArgument, "the network cannot be read: %v", err)
	}
	if info.Size() > maxDot {
		return nil, message.Errorf(message.InvalidArgument, "%s has %d bytes, too many for a network; at most %d are read", path, info.Size(), maxDot)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, message.Errorf(message.InvalidArgument, "the network cannot be read: %v", err)
	}
	return ParseTopology(path, string(text), n)
}

// ParseTopology reads an undirected DOT graph whose nodes are 0 to n-1 and gives its edges, the smaller
// node of each first, in order. It takes of DOT:
//
//	graph      [strict] graph [ID] { statements }
//	statement  a node or a chain of edges, "1 -- 2 -- 3 [latency=20ms]"; NAME=VALUE; or node, edge, graph [...]
//	comments   //, /* */ and lines that begin with #
//
// latency is one way, in Go's notation of durations; "edge [latency=…]" is the default for the edges
// below it; other attributes are for drawing and pass unread. The graph must reach every node. name is
// for errors only.
func ParseTopology(name, text string, n int) ([]message.Edge, error) {
	if n < 1 || n > message.MaxNodes {
		return nil, message.Errorf(message.InvalidArgument, "a network of %d nodes cannot be read; there are 1 to %d", n, message.MaxNodes)
	}
	p := &dotParser{lexer: lexer{name: name, text: text, line: 1, column: 1}, nodes: n, edges: map[[2]message.NodeID]edgeAt{}}
	if err := p.graph(); err != nil {
		return nil, err
	}
	if err := p.connected(); err != nil {
		return nil, err
	}
	edges := make([]message.Edge, 0, len(p.edges))
	for ends, e := range p.edges {
		edges = append(edges, message.Edge{A: ends[0], B: ends[1], LatencyUS: e.latency.Microseconds()})
	}
	slices.SortFunc(edges, func(a, b message.Edge) int { return cmp.Or(cmp.Compare(a.A, b.A), cmp.Compare(a.B, b.B)) })
	return edges, nil
}

type dotParser struct {
	lexer
	nodes   int
	edges   map[[2]message.NodeID]edgeAt
	latency time.Duration // of edges without their own
	next    token
}

// edgeAt remembers where an edge stood first, for the error when it comes again with another latency.
type edgeAt struct {
	latency time.Duration
	line    int
}

func (p *dotParser) graph() error {
	if err := p.advance(); err != nil {
		return err
	}
	if p.next.keyword("strict") {
		if err := p.advance(); err != nil {
			return err
		}
	}
	if p.next.keyword("digraph") {
		return p.at(p.next, "a digraph has directed edges, and links go both ways: write graph and --")
	}
	if !p.next.keyword("graph") {
		return p.at(p.next, "%s where the graph should begin: write graph { 0 -- 1; }", p.next)
	}
	if err := p.advance(); err != nil {
		return err
	}
	if p.next.kind == word {
		if err := p.advance(); err != nil {
			return err
		}
	}
	if err := p.expect('{'); err != nil {
		return err
	}
	for p.next.kind != '}' {
		if err := p.statement(); err != nil {
			return err
		}
	}
	if err := p.advance(); err != nil {
		return err
	}
	if p.next.kind != end {
		return p.at(p.next, "%s after the end of the graph: one file holds one graph", p.next)
	}
	return nil
}

func (p *dotParser) statement() error {
	first := p.next
	switch {
	case first.kind == ';':
		return p.advance()
	case first.kind == end:
		return p.at(first, "the file ends within the graph: a } is missing")
	case first.kind == '{' || first.keyword("subgraph"):
		return p.at(first, "subgraphs are not read: write each edge on its own, as 0 -- 1")
	case first.kind != word:
		return p.at(first, "%s where a node should stand", first)
	}
	if err := p.advance(); err != nil {
		return err
	}
	if first.keyword("node") || first.keyword("edge") || first.keyword("graph") {
		latency, given, err := p.attributes()
		if given && first.keyword("edge") {
			p.latency = latency
		}
		return err
	}
	if p.next.kind == '=' {
		if err := p.advance(); err != nil {
			return err
		}
		return p.expect(word)
	}
	return p.chain(first)
}

// chain reads the rest of "a -- b -- c [attributes]".
func (p *dotParser) chain(first token) error {
	a, err := p.node(first)
	if err != nil {
		return err
	}
	ends := []message.NodeID{a}
	places := []token{first}
	for {
		if p.next.kind == arrow {
			return p.at(p.next, "-> is a directed edge, and links go both ways: write --")
		}
		if p.next.kind != line {
			break
		}
		if err := p.advance(); err != nil {
			return err
		}
		if p.next.kind == '{' || p.next.keyword("subgraph") {
			return p.at(p.next, "subgraphs are not read: write each edge on its own, as 0 -- 1")
		}
		place := p.next
		if err := p.expect(word); err != nil {
			return err
		}
		b, err := p.node(place)
		if err != nil {
			return err
		}
		ends, places = append(ends, b), append(places, place)
	}
	latency, given, err := p.attributes()
	if err != nil {
		return err
	}
	if !given {
		latency = p.latency
	}
	for i := range ends[1:] {
		if err := p.edge(places[i+1], ends[i], ends[i+1], latency); err != nil {
			return err
		}
	}
	return nil
}

// node reads the id of a node, and skips a port behind it, which is for drawing.
func (p *dotParser) node(t token) (message.NodeID, error) {
	n, err := strconv.ParseUint(t.text, 10, 32)
	if err != nil {
		return 0, p.at(t, "%s is not the number of a node: nodes are 0 to %d", t, p.nodes-1)
	}
	if n >= uint64(p.nodes) {
		return 0, p.at(t, "there is no node %d: with %d nodes they are 0 to %d; start more with -n", n, p.nodes, p.nodes-1)
	}
	for p.next.kind == ':' {
		if err := p.advance(); err != nil {
			return 0, err
		}
		if err := p.expect(word); err != nil {
			return 0, err
		}
	}
	return message.NodeID(n), nil
}

func (p *dotParser) edge(t token, a, b message.NodeID, latency time.Duration) error {
	if a == b {
		return p.at(t, "an edge from node %s to itself is no link", a)
	}
	ends := [2]message.NodeID{min(a, b), max(a, b)}
	have, ok := p.edges[ends]
	if ok && have.latency != latency {
		return p.at(t, "the edge %s -- %s has latency %s here and %s in line %d", ends[0], ends[1], latency, have.latency, have.line)
	}
	if !ok {
		p.edges[ends] = edgeAt{latency, t.line}
	}
	return nil
}

// attributes reads any number of attribute lists and gives the latency in them.
func (p *dotParser) attributes() (latency time.Duration, given bool, err error) {
	for p.next.kind == '[' {
		if err := p.advance(); err != nil {
			return 0, false, err
		}
		for p.next.kind != ']' {
			key := p.next
			if err := p.expect(word); err != nil {
				return 0, false, err
			}
			value := p.next
			if p.next.kind == '=' {
				if err := p.advance(); err != nil {
					return 0, false, err
				}
				value = p.next
				if err := p.expect(word); err != nil {
					return 0, false, err
				}
			}
			if key.text == "latency" {
				if latency, err = p.duration(value); err != nil {
					return 0, false, err
				}
				given = true
			}
			if p.next.kind == ',' || p.next.kind == ';' {
				if err := p.advance(); err != nil {
					return 0, false, err
				}
			}
		}
		if err := p.advance(); err != nil {
			return 0, false, err
		}
	}
	return latency, given, nil
}

// maxLatency is beyond what any link has and below what would look like a cut one to Raft for ever.
const maxLatency = time.Minute

func (p *dotParser) duration(t token) (time.Duration, error) {
	d, err := time.ParseDuration(t.text)
	if err != nil {
		return 0, p.at(t, "latency %s is not a duration such as 20ms", t)
	}
	if d < 0 || d > maxLatency {
		return 0, p.at(t, "latency %s is not between 0 and %s", d, maxLatency)
	}
	return d.Truncate(time.Microsecond), nil
}

// connected refuses a network in which some nodes could never speak with others.
func (p *dotParser) connected() error {
	near := make([][]message.NodeID, p.nodes)
	for ends := range p.edges {
		near[ends[0]] = append(near[ends[0]], ends[1])
		near[ends[1]] = append(near[ends[1]], ends[0])
	}
	reached := make([]bool, p.nodes)
	reached[0] = true
	for queue := []message.NodeID{0}; len(queue) > 0; queue = queue[1:] {
		for _, n := range near[queue[0]] {
			if !reached[n] {
				reached[n] = true
				queue = append(queue, n)
			}
		}
	}
	for n := range reached {
		if p.nodes > 1 && len(near[n]) == 0 {
			return message.Errorf(message.InvalidArgument, "%s: node %d has no edge, and every node from 0 to %d needs one; add one such as %d -- %d",
				p.name, n, p.nodes-1, n, (n+1)%p.nodes)
		}
	}
	for n, ok := range reached {
		if !ok {
			return message.Errorf(message.InvalidArgument, "%s: node %d cannot be reached from node 0; add an edge that joins the parts of the network", p.name, n)
		}
	}
	return nil
}
