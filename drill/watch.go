package drill

import (
	"context"
	"slices"
	"sync"
	"time"

	"dmalloc/message"
)

// Holding is what a node says of itself as a holder of leases.
type Holding struct {
	Session uint64 // grows with every start of its process
	Lost    uint64 // bytes that it absorbed and could not write back, since it started
}

// sight is one answer, with the stamps of the question and of the answer.
type sight struct {
	asked, said int64
	Holding
}

// watcher asks every node again and again what it has lost, so that a loss is known to lie between two answers. What a
// node does not say is no loss: then the clients' calls tell of it, and the drill fails.
type watcher struct {
	ask   func(ctx context.Context, n message.NodeID) (Holding, error)
	rec   *Recorder
	nodes func() []message.NodeID // that there are

	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex
	seen map[message.NodeID][]sight // only the first, and those that differ from the one before, with that one
}

const (
	watchEvery = 100 * time.Millisecond
	watchLimit = time.Second // for one answer; one that is later says as much as the next
	lastTries  = 20          // at the end, until a node is taken to be gone
)

// watch begins to ask, one goroutine a node, until stop.
func (w *watcher) watch(ctx context.Context) {
	ctx, w.cancel = context.WithCancel(ctx)
	w.seen = map[message.NodeID][]sight{}
	w.wg.Go(func() {
		var under []message.NodeID
		for {
			for _, n := range w.nodes() {
				if !slices.Contains(under, n) {
					under = append(under, n)
					w.mu.Lock()
					w.seen[n] = nil // it may never answer
					w.mu.Unlock()
					w.wg.Go(func() { w.follow(ctx, n) })
				}
			}
			if !wait(ctx, watchEvery) {
				return
			}
		}
	})
}

// follow asks one node until ctx ends.
func (w *watcher) follow(ctx context.Context, n message.NodeID) {
	for wait(ctx, watchEvery) {
		w.look(ctx, n)
	}
}

func (w *watcher) look(ctx context.Context, n message.NodeID) (heard bool) {
	ctx, cancel := context.WithTimeout(ctx, watchLimit)
	defer cancel()
	s := sight{asked: w.rec.stamp()}
	h, err := w.ask(ctx, n)
	if err != nil {
		return false // dead, frozen or cut off: what it has lost meanwhile it says later, if ever
	}
	s.said, s.Holding = w.rec.stamp(), h
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.seen[n]
	if k := len(all); k > 1 && all[k-1].Holding == h && all[k-2].Holding == h {
		all[k-1] = s
		return true
	}
	w.seen[n] = append(all, s)
	return true
}

// stop ends the asking and asks once more: now all is healed, but may be slow. It returns the windows in which something
// was lost.
func (w *watcher) stop(ctx context.Context) []window {
	w.cancel()
	w.wg.Wait()
	var wg sync.WaitGroup
	for _, n := range w.nodes() {
		wg.Go(func() {
			for tries := 0; tries < lastTries && !w.look(ctx, n) && wait(ctx, watchEvery); tries++ {
			}
		})
	}
	wg.Wait()
	var out []window
	for n, all := range w.seen {
		out = append(out, windows(n, all, w.rec.stamp())...)
	}
	return out
}

// window is a time in which a node lost something that it had absorbed.
type window struct {
	node     message.NodeID
	from, to int64
	died     bool // its process ended
	sure     bool // for it was another afterwards
}

// windows are those that a node's answers show: between two of them its process was another, or it had lost more. What
// was before the first and after the last nobody heard.
func windows(n message.NodeID, all []sight, end int64) (out []window) {
	if len(all) == 0 {
		return []window{{node: n, to: end, died: true}}
	}
	for i, s := range all {
		before := sight{Holding: Holding{Session: s.Session - 1}} // there may have been another process
		if i > 0 {
			before = all[i-1]
		}
		died := s.Session != before.Session
		if died {
			out = append(out, window{n, before.asked, s.said, true, i > 0}) // of use only if a command stopped it
			before.Lost = 0
		}
		if s.Lost > before.Lost {
			out = append(out, window{node: n, from: before.asked, to: s.said})
		}
	}
	return append(out, window{node: n, from: all[len(all)-1].asked, to: end, died: true})
}
