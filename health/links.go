package health

import (
	"slices"

	"dmalloc/message"
)

// restore finds the smallest sets for needs in this cluster. Where the network is not a mesh, a node also needs
// a path of living nodes to those that answer, and a living one that is cut off comes back with its path.
func (j *judge) restore(needs []need) (sets [][]message.NodeID, exact bool) {
	needs = distinct(needs)
	if len(needs) == 0 || len(j.d.Settings.Topology) == 0 {
		return restore(needs)
	}
	var down []message.NodeID
	for _, n := range j.d.Present() {
		if _, answers := j.answers(n.ID); !answers && j.states[n.ID] != silent {
			down = append(down, n.ID)
		}
	}
	budget := mostSteps
	for size := 1; size <= len(down); size++ {
		var found [][]message.NodeID
		full := false
		choose(down, size, func(set []message.NodeID) bool {
			back := j.back(set)
			if budget -= len(needs) + len(j.d.Nodes); budget <= 0 {
				return false
			}
			if slices.ContainsFunc(needs, func(n need) bool { return !filled(n, back) }) {
				return true
			}
			if full = len(found) == mostSets; !full {
				found = append(found, slices.Clone(set))
			}
			return !full
		})
		if len(found) > 0 {
			return found, budget > 0 && !full
		}
		if budget <= 0 {
			break
		}
	}
	sets, _ = restore(needs) // the paths left aside
	return sets, false
}

// back are the nodes that answer again if those of a set come back: all that have a path to one that answers
// now, or to the set's first if nobody does.
func (j *judge) back(set []message.NodeID) map[message.NodeID]bool {
	living := func(n message.NodeID) bool {
		_, answers := j.answers(n)
		return answers || j.states[n] == silent || slices.Contains(set, n)
	}
	reached := map[message.NodeID]bool{}
	var queue []message.NodeID
	for _, n := range j.d.Present() {
		if _, answers := j.answers(n.ID); answers {
			queue = append(queue, n.ID)
			reached[n.ID] = true
		}
	}
	if len(queue) == 0 {
		queue = append(queue, set[0])
		reached[set[0]] = true
	}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, e := range j.d.Links() {
			to := e.B
			if e.B == at {
				to = e.A
			} else if e.A != at {
				continue
			}
			if !reached[to] && living(to) {
				reached[to] = true
				queue = append(queue, to)
			}
		}
	}
	return reached
}

// choose calls f with each subset of a size, in order, until it returns false.
func choose(of []message.NodeID, size int, f func([]message.NodeID) bool) {
	set := make([]message.NodeID, 0, size)
	var rest func(from int) bool
	rest = func(from int) bool {
		if len(set) == size {
			return f(set)
		}
		for i := from; i <= len(of)-(size-len(set)); i++ {
			set = append(set, of[i])
			if !rest(i + 1) {
				return false
			}
			set = set[:len(set)-1]
		}
		return true
	}
	rest(0)
}
