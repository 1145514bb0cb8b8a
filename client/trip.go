package client

import (
	"sync/atomic"
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

// trips are estimates by node. Every request reads some and changes some: so there is no lock, and an estimate is one
// word, for which longestTrip is short enough.
type trips [message.MaxNodes]atomic.Uint64

const (
	tripBits = 31 // of a mean or a deviation, in nanoseconds
	tripMask = 1<<tripBits - 1

	_ = tripMask - uint64(longestTrip) // or it would not compile
)

func (t trip) word() uint64 {
	if !t.known {
		return 0
	}
	return 1<<(2*tripBits) | uint64(t.mean)<<tripBits | uint64(t.deviation)
}

func tripOf(w uint64) trip {
	return trip{mean: time.Duration(w >> tripBits & tripMask), deviation: time.Duration(w & tripMask), known: w != 0}
}

func (t *trips) get(n message.NodeID) trip {
	if int(n) >= len(t) {
		return trip{}
	}
	return tripOf(t[n].Load())
}

func (t *trips) took(n message.NodeID, d time.Duration) {
	if d < 0 || d > longestTrip || int(n) >= len(t) {
		return
	}
	for {
		old := t[n].Load()
		if t[n].CompareAndSwap(old, tripOf(old).after(d).word()) {
			return
		}
	}
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
