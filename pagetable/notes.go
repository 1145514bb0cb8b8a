package pagetable

import (
	"slices"

	"dmalloc/message"
)

const (
	maxDirty = 65536 // addresses noted a company; beyond them the company is rebuilt from its Source
	maxLog   = 10000 // lines kept a company; older ones are dropped and counted
)

// notes is what a company's next flush must look at. Guarded by Table.mu.
type notes struct {
	source  Source // nil once it is no longer owned and read for the last time
	here    bool   // owned now
	owned   bool   // owned now or once: has a row
	rebuild bool   // everything may have changed
	dirty   map[message.Addr]struct{}
	tokens  map[uint64]struct{} // of leases
	log     ring
}

// change notes addresses; most bounds the set.
func (c *notes) change(addrs []message.Addr, most int) {
	if !c.here || c.rebuild {
		return // Attach has asked for a rebuild, or nobody may read these any more
	}
	for _, a := range addrs {
		c.put(a, most)
	}
}

func (c *notes) put(a message.Addr, most int) {
	if c.rebuild {
		return
	}
	if c.dirty == nil {
		c.dirty = map[message.Addr]struct{}{}
	}
	if c.dirty[a] = struct{}{}; len(c.dirty) > most {
		c.again()
	}
}

// again has the whole company looked at.
func (c *notes) again() { c.rebuild, c.dirty, c.tokens = true, nil, nil }

// lease notes the token of a lease that came or went; most bounds the set.
func (c *notes) lease(token uint64, most int) {
	if c.rebuild {
		return
	}
	if c.tokens == nil {
		c.tokens = map[uint64]struct{}{}
	}
	if c.tokens[token] = struct{}{}; len(c.tokens) > most {
		c.again()
	}
}

// line is a LogLine with its place.
type line struct {
	message.LogLine
	seq uint64 // over all companies of this node, from 1
	n   int    // how-manieth line of its entry
}

// place is where a line stands.
type place struct {
	seq   uint64
	index uint64 // of its entry
	n     int
}

// ring keeps the last lines of a company.
type ring struct {
	lines   []line // grows to the bound, then next is the oldest
	next    int
	dropped uint64
	last    place  // of the newest, which says whether the next is of the same entry
	flushed uint64 // seq up to which SQLite has them
}

// add keeps a line of a company; most bounds how many there are. A line is copied once.
func (r *ring) add(company message.CompanyID, l *message.LogLine, seq uint64, most int) {
	n := 0
	if r.last.seq != 0 && r.last.index == l.Index {
		n = r.last.n + 1
	}
	r.last = place{seq, l.Index, n}
	at := r.next
	if len(r.lines) < most {
		at = len(r.lines)
		r.lines = append(r.lines, line{})
	} else {
		if r.next++; r.next == len(r.lines) {
			r.next = 0
		}
		r.dropped++
	}
	x := &r.lines[at]
	x.LogLine, x.seq, x.n = *l, seq, n
	x.Company = company
}

// after lists the lines with a seq over s, oldest first, at most count of them and then the newest.
func (r *ring) after(s uint64, count int) []line {
	count = min(count, len(r.lines))
	if r.last.seq <= s || count <= 0 {
		return nil
	}
	at := func(back int) *line { // the newest is back == 1
		return &r.lines[(r.next+2*len(r.lines)-back)%len(r.lines)]
	}
	var out []line
	for back := 1; back <= count && at(back).seq > s; back++ {
		out = append(out, *at(back))
	}
	slices.Reverse(out)
	return out
}

// oldest is the seq of the oldest line kept, 0 if there is none.
func (r *ring) oldest() uint64 {
	if len(r.lines) == 0 {
		return 0
	}
	return r.lines[r.next%len(r.lines)].seq
}
