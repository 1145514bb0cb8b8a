package job

import (
	"cmp"
	"slices"

	"dmalloc/message"
)

// Place orders the nodes that may run a job: those that hold the most of its addresses first, then the
// least loaded, then the lowest id. Holders has, for each address, the nodes that hold it; nodes lists
// everybody, so that a job without addresses, or one whose holders are all dead, still has somewhere to
// run. A node that usable refuses is left out; the answer is empty if it refuses all.
func Place(holders [][]message.NodeID, nodes []message.NodeID, load func(message.NodeID) int, usable func(message.NodeID) bool) []message.NodeID {
	type candidate struct {
		id         message.NodeID
		held, load int
	}
	held := Holds(holders)
	var all []candidate
	seen := make(map[message.NodeID]bool)
	add := func(id message.NodeID) {
		if !seen[id] && usable(id) {
			all = append(all, candidate{id, held[id], load(id)})
		}
		seen[id] = true
	}
	for _, h := range holders {
		for _, id := range h {
			add(id)
		}
	}
	for _, id := range nodes {
		add(id)
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.held, a.held), cmp.Compare(a.load, b.load), cmp.Compare(a.id, b.id))
	})
	order := make([]message.NodeID, len(all))
	for i, c := range all {
		order[i] = c.id
	}
	return order
}

// Holds counts for each node how many of the addresses it holds. A node that is listed twice for one
// address holds it once.
func Holds(holders [][]message.NodeID) map[message.NodeID]int {
	held := make(map[message.NodeID]int)
	for _, h := range holders {
		for i, id := range h {
			if !slices.Contains(h[:i], id) {
				held[id]++
			}
		}
	}
	return held
}
