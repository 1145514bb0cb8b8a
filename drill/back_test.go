package drill

import (
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"dmalloc/message"
)

// by has a call made through a node whose holder may absorb writes.
func by(n message.NodeID, o Op) Op {
	o.Back, o.Holder = true, n
	return o
}

func absorbed(n message.NodeID, v uint64, call, end int64) Op {
	o := by(n, w(aCell, v, call, end))
	o.Absorbed = !o.Unknown
	return o
}

func note(n message.NodeID, do Action, call, end int64) Op {
	return by(n, h(aCell, do, call, end, func(*Op) {}))
}

func split2(n message.NodeID, v, tail uint64, call, end int64) Op {
	o := by(n, r(aCell, v, call, end))
	o.Torn, o.Split, o.Tail = "two values", true, tail
	return o
}

// What a loss excuses, and what it does not.
func TestLossesInHistories(t *testing.T) {
	const a, b, c = 1 << 40, 2 << 40, 3 << 40
	for _, x := range []struct {
		name  string
		legal bool
		ops   []Op
	}{
		{"all is lost", true, []Op{absorbed(1, a, 1, 2), absorbed(1, b, 3, 4), note(1, Loss, 5, 9), by(2, r(aCell, 0, 6, 7))}},
		{"the last is lost", true, []Op{absorbed(1, a, 1, 2), absorbed(1, b, 3, 4), note(1, Loss, 5, 9), by(2, r(aCell, a, 6, 7))}},
		{"nothing is lost", true, []Op{absorbed(1, a, 1, 2), note(1, Loss, 5, 9), by(2, r(aCell, a, 6, 7))}},
		{"an earlier one comes back after a later one", false, []Op{absorbed(1, a, 1, 2), absorbed(1, b, 3, 4), note(1, Loss, 5, 9), by(2, r(aCell, a, 6, 7)), by(2, r(aCell, b, 10, 11))}},
		{"nobody says that it was lost", false, []Op{absorbed(1, a, 1, 2), by(2, r(aCell, 0, 6, 7))}},
		{"before the loss", false, []Op{absorbed(1, a, 1, 2), by(2, r(aCell, 0, 3, 4)), note(1, Loss, 5, 9)}},
		{"another node's loss", false, []Op{absorbed(1, a, 1, 2), note(2, Loss, 5, 9), by(2, r(aCell, 0, 6, 7))}},
		{"what was synced is lost", false, []Op{absorbed(1, a, 1, 2), note(1, Sync, 3, 4), note(1, Loss, 5, 9), by(2, r(aCell, 0, 6, 7))}},
		{"what another node synced is no matter", true, []Op{absorbed(1, a, 1, 2), note(2, Sync, 3, 4), note(1, Loss, 5, 9), by(2, r(aCell, 0, 6, 7))}},
		{"what comes after the sync is lost", true, []Op{absorbed(1, a, 1, 2), note(1, Sync, 3, 4), absorbed(1, b, 5, 6), note(1, Loss, 7, 9), by(2, r(aCell, a, 10, 11))}},
		{"what was seen elsewhere is lost", false, []Op{absorbed(1, a, 1, 2), by(2, r(aCell, a, 3, 4)), note(1, Loss, 5, 9), by(2, r(aCell, 0, 10, 11))}},
		{"what was seen at the holder is lost", true, []Op{absorbed(1, a, 1, 2), by(1, r(aCell, a, 3, 4)), note(1, Loss, 5, 9), by(2, r(aCell, 0, 10, 11))}},
		{"lost, though another was given the lease", false, []Op{absorbed(1, a, 1, 2), note(2, Hold, 3, 4), note(1, Loss, 5, 9), by(2, r(aCell, 0, 10, 11))}},
		{"lost, though the same node was given another lease", false, []Op{absorbed(1, a, 1, 2), note(1, Hold, 3, 4), note(1, Loss, 5, 9), by(2, r(aCell, 0, 10, 11))}},
		{"lost, and the same node has it anew", true, []Op{absorbed(1, a, 1, 2), note(1, Loss, 3, 9), note(1, Hold, 5, 6), by(2, r(aCell, 0, 10, 11))}},
		{"lost, though overwritten through the log", false, []Op{absorbed(1, a, 1, 2), by(1, w(aCell, b, 3, 4)), note(1, Loss, 5, 9), by(2, r(aCell, a, 10, 11))}},
		{"an open write was absorbed and lost", true, []Op{absorbed(1, a, 1, 0), by(1, r(aCell, a, 2, 3)), note(1, Loss, 5, 9), by(2, r(aCell, 0, 10, 11))}},
		{"added to, and lost with it", false, []Op{absorbed(1, a, 1, 2), by(1, add(a, 3, 4)), note(1, Loss, 5, 9), by(2, r(aCell, 0, 10, 11))}},
		{"swapped after a loss", true, []Op{absorbed(1, a, 1, 2), note(1, Loss, 5, 9), by(2, cas(0, b, 0, 10, 11)), by(1, r(aCell, b, 12, 13))}},
		{"not swapped after a loss", true, []Op{absorbed(1, a, 1, 2), note(1, Loss, 5, 9), by(2, cas(a, b, 0, 10, 11)), by(1, r(aCell, 0, 12, 13))}},
		{"swapped for what was lost for sure", false, []Op{absorbed(1, a, 1, 2), note(1, Loss, 5, 9), by(2, r(aCell, 0, 10, 11)), by(2, cas(a, b, a, 12, 13))}},
		{"an open swap and an open addition after a loss", true, []Op{absorbed(1, a, 1, 2), note(1, Loss, 5, 9), by(2, cas(0, b, 0, 10, 0)), by(2, add(0, 12, 0)), by(2, r(aCell, b+1, 14, 15))}},
		{"one page is lost", true, []Op{absorbed(1, a, 1, 2), absorbed(1, b, 3, 4), note(1, Loss, 5, 9), split2(2, b, a, 10, 11), split2(3, b, a, 12, 13)}},
		{"one page is lost that was not", false, []Op{absorbed(1, a, 1, 2), note(1, Sync, 3, 4), absorbed(1, b, 5, 6), note(1, Loss, 7, 9), split2(2, b, 0, 10, 11)}},
		{"pages that nobody wrote apart", false, []Op{absorbed(1, a, 1, 2), by(1, w(aCell, c, 3, 4)), split2(2, a, c, 10, 11), note(2, Loss, 12, 13)}},
		{"torn inside a page", false, []Op{absorbed(1, a, 1, 2), note(1, Loss, 5, 9), h(aCell, Read, 10, 11, func(o *Op) { o.Got, o.Torn = a, "half" })}},
	} {
		t.Run(x.name, func(t *testing.T) {
			sortByCall(x.ops)
			if got := porcupine.CheckOperations(modelOf(Cells, x.ops), operations(x.ops)); got != x.legal {
				t.Errorf("the model says %v", got)
			}
			if !lossy(x.ops) {
				return
			}
			if got := searched(t, x.ops); got != x.legal {
				t.Errorf("the search says %v", got)
			}
			if !x.legal {
				short := Shrink(Cells, x.ops, time.Now().Add(20*time.Second))
				if porcupine.CheckOperations(modelOf(Cells, short), operations(short)) {
					t.Errorf("shrunk to what is legal: %v", short)
				}
			}
		})
	}
}

