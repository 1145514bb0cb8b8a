package client

import (
	"slices"
	"time"

	"dmalloc/message"
	"dmalloc/register"
)

// ranking is in which order the replicas of a register are asked, and how long they take. Who comes first is a
// matter of time only, never of what a quorum is.
type ranking struct {
	groups [][]message.Member // each in the order of asking
	ranks  []rank             // of the group that is being sorted
	trips  []time.Duration
	usual  time.Duration // no quorum is faster as a rule than the last of its fastest replicas
}

type rank uint8

const (
	rankHome rank = iota
	rankWell
	rankFar
	rankDoubted
	rankEnd
)

// farLeast is how much later a replica answers at least that is asked behind nearer ones: for less, sharing the work
// is worth more.
const farLeast = 5 * time.Millisecond

// rank sorts the replicas by how soon they are believed to answer: the home node, if nobody can be nearer, the well,
// those that are far, compared with the nearest, and those in doubt. Among equals it turns from one operation to the
// next, so that all share the work.
func (r *quorumRun) rank(now time.Time) {
	o, q := &r.order, r.h.regs
	groups := r.groups()
	for len(o.groups) < len(groups) {
		o.groups = append(o.groups, nil)
	}
	o.groups, o.usual = o.groups[:len(groups)], 0
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, g := range groups {
		o.ranks, o.trips = o.ranks[:0], o.trips[:0]
		near := longestTrip
		for _, m := range g {
			t := q.nodes[m.Node].trip.patience(0, longestTrip)
			o.trips = append(o.trips, t)
			near = min(near, t)
		}
		for _, m := range g {
			o.ranks = append(o.ranks, r.rankOf(m.Node, now, 2*near+farLeast))
		}
		turn := int(r.number % uint64(max(len(g), 1)))
		sorted := o.groups[i][:0]
		for want := range rankEnd {
			for j := range g {
				if at := (j + turn) % len(g); o.ranks[at] == want {
					sorted = append(sorted, g[at])
				}
			}
		}
		o.groups[i] = sorted
		slices.Sort(o.trips)
		if n := len(g); n > 0 {
			o.usual = max(o.usual, o.trips[register.Quorum(n)-1])
		}
	}
}

// rankOf is with the lock of what is known of nodes held.
func (r *quorumRun) rankOf(n message.NodeID, now time.Time, near time.Duration) rank {
	seen := r.h.regs.nodes[n]
	switch {
	case seen.doubt.After(now) || r.h.cfg.Doubt != nil && r.h.cfg.Doubt(n):
		return rankDoubted
	case n == r.h.cfg.Home && r.h.cfg.HomeFirst:
		return rankHome
	case seen.trip.least() > near && now.Sub(seen.at) < doubtFor: // what was long ago is tried again
		return rankFar
	}
	return rankWell
}

// first says whether a member is among those that are asked first: as many of each group as a quorum takes.
func (o *ranking) first(m message.Member, all bool) bool {
	for _, g := range o.groups {
		need := register.Quorum(len(g))
		if all {
			need = len(g)
		}
		if slices.Contains(g[:min(need, len(g))], m) {
			return true
		}
	}
	return false
}

// nearest are the first of each group.
func (o *ranking) nearest(into []message.Member) []message.Member {
	for _, g := range o.groups {
		if len(g) > 0 {
			into = append(into, g[0])
		}
	}
	return into
}

// seen is what a client has seen of a node that keeps registers.
type seen struct {
	doubt time.Time // until when it is asked last
	trip  trip      // from a request to its answer
	at    time.Time // of the last answer
}

// heard takes in an answer of a node and how long it took. well says that it did what it was asked.
func (q *quorums) heard(n message.NodeID, took time.Duration, at time.Time, well bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.nodes[n]
	if took <= longestTrip {
		s.trip, s.at = s.trip.after(took), at
	}
	if well {
		s.doubt = time.Time{}
	}
	q.nodes[n] = s
}

// doubts has a node asked last for a while.
func (q *quorums) doubts(n message.NodeID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.nodes[n]
	s.doubt = time.Now().Add(doubtFor)
	q.nodes[n] = s
}
