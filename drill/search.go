package drill

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// Cells of a cluster with write-back have their own search, for a general one does not end on some histories: what a holder
// absorbs may fall back to many values, and a loss may come anywhere in a long time. This one goes through the history once, from one call or
// return to the next, and keeps all that may be the case then. What it keeps is bounded, so it always ends.
//
//	call:    one more is under way
//	return:  every case in which the call has not happened yet is followed through all orders of calls under way that end
//	         with it; those that allow none are dropped. Nothing left: the history is illegal
//
// That is complete: before a call in a legal order stand only calls that had begun when it returned. And it is quick, for a
// value names its write (R4). A write of unknown outcome had happened when the first who saw it returned, and one that
// nobody saw need not have happened at all, so neither stays under way.
const (
	mostCases  = 1 << 13 // kept at once, and after one return
	mostKnown  = 1 << 20 // bytes of states remembered
	mostAtOnce = 64      // calls under way: bits of a case
)

// situation is one case: which of the calls under way have happened, and the state that they have left.
type situation struct {
	happened uint64
	state    int // of search.states
}

// search is the walk through one history.
type search struct {
	ops    []Op
	slots  [mostAtOnce]int // the calls under way; -1: free
	cases  map[situation]bool
	states []backState
	known  map[string]int // their numbers
	bytes  int            // of known
	steps  map[step]int   // their results; -1: illegal
}

// step is a call that happens in a state.
type step struct{ state, op int }

// searchLosses judges the calls of a cell of which writes may be lost, given by call. Where it does not know, why says what
// was too much, if that was not time.
func searchLosses(ops []Op, deadline time.Time) (said porcupine.CheckResult, why string) {
	s := &search{ops: resolve(ops), cases: map[situation]bool{}}
	for i := range s.slots {
		s.slots[i] = -1
	}
	s.forget()
	s.cases[situation{state: s.number(always(0))}] = true
	for _, e := range edges(s.ops) {
		o := s.ops[e.op]
		switch {
		case !e.end:
			free := slices.Index(s.slots[:], -1)
			if free < 0 {
				return porcupine.Unknown, fmt.Sprintf("more than %d calls were under way at %s", mostAtOnce, seconds(o.Call))
			}
			s.slots[free] = e.op
			continue
		case time.Now().After(deadline):
			return porcupine.Unknown, ""
		case !s.end(slices.Index(s.slots[:], e.op)):
			return porcupine.Unknown, fmt.Sprintf("at %s more than %d cases were possible", seconds(o.Return), mostCases)
		}
		if len(s.cases) == 0 {
			return porcupine.Illegal, ""
		}
		if s.bytes > mostKnown {
			s.forget()
		}
	}
	return porcupine.Ok, ""
}

// edge is a call, or the return of one.
type edge struct {
	at  int64
	end bool
	op  int
}

// edges are those of all calls, by time; what returns never is not there. A call comes before a return of the same time:
// only the stamps of losses are shared.
func edges(ops []Op) []edge {
	var all []edge
	for i, o := range ops {
		all = append(all, edge{o.Call, false, i})
		if o.Return != Forever {
			all = append(all, edge{o.Return, true, i})
		}
	}
	slices.SortStableFunc(all, func(a, b edge) int {
		if a.at != b.at || a.end == b.end {
			return cmp.Compare(a.at, b.at)
		}
		if b.end {
			return -1
		}
		return 1
	})
	return all
}

// end is the return of the call in a slot. It is false where that makes too many cases.
func (s *search) end(slot int) bool {
	bit, may := uint64(1)<<slot, optional(s.ops[s.slots[slot]])
	next := map[situation]bool{}
	seen := map[situation]bool{}
	var todo []situation
	reach := func(c situation) {
		c = s.settle(c)
		switch {
		case c.happened&bit != 0:
			next[situation{c.happened &^ bit, c.state}] = true
		case !seen[c]:
			seen[c] = true
			todo = append(todo, c)
		}
	}
	for c := range s.cases {
		if may && c.happened&bit == 0 {
			next[c] = true // and it never happens
		}
		reach(c)
	}
	for len(todo) > 0 {
		c := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for i, op := range s.slots {
			if op < 0 || c.happened&(1<<i) != 0 {
				continue
			}
			to := s.step(c.state, op)
			if to < 0 || to == c.state && optional(s.ops[op]) {
				continue // it cannot happen, or might as well not
			}
			if reach(situation{c.happened | 1<<i, to}); len(seen)+len(next) > mostCases {
				return false
			}
		}
	}
	s.slots[slot], s.cases = -1, next
	return true
}

