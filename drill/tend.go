package drill

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Of so many steps of a client, in a cluster whose holders absorb writes, one is about an allocation of its own, and one
// a look at somebody else's.
const (
	tendTurn  = 3
	visitTurn = 16
)

// A lease of what a client tends lasts longer than others: hardly anybody waits for it.
const (
	shortestTended = 1500 * time.Millisecond
	longestTended  = 3 * time.Second
)

// tend takes the exclusive lease of an allocation of the client's own, writes it, and now and then syncs or reads it.
// Others look at it seldom. So what is absorbed there stays so for a while, until it is synced, revoked or lost.
func (w *worker) tend(ctx context.Context) error {
	t := w.own[w.dice.IntN(len(w.own))]
	d := w.dice.IntN(20)
	if now := time.Now(); now.After(t.leased) || d == 0 {
		length := shortestTended + time.Duration(w.dice.Int64N(int64(longestTended-shortestTended)))
		lasts, err := w.lease(ctx, t, "w", length)
		t.leased = now.Add(lasts)
		return err
	}
	switch {
	case d < 2:
		t.leased = time.Time{}
		w.release(ctx, t)
		return nil
	case d < 6:
		w.sync(ctx, t)
		return nil
	case d < 8 || t.unknown >= mostOpen:
		_, _, err := w.read(ctx, t)
		return full(err)
	}
	_, out, err := w.write(ctx, t, false)
	if out == Unknown {
		t.unknown++ // only its client writes it
	}
	return full(err)
}

// visit reads what another client tends.
func (w *worker) visit(ctx context.Context) error {
	t := w.work.tended.enter(w.dice)
	if t == nil {
		return nil
	}
	defer t.visitors.Done()
	_, _, err := w.read(ctx, t)
	return full(err)
}

// tended are the allocations that clients have of their own, for the others to look at.
type tended struct {
	mu  sync.Mutex
	all []*target
}

func (a *tended) add(t *target) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, t)
}

// enter chooses one, which is not freed until its visitor is done. nil: there is none.
func (a *tended) enter(dice *rand.Rand) *target {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.all) == 0 {
		return nil
	}
	t := a.all[dice.IntN(len(a.all))]
	t.visitors.Add(1)
	return t
}

// close lets nobody enter any more, and waits for those who have: each has a call's time.
func (a *tended) close(t *target) {
	a.mu.Lock()
	a.all = slices.DeleteFunc(a.all, func(o *target) bool { return o == t })
	a.mu.Unlock()
	t.visitors.Wait()
}
