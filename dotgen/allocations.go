package dotgen

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/emicklei/dot"

	"dmalloc/message"
)

// DefaultBlocks is how many blocks a picture shows at most, unless it is told otherwise. Graphviz takes
// minutes for much more.
const DefaultBlocks = 2000

// Allocations is what DrawAllocations draws.
type Allocations struct {
	Allocations []message.Allocation
	Nodes       []Node // optional: their states are written beside their numbers
	Limit       int    // of blocks; 0 means DefaultBlocks
}

// piece is a block with the allocation that it is part of.
type piece struct {
	message.Block
	n     int // how-manieth block of its allocation
	whole *message.Allocation
}

// DrawAllocations draws each company as a cluster, each block as a box, and each block list as arrows.
func DrawAllocations(in Allocations) string {
	limit := in.Limit
	if limit <= 0 {
		limit = DefaultBlocks
	}
	pieces, cut := cutPieces(in.Allocations, limit)
	g := newGraph("allocations")
	states := statesOf(in.Nodes)
	companies := map[message.CompanyID]*dot.Graph{}
	for _, p := range pieces {
		companies[p.Company] = nil
	}
	for _, id := range slices.Sorted(maps.Keys(companies)) {
		companies[id] = frame(g, "company_"+id.String(), "company "+id.String())
	}
	ids := once{}
	var before dot.Node
	for i, p := range pieces {
		n := box(companies[p.Company], ids.id("block_"+p.Address.String()), colourOf(p.whole.State), describe(p, states)...)
		if p.n > 0 && i > 0 {
			g.Edge(before, n)
		}
		before = n
	}
	if len(pieces) == 0 {
		note(g, "note", "nothing is allocated")
	} else if cut {
		note(g, "note", fmt.Sprintf("only the first %d blocks are shown, by address", len(pieces)))
	}
	return write(g, "allocations")
}

// cutPieces lists the first blocks in a total order, and says whether there are more.
func cutPieces(all []message.Allocation, limit int) (out []piece, cut bool) {
	all = slices.Clone(all)
	for i := range all {
		all[i].Blocks = tidy(&all[i])
	}
	all = uniqueFunc(all, compareAllocations)
	for i := range all {
		a := &all[i]
		for n, b := range a.Blocks {
			if len(out) == limit {
				return out, true
			}
			out = append(out, piece{b, n, a})
		}
	}
	return out, false
}

// tidy sorts an allocation's blocks and their nodes. Without blocks it is its own one.
func tidy(a *message.Allocation) []message.Block {
	if len(a.Blocks) == 0 {
		company, _ := a.Address.Company()
		return []message.Block{{Address: a.Address, Size: a.Size, Company: company}}
	}
	blocks := slices.Clone(a.Blocks)
	for i := range blocks {
		blocks[i].Nodes = unique(blocks[i].Nodes)
	}
	slices.SortFunc(blocks, compareBlocks)
	return blocks
}

func compareBlocks(a, b message.Block) int {
	return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Size, b.Size), cmp.Compare(a.Company, b.Company),
		cmp.Compare(a.Behind, b.Behind), slices.Compare(a.Nodes, b.Nodes))
}

func compareAllocations(a, b message.Allocation) int {
	return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Size, b.Size), cmp.Compare(a.State, b.State),
		slices.CompareFunc(a.Blocks, b.Blocks, compareBlocks))
}

// describe is the text of a block's box.
func describe(p piece, states map[message.NodeID]string) []string {
	size := fmt.Sprintf("%d bytes", p.Size)
	if short := message.FormatSize(p.Size); short != fmt.Sprint(p.Size) {
		size = short
	}
	lines := []string{p.Address.String(), size}
	if total := len(p.whole.Blocks); total > 1 {
		lines[1] += fmt.Sprintf(", block %d of %d", p.n+1, total)
		if p.n == 0 {
			lines = append(lines, fmt.Sprintf("of %d bytes", p.whole.Size))
		}
	}
	if p.Behind != 0 && p.Behind != p.Address {
		lines = append(lines, "lies at "+p.Behind.String())
	}
	if p.whole.State != message.Allocated {
		lines = append(lines, p.whole.State.String())
	}
	if len(p.Nodes) > 0 {
		lines = append(lines, nodesWithStates(p.Nodes, states))
	}
	return lines
}

// nodesWithStates names nodes, and says of those that are not alive what they are.
func nodesWithStates(nodes []message.NodeID, states map[message.NodeID]string) string {
	s := "nodes"
	if len(nodes) == 1 {
		s = "node"
	}
	for i, n := range nodes {
		if i > 0 {
			s += ","
		}
		s += " " + n.String()
		if state := states[n]; state != "" && state != alive {
			s += " (" + state + ")"
		}
	}
	return s
}

func colourOf(s message.State) string {
	switch s {
	case message.Allocated:
		return green
	case message.Reserved, message.Part:
		return yellow
	}
	return grey
}
