package drill

import (
	"cmp"
	"fmt"
	"slices"

	"dmalloc/message"
)

// plainly looks for what can be said in plain words without a search: values that nobody wrote, reads that went
// back, sums that are too large. It finds nothing in a history that the model allows, and not all else.
func plainly(k Key, ops []Op) *Finding {
	finding := func(check, format string, args ...any) *Finding {
		return &Finding{Check: check, Key: k.String(), Text: fmt.Sprintf(format, args...), Ops: ops, space: k.Space}
	}
	if k.Space == Table {
		return plainTable(ops, finding)
	}
	ops = slices.DeleteFunc(slices.Clone(ops), func(o Op) bool { return o.Do == Sync || o.Do == Hold })
	for _, o := range ops {
		if o.Code != message.Done {
			return finding(Lost, "%s, though nobody had freed it", o)
		}
		if o.Torn != "" && !(o.Split && lossy(ops)) {
			return finding(Invented, "%s, which nobody wrote", o)
		}
	}
	if lossy(ops) {
		return nil // what may be lost, only the model knows
	}
	if slices.ContainsFunc(ops, func(o Op) bool { return o.Do == Add }) {
		return plainSum(ops, finding)
	}
	return plainValues(ops, finding)
}

type namer func(check, format string, args ...any) *Finding

// plainValues judges a key whose values come from writes and swaps only, each of its own (R4).
func plainValues(ops []Op, finding namer) *Finding {
	writes := map[uint64]Op{}
	var acked []Op
	for _, o := range ops {
		if o.Do == Write || o.Do == Swap && (o.Swapped || o.Unknown) {
			writes[o.Arg] = o
			if !o.Unknown {
				acked = append(acked, o)
			}
		}
	}
	// Of the writes that had ended at a time, the one that was called last: nothing older may be seen then.
	slices.SortFunc(acked, func(a, b Op) int { return cmp.Compare(a.Return, b.Return) })
	newest := slices.Clone(acked)
	for i := 1; i < len(newest); i++ {
		if newest[i-1].Call > newest[i].Call {
			newest[i] = newest[i-1]
		}
	}
	for _, o := range ops {
		if o.Do != Read {
			continue
		}
		w, written := writes[o.Got]
		if !written && o.Got != 0 || w.Call > o.Return {
			return finding(Invented, "%s saw a value that nobody had written here", o)
		}
		i, _ := slices.BinarySearchFunc(acked, o.Call, func(w Op, t int64) int { return cmp.Compare(w.Return, t) })
		if i == 0 {
			continue
		}
		if n := newest[i-1]; !written || w.Return < n.Call {
			return lostOrStale(ops, o, n, finding)
		}
	}
	return nil
}

// lostOrStale says whether a write was seen again after a read that missed it.
func lostOrStale(ops []Op, read, write Op, finding namer) *Finding {
	for _, o := range ops {
		if o.Do == Read && o.Got == write.Arg && o.Call > read.Return {
			return finding(Stale, "%s saw an older value than %s, which had ended before", read, write)
		}
	}
	return finding(Lost, "%s was acknowledged, and %s, called afterwards, saw an older value", write, read)
}

// plainSum judges a key that is only added to and read: no sum is smaller than what was acknowledged before,
// nor larger than all that was asked for.
func plainSum(ops []Op, finding namer) *Finding {
	var most uint64
	type ended struct {
		at  int64
		sum uint64
	}
	var acked []ended
	for _, o := range ops {
		switch o.Do {
		case Write, Swap:
			return nil // sums of what was written before are the model's to judge
		case Add:
			most += o.Arg
			if !o.Unknown {
				acked = append(acked, ended{o.Return, o.Arg})
			}
		}
	}
	slices.SortFunc(acked, func(a, b ended) int { return cmp.Compare(a.at, b.at) })
	for i := 1; i < len(acked); i++ {
		acked[i].sum += acked[i-1].sum
	}
	for _, o := range ops {
		if o.Unknown {
			continue
		}
		if o.Got > most || o.Do == Add && o.Got+o.Arg > most {
			return finding(Twice, "%s, but all %d that were asked for make %d", o, len(ops), most)
		}
		i, _ := slices.BinarySearchFunc(acked, o.Call, func(e ended, t int64) int { return cmp.Compare(e.at, t) })
		if i > 0 && o.Got < acked[i-1].sum {
			return finding(Lost, "%s, but %d had been added and acknowledged before", o, acked[i-1].sum)
		}
	}
	return nil
}

