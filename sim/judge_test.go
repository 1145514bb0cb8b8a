package sim

import "testing"

// The judges themselves pass what is right and fail what is wrong, unknown outcomes too.
func TestJudge(t *testing.T) {
	const never = 0
	w := func(v uint64, call, ret int64) record { return record{kind: writes, in: v, call: call, ret: ret} }
	r := func(v uint64, call, ret int64) record { return record{kind: reads, out: v, call: call, ret: ret} }
	add := func(n, before uint64, call, ret int64) record {
		return record{kind: adds, in: n, out: before, call: call, ret: ret}
	}
	swap := func(old, next, before uint64, call, ret int64) record {
		return record{kind: swaps, old: old, in: next, out: before, yes: old == before, call: call, ret: ret}
	}
	for _, c := range []struct {
		name string
		h    []record
		ok   bool
	}{
		{"reads what was written", []record{w(1, 1, 2), r(1, 3, 4)}, true},
		{"reads the past", []record{w(1, 1, 2), r(0, 3, 4)}, false},
		{"new then old", []record{w(1, 1, 9), r(1, 2, 3), r(0, 4, 5)}, false},
		{"unknown takes effect late", []record{w(1, 1, never), w(2, 2, 3), r(2, 4, 5), r(1, 6, 7)}, true},
		{"unknown takes effect once", []record{w(1, 1, never), r(1, 2, 3), w(2, 4, 5), r(1, 6, 7)}, false},
		{"adds", []record{add(3, 0, 1, 2), add(4, 3, 3, 4), r(7, 5, 6)}, true},
		{"adds twice", []record{add(3, 0, 1, 2), r(6, 5, 6)}, false},
		{"unknown add", []record{add(3, 0, 1, never), r(0, 2, 3), r(3, 5, 6)}, true},
		{"unknown add twice", []record{add(3, 0, 1, never), r(3, 2, 3), r(6, 5, 6)}, false},
		{"swaps", []record{w(1, 1, 2), swap(1, 5, 1, 3, 4), r(5, 5, 6)}, true},
		{"swaps what is not there", []record{w(1, 1, 2), swap(2, 5, 1, 3, 4), r(1, 5, 6)}, true},
		{"swaps wrongly", []record{w(1, 1, 2), swap(2, 5, 1, 3, 4), r(5, 5, 6)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &world{}
			for _, x := range c.h {
				x.about = "register 1"
				w.keep(x)
			}
			if w.judge(); (w.failure == nil) != c.ok {
				t.Errorf("got %v", w.failure)
			}
		})
	}
}

// A counter may lack nothing that was acknowledged and have nothing that was not asked for.
func TestSums(t *testing.T) {
	for _, c := range []struct {
		got, added, maybe uint64
		ok                bool
	}{{5, 5, 0, true}, {4, 5, 0, false}, {6, 5, 0, false}, {6, 5, 1, true}, {7, 5, 1, false}, {5, 5, 1, true}} {
		x := &cell{counter: true, added: c.added, maybeAdded: c.maybe}
		w := &world{shared: []*cell{x}}
		if w.sums(map[*cell]uint64{x: c.got}); (w.failure == nil) != c.ok {
			t.Errorf("%+v: got %v", c, w.failure)
		}
	}
}
