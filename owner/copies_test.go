package owner

import (
	"testing"
	"time"

	"dmalloc/message"
)

// Copies of a long request that is under way share its entry and its answer; one that comes later has an entry of its own.
func TestCopiesShareAnEntry(t *testing.T) {
	h, r, state, err := openAlone(alone(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	caughtUp(t, r)
	for _, c := range []struct {
		bytes  int
		seq    uint64
		nobody bool
		want   int
	}{{longFrom, 7, false, 1}, {longFrom - 1, 8, false, 3}, {longFrom, 9, true, 3}} {
		m := message.New(message.FREE)
		m.Seq, m.Data = c.seq, make([]byte, c.bytes)
		if !c.nobody {
			m.Client = message.ClientID{1}
		}
		answers := make(chan *message.Message, 4)
		ask := func() { r.Do(m, func(a *message.Message) { answers <- a }) }
		wait := func() {
			t.Helper()
			select {
			case a := <-answers:
				if a.Status != message.Done || a.Seq != c.seq {
					t.Fatalf("%s of seq %d", a.Status, a.Seq)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("no answer")
			}
		}
		r.View(func(Machine) { // nothing is applied meanwhile
			ask()
			ask()
			ask()
		})
		wait()
		wait()
		wait()
		applied := func() (n int) {
			r.View(func(Machine) {
				for _, s := range state.seqs {
					if s == c.seq {
						n++
					}
				}
			})
			return n
		}
		if got := applied(); got != c.want {
			t.Errorf("3 copies of %d bytes were applied %d times, want %d", c.bytes, got, c.want)
		}
		ask()
		wait()
		if got := applied(); got != c.want+1 {
			t.Errorf("a late copy: applied %d times, want %d", got, c.want+1)
		}
	}
	if len(r.copies.of) != 0 {
		t.Errorf("%d requests are remembered", len(r.copies.of))
	}
}

// Copies are bounded, too.
func TestCopiesAreBounded(t *testing.T) {
	var c copies
	m := message.New(message.WRITE)
	m.Client, m.Seq, m.Data = message.ClientID{1}, 3, make([]byte, longFrom)
	count := map[message.Code]int{}
	own := map[*message.Message]bool{} // who gets an answer may write into it
	hear := func(a *message.Message) { count[a.Status]++; own[a] = true }
	first := c.join(m, hear)
	for range mostCopies + 2 {
		if c.join(m, hear) != nil {
			t.Fatal("a copy is taken for the first")
		}
	}
	if count[message.Busy] != 2 || len(count) != 1 {
		t.Errorf("answered %v", count)
	}
	first(m.Answer(message.Done, ""))
	if count[message.Done] != mostCopies+1 || len(own) != mostCopies+1+2 {
		t.Errorf("answered %v, with %d messages", count, len(own))
	}
	if c.join(m, hear) == nil {
		t.Error("one that comes later is taken for a copy")
	}
}
