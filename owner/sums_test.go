package owner

import (
	"context"
	"testing"
	"time"
)

// Whoever asks before the entry came gets the state right after it, however many follow.
func TestSumsWaitForTheirEntry(t *testing.T) {
	h, r, _, err := openAlone(alone(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	caughtUp(t, r)
	propose(r, 1, 0)
	now, err := r.Sums(t.Context(), 0, 0, 0)
	if err != nil || now.Index == 0 {
		t.Fatalf("%+v %v", now, err)
	}
	again, err := r.Sums(t.Context(), 0, 0, 0)
	if err != nil || again.Root != now.Root {
		t.Errorf("nothing happened, and %+v became %+v: %v", now, again, err)
	}
	done := make(chan uint64, 1)
	go func() {
		x, _ := r.Sums(context.Background(), now.Index+1, 0, time.Minute)
		done <- x.Index
	}()
	for seq := uint64(2); ; seq++ {
		propose(r, seq, 0)
		select {
		case at := <-done:
			if at <= now.Index {
				t.Errorf("asked for index %d or later, got %d", now.Index+1, at)
			}
			return
		default:
		}
	}
}
