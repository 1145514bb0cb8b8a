package drill

import (
	"bytes"
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"pgregory.net/rapid"

	"dmalloc/message"
)

// h makes calls for tests: times are microseconds, 0 as an end means that nobody heard of it again.
func h(key Key, do Action, call, end int64, set func(*Op)) Op {
	o := Op{Key: key, Do: do, Call: call * 1000, Return: end * 1000}
	if end == 0 {
		o.Return, o.Unknown = Forever, true
	}
	if key.Space == Cells {
		o.Addr = message.HeapBase + message.Addr(key.ID)<<20
	}
	set(&o)
	return o
}

var aCell, aRegister, aTable = Key{Cells, 1}, Key{Registers, 1}, Key{Space: Table}

func w(k Key, v uint64, call, end int64) Op { return h(k, Write, call, end, func(o *Op) { o.Arg = v }) }
func r(k Key, v uint64, call, end int64) Op { return h(k, Read, call, end, func(o *Op) { o.Got = v }) }
func add(was uint64, call, end int64) Op {
	return h(aCell, Add, call, end, func(o *Op) { o.Arg, o.Got = 1, was })
}
func cas(old, new, was uint64, call, end int64) Op {
	return h(aCell, Swap, call, end, func(o *Op) { o.Old, o.Arg, o.Got, o.Swapped = old, new, was, old == was })
}
func m(a message.Addr, size uint64, call, end int64) Op {
	return h(aTable, Malloc, call, end, func(o *Op) { o.Addr, o.Size = a, size })
}
func f(a message.Addr, size uint64, call, end int64, c message.Code) Op {
	return h(aTable, Free, call, end, func(o *Op) { o.Addr, o.Size, o.Code = a, size, c })
}