// plainTable looks for allocations that shared bytes while both were certainly live: from the return of
// malloc until the call of free.
func plainTable(ops []Op, finding namer) *Finding {
	type life struct {
		extent
		from, to int64
		malloc   Op
	}
	var lives []life
	last := map[extent]int{} // by address and size: calls overlap, so their order tells nothing
	for _, o := range ops {  // by call
		switch o.Do {
		case Malloc:
			if o.Torn != "" || o.Code != message.Done {
				return finding(Invented, "%s: %s", o, o.Torn)
			}
			last[extent{o.Addr, o.Size}] = len(lives)
			lives = append(lives, life{extent{o.Addr, o.Size}, o.Return, Forever, o})
		case Free:
			if i, ok := last[extent{o.Addr, o.Size}]; ok {
				lives[i].to = min(lives[i].to, o.Call)
			}
		}
	}
	slices.SortFunc(lives, func(a, b life) int { return cmp.Compare(a.addr, b.addr) })
	var longest uint64
	for i, b := range lives {
		for j := i - 1; j >= 0 && lives[j].addr+message.Addr(longest) > b.addr; j-- {
			a := lives[j]
			if a.end() > b.addr && a.from < b.to && b.from < a.to {
				return finding(Overlap, "%s and %s share bytes, and both are live at %s", a.malloc, b.malloc, seconds(max(a.from, b.from)))
			}
		}
		longest = max(longest, b.size)
	}
	return nil
}

// whole judges what no single key shows.
func whole(e *Evidence) []Finding {
	var out []Finding
	for i, d := range e.Defects {
		if i == 3 {
			out = append(out, Finding{Check: Defect, Text: fmt.Sprintf("and %d more such answers", len(e.Defects)-i)})
			break
		}
		out = append(out, Finding{Check: Defect, Text: d})
	}
	if e.Full {
		out = append(out, Finding{Check: Idle, Text: fmt.Sprintf("only %d calls could be recorded; run it for a shorter time, or with fewer clients", len(e.Ops))})
	}
	if f := idle(e.Ops); f != nil {
		out = append(out, *f)
	}
	return append(out, reused(e.Ops)...)
}

// idle finds what the run did not even do: without it a pass would say nothing.
func idle(ops []Op) *Finding {
	var reads, writes, mallocs, frees int
	for _, o := range ops {
		switch {
		case o.Unknown || o.Code != message.Done:
		case o.Do == Read:
			reads++
		case o.Do == Malloc:
			mallocs++
		case o.Do == Free:
			frees++
		case o.changes():
			writes++
		}
	}
	if reads > 0 && writes > 0 && mallocs > 0 && frees > 0 {
		return nil
	}
	return &Finding{Check: Idle, Text: fmt.Sprintf("only %d reads, %d writes, %d mallocs and %d frees succeeded, which proves nothing; look at nodes and companies", reads, writes, mallocs, frees)}
}

// reused finds reads after a free that still saw what the freed allocation held.
func reused(ops []Op) []Finding {
	written := map[uint64]Op{}
	for _, o := range ops {
		if o.Key.Space == Cells && o.Do == Write {
			written[o.Arg] = o
		}
	}
	var out []Finding
	for _, o := range ops {
		if o.Do != Peek || o.Code != message.Done || o.Got == 0 {
			continue
		}
		if w, ok := written[o.Got]; ok && w.Key == o.Key {
			out = append(out, Finding{Check: Reused, Key: o.Key.String(), Ops: []Op{w, o}, space: Cells,
				Text: fmt.Sprintf("%s saw what %s had left there before it was freed", o, w)})
		}
	}
	return out
}
