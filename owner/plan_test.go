package owner

import (
	"slices"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"dmalloc/message"
)

func nobody(message.NodeID) bool { return false }

// A lost disk is replaced in the order add, catch up, remove, promote, record; whatever is cut short
// goes on where it stopped, and the company always keeps a majority of voters that know its log.
func TestPlanReplacesInOrder(t *testing.T) {
	owners := []message.Owner{{Node: 0, Replica: 1}, {Node: 1, Replica: 2}, {Node: 2, Replica: 3}, {Node: 2, Replica: 4, Joining: true}}
	now := Members{Voting: map[uint64]message.NodeID{1: 0, 2: 1, 3: 2}, Joining: map[uint64]message.NodeID{}, Gone: map[uint64]bool{}}
	caughtUp := false
	var steps []StepKind
	for range 10 {
		s := Plan(&message.Company{Owners: owners, Next: 5}, now, 1, func(uint64) bool { return caughtUp }, nobody)
		steps = append(steps, s.Kind)
		switch s.Kind {
		case Join:
			now.Joining[s.Replica] = s.Node
		case Wait:
			caughtUp = true
		case Remove:
			delete(now.Voting, s.Replica)
		case Promote:
			delete(now.Joining, s.Replica)
			now.Voting[s.Replica] = s.Node
		case Record:
			owners = []message.Owner{owners[0], owners[1], {Node: 2, Replica: 4}}
		}
		if len(now.Voting) < 2 {
			t.Fatalf("after %v only %d voters are left", steps, len(now.Voting))
		}
	}
	want := []StepKind{Join, Wait, Remove, Promote, Record, Settled, Settled, Settled, Settled, Settled}
	for i := range want {
		if steps[i] != want[i] {
			t.Fatalf("steps %v, want %v", steps, want)
		}
	}
}

// A leader that is to go hands over before it is removed, to the one that takes its place, and only when that has a vote.
func TestPlanHandsOverFirst(t *testing.T) {
	owners := []message.Owner{{Node: 0, Replica: 1}, {Node: 1, Replica: 2}, {Node: 2, Replica: 3}, {Node: 3, Replica: 4, Joining: true, Instead: 1}}
	now := Members{Voting: map[uint64]message.NodeID{1: 0, 2: 1, 3: 2}, Joining: map[uint64]message.NodeID{}, Gone: map[uint64]bool{}}
	leads := uint64(1)
	var steps []Step
	for range 6 {
		s := Plan(&message.Company{Owners: owners, Next: 5}, now, leads, func(uint64) bool { return true }, nobody)
		steps = append(steps, s)
		switch s.Kind {
		case Join:
			now.Joining[s.Replica] = s.Node
		case Promote:
			delete(now.Joining, s.Replica)
			now.Voting[s.Replica] = s.Node
		case Handover:
			leads = s.Replica
		case Remove:
			if s.Replica == leads {
				t.Fatalf("the leader is removed: %v", steps)
			}
			delete(now.Voting, s.Replica)
			now.Gone[s.Replica] = true
		case Record:
			owners = []message.Owner{{Node: 3, Replica: 4}, owners[1], owners[2]}
		}
	}
	if want := []Step{{Join, 4, 3}, {Promote, 4, 3}, {Handover, 4, 3}, {Remove, 1, 0}, {Record, 4, 3}, {}}; !slices.Equal(steps, want) {
		t.Errorf("steps %v, want %v", steps, want)
	}
}

// A replica that was promoted and lost again before that was recorded is removed first: it would count in
// every majority.
func TestPlanRemovesLeftovers(t *testing.T) {
	owners := []message.Owner{{Node: 0, Replica: 1}, {Node: 1, Replica: 2}, {Node: 2, Replica: 5, Joining: true}}
	now := Members{Voting: map[uint64]message.NodeID{1: 0, 2: 1, 4: 2}, Joining: map[uint64]message.NodeID{3: 2}}
	for _, want := range []Step{{Remove, 3, 2}, {Remove, 4, 2}, {Join, 5, 2}} {
		got := Plan(&message.Company{Owners: owners, Next: 6}, now, 1, func(uint64) bool { return true }, nobody)
		if got != want {
			t.Fatalf("step %+v, want %+v", got, want)
		}
		delete(now.Voting, got.Replica)
		delete(now.Joining, got.Replica)
	}
}