// settle has happen what changes nothing: that forbids nothing to those that come later.
func (s *search) settle(c situation) situation {
	for i, op := range s.slots {
		if op >= 0 && c.happened&(1<<i) == 0 && !s.ops[op].changes() && s.ops[op].Do != Loss && s.step(c.state, op) == c.state {
			c.happened |= 1 << i
		}
	}
	return c
}

// optional says whether a call need not have happened when it returns, or at all.
func optional(o Op) bool { return o.Do == Loss && !o.Sure || o.Unknown && o.Return == Forever }

// step is the number of the state that a call leaves; -1: it cannot happen.
func (s *search) step(state, op int) int {
	to, known := s.steps[step{state, op}]
	if !known {
		to = -1
		if next, ok := backStep(s.states[state], s.ops[op]); ok {
			to = s.number(next)
		}
		s.steps[step{state, op}] = to
	}
	return to
}

// number is that of a state.
func (s *search) number(b backState) int {
	key := string(b.appendTo(nil))
	n, known := s.known[key]
	if !known {
		n = len(s.states)
		s.known[key] = n
		s.states = append(s.states, b)
		s.bytes += len(key)
	}
	return n
}

// forget keeps only the states of what is the case now.
func (s *search) forget() {
	states, cases := s.states, s.cases
	s.states, s.known, s.bytes, s.steps, s.cases = nil, map[string]int{}, 0, map[step]int{}, map[situation]bool{}
	for c := range cases {
		s.cases[situation{c.happened, s.number(states[c.state])}] = true
	}
}

// appendTo writes a state so that equal ones, and no others, are written alike.
func (s backState) appendTo(b []byte) []byte {
	holder := uint64(0)
	if s.pending() {
		holder = uint64(s.holder) + 1
	}
	b = binary.LittleEndian.AppendUint64(b, holder)
	for _, k := range s.parts {
		b = binary.LittleEndian.AppendUint64(b, uint64(len(k.base)))
		for _, v := range k.base {
			b = binary.LittleEndian.AppendUint64(b, v)
		}
		if k.pending {
			b = binary.LittleEndian.AppendUint64(b, k.last)
		}
	}
	return b
}

// unseen stands for every value that nobody saw.
const unseen = ^uint64(0) >> valueSpare << valueSpare

// resolve says of writes of unknown outcome what is known nevertheless. A history is legal if and only if it is then.
//
//   - Somebody saw what it wrote: it had happened when the first of them returned.
//   - Nobody did: it is left out, for whoever came after it has overwritten it, or was lost with it.
//
// A sum tells what was added to, unless there is more to add than a value has room for: then all stays as it is.
func resolve(ops []Op) []Op {
	out := slices.Clone(ops)
	if !sumsTell(ops) {
		return out
	}
	first := map[uint64]int64{} // when the first returned who saw a value
	see := func(v uint64, at int64) (news bool) {
		v = v >> valueSpare << valueSpare
		if was, some := first[v]; some && was <= at {
			return false
		}
		first[v] = at
		return true
	}
	for _, o := range ops {
		switch {
		case o.Unknown:
		case o.Do == Read || o.Do == Add || o.Do == Swap && !o.Swapped:
			see(o.Got, o.Return)
			if o.Split {
				see(o.Tail, o.Return)
			}
		case o.Do == Swap:
			see(o.Old, o.Return)
		}
	}
	for news := true; news; { // who saw the outcome of an open swap, saw that it had found what it expected
		news = false
		for _, o := range ops {
			if at, some := first[o.Arg]; some && o.Unknown && o.Do == Swap {
				news = see(o.Old, at) || news
			}
		}
	}
	for i := range out {
		o := &out[i]
		at, some := first[o.Arg]
		switch {
		case o.Do != Write && o.Do != Swap:
		case !some && o.Unknown:
			o.Do = Hold // marks it
		case !some:
			o.Arg = unseen // one is as good as another, which keeps states few
		case o.Unknown && at > o.Call:
			o.Return = at
			if o.Do == Swap {
				o.Unknown, o.Swapped = false, true
			}
		}
	}
	return slices.DeleteFunc(out, func(o Op) bool { return o.Do == Hold && o.Unknown })
}