// searched is what the search says, which must say something.
func searched(t interface{ Fatal(...any) }, ops []Op) bool {
	said, why := searchLosses(ops, time.Now().Add(time.Minute))
	if said == porcupine.Unknown {
		t.Fatal("not judged: ", why)
	}
	return said == porcupine.Ok
}

// What a process had not written back when it ended is gone then, and not later.
func TestSureLoss(t *testing.T) {
	const a = 1 << 40
	kill := func(at int64) Done {
		return Done{At: time.Duration(at) * time.Microsecond, Until: time.Duration(at+1) * time.Microsecond, Command: Command{Verb: "kill", Who: []Who{nodeWho(1)}}}
	}
	l := losses{done: []Done{kill(12), kill(32)}, windows: []window{{1, 10_000, 14_000, true, true}, {1, 30_000, 34_000, true, true}}}
	for _, legal := range []bool{true, false} {
		ops := []Op{absorbed(1, a, 1, 2), absorbed(1, 2*a, 25, 26), by(2, r(aCell, 0, 40, 41))}
		if !legal {
			ops = append(ops, by(1, r(aCell, a, 20, 21))) // of the next process: it is in the log
		}
		sortByCall(ops)
		ops = append(ops, l.of(aCell, ops)...)
		sortByCall(ops)
		if got := searched(t, ops); got != legal {
			t.Errorf("%v: the search says %v", ops, got)
		}
	}
}

