package node

import (
	"sync"
	"time"

	"dmalloc/message"
)

// dones are the writes that came to be absorbed: a copy of one that was is answered alike, and one that went to the
// log is not absorbed when it comes again. They are forgotten when no lease of then can last any more.
type dones struct {
	mu    sync.Mutex
	of    map[asked]done
	order []asked // by at
}

type done struct {
	at       time.Duration
	absorbed bool
}

// What is known of a write that comes to be absorbed.
type known uint8

const (
	doneFresh    known = iota // it is here for the first time
	doneLogged                // it was here, and was not absorbed
	doneAbsorbed              // it was
	doneFull                  // nobody can know
)

const (
	maxDones  = 1 << 16
	keepDones = 2 * message.MaxLease * time.Millisecond
)

// begin notes a write, and says what is known of it.
func (d *dones) begin(m *message.Message, now time.Duration) known {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.order) > 0 && now-d.of[d.order[0]].at > keepDones {
		delete(d.of, d.order[0])
		d.order = d.order[1:]
	}
	key := asked{m.Client, m.Seq}
	x, before := d.of[key]
	switch {
	case x.absorbed:
		return doneAbsorbed
	case before || m.Seq == 0:
		return doneLogged
	case len(d.of) >= maxDones:
		return doneFull
	}
	d.of[key] = done{at: now}
	d.order = append(d.order, key)
	return doneFresh
}

// kept notes that a write was absorbed.
func (d *dones) kept(m *message.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := asked{m.Client, m.Seq}
	x := d.of[key]
	x.absorbed = true
	d.of[key] = x
}
