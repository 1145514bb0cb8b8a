package owner

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/company"
	"dmalloc/message"
)

// sums is how owners compare what they hold at the same place of the log. Each asks for the state after the
// first entry from an index on: whoever had not applied that entry yet gets the same state as all others, while
// the company goes on.
//
// A snapshot costs what is written beside it. One wait at a time, and one tree that is kept, bound that.
type sums struct {
	turn sync.Mutex                // held by the one that asks
	want atomic.Pointer[wantState] // nil: nobody waits
	last *company.Tree             // guarded by turn
}

type wantState struct {
	from uint64
	got  chan stateAt // has room for the one
}

// stateAt is a state and the index of the last entry that it holds.
type stateAt struct {
	index uint64
	state io.WriterTo
}

// applied gives the state after an entry to who waits for it. The machine's lock is held.
func (s *sums) applied(index uint64, state Machine) {
	if w := s.want.Load(); w != nil && index >= w.from && s.want.CompareAndSwap(w, nil) {
		w.got <- stateAt{index, state.Snapshot()}
	}
}

// Sums sums up the state after the first entry whose index is at least from, or as it is when none has come
// for so long. With level 0 it is told as a whole; the other levels tell more of the tree that was made last,
// which must be that of index from.
func (r *Replica) Sums(ctx context.Context, from, level uint64, patience time.Duration) (message.Sums, error) {
	k := &r.machine.keep
	for !k.turn.TryLock() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return message.Sums{}, message.Errorf(message.Busy, "company %s is being summed up for others; try again", r.ID)
		}
	}
	defer k.turn.Unlock()
	if level > 0 {
		if k.last == nil || k.last.Index() != from {
			return message.Sums{}, message.Errorf(message.Stale, "the sums of company %s at index %d are not kept any more; ask again for the root", r.ID, from)
		}
		return k.last.Sums(r.ID, level), nil
	}
	at := r.machine.stateAfter(ctx, from, patience)
	switch s := at.state.(type) {
	case *company.Snapshot:
		k.last = s.Tree()
		return k.last.Sums(r.ID, 0), nil
	default: // the directory: small, and without pages
		var b bytes.Buffer
		if _, err := s.WriteTo(&b); err != nil {
			return message.Sums{}, message.Errorf(message.Internal, "the state of company %s cannot be written: %v", r.ID, err)
		}
		sum := sha256.Sum256(b.Bytes())
		text := hex.EncodeToString(sum[:])
		return message.Sums{Company: r.ID, Index: at.index, Root: text, State: text}, nil
	}
}

// stateAfter waits for the entry, but not for ever.
func (c *machine) stateAfter(ctx context.Context, from uint64, patience time.Duration) stateAt {
	w := &wantState{from, make(chan stateAt, 1)}
	c.mu.Lock()
	if c.state.Index() >= from {
		defer c.mu.Unlock()
		return stateAt{c.state.Index(), c.state.Snapshot()}
	}
	c.keep.want.Store(w)
	c.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case s := <-w.got:
		return s
	case <-timer.C:
	case <-ctx.Done():
	}
	if !c.keep.want.CompareAndSwap(w, nil) {
		return <-w.got // it came just now
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return stateAt{c.state.Index(), c.state.Snapshot()}
}
