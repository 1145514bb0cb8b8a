package health

import (
	"slices"

	"dmalloc/message"
)

// need is one thing that cannot be used: it can again when any k of these nodes are back.
type need struct {
	k  int
	of []message.NodeID // sorted
}

const (
	mostSteps = 2_000_000 // needs that the search looks at, a few tenths of a second; beyond them a greedy answer is given
	mostSets  = 64        // that are listed
)

// restore finds the smallest sets of nodes that fill every need (H3). exact says that it looked at everything.
// Needs that no nodes can fill must not be among them.
func restore(needs []need) (sets [][]message.NodeID, exact bool) {
	needs = distinct(needs)
	if len(needs) == 0 {
		return nil, true
	}
	s := search{needs: needs, in: map[message.NodeID]bool{}, out: map[message.NodeID]bool{}, steps: mostSteps}
	enough := greedy(needs)
	for size := needs[0].k; size <= len(enough) && s.steps > 0 && len(s.found) == 0; size++ {
		s.deepen(size)
	}
	if len(s.found) == 0 {
		return [][]message.NodeID{enough}, false
	}
	slices.SortFunc(s.found, slices.Compare)
	return s.found, s.steps > 0 && !s.full
}

// distinct sorts the needs, the largest k first, and drops those that come twice.
func distinct(needs []need) []need {
	needs = slices.Clone(needs)
	slices.SortFunc(needs, func(a, b need) int {
		if a.k != b.k {
			return b.k - a.k
		}
		return slices.Compare(a.of, b.of)
	})
	return slices.CompactFunc(needs, func(a, b need) bool { return a.k == b.k && slices.Equal(a.of, b.of) })
}

// greedy takes the node that most needs want, until all are filled.
func greedy(needs []need) []message.NodeID {
	set := map[message.NodeID]bool{}
	for {
		wanted := map[message.NodeID]int{}
		best, most := message.NoNode, 0
		for _, n := range needs {
			if filled(n, set) {
				continue
			}
			for _, x := range n.of {
				if set[x] {
					continue
				}
				wanted[x]++
				if c := wanted[x]; c > most || c == most && x < best {
					best, most = x, c
				}
			}
		}
		if most == 0 {
			return sorted(set)
		}
		set[best] = true
	}
}

func filled(n need, set map[message.NodeID]bool) bool {
	have := 0
	for _, x := range n.of {
		if set[x] {
			have++
		}
	}
	return have >= n.k
}

func sorted(set map[message.NodeID]bool) []message.NodeID {
	out := make([]message.NodeID, 0, len(set))
	for x := range set {
		out = append(out, x)
	}
	slices.Sort(out)
	return out
}

// search looks for all sets of one size, trying the nodes of the first need that is not filled. A node that
// one branch took is left out of those to its right, so that no set is found twice.
type search struct {
	needs   []need
	in, out map[message.NodeID]bool
	found   [][]message.NodeID
	steps   int
	full    bool
}

func (s *search) deepen(left int) {
	if s.steps -= len(s.needs); s.steps <= 0 || s.full {
		return
	}
	var open *need
	for i := range s.needs {
		n := &s.needs[i]
		have, can := 0, 0
		for _, x := range n.of {
			switch {
			case s.in[x]:
				have++
			case !s.out[x]:
				can++
			}
		}
		if want := n.k - have; want > min(left, can) {
			return
		} else if want > 0 && open == nil {
			open = n
		}
	}
	if open == nil {
		s.take()
		return
	}
	var tried []message.NodeID
	for _, x := range open.of {
		if s.in[x] || s.out[x] {
			continue
		}
		s.in[x] = true
		s.deepen(left - 1)
		delete(s.in, x)
		s.out[x] = true
		tried = append(tried, x)
	}
	for _, x := range tried {
		delete(s.out, x)
	}
}

// take keeps what was found. Only the smallest size that has any is searched, so all are of one size.
func (s *search) take() {
	if s.full = len(s.found) == mostSets; s.full {
		return
	}
	s.found = append(s.found, sorted(s.in))
}
