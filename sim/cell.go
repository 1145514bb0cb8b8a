package sim

import (
	"encoding/binary"
	"fmt"

	"dmalloc/cache"
	"dmalloc/message"
)

// cell is 8 bytes of an allocation that all clients use: a counter, which is only added to, or a word, which
// is written and compared.
type cell struct {
	name    string
	h       *holding
	which   int // which end of it
	counter bool
	company message.CompanyID
	at      message.Addr // as its company knows it
	txn     message.Txn  // of a part
	block   cache.Extent // that it lies in
	near    message.NodeID

	uses, unknown     int    // operations; of them, of unknown outcome
	added, maybeAdded uint64 // acknowledged; of unknown outcome

	committed uint64            // what the log has of a word
	absorbed  []absorption      // what holders have newer
	ends      map[uint64]uint64 // what the log had when leases with write-back ended, by token
}

// share allocates what clients share, in calm: one allocation within a company, and one over several.
func (w *world) share() bool {
	c := w.hire("the founder", 0)
	sizes := []uint64{64, 128, w.largest() + message.PageSize}
	for i, size := range sizes {
		w.shareOne(c, i, size)
		if !w.run(func() bool { return len(w.shared) > i }) {
			return false
		}
	}
	for i, x := range w.shared {
		x.place()
		x.name = fmt.Sprintf("word %d", i+1)
		if x.counter {
			x.name = fmt.Sprintf("counter %d", i+1)
		}
	}
	return true
}

// shareOne allocates one of them, as often as it takes: how much room a company has is heard late.
func (w *world) shareOne(c *client, i int, size uint64) {
	c.malloc(size, patience/2, func(h *holding) {
		if h == nil {
			w.in(20, func() { w.shareOne(c, i, size) })
			return
		}
		h.name, h.shared = fmt.Sprintf("shared allocation %d", i+1), true
		w.hold(h)
		switch i {
		case 0:
			w.shared = append(w.shared, &cell{h: h, counter: true})
		case 1:
			w.shared = append(w.shared, &cell{h: h})
		default:
			w.shared = append(w.shared, &cell{h: h}, &cell{h: h, which: 1, counter: true})
		}
	})
}

// place fills in where the cell is.
func (x *cell) place() {
	var m *message.Message
	x.company, m = x.h.bytesAt(x.which, message.READ)
	x.at, x.txn, x.near = m.Address, m.Txn, message.NoNode
	b := x.h.blocks[0]
	x.block = cache.Extent{Address: x.h.at, Size: b.Size}
	if m.Flags&message.PartOf != 0 {
		b = x.h.blocks[len(x.h.blocks)-1]
		x.block = cache.Extent{Address: b.Behind, Size: b.Size, Txn: m.Txn}
	}
}

// largest is the capacity that no company exceeds.
func (w *world) largest() (most uint64) {
	for _, c := range w.plan.Companies[1:] {
		most = max(most, c.Capacity)
	}
	return most
}

// What a judge can judge in time: each operation of unknown outcome may double the work.
const (
	maxUses    = 40
	maxUnknown = 6
)

func (c *client) useCell(x *cell) {
	w := c.w
	if x.uses >= maxUses || x.unknown >= maxUnknown {
		c.useOwn()
		return
	}
	r := record{about: x.name, client: c.name, kind: reads}
	switch d := w.dice.IntN(6); {
	case d < 2:
	case x.counter:
		r.kind, r.in = adds, 1+w.dice.Uint64N(99)
	case d < 5:
		r.kind, r.in = writes, w.value()
	default:
		r.kind, r.in, r.old = swaps, w.value(), x.recent(w)
	}
	c.cell(x, r, c.patience())
}

// recent is a value that the word may have: what was written last, as far as anybody knows.
func (x *cell) recent(w *world) uint64 {
	for i := len(w.history) - 1; i >= 0; i-- {
		if r := &w.history[i]; r.about == x.name {
			switch r.kind {
			case writes, swaps:
				return r.in
			case reads:
				return r.out
			}
		}
	}
	return 0
}

var cellOps = [...]message.Op{reads: message.READ, writes: message.WRITE, swaps: message.CAS, adds: message.ADD}

// cell does one operation on a cell and keeps it for the judge.
func (c *client) cell(x *cell, r record, patience int64) {
	w := c.w
	company, m := x.h.bytesAt(x.which, cellOps[r.kind])
	switch r.kind {
	case writes:
		m.Data = binary.LittleEndian.AppendUint64(nil, r.in)
	case swaps:
		m.Size, m.Value = r.old, r.in
	case adds:
		m.Size, m.Value = 0, r.in
	}
	r.call = w.moment()
	x.uses++
	open := func() {
		if r.kind != reads {
			x.unknown++
			w.keep(r)
		}
		if r.kind == adds {
			x.maybeAdded += r.in
		}
	}
	end := c.begin(open)
	if w.cfg.Tell {
		w.say(x.name, "%s begins: %s", c.name, r.what())
	}
	c.s.near(x, company, m, patience, func(a *message.Message, sent bool) {
		switch {
		case a == nil && !sent:
		case a == nil:
			w.unknown++
			w.say(x.name, "%s gives up: %s", c.name, r.what())
			open()
		case a.Status != message.Done:
			w.fail("S9", x.name, "%s asks to %s and is answered %s: %s", c.name, r.what(), a.Status, a.Text)
		default:
			r.ret, r.out, r.yes = w.moment(), a.Value, a.Size != 0
			if r.kind == reads {
				r.out = number(a.Data)
			}
			if r.kind == adds {
				x.added += r.in
			}
			w.keep(r)
			if w.cfg.Tell {
				w.say(x.name, "%s ends: %s", c.name, r)
			}
		}
		end()
	})
}
