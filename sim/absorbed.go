package sim

import (
	"slices"

	"dmalloc/cache"
	"dmalloc/company"
	"dmalloc/lease"
	"dmalloc/message"
)

// absorption is a write that a holder keeps to itself so far.
//
// When its holder dies, or its lease ends before it is written back, it is lost: the word has again what the log has.
// For the judge that is one more write, of the log's value at the end of the lease: it happens after the write that
// is lost, for a holder reads what it absorbed; and before both the end is in the log and the holder has noticed,
// for nobody else reads before the end, and the holder does not read after it.
type absorption struct {
	by    *holder
	value uint64
	token uint64 // of the lease that it is kept under
	since int64  // moment
	lost  bool
}

// tokenOf is the token of the lease that the node uses for a cell.
func (h *holder) tokenOf(x *cell) uint64 {
	for _, l := range h.cache.Held(h.clock()) {
		if l.Company == x.company && l.Address <= x.at && x.at < l.Address+message.Addr(l.Size) {
			return l.Token
		}
	}
	return 0
}

func (h *holder) absorbs(x *cell, value, token uint64) {
	w := h.n.w
	x.absorbed = append(x.absorbed, absorption{by: h, value: value, token: token, since: w.moment()})
	if w.cfg.Tell {
		w.say(x.name, "node %s absorbs %d under token %d", h.n.id, value, token)
	}
}

// relabel notes what the lease has taken over from older ones. Of what was on its way under those and not taken over,
// its own answer tells.
func (h *holder) relabel(l message.Lease) {
	for _, x := range h.n.w.shared {
		if l.Company != x.company || x.at < l.Address || x.at >= l.Address+message.Addr(l.Size) || h.cache.Unwritten(x.at, 8) == 0 {
			continue
		}
		for i := range x.absorbed {
			if a := &x.absorbed[i]; a.by == h && !a.lost {
				a.token = l.Token
			}
		}
	}
}

// tell hears of what the cache says is lost.
func (h *holder) tell(lost []cache.Range) {
	for _, r := range lost {
		for _, x := range h.n.w.shared {
			if id, ok := r.Address.Company(); ok && id == x.company && r.Address <= x.at && x.at < r.Address+message.Addr(r.Size) {
				h.loses(x)
			}
		}
	}
}

// loses marks what the holder has absorbed of a cell as lost. What it has given back it had written back before (S11).
func (h *holder) loses(x *cell) {
	w := h.n.w
	for i := range x.absorbed {
		a := &x.absorbed[i]
		if a.by != h || a.lost {
			continue
		}
		if h.gave[x.company][a.token] {
			w.fail("S11", x.name, "node %s has given back the lease with token %d, and %d, which it had absorbed, was not written back", h.n.id, a.token, a.value)
		}
		a.lost = true
		w.did(vanished)
		if w.cfg.Tell {
			w.say(x.name, "%d, which node %s has absorbed under token %d, is lost", a.value, h.n.id, a.token)
		}
	}
	w.revert(x)
}

// revert tells the judge of losses whose leases are over.
func (w *world) revert(x *cell) {
	for i := 0; i < len(x.absorbed); i++ {
		a := x.absorbed[i]
		value, over := x.ends[a.token]
		if !a.lost || !over {
			continue
		}
		first := a.since // of all that are lost with it
		x.absorbed = slices.DeleteFunc(x.absorbed, func(b absorption) bool {
			same := b.lost && b.by == a.by && b.token == a.token
			if same {
				first = min(first, b.since)
			}
			return same
		})
		w.keep(record{about: x.name, client: "the log", kind: reverts, in: value, call: first, ret: w.moment()})
		i = -1
	}
}

// first hears of an entry when the first owner applies it.
func (g *group) first(index uint64, b *message.Batch, a *company.Applied) {
	w := g.w
	if w.faults&Leases == 0 || g.id == 0 {
		return
	}
	events := a.Leases
	for i, m := range b.Messages {
		for ; len(events) > 0 && events[0].Message == i; events = events[1:] { // what the log had then counts
			g.event(events[0])
		}
		r := &a.Results[i]
		if r.Code != message.Done || r.Index != index {
			continue
		}
		switch m.Op {
		case message.WRITE:
			g.commits(m, number(m.Data))
		case message.CAS:
			if r.Size == 1 {
				g.commits(m, m.Value)
			}
		}
	}
}

func (g *group) event(e company.LeaseEvent) {
	switch {
	case e.Ended:
		g.ended(e.Lease)
	case e.Lease.Token <= g.token:
		g.w.fail("S10", "", "company %s gives token %d after %d", g.id, e.Lease.Token, g.token)
	default:
		g.token = e.Lease.Token
	}
}

// commits hears that the log has a value, and with it all that was absorbed before.
func (g *group) commits(m *message.Message, value uint64) {
	for _, x := range g.w.shared {
		if x.counter || x.company != g.id || x.at != m.Address {
			continue
		}
		x.committed = value
		if i := slices.IndexFunc(x.absorbed, func(a absorption) bool { return a.value == value }); i >= 0 {
			by, before := x.absorbed[i].by, i
			x.absorbed = slices.DeleteFunc(x.absorbed, func(a absorption) bool {
				before--
				return a.by == by && before >= -1
			})
		}
	}
}

// ended hears that a lease is over.
func (g *group) ended(l lease.Lease) {
	w := g.w
	w.did(over)
	g.over[l.Token] = true
	shown := l.Message(g.id, g.id.Base())
	if w.cfg.Tell {
		w.say(w.pageOf(shown), "the lease of node %s with token %d is over", l.Node, l.Token)
	}
	for _, x := range w.shared {
		if l.WriteBack && x.company == g.id && shown.Address <= x.at && x.at < shown.Address+message.Addr(shown.Size) {
			if x.ends == nil {
				x.ends = map[uint64]uint64{}
			}
			x.ends[l.Token] = x.committed
			w.revert(x)
		}
	}
}

// forgotten checks at the end that all that was absorbed is written, or said to be lost (S11).
func (w *world) forgotten() {
	for _, x := range w.shared {
		for _, a := range x.absorbed {
			w.fail("S11", x.name, "node %s has absorbed %d under token %d, and it is neither written back nor lost", a.by.n.id, a.value, a.token)
		}
	}
}

// pageOf names what a lease is about: the one cell that lies on its pages, if it is one.
func (w *world) pageOf(l message.Lease) (about string) {
	for _, x := range w.shared {
		if x.company == l.Company && l.Address <= x.at && x.at < l.Address+message.Addr(l.Size) {
			if about != "" {
				return aboutLeaders
			}
			about = x.name
		}
	}
	if about == "" {
		return aboutLeaders
	}
	return about
}
