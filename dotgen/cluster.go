package dotgen

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/emicklei/dot"

	"dmalloc/message"
)

// Node is a node as a picture shows it.
type Node struct {
	ID      message.NodeID
	State   string // alive, paused, dead, unknown, starting
	Host    string
	Address string
	Leads   []message.CompanyID
	Owns    []message.CompanyID
}

// Company is a company as a picture shows it.
type Company struct {
	ID             message.CompanyID
	Owners         []message.NodeID
	Leader         *message.NodeID // nil while nobody leads
	Term           uint64
	Used, Capacity uint64 // bytes
}

// Cluster is what DrawCluster draws. There are at most MaxNodes nodes and MaxCompany companies of a
// cluster, which bounds it.
type Cluster struct {
	Nodes     []Node
	Companies []Company
	Topology  []message.Edge // direct links; none means that everybody reaches everybody, and is not drawn
}

const (
	alive   = "alive"
	unknown = "unknown"
)

// DrawCluster draws nodes, companies, who owns and leads what, and the links.
func DrawCluster(in Cluster) string {
	g := newGraph("cluster")
	companies := tidyCompanies(in)
	nodes := drawNodes(g, in, companies)
	drawCompanies(g, companies, nodes)
	for _, e := range tidyLinks(in.Topology) {
		link := g.Edge(nodes[e.A], nodes[e.B])
		link.Attr("dir", dot.Literal("none"))
		link.Attr("style", dot.Literal("dashed"))
		link.Attr("constraint", dot.Literal("false"))
		if e.LatencyUS != 0 {
			link.Attr("label", quote(strconv.FormatFloat(float64(e.LatencyUS)/1000, 'f', -1, 64)+" ms"))
		}
	}
	if len(nodes) == 0 && len(companies) == 0 {
		note(g, "note", "nothing is known of the cluster")
	}
	return write(g, "nodes, companies and links")
}

// drawNodes draws the nodes that are described, and as unknown those that others name.
func drawNodes(g *dot.Graph, in Cluster, companies []Company) map[message.NodeID]dot.Node {
	all := tidyNodes(in.Nodes)
	described := map[message.NodeID]bool{}
	for _, n := range all {
		described[n.ID] = true
	}
	named := map[message.NodeID]bool{}
	for _, c := range companies {
		for _, o := range c.Owners {
			named[o] = true
		}
		if c.Leader != nil {
			named[*c.Leader] = true
		}
	}
	for _, e := range in.Topology {
		named[e.A], named[e.B] = true, true
	}
	for _, id := range slices.Sorted(maps.Keys(named)) {
		if !described[id] {
			all = append(all, Node{ID: id, State: unknown})
		}
	}
	slices.SortStableFunc(all, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	drawn := map[message.NodeID]dot.Node{}
	ids := once{}
	for _, n := range all {
		b := box(g, ids.id("node_"+n.ID.String()), colourOfNode(n.State), describeNode(n)...)
		if _, twice := drawn[n.ID]; !twice {
			drawn[n.ID] = b
		}
	}
	return drawn
}

func describeNode(n Node) []string {
	state := n.State
	if state == "" {
		state = unknown
	}
	lines := []string{nodeName(n.ID) + " " + state}
	if n.Host != "" {
		lines = append(lines, n.Host)
	}
	if n.Address != "" {
		lines = append(lines, n.Address)
	}
	if len(n.Leads) > 0 {
		lines = append(lines, "leads "+list(n.Leads))
	}
	return lines
}

func drawCompanies(g *dot.Graph, companies []Company, nodes map[message.NodeID]dot.Node) {
	ids := once{}
	for _, c := range companies {
		lines := []string{"company " + c.ID.String()}
		if c.ID == 0 {
			lines[0] = "directory"
		}
		colour := white
		if c.Leader == nil {
			colour = red
			lines = append(lines, "no leader")
		} else {
			lines = append(lines, "led by "+nodeName(*c.Leader))
		}
		lines[1] += ", term " + strconv.FormatUint(c.Term, 10)
		if c.Capacity != 0 || c.Used != 0 {
			lines = append(lines, fmt.Sprintf("%d of %s used", c.Used, message.FormatSize(c.Capacity)))
		}
		e := box(g, ids.id("company_"+c.ID.String()), colour, lines...)
		e.Attr("shape", dot.Literal("ellipse"))
		for _, o := range c.Owners {
			edge := g.Edge(nodes[o], e)
			if c.Leader != nil && *c.Leader == o {
				edge.Attr("style", dot.Literal("bold"))
				edge.Attr("label", quote("leads"))
			}
		}
	}
}

// tidyNodes puts nodes in a total order of all that is drawn.
func tidyNodes(all []Node) []Node {
	all = slices.Clone(all)
	for i := range all {
		all[i].Leads, all[i].Owns = unique(all[i].Leads), nil // owners are drawn from the companies' side
	}
	return uniqueFunc(all, func(a, b Node) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), strings.Compare(a.State, b.State), strings.Compare(a.Host, b.Host),
			strings.Compare(a.Address, b.Address), slices.Compare(a.Leads, b.Leads))
	})
}

