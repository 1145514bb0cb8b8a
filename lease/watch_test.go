package lease

import (
	"slices"
	"testing"
	"time"
)

const ms = time.Millisecond

func shared(token, length uint64) Lease {
	return Lease{First: token, Pages: 1, Session: 1, Token: token, Length: length}
}

// T3: length and 1 % of it, from the applying of the grant here, or of the own TERM entry for what was found.
func TestWatchWaits(t *testing.T) {
	w := NewWatch()
	w.Seen(shared(1, 1000), 100*ms)
	w.Found([]Lease{shared(1, 1000), shared(2, 1000)}, 150*ms)
	if got := w.Ripe(time.Hour); got != nil || w.Ask([]uint64{1}, 0) != nil {
		t.Errorf("one that does not lead expires %v", got)
	}
	w.Led([]Lease{shared(1, 1000), shared(2, 1000), shared(3, 2000)}, 500*ms)
	for _, c := range []struct {
		at   time.Duration
		ripe []uint64
		next time.Duration
	}{
		{500 * ms, nil, 610 * ms}, {1110*ms - 1, nil, 1}, {1110 * ms, []uint64{1}, Again}, {1300 * ms, nil, 10 * ms}, {1310 * ms, []uint64{1}, Again},
		{1510 * ms, []uint64{1, 2}, Again}, {2520 * ms, []uint64{1, 2, 3}, Again},
	} {
		if got := w.Ripe(c.at); !slices.Equal(got, c.ripe) {
			t.Errorf("at %s ripe are %v; want %v", c.at, got, c.ripe)
		}
		if next, ok := w.Next(c.at); !ok || next != c.next {
			t.Errorf("at %s the next is in %s; want %s", c.at, next, c.next)
		}
	}
	if w.Left(3, 600*ms) != 1920 || w.Left(3, time.Hour) != 0 || w.Left(9, 0) != 0 {
		t.Error("what is left of lease 3 at 600 ms is", w.Left(3, 600*ms))
	}
	w.Ended(1)
	w.Lost()
	if _, ok := w.Next(0); ok || w.Ripe(time.Hour) != nil || w.Leads() {
		t.Error("one that was deposed expires")
	}
}

// T4, and REVOKE is not sent in every moment.
func TestWatchAsks(t *testing.T) {
	w := NewWatch()
	w.Led(nil, 0)
	for token := range uint64(3) {
		w.Seen(shared(token+1, 1000), 0)
	}
	ask := func(now time.Duration, want ...uint64) {
		t.Helper()
		var got []uint64
		for _, l := range w.Ask([]uint64{3, 1, 9, 2}, now) {
			got = append(got, l.Token)
		}
		if !slices.Equal(got, want) {
			t.Errorf("at %s asked are %v; want %v", now, got, want)
		}
	}
	ask(0, 3, 1, 2)
	ask(Again - 1)
	w.Consent(1)
	w.Consent(8)
	if got := w.Ripe(10 * ms); !slices.Equal(got, []uint64{1}) {
		t.Errorf("ripe are %v", got)
	}
	if next, ok := w.Next(10 * ms); !ok || next != Again {
		t.Errorf("the next is in %s", next)
	}
	w.Ended(1)
	ask(Again, 3, 2)
	w.Consent(2)
	w.Lost() // forgets what it was told
	w.Consent(3)
	w.Led([]Lease{shared(2, 1000), shared(3, 1000)}, 300*ms)
	if got := w.Ripe(310 * ms); got != nil {
		t.Errorf("ripe are %v", got)
	}
	ask(310*ms, 3, 2)
	ask(1010 * ms)
}

func TestQueue(t *testing.T) {
	var q Queue
	enter := func(first, pages uint64, exclusive, turn bool) uint64 {
		t.Helper()
		if free := q.Free(first, pages, exclusive); free != turn {
			t.Errorf("%d+%d is free: %v", first, pages, free)
		}
		id, got, ok := q.Enter(first, pages, exclusive)
		if !ok || got != turn || q.Turn(id) != turn {
			t.Errorf("%d+%d has its turn: %v", first, pages, got)
		}
		return id
	}
	reader := enter(0, 4, false, true)
	another := enter(1, 1, false, true)
	writer := enter(1, 1, true, false)
	second := enter(1, 2, true, false)
	late := enter(1, 1, false, false) // does not overtake the writer
	aside := enter(4, 1, true, true)
	if got := q.Leave(reader); got != nil {
		t.Errorf("after one reader go %v", got)
	}
	if got := q.Leave(another); !slices.Equal(got, []uint64{writer}) {
		t.Errorf("after both readers go %v", got)
	}
	if got := q.Leave(writer); !slices.Equal(got, []uint64{second}) {
		t.Errorf("after the writer go %v", got)
	}
	if q.Leave(writer) != nil || q.Turn(writer) || q.Leave(aside) != nil {
		t.Error("who has left is still there")
	}
	if got := q.Leave(second); !slices.Equal(got, []uint64{late}) || q.Len() != 1 {
		t.Errorf("after the second writer go %v", got)
	}
	for range MaxWaiting - 1 {
		q.Enter(9, 1, false)
	}
	if _, _, ok := q.Enter(9, 1, false); ok {
		t.Error("the queue has no bound")
	}
}
