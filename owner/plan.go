package owner

import (
	"cmp"
	"slices"

	"dmalloc/message"
)

// Step is what brings a company's replicas one step nearer to what the directory wants.
type Step struct {
	Kind    StepKind
	Replica uint64
	Node    message.NodeID
}

// StepKind is a kind of Step.
type StepKind uint8

const (
	Settled  StepKind = iota // nothing to do
	Join                     // add Replica on Node without a vote
	Wait                     // for Replica: it is catching up, or too few others live
	Remove                   // remove Replica
	Promote                  // give Replica a vote
	Record                   // Replica votes: tell the directory
	Handover                 // have Replica lead: the one that leads is to leave
	Forget                   // Replica is out for good: tell the directory
)

// Members is Raft's present view of a company.
type Members struct {
	Voting  map[uint64]message.NodeID
	Joining map[uint64]message.NodeID
	Gone    map[uint64]bool
	Lost    map[uint64]bool // of those: the disk that they were on is lost
}

// Plan decides the next step for one company, whose leader is the replica self. down says who is believed dead.
//
//	one joins instead of one that lives    join, catch up, promote, remove, record
//	instead of a dead one, or a lost disk  join, catch up, remove, promote, record
//	one leaves and nobody joins            remove, forget
//	an attempt to join is given up         remove, forget; or record, where the other one has left already
//
// So the company never counts a replica that knows nothing into its majority, and never loses two votes at once.
// Each step follows from what the directory and Raft say, whoever took the one before it. A directory that is
// older than what Raft has done leads to steps that the newer one wants too, or to none.
func Plan(c *message.Company, now Members, self uint64, caughtUp func(replica uint64) bool, down func(message.NodeID) bool) Step {
	p := plan{c, now, self, caughtUp, down}
	// What the directory does not list any more: joined or promoted, then lost or given up before that was recorded.
	// It must go first, or it counts in the majority for ever. One that the directory does not list yet stays.
	var wait Step
	if old, ok := p.leftover(); ok {
		if wait = p.remove(old); wait.Kind != Wait {
			return wait
		}
	}
	want := slices.Clone(c.Owners)
	slices.SortFunc(want, func(a, b message.Owner) int { return cmp.Compare(a.Replica, b.Replica) })
	for _, o := range want {
		switch s := p.step(o); s.Kind {
		case Settled:
		case Wait: // another one may mend what this one waits for
			wait = s
		default:
			return s
		}
	}
	return wait
}

type plan struct {
	c        *message.Company
	now      Members
	self     uint64
	caughtUp func(uint64) bool
	down     func(message.NodeID) bool
}

// leftover is the lowest replica that Raft has and the directory had.
func (p *plan) leftover() (lowest uint64, found bool) {
	for _, have := range []map[uint64]message.NodeID{p.now.Voting, p.now.Joining} {
		for replica := range have {
			if p.c.Owner(replica) == nil && replica < p.c.Next && (!found || replica < lowest) {
				lowest, found = replica, true
			}
		}
	}
	return lowest, found
}

// step is what one owner needs.
func (p *plan) step(o message.Owner) Step {
	_, votes := p.now.Voting[o.Replica]
	_, joined := p.now.Joining[o.Replica]
	old, replaces := p.replaces(o)
	switch {
	case !o.Joining && !o.Leaving:
		if p.now.Gone[o.Replica] && !p.replaced(o) && !p.succeeded(o) { // its successor was given up after it had left
			return Step{Forget, o.Replica, o.Node}
		}
		if votes && p.now.Lost[o.Replica] && !p.replaced(o) { // its successor was given up: it never votes again
			return p.remove(o.Replica)
		}
		return Step{}
	case o.Joining && o.Leaving && votes && (replaces && p.now.Gone[old] || len(p.now.Voting) == 1):
		return Step{Record, o.Replica, o.Node} // too late to give it up
	case o.Leaving && (votes || joined):
		return p.remove(o.Replica)
	case o.Leaving || p.now.Gone[o.Replica]:
		return Step{Forget, o.Replica, o.Node}
	}
	_, remains := p.now.Voting[old]
	remains = remains && replaces
	switch {
	case votes && remains:
		return p.remove(old)
	case votes:
		return Step{Record, o.Replica, o.Node}
	case !joined:
		return Step{Join, o.Replica, o.Node}
	case !p.caughtUp(o.Replica):
		return Step{Wait, o.Replica, o.Node}
	case remains && (p.now.Voting[old] == o.Node || p.dead(old)):
		return p.remove(old)
	}
	return Step{Promote, o.Replica, o.Node}
}

// replaces is the replica that one takes the place of, if it does: the one that it is said to, or the other one on its node.
func (p *plan) replaces(o message.Owner) (uint64, bool) {
	if o.Instead != 0 {
		return o.Instead, true
	}
	for _, old := range p.c.Owners {
		if old.Node == o.Node && !old.Joining {
			return old.Replica, true
		}
	}
	return 0, false
}

// replaced says whether another one is taking a replica's place.
func (p *plan) replaced(o message.Owner) bool {
	return slices.ContainsFunc(p.c.Owners, func(j message.Owner) bool {
		old, ok := p.replaces(j)
		return j.Joining && !j.Leaving && ok && old == o.Replica
	})
}

// succeeded says whether a voter has taken a replica's place, also if it was to be given up.
func (p *plan) succeeded(o message.Owner) bool {
	return slices.ContainsFunc(p.c.Owners, func(j message.Owner) bool {
		_, votes := p.now.Voting[j.Replica]
		return j.Joining && votes && j.Instead == o.Replica
	})
}

// dead says whether a voter cannot be counted on.
func (p *plan) dead(replica uint64) bool {
	return p.now.Lost[replica] || p.down(p.now.Voting[replica])
}

// remove takes a replica out, if a majority of those that stay lives. A leader hands over before it goes.
func (p *plan) remove(replica uint64) Step {
	node, votes := p.now.Voting[replica]
	if !votes {
		return Step{Remove, replica, p.now.Joining[replica]}
	}
	live := 0
	for other := range p.now.Voting {
		if other != replica && !p.dead(other) {
			live++
		}
	}
	if live <= (len(p.now.Voting)-1)/2 {
		return Step{Wait, replica, node}
	}
	if replica != p.self {
		return Step{Remove, replica, node}
	}
	if heir, ok := p.heir(); ok {
		return Step{Handover, heir.Replica, heir.Node}
	}
	return Step{Wait, replica, node}
}

// heir is who leads after a leader that leaves: the one that takes its place, or the first owner that stays.
func (p *plan) heir() (heir message.Owner, found bool) {
	for _, o := range p.c.Owners {
		if _, votes := p.now.Voting[o.Replica]; !votes || o.Replica == p.self || o.Leaving || p.dead(o.Replica) || p.replaced(o) {
			continue
		}
		if old, ok := p.replaces(o); o.Joining && ok && old == p.self {
			return o, true
		}
		if !found {
			heir, found = o, true
		}
	}
	return heir, found
}
