package drill

import (
	"sync"
	"testing"
	"time"

	"dmalloc/message"
)

// R1: even where the clock stands still, no two stamps are equal.
func TestStampsAreStrict(t *testing.T) {
	rec := NewRecorder(func() time.Duration { return 5 }, 10_000)
	var wg sync.WaitGroup
	for range 4 {
		l := rec.Log()
		wg.Go(func() {
			for range 500 {
				o, _ := l.Begin(Op{Key: aCell, Do: Read})
				l.End(o, nil)
			}
		})
	}
	wg.Wait()
	seen := map[int64]bool{}
	for _, o := range rec.History().Ops {
		if seen[o.Call] || seen[o.Return] || o.Call >= o.Return {
			t.Fatalf("%d to %d", o.Call, o.Return)
		}
		seen[o.Call], seen[o.Return] = true, true
	}
}

// R2 and R3: what is kept of each outcome.
func TestOutcomes(t *testing.T) {
	rec := NewRecorder(func() time.Duration { return 0 }, 100)
	l := rec.Log()
	late := message.Errorf(message.Timeout, "late")
	for _, c := range []struct {
		do  Action
		err error
	}{
		{Write, nil}, {Write, late}, {Add, late}, {Read, late}, {Malloc, late}, {Free, late}, {Peek, late},
		{Write, message.Errorf(message.Busy, "full")}, {Read, message.Errorf(message.NotWritten, "none")},
		{Read, message.Errorf(message.NotAllocated, "none")}, {Write, message.Errorf(message.Internal, "oh")},
	} {
		o, ok := l.Begin(Op{Do: c.do, Size: 48})
		if !ok {
			t.Fatal("full")
		}
		l.End(o, c.err)
	}
	h := rec.History()
	if len(h.Ops) != 7 || h.Tries != 11 || h.Refused != 1 || h.Unread != 2 || len(h.Lost) != 1 || len(h.Defects) != 1 || h.unknown() != 5 {
		t.Errorf("%+v", h)
	}
	clients := map[int]bool{}
	for _, o := range h.Ops {
		if o.Unknown && (clients[o.Client] || o.Client == l.client || o.Return != Forever) {
			t.Errorf("an unknown call shares its client: %s", o.line())
		}
		clients[o.Client] = true
	}
}

func TestRecorderIsBounded(t *testing.T) {
	rec := NewRecorder(func() time.Duration { return 0 }, 2)
	l := rec.Log()
	for range 2 {
		o, ok := l.Begin(Op{})
		if !ok {
			t.Fatal("full too early")
		}
		l.End(o, nil)
	}
	if _, ok := l.Begin(Op{}); ok {
		t.Error("a third of two")
	}
	if h := rec.History(); !h.Full || len(h.Ops) != 2 {
		t.Errorf("%+v", h)
	}
}

func TestValuesAreUnique(t *testing.T) {
	rec := NewRecorder(func() time.Duration { return 0 }, 2)
	seen := map[uint64]bool{0: true}
	for range 3 {
		for l, i := rec.Log(), 0; i < 100; i++ {
			if v := l.Value(); seen[v] || v&(1<<valueSpare-1) != 0 {
				t.Fatalf("%s twice, or without room for sums", value(v))
			} else {
				seen[v] = true
			}
		}
	}
}

func TestLongestGap(t *testing.T) {
	for _, c := range []struct {
		name  string
		tries []try
		want  time.Duration
	}{
		{"one that works", []try{{"g", 10, 12, true}}, 2},
		{"nobody tried", []try{{"g", 0, 1, true}, {"g", 100, 101, true}}, 1},
		{"one that failed between", []try{{"g", 0, 1, true}, {"g", 10, 40, false}, {"g", 45, 50, true}}, 40},
		{"somebody else succeeded", []try{{"g", 0, 40, false}, {"g", 18, 20, true}, {"g", 38, 41, true}}, 21},
		{"never again", []try{{"g", 0, 1, true}, {"g", 5, 30, false}}, 25},
		{"another group", []try{{"g", 0, 1, true}, {"h", 5, 30, false}, {"g", 29, 30, true}}, 25},
	} {
		if got, where := longestGap(c.tries); got != c.want {
			t.Errorf("%s: %d in %s, want %d", c.name, got, where, c.want)
		}
	}
}
