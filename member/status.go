package member

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"dmalloc/message"
)

// State is what this node believes of another.
type State uint8

const (
	Unknown State = iota // not in the directory, or never heard of
	Alive
	Suspect // does not answer, and may yet refute
	Dead
)

var stateNames = [...]string{Unknown: "unknown", Alive: "alive", Suspect: "suspect", Dead: "dead"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state_%d", uint8(s))
}

// Status is what this node believes of another, and since when.
type Status struct {
	Node        message.NodeID
	State       State
	Since       time.Time // when this node saw the state begin
	Load        uint16    // jobs running there, as it last said; up to some seconds old
	Incarnation uint32    // how often it started or refuted, as far as this node heard
}

// table is a copy of all beliefs, never changed once it is published.
type table struct {
	byNode map[message.NodeID]Status
	sorted []Status // by node
}

func newTable(byNode map[message.NodeID]Status) *table {
	t := &table{byNode: byNode, sorted: make([]Status, 0, len(byNode))}
	for _, s := range byNode {
		t.sorted = append(t.sorted, s)
	}
	slices.SortFunc(t.sorted, func(a, b Status) int { return cmp.Compare(a.Node, b.Node) })
	return t
}

// next is the table after a look: what memberlist's table says of each known node. It returns those whose state
// changed. An entry that memberlist has dropped is one that was dead for long.
func (t *table) next(known []message.NodeID, self message.NodeID, seen map[message.NodeID]entry, now time.Time) (*table, []Status) {
	byNode := make(map[message.NodeID]Status, len(known))
	var changed []Status
	for _, id := range known {
		old, had := t.byNode[id]
		s := old
		s.Node = id
		e, is := seen[id]
		switch {
		case is:
			s.State, s.Load, s.Incarnation = e.state, e.load, e.incarnation
		case old.State == Alive || old.State == Suspect:
			s.State = Dead
		}
		if id == self {
			s.State = Alive
		}
		if !had || s.State != old.State {
			s.Since = now
		}
		if s.State != old.State {
			changed = append(changed, s)
		}
		byNode[id] = s
	}
	return newTable(byNode), changed
}