// tidyCompanies does the same for companies. A leader is an owner, and a company that only nodes speak of
// is one without a leader, unless a node says that it leads.
func tidyCompanies(in Cluster) []Company {
	all := slices.Clone(in.Companies)
	told := map[message.CompanyID]bool{}
	for _, c := range all {
		told[c.ID] = true
	}
	all = append(all, rumours(in.Nodes, told)...)
	for i := range all {
		owners := slices.Clone(all[i].Owners)
		if l := all[i].Leader; l != nil && *l != message.NoNode {
			owners = append(owners, *l)
		} else {
			all[i].Leader = nil
		}
		all[i].Owners = unique(owners)
	}
	leader := func(c Company) int64 {
		if c.Leader == nil {
			return -1
		}
		return int64(*c.Leader)
	}
	return uniqueFunc(all, func(a, b Company) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Term, b.Term), cmp.Compare(leader(a), leader(b)), cmp.Compare(a.Used, b.Used),
			cmp.Compare(a.Capacity, b.Capacity), slices.Compare(a.Owners, b.Owners))
	})
}

// rumours makes companies of what nodes say they own and lead.
func rumours(nodes []Node, told map[message.CompanyID]bool) []Company {
	found := map[message.CompanyID]*Company{}
	of := func(id message.CompanyID) *Company {
		if found[id] == nil {
			found[id] = &Company{ID: id}
		}
		return found[id]
	}
	for _, n := range nodes {
		for _, id := range n.Owns {
			if !told[id] {
				of(id).Owners = append(of(id).Owners, n.ID)
			}
		}
		for _, id := range n.Leads {
			if told[id] {
				continue
			}
			c := of(id)
			c.Owners = append(c.Owners, n.ID)
			if leader := n.ID; c.Leader == nil || leader < *c.Leader {
				c.Leader = &leader
			}
		}
	}
	var out []Company
	for _, id := range slices.Sorted(maps.Keys(found)) {
		out = append(out, *found[id])
	}
	return out
}

// tidyLinks turns each link the same way round. A node needs none to itself.
func tidyLinks(all []message.Edge) []message.Edge {
	var out []message.Edge
	for _, e := range all {
		if e.A > e.B {
			e.A, e.B = e.B, e.A
		}
		if e.A != e.B {
			out = append(out, e)
		}
	}
	return uniqueFunc(out, func(a, b message.Edge) int {
		return cmp.Or(cmp.Compare(a.A, b.A), cmp.Compare(a.B, b.B), cmp.Compare(a.LatencyUS, b.LatencyUS))
	})
}

// statesOf is each node's state; of one that has two, the first in order.
func statesOf(nodes []Node) map[message.NodeID]string {
	states := map[message.NodeID]string{}
	for _, n := range tidyNodes(nodes) {
		if _, twice := states[n.ID]; !twice {
			states[n.ID] = n.State
		}
	}
	return states
}

func colourOfNode(state string) string {
	switch state {
	case alive:
		return green
	case "paused", "starting":
		return yellow
	case "dead":
		return red
	}
	return grey
}
