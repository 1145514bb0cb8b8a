package ring

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"dmalloc/message"
)

const (
	// DirectoryOwners is on how many nodes the directory lies: it survives the loss of two.
	DirectoryOwners = 5
	// RegisterReplicas is how many replicas a register has where nothing else is asked for.
	RegisterReplicas = 3
	// PieceSize is the least memory of the whole cluster that is worth a company of its own.
	PieceSize = 64 << 10
	// MaxCapacity is what fits in a window, whose first page is never allocated.
	MaxCapacity = message.WindowSize - message.PageSize
)

// Companies is how many companies share the heap of so many nodes that give so much memory each:
//
//	max(1, min(nodes, 64, nodes * memory / 64 KiB))
//
// One a node, because each active company costs a sync of its own log, and a node without one would idle.
func Companies(nodes int, memory uint64) int {
	if nodes < 1 {
		return 1
	}
	companies := min(nodes, message.MaxCompany)
	high, total := bits.Mul64(uint64(nodes), memory)
	if pieces := total / PieceSize; high == 0 && pieces < uint64(companies) {
		companies = int(pieces)
	}
	return max(companies, 1)
}

// Plan is the directory that a cluster begins with. hosts names the host of each node, by id; a missing
// one is empty. Settings out of range are brought into it: the launcher has refused them before.
func Plan(s message.Settings, hosts []string) *message.Directory {
	nodes := max(0, min(s.Nodes, message.MaxNodes))
	if s.Companies <= 0 {
		s.Companies = Companies(nodes, s.Memory)
	}
	s.Companies = min(s.Companies, message.MaxCompany)
	d := &message.Directory{Epoch: 1, Settings: s, Nodes: make([]message.Node, nodes)}
	for i := range d.Nodes {
		d.Nodes[i] = message.Node{ID: message.NodeID(i)}
		if i < len(hosts) {
			d.Nodes[i].Host = hosts[i]
		}
	}
	if s.RegisterReplicas <= 0 {
		s.RegisterReplicas = RegisterReplicas
	}
	d.Registers = message.Registers{Cluster: s.Cluster, Epoch: 1, Replicas: s.RegisterReplicas, Members: make([]message.Member, nodes)}
	for i := range d.Registers.Members {
		d.Registers.Members[i].Node = message.NodeID(i)
	}
	around := circle(d.Nodes)
	d.Companies = append(d.Companies, company(0, around[:min(DirectoryOwners, nodes)]))
	replicas := max(0, min(max(s.Replicas, 1), nodes))
	for k := range s.Companies {
		// Starts that are spread evenly make every arc of the circle, and so every node, meet as many
		// companies as any other, give or take one (G3).
		owners := make([]message.NodeID, replicas)
		for i := range owners {
			owners[i] = around[(k*nodes/s.Companies+i)%nodes]
		}
		d.Companies = append(d.Companies, company(message.CompanyID(k+1), owners))
	}
	for i := range d.Companies[1:] {
		c := &d.Companies[i+1]
		c.Base, c.Limit = c.ID.Base(), c.ID.Limit()
	}
	Share(d)
	return d
}

// Share works out the capacities of a directory's companies from who owns them now. A node with two replicas of a
// company, one of them lost, gives room to one.
func Share(d *message.Directory) {
	held := make([]uint64, len(d.Nodes)) // companies >= 1, by node
	for i := range d.Companies {
		if i > 0 {
			for n := range ownerNodes(&d.Companies[i]) {
				held[n]++
			}
		}
	}
	for i := range d.Companies {
		if i > 0 {
			d.Companies[i].Capacity = capacity(d, &d.Companies[i], held)
		}
	}
}

// ownerNodes are the nodes of a company's owners, those that join or leave too.
func ownerNodes(c *message.Company) map[message.NodeID]bool {
	nodes := make(map[message.NodeID]bool, len(c.Owners))
	for _, o := range c.Owners {
		nodes[o.Node] = true
	}
	return nodes
}

// company lists the owners with their first replica ids; the first owner is the one that should lead.
func company(id message.CompanyID, nodes []message.NodeID) message.Company {
	c := message.Company{ID: id, Owners: make([]message.Owner, len(nodes)), Next: uint64(len(nodes)) + 1}
	for i, n := range nodes {
		c.Owners[i] = message.Owner{Node: n, Replica: uint64(i) + 1}
	}
	return c
}

// capacity is the least share of an owner: what it gives, divided among the replicas that it holds, in
// whole pages (G4).
func capacity(d *message.Directory, c *message.Company, held []uint64) uint64 {
	if len(c.Owners) == 0 {
		return 0
	}
	least := uint64(math.MaxUint64)
	for _, o := range c.Owners {
		memory := d.Settings.Memory
		if n := d.Node(o.Node); n != nil && n.Memory > 0 {
			memory = n.Memory
		}
		least = min(least, memory/held[o.Node])
	}
	return min(least/message.PageSize*message.PageSize, MaxCapacity)
}

// circle puts the nodes in an order in which neighbours are on different hosts as far as possible: the
// nodes of each host stand at even distances, and all hosts' nodes are then merged.
func circle(nodes []message.Node) []message.NodeID {
	size := map[string]int{}
	for _, n := range nodes {
		size[n.Host]++
	}
	type place struct {
		node      message.NodeID
		at, parts int // stands at (2*at+1)/(2*parts) of the way round
	}
	seen := map[string]int{}
	places := make([]place, len(nodes))
	for i, n := range nodes {
		places[i] = place{n.ID, seen[n.Host], size[n.Host]}
		seen[n.Host]++
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare((2*a.at+1)*b.parts, (2*b.at+1)*a.parts), cmp.Compare(a.node, b.node))
	})
	around := make([]message.NodeID, len(places))
	for i, p := range places {
		around[i] = p.node
	}
	return around
}
