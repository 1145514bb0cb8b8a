package drill

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"dmalloc/message"
)

// Shrink makes an illegal history of one key shorter, as far as it gets until the deadline: first the
// shortest beginning that is illegal, then without what does not matter (V2).
func Shrink(s Space, ops []Op, deadline time.Time) []Op {
	illegal := func(ops []Op) bool {
		if !time.Now().Before(deadline) {
			return false
		}
		said, _ := judgeOne(s, ops, shrinkTime)
		return said == porcupine.Illegal
	}
	ops = beginning(ops, illegal)
	for size := len(units(s, ops)); size >= 1; size /= 2 {
		ops = without(s, ops, size, illegal)
	}
	// What could be left out together before may now be left out one by one.
	for before := len(ops) + 1; len(ops) < before; {
		before = len(ops)
		ops = without(s, ops, 1, illegal)
	}
	return ops
}

// beginning is the history as it was known at the first moment at which it was illegal.
func beginning(ops []Op, illegal func([]Op) bool) []Op {
	var ends []int64
	for _, o := range ops {
		if o.Return != Forever {
			ends = append(ends, o.Return)
		}
	}
	slices.Sort(ends)
	low, high := 0, len(ends)-1 // the answer is at most ends[high]
	for low < high {
		mid := (low + high) / 2
		if illegal(until(ops, ends[mid])) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	if high < 0 {
		return ops
	}
	if cut := until(ops, ends[high]); illegal(cut) {
		return cut
	}
	return ops
}

// until is what was known at a moment: a write under way then may or may not have happened.
func until(ops []Op, t int64) []Op {
	var out []Op
	for _, o := range ops {
		switch {
		case o.Call > t:
		case o.Return <= t:
			out = append(out, o)
		case o.Unknown, o.Do == Loss: // which may still come
			out = append(out, o)
		case o.changes() && o.Do != Malloc && o.Code == message.Done && (o.Do != Swap || o.Swapped):
			o.Unknown, o.Return, o.Got, o.Swapped, o.Torn, o.Absorbed = true, Forever, 0, false, "", false
			out = append(out, o)
		}
	}
	return out
}

// without tries to leave out runs of so many units.
func without(s Space, ops []Op, size int, illegal func([]Op) bool) []Op {
	all := units(s, ops)
	for i := 0; i < len(all); {
		drop := map[int]bool{}
		for _, u := range all[i:min(i+size, len(all))] {
			for _, j := range u {
				drop[j] = true
			}
		}
		var rest []Op
		for j, o := range ops {
			if !drop[j] {
				rest = append(rest, o)
			}
		}
		if len(rest) > 0 && illegal(rest) {
			ops = rest
			all = units(s, ops)
			continue // what followed stands at i now
		}
		i += size
	}
	return ops
}

// units are the sets of calls that can be left out of any legal history of a key and leave it legal (V2):
//
//   - a read, and a swap that did not happen, since they change nothing;
//   - what only shows that a holder has written back. A loss stays: others need it;
//   - a value with all that wrote or saw it, or what was added to it. Values that a swap joins go together;
//   - the life of an allocation: its malloc and its frees.
func units(s Space, ops []Op) [][]int {
	if s == Table {
		return allocationUnits(ops)
	}
	var out [][]int
	for i, o := range ops {
		if o.Do == Read || o.Do == Sync || o.Do == Hold || o.Do == Swap && !o.Unknown && !o.Swapped {
			out = append(out, []int{i})
		}
	}
	return append(out, valueUnits(ops)...)
}

// sumsTell says whether what was added fits into the bits that values leave for it.
func sumsTell(ops []Op) bool {
	var sum uint64
	for _, o := range ops {
		if o.Do == Add {
			sum += o.Arg
		}
	}
	return sum < 1<<valueSpare
}

// valueUnits are the calls about each value, written or from the beginning. A value leaves eight bits for what is added to it, so
// that sums tell what they come from, unless there is more to add than fits. An addition of unknown outcome
// may belong to any value, so it stays.
func valueUnits(ops []Op) [][]int {
	if !sumsTell(ops) {
		return nil
	}
	base := func(v uint64) uint64 { return v >> valueSpare << valueSpare }
	parent := map[uint64]uint64{}
	var root func(v uint64) uint64
	root = func(v uint64) uint64 {
		p, ok := parent[v]
		if !ok || p == v {
			return v
		}
		parent[v] = root(p)
		return parent[v]
	}
	for _, o := range ops {
		switch {
		case o.Do == Swap && (o.Swapped || o.Unknown):
			parent[root(base(o.Arg))] = root(base(o.Old))
		case o.Do == Read && o.Split:
			parent[root(base(o.Got))] = root(base(o.Tail))
		}
	}
	sets := map[uint64][]int{}
	var order []uint64
	for i, o := range ops {
		if o.Do == Add && o.Unknown || o.Do == Sync || o.Do == Hold || o.Do == Loss {
			continue
		}
		v := o.Got
		if o.Do == Write || o.Do == Swap && (o.Swapped || o.Unknown) {
			v = o.Arg
		}
		r := root(base(v))
		if sets[r] == nil {
			order = append(order, r)
		}
		sets[r] = append(sets[r], i)
	}
	var out [][]int
	for _, r := range order {
		out = append(out, sets[r])
	}
	return out
}

// allocationUnits are the lives of allocations. Where the outcome of a free is unknown it may have ended
// another life at its address than its own: then all lives there go together.
func allocationUnits(ops []Op) [][]int {
	joined := map[message.Addr]bool{}
	for _, o := range ops {
		joined[o.Addr] = joined[o.Addr] || o.Unknown
	}
	lives := map[extent][]int{}
	for i, o := range ops {
		e := extent{o.Addr, o.Size}
		if joined[o.Addr] {
			e.size = 0
		}
		lives[e] = append(lives[e], i)
	}
	out := slices.Collect(maps.Values(lives))
	slices.SortFunc(out, func(a, b []int) int { return cmp.Compare(a[0], b[0]) })
	return out
}
