package drill

import (
	"cmp"
	"fmt"
	"slices"

	"dmalloc/message"
)

// tables compares what the cluster says is allocated with what the clients know.
func tables(e *Evidence) []Finding {
	if !e.Tables {
		return nil
	}
	before := map[message.Addr]bool{}
	for _, a := range e.Before {
		before[a.Address] = true
	}
	out := overlaps(e.After)
	out = append(out, unaccounted(e, before)...)
	for _, a := range e.End {
		if !before[a.Address] {
			out = append(out, Finding{Check: Leak, Text: fmt.Sprintf("%s (%d bytes, %s) is still allocated though all of the run was freed", a.Address, a.Size, a.State)})
		}
	}
	if e.UsedEnd != e.UsedBefore {
		out = append(out, Finding{Check: Leak, Text: fmt.Sprintf("the companies used %d bytes before the run and %d after everything was freed", e.UsedBefore, e.UsedEnd)})
	}
	return out
}

func overlaps(table []message.Allocation) []Finding {
	table = slices.Clone(table)
	slices.SortFunc(table, func(a, b message.Allocation) int { return cmp.Compare(a.Address, b.Address) })
	var out []Finding
	for i := 1; i < len(table); i++ {
		if a, b := table[i-1], table[i]; a.Address+message.Addr(a.Size) > b.Address {
			out = append(out, Finding{Check: Overlap, Text: fmt.Sprintf("the table has %s with %d bytes and %s, which lies in it", a.Address, a.Size, b.Address)})
		}
	}
	return out
}

// holdings are the allocations that must be there, those that may be, and those that were freed, by what the
// clients were told.
func holdings(ops []Op) (must, may, freed map[extent]Op) {
	must, may, freed = map[extent]Op{}, map[extent]Op{}, map[extent]Op{}
	for _, o := range ops {
		if o.Key.Space != Table {
			continue
		}
		at := extent{o.Addr, o.Size}
		switch {
		case o.Do == Malloc && o.Code == message.Done:
			must[at] = o
		case o.Do == Free && o.Unknown:
			if m, ok := must[at]; ok {
				may[at] = m
			}
			delete(must, at)
		case o.Do == Free:
			delete(must, at)
			delete(may, at)
			freed[at] = o
		}
	}
	return must, may, freed
}

// unaccounted finds acknowledged allocations that are gone, and allocations that nobody can have asked for.
// Sizes tell the mallocs of unknown outcome apart: each of them explains one allocation.
func unaccounted(e *Evidence, before map[message.Addr]bool) []Finding {
	lost := map[uint64]int{}
	for _, size := range e.Lost {
		lost[size]++
	}
	asked := map[uint64]int{}
	for _, o := range e.Ops {
		if o.Do == Malloc {
			asked[o.Size]++
		}
	}
	must, may, freed := holdings(opsUntilAfter(e))
	var out []Finding
	for _, a := range e.After {
		at := extent{a.Address, a.Size}
		_, isMust := must[at]
		_, isMay := may[at]
		f, isFreed := freed[at]
		switch {
		case isMust:
			delete(must, at)
		case isMay || before[a.Address]:
		case isFreed:
			out = append(out, Finding{Check: Leak, Text: fmt.Sprintf("%s, and yet it is in the table", f), Ops: []Op{f}, space: Table})
		case lost[a.Size] > 0:
			lost[a.Size]--
		case asked[a.Size] > 0 || slices.Contains(e.Lost, a.Size):
			out = append(out, Finding{Check: Twice, Text: fmt.Sprintf("%s with %d bytes is allocated, but all mallocs of that size are accounted for: one of them was done twice", a.Address, a.Size)})
		default:
			out = append(out, Finding{Check: Invented, Text: fmt.Sprintf("%s with %d bytes is allocated, and no client asked for that size", a.Address, a.Size)})
		}
	}
	var gone []Op
	for _, m := range must {
		gone = append(gone, m)
	}
	slices.SortFunc(gone, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	for _, m := range gone {
		out = append(out, Finding{Check: Lost, Text: fmt.Sprintf("%s was acknowledged and never freed, and is not in the table", m), Ops: []Op{m}, space: Table})
	}
	return out
}

// opsUntilAfter are the calls that had been made when the table After was read.
func opsUntilAfter(e *Evidence) []Op {
	if e.AfterStamp == 0 {
		return e.Ops
	}
	i, _ := slices.BinarySearchFunc(e.Ops, e.AfterStamp, func(o Op, t int64) int { return cmp.Compare(o.Call, t) })
	return e.Ops[:i]
}
