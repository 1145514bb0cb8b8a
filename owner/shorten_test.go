package owner

import (
	"io"
	"sync"
	"testing"
	"time"

	"dmalloc/message"
)

// last is a Machine whose state is the last number only: its log grows, and its state does not.
type last struct{ numbers }

func (l *last) Snapshot() io.WriterTo {
	kept := numbers{index: l.index}
	if n := len(l.seqs); n > 0 {
		kept.seqs = l.seqs[n-1:]
	}
	return kept.Snapshot()
}

func (l *last) Bytes() uint64 { return 16 }

// slow holds the writing of a snapshot until it is let go.
type slow struct {
	last
	began chan struct{}
	goOn  chan struct{}
}

func (s *slow) Snapshot() io.WriterTo { return held{s.last.Snapshot(), s.began, s.goOn} }

type held struct {
	io.WriterTo
	began, goOn chan struct{}
}

func (h held) WriteTo(w io.Writer) (int64, error) {
	h.began <- struct{}{}
	<-h.goOn
	return h.WriterTo.WriteTo(w)
}

func startAlone(t *testing.T, state Machine) (*Host, *Replica) {
	t.Helper()
	h, err := Open(alone(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	r, err := h.Start(kitSeat(h), state)
	if err != nil {
		t.Fatal(err)
	}
	caughtUp(t, r)
	return h, r
}

func fill(t *testing.T, r *Replica, from, to uint64) {
	t.Helper()
	for seq := from; seq < to; seq++ {
		if code := propose(r, seq, message.MaxData); code != message.Done {
			t.Fatal(code)
		}
	}
}

// Before somebody joins the log is cut off behind a snapshot, so that it is not sent; what is done meanwhile does not
// wait for the snapshot, and whether it is there is not guessed.
func TestShorten(t *testing.T) {
	state := &slow{began: make(chan struct{}, 1), goOn: make(chan struct{})}
	h, r := startAlone(t, state)
	letGo := sync.OnceFunc(func() { close(state.goOn) })
	t.Cleanup(letGo)  // before the host is closed, which waits for the snapshot
	const writes = 12 // of 1 MiB
	if !r.Shorten() {
		t.Fatal("a log of nothing is long")
	}
	fill(t, r, 0, writes)
	if r.Shorten() {
		t.Fatal("a log that holds 12 MiB beside a state of 16 bytes is short")
	}
	select {
	case <-state.began:
	case <-soon(t).Done():
		t.Fatal("no snapshot is made")
	}
	fill(t, r, writes, writes+2) // while it is written
	if r.Shorten() {
		t.Error("who joins now is sent the log, or an older snapshot")
	}
	letGo()
	for ctx := soon(t); !r.Shorten(); time.Sleep(time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatal("the log does not become short")
		}
	}
	log, err := h.nh.GetLogReader(r.shard())
	if err != nil {
		t.Fatal(err)
	}
	fill(t, r, writes+2, writes+3) // the log is cut off with an entry, which may be answered before
	first, end := log.GetRange()
	for ctx := soon(t); first == 1 && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		first, end = log.GetRange()
	}
	if log.Snapshot().Index < writes || first == 1 || (end-first)*message.MaxData > 2*keptBytes {
		t.Errorf("the snapshot holds the log up to %d, and the log has %d to %d", log.Snapshot().Index, first, end)
	}
}

func TestRecent(t *testing.T) {
	var r recent
	for range 3 {
		r.add(100)
	}
	for _, row := range []struct{ most, want uint64 }{{0, 0}, {99, 0}, {100, 1}, {299, 2}} {
		if got := r.within(row.most); got != row.want {
			t.Errorf("%d entries of 100 are within %d", got, row.most)
		}
	}
	for range 2 * keptEntries {
		r.add(10)
	}
	r.add(1000)
	if got := r.within(1020); got != 3 {
		t.Errorf("%d entries", got)
	}
	if got := r.within(1 << 40); got != keptEntries {
		t.Errorf("%d entries", got)
	}
}
