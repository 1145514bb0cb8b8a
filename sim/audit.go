package sim

import (
	"bytes"
	"slices"

	"dmalloc/company"
	"dmalloc/message"
)

// hold enters an allocation that its user has, and checks that it lies where no other one does (S3).
func (w *world) hold(h *holding) {
	for _, x := range w.holdings {
		if !x.gone && h.at < x.at+message.Addr(x.size) && x.at < h.at+message.Addr(h.size) {
			w.fail("S3", h.name, "%d bytes at %s of %s are %d bytes at %s of %s, too", h.size, h.at, h.name, x.size, x.at, x.name)
		}
	}
	for _, b := range h.blocks {
		for _, x := range w.holdings {
			if x.gone {
				continue
			}
			for _, y := range x.blocks {
				if b.Company == y.Company && b.Behind < y.Behind+message.Addr(y.Size) && y.Behind < b.Behind+message.Addr(b.Size) {
					w.fail("S3", h.name, "%d bytes at %s of %s lie over %d bytes at %s of %s", b.Size, b.Behind, h.name, y.Size, y.Behind, x.name)
				}
			}
		}
	}
	w.holdings = append(w.holdings, h)
}

// audit reads everything once more, frees everything, and compares what is left with nothing.
func (w *world) audit() {
	c := w.hire("the auditor", 0)
	rest := func(what string) bool {
		if w.run(w.idle) && w.run(w.settled) {
			return true
		}
		w.stuck(what + " does not come to an end: " + w.restless())
		return false
	}
	final := map[*cell]uint64{}
	for _, x := range w.shared {
		c.cell(x, record{about: x.name, client: c.name, kind: reads}, patience/2)
		if !rest("the last reading") {
			return
		}
		final[x] = w.history[len(w.history)-1].out
	}
	for i := range registers {
		c.register(registerAt(i), 0, patience/2)
		if !rest("the last reading") {
			return
		}
	}
	w.sums(final)
	w.forgotten()
	for _, h := range w.holdings {
		if !h.gone && !h.shared {
			for which := range h.ends {
				c.readEnd(h, which, patience/2)
				if !rest("the last reading") {
					return
				}
			}
		}
	}
	w.sameState()
	w.freeAll(c, rest)
}

// stray is longer than anything that a client asked for and gave up may be under way.
const stray = 4_000

// drain lets what nobody waits for arrive: a MALLOC that was given up long ago takes effect when it is applied.
func (w *world) drain() bool {
	over := false
	w.in(stray, func() { over = true })
	return w.run(func() bool { return over }) && w.run(w.settled)
}

// freeAll frees what users hold and what they asked for and never heard of, and nothing else may be there (S5).
func (w *world) freeAll(c *client, rest func(string) bool) {
	if !w.drain() {
		return
	}
	lost := slices.Clone(w.lostMallocs)
	for _, x := range w.allocations() {
		h := w.holderOf(x)
		if h == nil {
			i := slices.IndexFunc(lost, func(l *holding) bool { return l.size == x.Size })
			if i < 0 {
				w.fail("S5", w.companyName(x.HomeCompany), "%d bytes at %s are allocated, nobody holds them and nobody who asked for so much is without an answer", x.Size, x.Address)
				return
			}
			lost = slices.Delete(lost, i, i+1)
			h = &holding{name: "a forgotten allocation", size: x.Size, at: x.Address}
		} else if h.size != x.Size {
			w.fail("S5", h.name, "%s at %s has %d bytes, asked for were %d", h.name, h.at, x.Size, h.size)
			return
		}
		c.free(h, patience/2, c.begin(nil))
		if !rest("freeing all") {
			return
		}
	}
	for _, h := range w.holdings {
		if !h.gone {
			w.fail("S5", h.name, "%s at %s is held and not allocated", h.name, h.at)
		}
	}
	w.nothing()
}

// allocations lists what is allocated, once all owners have come to rest.
func (w *world) allocations() (all []company.Extent) {
	for _, g := range w.groups[1:] {
		for _, o := range g.owners {
			if o.over() {
				continue
			}
			for _, x := range o.heap.Extents(0, 1<<20) {
				if x.State == message.Allocated {
					all = append(all, x)
				}
			}
			break
		}
	}
	return all
}

// holderOf finds the holding at an address: one that is held, or else one whose freeing nobody knows the end of.
func (w *world) holderOf(x company.Extent) *holding {
	var found *holding
	for _, h := range w.holdings {
		if h.at == x.Address && !h.freed && (!h.gone || found == nil && h.size == x.Size) {
			found = h
		}
	}
	return found
}

// sameState compares the owners of each company byte by byte, and checks what each promises of itself (S4).
func (w *world) sameState() {
	for _, g := range w.groups {
		var first []byte
		for _, o := range g.owners {
			if o.over() {
				continue
			}
			var b bytes.Buffer
			var err error
			if g.id == 0 {
				_, _ = o.dir.Snapshot().WriteTo(&b) // a bytes.Buffer does not fail
				err = o.dir.Check()
			} else {
				_, _ = o.heap.Snapshot().WriteTo(&b)
				err = o.heap.Verify()
			}
			switch {
			case err != nil:
				w.fail("S4", "", "company %s on node %s: %v", g.id, o.n.id, err)
			case first == nil:
				first = b.Bytes()
			case !bytes.Equal(first, b.Bytes()):
				w.fail("S4", "", "node %s has another state of company %s after entry %d than the owner before it", o.n.id, g.id, o.applied)
			}
		}
	}
}

// nothing checks that all owners of heap companies are empty, sound and of one mind. It compares what they
// tell of themselves, which costs less than snapshots do.
func (w *world) nothing() {
	for _, g := range w.groups[1:] {
		first := ""
		for _, o := range g.owners {
			if o.over() {
				continue
			}
			if s := o.heap.Status(); s.Used != 0 || s.Count != 0 || len(o.heap.Extents(0, 1)) > 0 {
				w.fail("S5", w.companyName(g.id), "everything was freed, and node %s has %d bytes and %d allocations of company %s", o.n.id, s.Used, s.Count, g.id)
			}
			if err := o.heap.Verify(); err != nil {
				w.fail("S4", "", "company %s on node %s: %v", g.id, o.n.id, err)
			}
			if n := len(o.heap.AllLeases()); n > 0 {
				w.fail("S5", w.companyName(g.id), "everything was freed, and company %s has %d leases", g.id, n)
			}
			said := o.heap.String()
			if first == "" {
				first = said
			}
			if said != first {
				w.fail("S4", "", "node %s tells another state of company %s after entry %d than the owner before it", o.n.id, g.id, o.applied)
			}
		}
	}
}