// Histories that are known to be right or wrong, and by which check a wrong one is found.
func TestKnownHistories(t *testing.T) {
	const a, b = 1 << 40, 2 << 40
	for _, c := range []struct {
		name  string
		check string // "" for a right one
		ops   []Op
	}{
		{"read what was written", "", []Op{w(aCell, a, 1, 2), r(aCell, a, 3, 4)}},
		{"a read beside a write sees either", "", []Op{w(aCell, a, 1, 9), r(aCell, 0, 2, 3), r(aCell, a, 4, 5)}},
		{"an unknown write appears late", "", []Op{w(aCell, a, 1, 0), w(aCell, b, 2, 3), r(aCell, b, 4, 5), r(aCell, a, 6, 7)}},
		{"an unknown write never appears", "", []Op{w(aCell, a, 1, 0), r(aCell, 0, 4, 5)}},
		{"an unknown add counts or not", "", []Op{add(0, 1, 0), add(0, 2, 3), add(2, 4, 5)}},
		{"an unknown swap", "", []Op{w(aCell, a, 1, 2), cas(a, b, a, 3, 0), r(aCell, a, 4, 5), r(aCell, b, 6, 7)}},
		{"a swap that did not happen", "", []Op{w(aCell, a, 1, 2), cas(b, b+1, a, 3, 4), r(aCell, a, 5, 6)}},
		{"an address given out again", "", []Op{m(a, 16, 1, 2), f(a, 16, 3, 6, message.Done), m(a, 16, 4, 5)}},
		{"a free that had no answer", "", []Op{m(a, 16, 1, 2), f(a, 16, 3, 0, message.Done), m(a, 8, 4, 5), f(a, 8, 6, 7, message.Done)}},
		{"a second free", "", []Op{m(a, 16, 1, 2), f(a, 16, 3, 4, message.Done), f(a, 16, 5, 6, message.AlreadyFree)}},

		{"a lost write", Lost, []Op{w(aCell, a, 1, 2), w(aCell, b, 3, 4), r(aCell, a, 5, 6)}},
		{"a lost first write", Lost, []Op{w(aRegister, a, 1, 2), r(aRegister, 0, 3, 4)}},
		{"a stale read", Stale, []Op{w(aCell, a, 1, 2), w(aCell, b, 3, 4), r(aCell, a, 5, 6), r(aCell, b, 7, 8)}},
		{"new, then old, beside the write", NotLinear, []Op{w(aRegister, a, 1, 9), r(aRegister, a, 2, 3), r(aRegister, 0, 4, 5)}},
		{"a value that nobody wrote", Invented, []Op{w(aCell, a, 1, 2), r(aCell, b, 3, 4)}},
		{"a value before its write", Invented, []Op{r(aCell, a, 1, 2), w(aCell, a, 3, 4)}},
		{"half a value", Invented, []Op{w(aCell, a, 1, 2), h(aCell, Read, 3, 4, func(o *Op) { o.Got, o.Torn = a, "half" })}},
		{"an add done twice", Twice, []Op{add(0, 1, 2), r(aCell, 2, 3, 4)}},
		{"an add seen twice", NotLinear, []Op{add(0, 1, 3), add(0, 2, 4), r(aCell, 2, 5, 6)}},
		{"an add lost", Lost, []Op{add(0, 1, 2), r(aCell, 0, 3, 4)}},
		{"an unknown swap that cannot have happened", NotLinear, []Op{w(aCell, a, 1, 2), cas(b, b+1, a, 3, 0), r(aCell, b+1, 4, 5)}},
		{"a lost write beside a long one", Lost, []Op{w(aCell, a, 1, 2), w(aCell, b, 3, 4), w(aCell, 3<<40, 1, 10), r(aCell, a, 11, 12)}},
		{"two that begin apart", Overlap, []Op{m(b, 16, 1, 2), m(b-8, 16, 3, 4)}},
		{"a swap of two at once", NotLinear, []Op{cas(0, a, 0, 1, 3), cas(0, b, 0, 2, 4)}},
		{"a cell that is gone", Lost, []Op{w(aCell, a, 1, 2), h(aCell, Read, 3, 4, func(o *Op) { o.Code = message.NotAllocated })}},
		{"two live in one place", Overlap, []Op{m(a, 16, 1, 2), m(a+8, 16, 3, 4)}},
		{"one in another", Overlap, []Op{m(a, 64, 1, 2), m(a+8, 8, 3, 4), f(a, 64, 5, 6, message.Done)}},
		{"a live one is free already", NotLinear, []Op{m(a, 16, 1, 2), f(a, 16, 3, 4, message.AlreadyFree)}},
		{"freed twice", NotLinear, []Op{m(a, 16, 1, 2), f(a, 16, 3, 4, message.Done), f(a, 16, 5, 6, message.Done)}},
		{"less than asked for", Invented, []Op{h(aTable, Malloc, 1, 2, func(o *Op) { o.Size, o.Torn = 16, "8 bytes" })}},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := findings(c.ops)
			switch {
			case c.check == "" && len(found) == 0:
			case c.check != "" && len(found) > 0 && found[0].Check == c.check:
				if len(found[0].Ops) == 0 {
					t.Error("no example")
				}
			default:
				t.Errorf("found %v, want %q", found, c.check)
			}
			// The model alone must say the same, without the plain words.
			keys, parts := split(c.ops)
			for _, k := range keys {
				if got := porcupine.CheckOperations(modelOf(k.Space, parts[k]), operations(parts[k])); got != (c.check == "") {
					t.Errorf("the model says %v", got)
				}
			}
		})
	}
}

// findings judges calls alone; what only a real run can show is left out.
func findings(ops []Op) []Finding {
	return slices.DeleteFunc(Check(Evidence{History: History{Ops: ops}}, 10*time.Second), func(f Finding) bool { return f.Check == Idle })
}

