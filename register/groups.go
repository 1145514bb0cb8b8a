package register

import (
	"slices"

	"dmalloc/message"
)

// Groups are the replicas of a register: one group or, while members change, the old one and the new one,
// which may overlap. What needs a quorum needs one of each group.
type Groups [][]message.Member

// Quorum is how many of n replicas make one: any two quorums have a replica in common (R1). It is counted
// of all members, dead or alive: nobody's belief about who is alive may shrink it.
func Quorum(n int) int { return n/2 + 1 }

// Meets is how many of n replicas have one in common with each quorum: what a copy must read, and what a
// fence must hold. Of two replicas that is one, of four two, otherwise it is a quorum.
func Meets(n int) int { return n - Quorum(n) + 1 }

// Members are the replicas of all groups, each once, in the order of the groups. The result is not to be changed.
func (g Groups) Members() []message.Member {
	if len(g) == 1 && !repeats(g[0]) {
		return g[0]
	}
	var all []message.Member
	for _, group := range g {
		for _, m := range group {
			if !slices.Contains(all, m) {
				all = append(all, m)
			}
		}
	}
	return all
}

// own are the groups without repetitions: a member that is named twice is still one replica. Groups are never
// changed, so what has no repetitions is not copied.
func (g Groups) own() Groups {
	if !slices.ContainsFunc(g, repeats) {
		return g
	}
	c := make(Groups, len(g))
	for i := range g {
		c[i] = make([]message.Member, 0, len(g[i]))
		for _, m := range g[i] {
			if !slices.Contains(c[i], m) {
				c[i] = append(c[i], m)
			}
		}
	}
	return c
}

func repeats(group []message.Member) bool {
	for i, m := range group {
		if slices.Contains(group[:i], m) {
			return true
		}
	}
	return false
}

// empty says whether no quorum can ever be had.
func (g Groups) empty() bool {
	for _, group := range g {
		if len(group) == 0 {
			return true
		}
	}
	return len(g) == 0
}
