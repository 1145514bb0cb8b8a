package client

import (
	"sync"
	"time"

	"dmalloc/message"
)

// trip estimates how long something takes that is done again and again, as RFC 6298 does for TCP: a mean and a
// mean deviation, in which new times have an eighth and a quarter of the weight. The zero value knows nothing.
type trip struct {
	mean, deviation time.Duration
	known           bool
}

// after is the estimate once it took d.
//
// A time under half of the mean begins anew: the way has become short, or a node was frozen and is back. To
// believe that too soon costs one message more, to believe it too late costs the user's time.
func (t trip) after(d time.Duration) trip {
	if !t.known || d < t.mean/2 {
		return trip{mean: d, deviation: d / 2, known: true}
	}
	off := max(t.mean-d, d-t.mean)
	t.deviation += (off - t.deviation) / 4
	t.mean += (d - t.mean) / 8
	return t
}

// patience is how long to wait before it is taken for late: the mean and four deviations, within bounds.
func (t trip) patience(least, most time.Duration) time.Duration {
	return min(max(least, t.mean+4*t.deviation), max(least, most))
}

// least is what it takes at least as a rule: nothing, as long as the times differ much.
func (t trip) least() time.Duration { return max(0, t.mean-4*t.deviation) }

// longestTrip bounds all patience, and what counts: a longer time says that a node was frozen or a link cut,
// not how long the way is.
const longestTrip = 2 * time.Second

// trips are estimates by node.
type trips struct {
	mu sync.Mutex
	of map[message.NodeID]trip
}

func (t *trips) get(n message.NodeID) trip {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.of[n]
}

func (t *trips) took(n message.NodeID, d time.Duration) {
	if d > longestTrip {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[message.NodeID]trip{}
	}
	t.of[n] = t.of[n].after(d)
}

// pace is what a client has learned of the ways to the nodes.
type pace struct {
	sign   trips // from a request to the first sign of life: the way there and back
	answer trips // from a request of a company to its answer: that, and what the leader does for it
}

// patience is how long a node may give no sign of life.
func (h *Heap) patience(n message.NodeID) time.Duration {
	return h.pace.sign.get(n).patience(h.cfg.Attempt, longestTrip)
}