func TestTables(t *testing.T) {
	row := func(a message.Addr, size uint64) message.Allocation {
		return message.Allocation{Address: a, Size: size, State: message.Allocated}
	}
	other := []message.Allocation{row(1<<50, 5)} // somebody else's, there all the time
	kept, gone := m(1000, 16, 1, 2), m(2000, 32, 3, 4)
	freed, unsure := f(2000, 32, 5, 6, message.Done), f(1000, 16, 5, 0, message.Done)
	for _, c := range []struct {
		name  string
		check string
		e     Evidence
	}{
		{"all as it should be", "", Evidence{History: History{Ops: []Op{kept, gone, freed}}, After: []message.Allocation{row(1000, 16), other[0]}}},
		{"a malloc without an answer happened", "", Evidence{History: History{Lost: []uint64{48}}, After: []message.Allocation{row(3000, 48)}}},
		{"a free without an answer did not happen", "", Evidence{History: History{Ops: []Op{kept, unsure}}, After: []message.Allocation{row(1000, 16)}}},
		{"and here it did", "", Evidence{History: History{Ops: []Op{kept, unsure}}}},
		{"an allocation is gone", Lost, Evidence{History: History{Ops: []Op{kept}}}},
		{"a malloc done twice", Twice, Evidence{History: History{Ops: []Op{kept}}, After: []message.Allocation{row(1000, 16), row(3000, 16)}}},
		{"a lost malloc done twice", Twice, Evidence{History: History{Lost: []uint64{48}}, After: []message.Allocation{row(3000, 48), row(4000, 48)}}},
		{"nobody asked for it", Invented, Evidence{After: []message.Allocation{row(3000, 48)}}},
		{"freed and still there", Leak, Evidence{History: History{Ops: []Op{gone, freed}}, After: []message.Allocation{row(2000, 32)}}},
		{"rows that overlap", Overlap, Evidence{History: History{Ops: []Op{m(1000, 32, 1, 2)}, Lost: []uint64{48}}, After: []message.Allocation{row(1016, 48), row(1000, 32)}}},
		{"left at the end", Leak, Evidence{End: []message.Allocation{row(1000, 16)}}},
		{"bytes left at the end", Leak, Evidence{UsedBefore: 5, UsedEnd: 21}},
	} {
		c.e.Before, c.e.Tables = other, true
		found := tables(&c.e)
		if c.check == "" && len(found) > 0 || c.check != "" && (len(found) == 0 || found[0].Check != c.check) {
			t.Errorf("%s: found %v, want %q", c.name, found, c.check)
		}
	}
}

func TestReusedBytes(t *testing.T) {
	write, other := w(aCell, 1<<40, 1, 2), w(Key{Cells, 2}, 2<<40, 1, 2)
	peek := func(v uint64) Op { return h(aCell, Peek, 5, 6, func(o *Op) { o.Got = v }) }
	if found := reused([]Op{write, other, peek(1 << 40)}); len(found) != 1 || found[0].Check != Reused {
		t.Errorf("%v", found)
	}
	if found := reused([]Op{write, other, peek(2 << 40), peek(0)}); len(found) != 0 {
		t.Errorf("a new owner's bytes: %v", found)
	}
}

// What the checker has no time for is a failure, not a pass.
func TestUndecidedIsFound(t *testing.T) {
	found := Check(Evidence{History: History{Ops: []Op{w(aCell, 1<<40, 1, 2)}}}, 0)
	if !slices.ContainsFunc(found, func(f Finding) bool { return f.Check == Undecided }) {
		t.Errorf("%v", found)
	}
	// Which of forty additions happened to make an odd sum is a search without end.
	var ops []Op
	for i := range int64(40) {
		ops = append(ops, h(aCell, Add, i+1, 0, func(o *Op) { o.Arg = 2 << i }))
	}
	found = Check(Evidence{History: History{Ops: append(ops, r(aCell, 1, 100, 101))}}, 100*time.Millisecond)
	if !slices.ContainsFunc(found, func(f Finding) bool { return f.Check == Undecided }) {
		t.Errorf("%v", found)
	}
}

