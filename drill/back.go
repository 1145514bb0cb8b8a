package drill

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/anishathalye/porcupine"

	"dmalloc/message"
)

// kept is what is known of a page's part of a cell. Where nothing is pending, base are the values one of which the log
// has: one, or several after a loss and before somebody looked. Otherwise last is what a holder has absorbed last, and
// base is all that the log may have instead: what it had before, and what was absorbed since.
//
//	absorbed:  base grows by last, last = v    acted on elsewhere, synced:  base = last
//	loss:      base grows by last              written through the log:     base = v
//
// A loss may leave any of them: what was written back in between, nobody knows. But it leaves one, and that of a
// moment, so what was absorbed later than that is gone for good. Of their order nothing more is to be known, and
// keeping it would make the search endless: a write of unknown outcome may come between any two.
type kept struct {
	base    []uint64 // sorted
	last    uint64
	pending bool
}

// only is what the log has for sure.
func only(v uint64) kept { return kept{base: []uint64{v}} }

// visible are the values one of which is there.
func (k kept) visible() []uint64 {
	if k.pending {
		return []uint64{k.last}
	}
	return k.base
}

// sees says whether a value can be there, and what is known then.
func (k kept) sees(v uint64) (kept, bool) {
	if k.pending {
		return k, k.last == v
	}
	return only(v), slices.Contains(k.base, v)
}

func (k kept) absorb(v uint64) kept { return kept{k.lose().base, v, true} }

func (k kept) commit() kept { return kept{base: k.visible()} }

func (k kept) lose() kept {
	i, found := slices.BinarySearch(k.base, k.last)
	if !k.pending || found {
		return kept{base: k.base}
	}
	return kept{base: slices.Insert(slices.Clone(k.base), i, k.last)}
}

func (k kept) equal(o kept) bool {
	return k.pending == o.pending && (!k.pending || k.last == o.last) && slices.Equal(k.base, o.base)
}

// backState is a cell some of whose last writes may be at one holder only. A span has two parts, which its pages
// keep apart; other cells use the first.
type backState struct {
	parts  [2]kept
	holder message.NodeID // of what is pending
}

func (s backState) pending() bool { return s.parts[0].pending }

// each does the same to both parts.
func (s backState) each(f func(kept) kept) backState {
	return backState{[2]kept{f(s.parts[0]), f(s.parts[1])}, s.holder}
}

func always(v uint64) backState {
	return backState{parts: [2]kept{only(v), only(v)}}
}

// backModel is a cell of a cluster whose holders absorb writes, in a history that has losses. Without any it is
// cellModel.
func backModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return always(0) },
		Step: func(state, input, _ any) (bool, any) {
			next, ok := backStep(state.(backState), input.(Op))
			return ok, next
		},
		Equal: func(a, b any) bool {
			x, y := a.(backState), b.(backState)
			return x.parts[0].equal(y.parts[0]) && x.parts[1].equal(y.parts[1]) && (!x.pending() || x.holder == y.holder)
		},
		Hash: func(state any) uint64 {
			h := fnv.New64a()
			for _, k := range state.(backState).parts {
				for _, v := range slices.Concat(k.visible(), k.base) {
					var b [8]byte
					binary.LittleEndian.PutUint64(b[:], v)
					_, _ = h.Write(b[:])
				}
			}
			return h.Sum64()
		},
		DescribeOperation: describe,
		DescribeState:     func(state any) string { return state.(backState).String() },
	}
}

func (s backState) String() string {
	text := func(k kept) string {
		words := ""
		for i, v := range k.visible() {
			if i > 0 {
				words += " or "
			}
			words += value(v)
		}
		return words
	}
	words := text(s.parts[0])
	if !s.parts[0].equal(s.parts[1]) {
		words += " | " + text(s.parts[1])
	}
	if s.pending() {
		words += fmt.Sprintf(", absorbed by node %s", s.holder)
	}
	return words
}

func backStep(s backState, o Op) (next backState, ok bool) {
	if o.Code != message.Done {
		return s, false
	}
	switch o.Do {
	case Loss:
		if s.pending() && s.holder == o.Holder {
			return s.each(kept.lose), true
		}
		return s, true
	case Sync:
		if s.pending() && s.holder == o.Holder {
			return s.each(kept.commit), true
		}
		return s, true
	case Hold: // the holder has written back before it asked, and another before it gave way
		return s.each(kept.commit), true
	}
	// What another node does to the cell it does after the holder has written back.
	foreign := !s.pending() || s.holder != o.Holder
	if foreign && !(o.Unknown && o.Do == Swap) {
		s = s.each(kept.commit)
	}
	switch o.Do {
	case Read:
		return s.read(o)
	case Write:
		// One of unknown outcome may have been absorbed; that it can be lost then includes that it cannot.
		if o.Absorbed || o.Unknown && o.Back {
			s.holder = o.Holder
			return s.each(func(k kept) kept { return k.absorb(o.Arg) }), true
		}
		return always(o.Arg), true
	}
	return s.count(o)
}

func (s backState) read(o Op) (next backState, ok bool) {
	tail := o.Got
	if o.Torn != "" {
		if !o.Split {
			return s, false
		}
		tail = o.Tail
	}
	first, ok := s.parts[0].sees(o.Got)
	second, both := s.parts[1].sees(tail)
	return backState{[2]kept{first, second}, s.holder}, ok && both
}

// count is Swap and Add, which go through the log, behind what was absorbed before. Their cells lie in one page.
func (s backState) count(o Op) (next backState, ok bool) {
	now := s.parts[0].visible()
	switch {
	case o.Do == Add && o.Unknown:
		sums := make([]uint64, len(now))
		for i, v := range now {
			sums[i] = v + o.Arg
		}
		k := kept{base: sums}
		return backState{parts: [2]kept{k, k}}, true
	case o.Do == Add:
		return always(o.Got + o.Arg), slices.Contains(now, o.Got)
	case o.Do == Swap && o.Unknown:
		i := slices.Index(now, o.Old)
		if i < 0 {
			return s, true // nothing was swapped, and it may never have come
		}
		values := slices.Clone(now)
		values[i] = o.Arg
		slices.Sort(values)
		k := kept{base: values}
		return backState{parts: [2]kept{k, k}}, true
	case o.Do == Swap && o.Swapped:
		return always(o.Arg), slices.Contains(now, o.Old)
	case o.Do == Swap:
		return always(o.Got), o.Got != o.Old && slices.Contains(now, o.Got)
	}
	return s, false
}
