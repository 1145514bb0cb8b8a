package fault

import (
	"cmp"
	"slices"
	"time"

	"dmalloc/message"
)

// Link is what a node does to the frames that it sends to another. The zero value is a healthy link.
type Link struct {
	Cut   bool          `json:"cut,omitempty"`
	Delay time.Duration `json:"delay,omitempty"`
	Drop  float64       `json:"drop,omitempty"` // share lost, 0 to 1
}

// View is what the faults are to one node. The launcher sends it to the node as JSON.
type View struct {
	Links    map[message.NodeID]Link `json:"links,omitempty"` // by the node at the other end; a healthy link is not there
	DiskFull bool                    `json:"disk_full,omitempty"`
	DiskSlow time.Duration           `json:"disk_slow,omitempty"` // added to each sync
	Clock    time.Duration           `json:"clock,omitempty"`     // added to what the clock says
}

// Healthy says that nothing is wrong.
func (v View) Healthy() bool {
	return len(v.Links) == 0 && !v.DiskFull && v.DiskSlow == 0 && v.Clock == 0
}

// For adds up the faults for a node in a cluster with that many nodes (F2, F3).
func (s Set) For(node message.NodeID, nodes int) View {
	v := View{Links: map[message.NodeID]Link{}}
	// Products of fractions depend on their order in the last bit, hence the fixed one.
	faults := slices.Clone(s.faults)
	slices.SortFunc(faults, func(a, b Fault) int { return cmp.Compare(a.Loss, b.Loss) })
	for _, f := range faults {
		switch f.Kind {
		case Partition, OneWay:
			v.part(f, node, nodes)
		case Slow, Drop:
			v.trouble(f, node, nodes)
		case DiskFull:
			v.DiskFull = v.DiskFull || f.Node == node
		case DiskSlow:
			if f.Node == node {
				v.DiskSlow += f.By
			}
		case Clock:
			if f.Node == node {
				v.Clock += f.By
			}
		}
	}
	// Limits come last, so that the order of faults does not matter. MaxFaults of the largest do not overflow.
	v.DiskSlow = min(v.DiskSlow, MaxDelay)
	v.Clock = max(-MaxClock, min(v.Clock, MaxClock))
	for n, l := range v.Links {
		l.Delay = min(l.Delay, MaxDelay)
		v.Links[n] = l
	}
	return v
}

// part cuts the links over which the node may not send.
func (v *View) part(f Fault, node message.NodeID, nodes int) {
	own := slices.IndexFunc(f.Groups, func(g []message.NodeID) bool { return slices.Contains(g, node) })
	if own < 0 || f.Kind == OneWay && own > 0 {
		return
	}
	for i, g := range f.Groups {
		for _, n := range g {
			if i != own && int(n) < nodes {
				l := v.Links[n]
				l.Cut = true
				v.Links[n] = l
			}
		}
	}
}

// trouble delays or loses what goes to the other end, if the node is an end.
func (v *View) trouble(f Fault, node message.NodeID, nodes int) {
	other := f.Other
	if other == node {
		other = f.Node
	} else if f.Node != node {
		return
	}
	if int(other) >= nodes {
		return
	}
	l := v.Links[other]
	if f.Kind == Slow {
		l.Delay += f.By
	} else {
		l.Drop = 1 - (1-l.Drop)*(1-f.Loss/100)
	}
	v.Links[other] = l
}