// A run in which nothing worked proves nothing.
func TestIdleIsFound(t *testing.T) {
	most := []Op{w(aCell, 1<<40, 1, 2), r(aCell, 1<<40, 3, 4), m(1000, 16, 5, 6)}
	if f := idle(most); f == nil {
		t.Error("no free succeeded")
	}
	if f := idle(append(most, f(1000, 16, 7, 8, message.Done))); f != nil {
		t.Errorf("%v", f)
	}
	if found := Check(Evidence{}, time.Second); len(found) != 1 || found[0].Check != Idle {
		t.Errorf("%v", found)
	}
}

// drawLegal makes what clients could see of a real cell: each call takes effect at a moment within it.
func drawLegal(t *rapid.T, adds bool) []Op {
	dice := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	n := rapid.IntRange(1, 30).Draw(t, "calls")
	type moment struct {
		at int64
		op int
	}
	var (
		ops     []Op
		moments []moment
		busy    [4]int64
	)
	for i := range n {
		c := dice.IntN(len(busy))
		call := busy[c] + 1 + dice.Int64N(20)
		end := call + 2 + dice.Int64N(60)
		o := Op{Key: aCell, Client: c, Call: call, Return: end, Arg: makeValue(c, uint32(i+1))}
		o.Do = []Action{Read, Read, Write, Swap}[dice.IntN(4)]
		if adds && dice.IntN(2) == 0 {
			o.Do, o.Arg = Add, 1
		}
		busy[c] = end
		ops = append(ops, o)
		moments = append(moments, moment{call + 1 + dice.Int64N(end-call-1), i})
	}
	slices.SortFunc(moments, func(a, b moment) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.op, b.op)) })
	state, last := uint64(0), uint64(0)
	for _, mo := range moments {
		o := &ops[mo.op]
		if o.changes() && dice.IntN(6) == 0 {
			o.Unknown, o.Return, o.Client = true, Forever, 100+mo.op
			if dice.IntN(2) == 0 {
				continue // it never happens
			}
		}
		o.Old = last
		got, swapped := state, state == last
		switch o.Do {
		case Write:
			state = o.Arg
		case Add:
			state += o.Arg
		case Swap:
			if swapped {
				state = o.Arg
			}
			o.Swapped = swapped && !o.Unknown
		}
		if dice.IntN(2) == 0 {
			last = state
		}
		if !o.Unknown && o.Do != Write {
			o.Got = got
		}
	}
	slices.SortFunc(ops, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	return ops
}

func legal(ops []Op) bool {
	return porcupine.CheckOperationsTimeout(cellModel(), operations(ops), 10*time.Second) == porcupine.Ok
}

// V2 for allocations: a free without an answer may have ended another life than its own.
func TestLivesGoTogether(t *testing.T) {
	ops := []Op{m(1000, 16, 1, 2), f(1000, 16, 3, 0, message.Done), f(1000, 16, 4, 5, message.Done), m(1000, 32, 6, 7),
		f(1000, 32, 8, 9, message.AlreadyFree), m(2000, 16, 10, 11), f(2000, 16, 12, 13, message.Done), m(2000, 32, 14, 15)}
	all := units(Table, ops)
	if len(all) != 3 {
		t.Errorf("%v: not one for the first address and two for the second", all)
	}
	for _, u := range append(all, nil) {
		var rest []Op
		for i, o := range ops {
			if !slices.Contains(u, i) {
				rest = append(rest, o)
			}
		}
		if !porcupine.CheckOperations(tableModel(), operations(rest)) {
			t.Errorf("without the calls %v the rest is illegal", u)
		}
	}
}

// What a real cell could have answered is never found fault with, and stays legal without any of its units (V2).
func TestLegalHistoriesPass(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ops := drawLegal(t, rapid.Bool().Draw(t, "adds"))
		if found := findings(ops); len(found) != 0 {
			t.Fatalf("found %v in\n%s", found, lines(ops))
		}
		for _, u := range units(Cells, ops) {
			var rest []Op
			for i, o := range ops {
				if !slices.Contains(u, i) {
					rest = append(rest, o)
				}
			}
			if !legal(rest) {
				t.Fatalf("V2: without the calls %v the rest is illegal:\n%s", u, lines(ops))
			}
		}
		for _, o := range ops {
			if cut := until(ops, o.Return); !legal(cut) {
				t.Fatalf("what was known at %d is illegal:\n%s", o.Return, lines(cut))
			}
		}
	})
}