// Where a loss is put into a history: one that a node tells of, that is explained, and that there was something to.
func TestWhatIsALoss(t *testing.T) {
	const ms = int64(time.Millisecond)
	us := func(at int64) int64 { return at * 1000 } // as h counts
	lease := Grant{Key: aCell, Call: us(1), Return: us(2), Lease: message.Lease{Holder: 1, Mode: "w", LengthMS: 100}}
	other := lease
	other.Key = Key{Cells, 2}
	kill := Done{At: 50 * time.Millisecond, Until: 60 * time.Millisecond, Command: Command{Verb: "kill", Who: []Who{nodeWho(1)}}}
	pause := kill
	pause.Command.Verb = "pause"
	died := window{1, 40 * ms, 70 * ms, true, false}
	told := window{1, 110 * ms, 120 * ms, false, false}
	early := window{1, 40 * ms, 70 * ms, false, false}
	write := absorbed(1, 1<<40, 3, 4)
	late := absorbed(1, 1<<40, 130_000, 131_000)
	for _, x := range []struct {
		name string
		l    losses
		ops  []Op
		from int64 // 0: no loss
	}{
		{"killed", losses{[]window{died}, nil, []Done{kill}}, []Op{write}, 40 * ms},
		{"killed, and written after", losses{[]window{died}, nil, []Done{kill}}, []Op{late}, 0},
		{"nobody killed it", losses{[]window{died}, nil, []Done{pause}}, []Op{write}, 0},
		{"another node's write", losses{[]window{died}, nil, []Done{kill}}, []Op{absorbed(2, 1<<40, 3, 4)}, 0},
		{"synced before", losses{[]window{died}, nil, []Done{kill}}, []Op{write, note(1, Sync, 5, 6)}, 0},
		{"seen elsewhere before", losses{[]window{died}, nil, []Done{kill}}, []Op{write, by(2, r(aCell, 1<<40, 5, 6))}, 0},
		{"seen elsewhere afterwards", losses{[]window{died}, nil, []Done{kill}}, []Op{write, by(2, r(aCell, 0, 55_000, 56_000))}, 40 * ms},
		{"seen at the holder", losses{[]window{died}, nil, []Done{kill}}, []Op{write, by(1, r(aCell, 1<<40, 5, 6))}, 40 * ms},
		{"its lease was over", losses{[]window{told}, []Grant{lease}, nil}, []Op{write}, 100*ms + us(1)},
		{"others saw that before it did", losses{[]window{told}, []Grant{lease}, nil}, []Op{write, by(2, r(aCell, 0, 105_000, 106_000))}, 100*ms + us(1)},
		{"its lease was not over", losses{[]window{early}, []Grant{lease}, nil}, []Op{write}, 0},
		{"another cell's lease", losses{[]window{told}, []Grant{other}, nil}, []Op{write}, 0},
		{"frozen past its lease, then killed", losses{[]window{{1, 99 * ms, 140 * ms, true, false}}, []Grant{lease}, []Done{{At: 120 * time.Millisecond, Until: 130 * time.Millisecond, Command: kill.Command}}}, []Op{write}, 99 * ms},
	} {
		got := x.l.of(aCell, x.ops)
		if x.name == "frozen past its lease, then killed" && len(got) == 2 { // for either reason
			got = got[:1]
		}
		if len(got) > 1 || (len(got) == 1) != (x.from != 0) || len(got) == 1 && (got[0].Call != x.from || got[0].Holder != 1 || got[0].Do != Loss) {
			t.Errorf("%s: %v", x.name, got)
		}
	}
}

func TestWindows(t *testing.T) {
	seen := []sight{{1, 2, Holding{7, 0}}, {3, 4, Holding{7, 0}}, {5, 6, Holding{7, 8}}, {7, 8, Holding{9, 0}}, {9, 10, Holding{9, 0}}}
	want := []window{{1, 0, 2, true, false}, {1, 3, 6, false, false}, {1, 5, 8, true, true}, {1, 9, 20, true, false}}
	if got := windows(1, seen, 20); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := windows(1, nil, 20), []window{{1, 0, 20, true, false}}; !slices.Equal(got, want) {
		t.Errorf("never heard: %+v, want %+v", got, want)
	}
}

// The story tells what became of absorbed writes.
func TestAbsorbedAreCounted(t *testing.T) {
	const a, b, c = 1 << 40, 2 << 40, 3 << 40
	all := &Absorbed{Lost: map[message.NodeID]int{}}
	all.tell([]Op{absorbed(1, a, 1, 2), note(1, Sync, 3, 4), absorbed(1, b, 5, 6), absorbed(1, c, 7, 8), note(1, Loss, 9, 12), by(2, r(aCell, a, 13, 14))})
	all.tell([]Op{absorbed(2, a, 1, 2)})
	if got := all.String(); got != "4 writes absorbed, 1 of them seen to be written back, 2 to be lost (node 1: 2)" {
		t.Error(got)
	}
}
