package drill

import (
	"cmp"
	"slices"

	"dmalloc/message"
)

// enough is how many calls are judged together without looking for a place to cut them.
const enough = 64

// pieces cuts calls to the table into histories that can be judged one by one, in this order: they are legal if
// and only if the whole is. The checker's work grows with the square of a history's length, and a long run
// uses every address again and again.
//
// A history is cut at a moment at which no call is under way, for then only one state is possible; the mallocs of
// what is live then go into the next piece too. What does not share addresses with the rest from then on is a
// piece of its own.
func pieces(ops []Op) [][]Op {
	var out [][]Op
	for _, part := range neighbours(settled(ops)) {
		out = append(out, halves(part)...)
	}
	return out
}

func halves(ops []Op) [][]Op {
	if len(ops) <= enough {
		return [][]Op{ops}
	}
	for _, at := range cuts(ops) {
		live, sure := liveAfter(ops[:at])
		if !sure || len(live) > at/2 { // too much would be judged twice
			continue
		}
		out := halves(ops[:at:at])
		for _, part := range neighbours(slices.Concat(live, ops[at:])) {
			if !slices.ContainsFunc(part, func(o Op) bool { return o.Call >= ops[at].Call }) {
				continue // nobody calls it any more
			}
			out = append(out, halves(part)...)
		}
		return out
	}
	return [][]Op{ops}
}

// cuts are the places before which all calls have returned when the next one comes, those near the middle first.
// It stops at a few: when those are of no use, hardly any is.
func cuts(ops []Op) []int {
	var all []int
	latest := int64(0)
	for i, o := range ops {
		if i > 0 && latest < o.Call {
			all = append(all, i)
		}
		latest = max(latest, o.Return)
	}
	slices.SortStableFunc(all, func(a, b int) int { return cmp.Compare(distance(a, len(ops)/2), distance(b, len(ops)/2)) })
	return all[:min(len(all), 8)]
}

func distance(a, b int) int { return max(a-b, b-a) }

// liveAfter are the mallocs of what is allocated when calls whose outcomes are all known have returned, by call. It
// is not sure if two orders of the calls leave different allocations behind.
func liveAfter(ops []Op) (live []Op, sure bool) {
	type place struct {
		count  int
		last   Op
		latest int64 // return of a malloc
		clear  bool  // every other malloc of the place had returned when last was called
	}
	places := map[message.Addr]*place{}
	at := func(a message.Addr) *place {
		if places[a] == nil {
			places[a] = &place{latest: -1}
		}
		return places[a]
	}
	for _, o := range ops { // by call
		p := at(o.Addr)
		switch {
		case o.Do == Malloc:
			p.clear = p.latest < o.Call
			p.count, p.last, p.latest = p.count+1, o, max(p.latest, o.Return)
		case o.Code == message.Done:
			p.count--
		}
	}
	for _, p := range places {
		switch {
		case p.count == 1 && !p.clear:
			return nil, false
		case p.count == 1:
			live = append(live, p.last)
		case p.count != 0:
			return nil, false // no order of them is legal; the checker shall say so
		}
	}
	slices.SortFunc(live, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	return live, true
}

// neighbours are the calls by ranges of addresses that no allocation reaches across, each by call.
func neighbours(ops []Op) [][]Op {
	group := tableGroups(ops)
	at := map[uint64]int{}
	var out [][]Op
	for _, o := range ops {
		g := group(o.Addr)
		if _, some := at[g]; !some {
			at[g] = len(out)
			out = append(out, nil)
		}
		out[at[g]] = append(out[at[g]], o)
	}
	return out
}

// settled makes known frees of those without an answer of which others tell that they happened: an allocation
// that nobody else freed was gone when its bytes were allocated again. Without it such a call would stay open
// to the end, and no cut could be made behind it.
func settled(ops []Op) []Op {
	var here map[message.Addr][]int // calls about each address, by call
	out := ops
	for i, u := range ops {
		if u.Do != Free || !u.Unknown {
			continue
		}
		if here == nil {
			out, here = slices.Clone(ops), map[message.Addr][]int{}
			for j, o := range ops {
				here[o.Addr] = append(here[o.Addr], j)
			}
		}
		if end, sure := endOf(out, here[u.Addr], i); sure {
			out[i].Unknown, out[i].Return = false, end
		}
	}
	return out
}

// mostTried bounds how many later allocations are looked at to settle one free.
const mostTried = 16

// endOf is when the free at i had happened at the latest, if that is sure: something was allocated over the place
// when all that had been allocated there must have been freed, and the other frees are too few for it.
func endOf(ops []Op, here []int, i int) (end int64, sure bool) {
	from, tried := ops[i].Addr, 0
	for m := i + 1; m < len(ops) && tried < mostTried; m++ {
		over := ops[m]
		if over.Do != Malloc || over.Addr+message.Addr(max(over.Size, 1)) <= from || over.Addr >= from+message.Addr(ops[i].Size) {
			continue
		}
		tried++
		lives, frees, least := 0, 0, uint64(1<<63)
		alone := true
		for _, j := range here {
			switch o := ops[j]; {
			case o.Do == Malloc && o.Return < over.Call:
				lives, least = lives+1, min(least, max(o.Size, 1))
			case o.Do == Malloc || j == i || o.Call > over.Return || o.Code != message.Done:
			case o.Unknown:
				alone = false
			default:
				frees++
			}
		}
		if alone && lives > frees && over.Addr < from+message.Addr(least) {
			return over.Return, true
		}
	}
	return 0, false
}
