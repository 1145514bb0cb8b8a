package client

import (
	"context"
	"sync"
	"time"

	"dmalloc/message"
)

// Runs are the small blocks that this process's node hands out by itself. Nothing of it waits but Tell, and many
// goroutines may call it.
type Runs interface {
	// Take hands out a block of so many bytes, zeroed; false where none is at hand.
	Take(size uint64) (message.Allocation, bool)
	// Handed says of which run a block is that the node has handed out and perhaps not told of, and how many are.
	Handed(a message.Addr) (session, number, handed uint64, ok bool)
	// Tell has the companies know what was handed out until now.
	Tell(ctx context.Context) error
}

// guest is what a client knows of the blocks that its node, another process, hands out to it.
type guest struct {
	mu     sync.Mutex
	quiet  time.Time                  // until then the node is not asked: it gave no sign of life
	strays []message.Allocation       // that came too late for who asked: the next who asks gets them
	recent map[message.Addr]time.Time // handed out a moment ago: their company may not know
	order  []message.Addr             // of recent, oldest first
}

const (
	maxStrays = 64
	maxRecent = 64
	untold    = 100 * time.Millisecond // after which a company knows what was handed out
	quietFor  = time.Second
)

// stray takes a block out that came too late for another one.
func (g *guest) stray(size uint64) (message.Allocation, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, a := range g.strays {
		if a.Size == size {
			g.strays = append(g.strays[:i], g.strays[i+1:]...)
			return a, true
		}
	}
	return message.Allocation{}, false
}

// late keeps a block that nobody waits for any more.
func (g *guest) late(a message.Allocation) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.strays) < maxStrays {
		g.strays = append(g.strays, a)
	}
}

func (g *guest) got(a message.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.order) >= maxRecent {
		delete(g.recent, g.order[0])
		g.order = g.order[1:]
	}
	if g.recent == nil {
		g.recent = map[message.Addr]time.Time{}
	}
	g.recent[a] = time.Now()
	g.order = append(g.order, a)
}

// isQuiet says whether the node is not to be asked now.
func (g *guest) isQuiet() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Now().Before(g.quiet)
}

// hush has it not be asked for a while.
func (g *guest) hush() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.quiet = time.Now().Add(quietFor)
}

// isNew says whether a block was handed out a moment ago.
func (g *guest) isNew(a message.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	at, ok := g.recent[a]
	return ok && time.Since(at) < untold
}

// runs says whether the user's node hands out blocks by itself.
func (h *Heap) runs() bool { return h.directory().Settings.Runs > 0 }

// takeAside has the user's node hand out a block, if it can at once. A keyed request goes through the log, which
// remembers its answer.
func (h *Heap) takeAside(ctx context.Context, size uint64) (message.Allocation, bool) {
	if size > message.MaxRunSize || h.seqs.pinned || !h.runs() {
		return message.Allocation{}, false
	}
	if h.cfg.Runs != nil {
		a, ok := h.cfg.Runs.Take(size)
		if ok {
			a.Blocks = h.withNodes(a.Blocks)
		}
		return a, ok
	}
	if h.cfg.Home == message.NoNode {
		return message.Allocation{}, false
	}
	if a, ok := h.guest.stray(size); ok {
		return a, true
	}
	return h.askAside(ctx, size)
}

// askAside asks the user's node once, and waits for as long as it takes to see whether it lives.
func (h *Heap) askAside(ctx context.Context, size uint64) (message.Allocation, bool) {
	if h.guest.isQuiet() {
		return message.Allocation{}, false
	}
	m := message.New(message.TAKE)
	m.Size, m.Target, m.Final = size, h.cfg.Home, h.cfg.Home
	begin, trace := time.Now(), h.tracer()
	event := func(m *message.Message) {
		if trace != nil {
			c := *m
			trace(Event{After: time.Since(begin), Message: &c})
		}
	}
	if trace != nil {
		m.Flags |= message.Traced
	}
	event(m)
	var (
		mu     sync.Mutex
		over   bool // nobody waits
		answer = make(chan *message.Message, 1)
	)
	h.start(h.cfg.Home, m, func(a *message.Message, err error) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case !over:
			answer <- a // has room; nil for an error
		case err == nil && a.Status == message.Done:
			h.guest.late(h.aside(a))
		}
	})
	timer := time.NewTimer(h.patience(h.cfg.Home))
	defer timer.Stop()
	var a *message.Message
	select {
	case a = <-answer:
	case <-timer.C:
	case <-ctx.Done():
	}
	mu.Lock()
	over = true
	if a == nil && len(answer) > 0 { // it came just now
		a = <-answer
	}
	mu.Unlock()
	if a == nil {
		h.guest.hush()
		return message.Allocation{}, false
	}
	event(a)
	if a.Status != message.Done {
		return message.Allocation{}, false
	}
	h.guest.got(a.Address)
	return h.aside(a), true
}

// aside is the allocation in the answer to TAKE.
func (h *Heap) aside(a *message.Message) message.Allocation {
	return message.Allocation{Address: a.Address, Size: a.Size, State: message.Allocated, Blocks: h.withNodes(a.Blocks)}
}

// ofRun puts into a FREE what its node knows of the block, or has the node tell it. Without it the FREE of a block
// that was handed out a moment ago is refused for a moment.
func (h *Heap) ofRun(ctx context.Context, m *message.Message) {
	if h.cfg.Runs != nil {
		if session, number, handed, ok := h.cfg.Runs.Handed(m.Address); ok {
			m.Source, m.Final, m.Value, m.Length, m.Size = h.cfg.Home, h.cfg.Home, session, number, handed
		}
		return
	}
	if h.guest.isNew(m.Address) {
		h.tell(ctx, m.Address)
	}
}

// told has the user's node tell what it has handed out, so that what is listed now is what there is.
func (h *Heap) told(ctx context.Context) {
	switch {
	case !h.runs():
	case h.cfg.Runs != nil:
		_ = h.cfg.Runs.Tell(ctx) // without it the list has what may be handed out, too
	case h.cfg.Home != message.NoNode:
		h.tell(ctx, 0)
	}
}

// tell asks the node, if it gives signs of life; 0 means for all.
func (h *Heap) tell(ctx context.Context, a message.Addr) {
	if h.guest.isQuiet() {
		return
	}
	m := message.New(message.TELL)
	m.Address = a
	if _, err := h.call(ctx, h.cfg.Home, m, statusWait); err != nil && ctx.Err() == nil {
		h.guest.hush()
	}
}

// Roomiest is the company that is believed to have the most room, for a node that wants blocks set aside.
func (h *Heap) Roomiest(size uint64) (message.CompanyID, bool) { return h.roomiest(size, nil) }

// Roomy corrects what is believed of a company's room.
func (h *Heap) Roomy(c message.CompanyID, bytes uint64) { h.setRoom(c, bytes) }
