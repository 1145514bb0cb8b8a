package repl

import (
	"context"
	"sync"
	"time"
)

const (
	watchEvery = time.Second
	watchWait  = 900 * time.Millisecond // for one look, so that looks never pile up
)

// watch looks every second whether each company has a leader, and tells when that changes. It rests while
// a command runs, so that a trace shows the command's messages only.
type watch struct {
	cancel context.CancelFunc
	wait   sync.WaitGroup

	mu      sync.Mutex // guards what follows
	resting int
	look    context.CancelFunc // ends the look that is under way
}

// newWatch starts the goroutine that looks; stop ends it. tell is called from there.
func newWatch(ctx context.Context, heap Heap, tell func(leaderless bool)) *watch {
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{cancel: cancel}
	w.wait.Go(func() {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		was := false
		for {
			if now, ok := w.once(ctx, heap); ok && now != was {
				was = now
				tell(now)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return w
}

// once looks; ok is false if there was no answer to judge by.
func (w *watch) once(ctx context.Context, heap Heap) (leaderless, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, watchWait)
	defer cancel()
	w.mu.Lock()
	resting := w.resting > 0
	w.look = cancel
	w.mu.Unlock()
	if resting {
		return false, false
	}
	companies, err := heap.Companies(ctx)
	if ctx.Err() != nil || err != nil {
		return false, false
	}
	for _, c := range companies {
		leaderless = leaderless || c.Leader == nil
	}
	return leaderless, len(companies) > 0
}

// pause makes the watch rest until the function it returns is called.
func (w *watch) pause() func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resting++
	if w.look != nil {
		w.look()
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.resting--
	}
}

func (w *watch) stop() {
	w.cancel()
	w.wait.Wait()
}