// A plain check says only what the model says too, and a short example is illegal and a part of the whole.
func TestPlainChecksAgree(t *testing.T) {
	caught, illegal := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		ops := drawLegal(t, rapid.Bool().Draw(t, "adds"))
		reads := slices.DeleteFunc(slices.Clone(ops), func(o Op) bool { return o.Do != Read })
		if len(reads) == 0 {
			return
		}
		victim := rapid.SampledFrom(reads).Draw(t, "victim")
		i := slices.Index(ops, victim)
		ops[i].Got = rapid.SampledFrom(reads).Draw(t, "value").Got + rapid.SampledFrom([]uint64{0, 0, 0, 1}).Draw(t, "more")
		plain := plainly(aCell, ops)
		if legal(ops) {
			if plain != nil {
				t.Fatalf("%s in a legal history:\n%s", plain, lines(ops))
			}
			return
		}
		illegal++
		if plain != nil {
			caught++
		}
		short := Shrink(Cells, ops, time.Now().Add(10*time.Second))
		if legal(short) || len(short) > len(ops) {
			t.Fatalf("the example is legal:\n%s\nof\n%s", lines(short), lines(ops))
		}
	})
	t.Logf("%d illegal histories, %d of them also found in plain words", illegal, caught)
}

func lines(ops []Op) string {
	var b strings.Builder
	for _, o := range ops {
		b.WriteString(o.line() + "\n")
	}
	return b.String()
}

// The example of a lost write among much else is that write, what replaced it and the read.
func TestShrinkFindsTheHeart(t *testing.T) {
	var ops []Op
	for i := range int64(200) {
		v := makeValue(int(i%5), uint32(i))
		ops = append(ops, w(aCell, v, 10*i+1, 10*i+3), r(aCell, v, 10*i+4, 10*i+6))
	}
	ops = append(ops, w(aCell, 77<<40, 5000, 5001), r(aCell, makeValue(4, 199), 5002, 5003), w(aCell, 78<<40, 5004, 5005), w(aCell, 79<<40, 5006, 0))
	short := Shrink(Cells, ops, time.Now().Add(10*time.Second))
	if len(short) != 3 || short[0].Arg != makeValue(4, 199) || short[1].Arg != 77<<40 || short[2].Do != Read {
		t.Errorf("got\n%s", lines(short))
	}
}

func TestPicture(t *testing.T) {
	ops := []Op{w(aCell, 1<<40, 1, 2), w(aCell, 2<<40, 3, 0), r(aCell, 0, 5, 6)}
	var page bytes.Buffer
	kill, _ := ParseCommand("kill 2")
	if err := Picture(&page, Finding{Check: Lost, Ops: ops}, []Done{{At: time.Microsecond, Until: 4 * time.Microsecond, Command: kill}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<html", "kill 2", "read cell 1", "write cell 1 c1.0"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("no %q on the page", want)
		}
	}
}

func TestClassify(t *testing.T) {
	for err, want := range map[error]Outcome{
		nil:                                   Answered,
		context.Canceled:                      Unknown,
		context.DeadlineExceeded:              Unknown,
		message.Errorf(message.Timeout, "x"):  Unknown,
		message.Errorf(message.Canceled, "x"): Unknown,
		message.Errorf(message.Unavailable, "nothing was changed"): Unknown,
		message.Errorf(message.Internal, "x"):                      Unknown,
		message.Errorf(message.Busy, "x"):                          Refused,
		message.Errorf(message.InvalidArgument, "x"):               Refused,
		message.Errorf(message.OutOfMemory, "x"):                   Refused,
		message.Errorf(message.AlreadyFree, "x"):                   Answered,
		message.Errorf(message.NotWritten, "x"):                    Answered,
	} {
		if got := Classify(err); got != want {
			t.Errorf("%v is %d, want %d", err, got, want)
		}
	}
}
