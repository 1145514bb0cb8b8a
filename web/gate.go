package web

import (
	"sync"

	"dmalloc/message"
)

// gate counts the handlers that run, refuses more than a bound, and lets Close wait for the last.
type gate struct {
	most int

	mu      sync.Mutex // guards what follows
	counted int        // requests under way that count against most
	running int        // all of them
	closed  bool
	empty   *sync.Cond
}

func newGate(most int) *gate {
	g := &gate{most: most}
	g.empty = sync.NewCond(&g.mu)
	return g
}

// enter admits a handler or says why not. Each that was admitted must leave.
func (g *gate) enter(counts bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return message.Errorf(message.Unavailable, "this node is stopping; ask another")
	}
	if counts {
		if g.counted >= g.most {
			return message.Errorf(message.Busy, "%d requests are under way on this node, and it takes no more; nothing was done; try again or ask another node", g.most)
		}
		g.counted++
	}
	g.running++
	return nil
}

func (g *gate) leave(counted bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if counted {
		g.counted--
	}
	if g.running--; g.running == 0 {
		g.empty.Broadcast()
	}
}

func (g *gate) open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running
}

// close admits nobody any more and waits for those inside.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for g.running > 0 {
		g.empty.Wait()
	}
}