func TestTargets(t *testing.T) {
	n, i, ok := parseTarget("00ff", target("00ff", 12, 3))
	if !ok || n != 12 || i != 3 {
		t.Errorf("%v %v %v", n, i, ok)
	}
	for _, s := range []string{"", "c00ff-n1", "c00ff-n1-i", "c00fe-n1-i0", "c00ff-n01-i0", "c00ff-n1-i0x", "c00ff-n99999-i0", "127.0.0.1:1"} {
		if _, _, ok := parseTarget("00ff", s); ok {
			t.Errorf("%q is taken for a target", s)
		}
	}
}

// O4: a queue never holds more than its bounds, loses nothing that it took, and keeps the order.
func TestQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := newQueue(new(atomic.Int64))
		var want, got []uint64
		seq, under := uint64(0), 0
		take := func() {
			if len(got) == len(want) {
				return
			}
			if len(want)-len(got) < under { // it waits for what is under way
				q.done(under, 0)
				under = 0
			}
			size := 0
			batch := q.take(nil)
			under += len(batch)
			for i, r := range batch {
				got = append(got, r.m.Seq)
				size += len(r.m.Data) + headroom
				if i > 0 && size > message.MaxBatch {
					t.Fatalf("a batch of %d bytes", size)
				}
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.IntRange(0, 3).Draw(t, "take") == 0 {
				take()
				continue
			}
			seq++
			m := &message.Message{Seq: seq, Data: make([]byte, rapid.SampledFrom([]int{0, 10, 100_000, message.MaxData}).Draw(t, "size"))}
			if q.put(request{m: m}) {
				want = append(want, seq)
			} else if q.bytes+len(m.Data) <= maxQueuedBytes {
				t.Fatalf("refused %d bytes with %d waiting", len(m.Data), q.bytes)
			}
		}
		for len(got) < len(want) {
			take()
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("got %v want %v", got, want)
			}
		}
		if q.bytes != 0 {
			t.Fatalf("%d bytes are counted in an empty queue", q.bytes)
		}
	})
}

// A request goes at once where nothing is under way, and where it makes up as many as are; otherwise it waits for one or the other.
func TestGroupCommit(t *testing.T) {
	q := newQueue(new(atomic.Int64))
	put := func(n int) {
		for range n {
			if !q.put(request{m: message.New(message.WRITE)}) {
				t.Fatal("refused")
			}
		}
	}
	take := func(want int) {
		t.Helper()
		if !q.due() {
			t.Fatalf("%d wait with %d under way", len(q.items), q.under)
		}
		if got := len(q.take(nil)); got != want {
			t.Fatalf("took %d, want %d", got, want)
		}
	}
	waits := func() {
		t.Helper()
		if q.due() {
			t.Fatalf("%d of them go with %d under way", len(q.items), q.under)
		}
	}
	waits()
	put(1)
	take(1)
	put(1)
	take(1) // 2 under way
	put(1)
	waits()
	put(1)
	take(2) // 4 under way
	put(3)
	waits()
	q.done(1, 0)
	take(3)
	put(1)
	waits()
	q.putFirst(request{m: message.New(message.TERM)})
	take(2) // a leader's first entry waits for nothing
	put(1)
	waits()
	q.done(q.under, 0)
	take(1)
	put(2)
	take(2) // a full entry's worth of bytes goes, too
	for range 2 {
		if !q.put(request{m: &message.Message{Data: make([]byte, message.MaxData)}}) {
			t.Fatal("refused")
		}
	}
	waits()
	for q.bytes < message.MaxBatch {
		if !q.put(request{m: &message.Message{Data: make([]byte, message.MaxData)}}) {
			t.Fatal("refused")
		}
	}
	if !q.due() {
		t.Error("a full entry waits")
	}
}
