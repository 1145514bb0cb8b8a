package transport

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/message"
)

// LinkFault is what a drill does to the frames that this node sends to a neighbour. The zero value is a
// healthy link.
type LinkFault struct {
	Cut   bool          // everything is lost
	Delay time.Duration // added to the latency of the topology
	Drop  float64       // share of messages and Raft batches lost, 0 to 1. Snapshots are spared: nothing repeats a single chunk
}

// maxDelay bounds what a frame can be made to wait.
const maxDelay = time.Minute

// link is everything about one other node: how it is reached, what is wrong with the way, when it spoke.
type link struct {
	t       *Transport
	node    message.NodeID
	heard   atomic.Int64         // moment of the last frame from the node; 0: never
	peer    atomic.Pointer[Peer] // nil: no address is known
	way     atomic.Pointer[way]  // nil: neither faults nor latency
	outlets [classes]outlet

	mu      sync.Mutex // guards what follows, from which way is made
	latency time.Duration
	fault   LinkFault
}

// way is how a link behaves at present.
type way struct {
	cut   bool
	delay int64 // nanoseconds
	drop  float64
}

// link finds the link to a node, nil if there can be no such node.
func (t *Transport) link(n message.NodeID) *link {
	if !isNode(n) {
		return nil
	}
	if l := t.links[n].Load(); l != nil {
		return l
	}
	l := &link{t: t, node: n}
	for c := range l.outlets {
		l.outlets[c].link, l.outlets[c].class = l, class(c)
	}
	t.links[n].CompareAndSwap(nil, l)
	return t.links[n].Load()
}

// behave puts latency and fault into effect. Frames that wait already keep their moment.
func (l *link) behave(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	w := way{cut: l.fault.Cut, drop: l.fault.Drop, delay: int64(min(max(l.latency, 0)+max(l.fault.Delay, 0), maxDelay))}
	if w == (way{}) {
		l.way.Store(nil)
		return
	}
	l.way.Store(&w)
}

// judge says when a frame may leave on this link, or that it is lost. A nil link, to a client, is healthy.
func (l *link) judge(k kind) (due int64, lost bool) {
	if l == nil {
		return 0, false
	}
	w := l.way.Load()
	if w == nil {
		return 0, false
	}
	if w.cut || (w.drop > 0 && k.class() != classBulk && rand.Float64() < w.drop) {
		l.t.count(framesLost)
		return 0, true
	}
	if w.delay == 0 {
		return 0, false
	}
	return l.t.now() + w.delay, false
}

// hear notes a sign of life.
func (l *link) hear() {
	if l != nil {
		l.heard.Store(l.t.now())
	}
}

// SetFault makes frames to a neighbour suffer; the zero LinkFault heals the link.
func (t *Transport) SetFault(to message.NodeID, f LinkFault) {
	if l := t.link(to); l != nil {
		l.behave(func() { l.fault = f })
	}
}

// Fault is what SetFault set.
func (t *Transport) Fault(to message.NodeID) LinkFault {
	l := t.link(to)
	if l == nil {
		return LinkFault{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fault
}

// Delay is how long frames to a neighbour are held back, by the topology and by a fault.
func (t *Transport) Delay(to message.NodeID) time.Duration {
	if l := t.link(to); l != nil {
		if w := l.way.Load(); w != nil {
			return time.Duration(w.delay)
		}
	}
	return 0
}

// Heard is when the last frame of a node arrived, directly or through others; zero if none ever did.
func (t *Transport) Heard(from message.NodeID) time.Time {
	l := t.link(from)
	if l == nil {
		return time.Time{}
	}
	if at := l.heard.Load(); at != 0 {
		return t.begin.Add(time.Duration(at))
	}
	return time.Time{}
}
