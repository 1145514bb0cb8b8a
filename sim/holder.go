package sim

import (
	"iter"
	"slices"
	"time"

	"dmalloc/cache"
	"dmalloc/message"
)

// holder is a node's side of the leases that it has: what package node does around package cache.
//
//	client ──▶ read:  copy ─▶ clock ─▶ answer, or READ with the token ─▶ Filled ─▶ the same again
//	       ──▶ write: Begin ─▶ pieces ─▶ WRITE with the token ─▶ End ─▶ answer, or Absorb ─▶ answer
//	leader ──▶ gives: Revoke ─▶ pieces ─▶ Gone ─▶ answer
//
// What it cannot do it says at once, and the client goes to the leader with the same number.
type holder struct {
	n       *node
	cache   *cache.Cache
	session uint64
	seen    []uint64                              // by company: the greatest index that an answer told of
	running map[asked][]func(*message.Message)    // who else waits for the answer of a request under way
	tried   map[asked]bool                        // requests that might be absorbed: whether they were
	leaving []leaving                             // leases that go when what is dirty is written back
	syncing []syncing                             // cells that are being written back for somebody
	gave    map[message.CompanyID]map[uint64]bool // tokens given back: what they covered cannot be lost any more
	ticked  time.Duration                         // when tick was last called
	ticks   int
}

// asked is the name of a request.
type asked struct {
	client message.ClientID
	seq    uint64
}

type leaving struct {
	l    message.Lease
	gone func()
}

type syncing struct {
	x     *cell
	began int64 // moment
}

// leased is the lease's side of the node, made when it first asks for one.
func (n *node) leased() *holder {
	if n.holder == nil {
		n.holder = &holder{n: n, cache: cache.New(1 << 20), session: n.session(), running: map[asked][]func(*message.Message){},
			tried: map[asked]bool{}, gave: map[message.CompanyID]map[uint64]bool{}}
	}
	return n.holder
}

// session grows with every start of the node's process.
func (n *node) session() uint64 { return n.incarnation<<32 | n.starts }

// die is the end of the process: what was absorbed and not written back is lost.
func (h *holder) die() {
	for _, x := range h.n.w.shared {
		h.loses(x)
	}
}

// clock is what the holder goes by: a planted bug has it stand still while the process does.
func (h *holder) clock() time.Duration {
	if h.n.w.cfg.planted == outlives {
		return h.n.clock() - time.Duration(h.n.stood*pace)*time.Millisecond
	}
	return h.n.clock()
}

func (h *holder) heard(id message.CompanyID, a *message.Message) {
	for len(h.seen) <= int(id) {
		h.seen = append(h.seen, 0)
	}
	if a != nil {
		h.seen[id] = max(h.seen[id], a.Index)
	}
}

// take asks for a lease on the pages of a cell, or all of its block from there on.
func (n *node) take(x *cell, exclusive, back, all bool, length uint64) {
	h := n.leased()
	m := message.New(message.LEASE)
	m.Address, m.Size, m.Txn, m.Final, m.Value, m.Length = x.at, 8, x.txn, n.id, h.session, length
	if all {
		m.Size = 0
	}
	if !x.txn.IsZero() {
		m.Flags |= message.PartOf
	}
	mode := "r"
	if exclusive {
		m.Flags |= message.Exclusive
		mode = "w"
	}
	if back {
		m.Flags |= message.WriteBack
	}
	q := h.cache.Ask(m.Address, m.Size)
	h.settle(q, 0, func(ready bool) {
		if ready && n.holder == h {
			h.lease(x, m, mode, q)
		} else {
			h.cache.Answered(q, true)
		}
	})
}

// settle writes back what is dirty where another lease is asked for (K9).
func (h *holder) settle(q *cache.Question, try int, then func(ready bool)) {
	pieces, ready := h.cache.Asked(q)
	if len(pieces) > 0 {
		h.flush(pieces, func(bool) {})
		_, ready = h.cache.Asked(q)
	}
	if ready || try == 20 {
		then(ready)
		return
	}
	h.n.later(10, func() { h.settle(q, try+1, then) })
}

// lease sends the LEASE, and takes what is granted into use.
func (h *holder) lease(x *cell, m *message.Message, mode string, q *cache.Question) {
	n, w := h.n, h.n.w
	back := m.Flags&message.WriteBack != 0
	sent := h.clock()
	n.self.do(x.company, m, attemptLong, func(a *message.Message, _ bool) {
		defer func() { h.cache.Answered(q, a != nil) }()
		h.heard(x.company, a)
		if a == nil || a.Status != message.Done {
			return
		}
		l := message.Lease{Company: x.company, Address: a.Address, Size: a.Size, Mode: mode, Token: a.Token, Holder: n.id, Session: h.session, LengthMS: a.Length, WriteBack: back}
		if w.cfg.planted == outlives {
			sent = h.clock()
		}
		ok, lost := h.cache.Granted(l, sent, h.clock())
		h.tell(lost)
		if !ok {
			h.release(l)
			return
		}
		w.did(granted)
		w.mix(8, uint64(w.now), uint64(n.id), a.Token)
		if w.cfg.Tell {
			w.say(w.pageOf(l), "node %s uses the lease %s of company %s with token %d, for %d ms", n.id, mode, x.company, a.Token, a.Length)
		}
		h.relabel(l)
		w.exclusive(n, l)
	})
}

// exclusive checks that nobody else uses a lease that excludes the one that is now used (S10).
func (w *world) exclusive(n *node, l message.Lease) {
	for _, o := range w.nodes {
		if o == n || o.holder == nil {
			continue
		}
		for _, x := range o.holder.cache.Held(o.holder.clock()) {
			if x.Company == l.Company && (x.Mode == "w" || l.Mode == "w") && x.Address < l.Address+message.Addr(l.Size) && l.Address < x.Address+message.Addr(x.Size) {
				w.fail("S10", "", "node %s uses the lease %s on %s with token %d, and node %s the lease %s on %s with token %d", n.id, l.Mode, l.Address, l.Token, o.id, x.Mode, x.Address, x.Token)
			}
		}
	}
}

// ask is a request of a client on a cell that the node may have leases of.
func (h *holder) ask(x *cell, m *message.Message, back bool, reply func(*message.Message)) {
	if m.Op == message.READ {
		h.read(x, m, reply)
		return
	}
	key := asked{m.Client, m.Seq}
	absorbed, again := h.tried[key]
	if back && absorbed {
		reply(h.absorbedAnswer(m))
		return
	}
	if others, ok := h.running[key]; ok {
		h.running[key] = append(others, reply)
		return
	}
	h.running[key] = nil
	end := func(a *message.Message) {
		others := h.running[key]
		delete(h.running, key)
		reply(a)
		for _, other := range others {
			other(a)
		}
	}
	if back && !again {
		h.tried[key] = false
		h.absorb(x, m, end)
		return
	}
	h.through(x, m, end)
}

func cannot(m *message.Message) *message.Message { return m.Answer(message.Unavailable, "") }

func (h *holder) read(x *cell, m *message.Message, reply func(*message.Message)) {
	h.copyOf(m, func(a *message.Message) {
		if a != nil {
			h.n.w.did(copied)
			reply(a)
			return
		}
		h.fill(x, func() {
			h.copyOf(m, func(a *message.Message) {
				if a == nil {
					a = cannot(m)
				} else {
					h.n.w.did(copied)
				}
				reply(a)
			})
		})
	})
}

// copyOf reads from the copy. The process may be stopped between copying the bytes and looking at the clock: then the
// rest is done later.
func (h *holder) copyOf(m *message.Message, end func(*message.Message)) {
	w, n := h.n.w, h.n
	data := make([]byte, 8)
	var txn message.Txn
	if m.Flags&message.PartOf != 0 {
		txn = m.Txn
	}
	finish := func(ok bool) {
		if !ok {
			end(nil)
			return
		}
		a := m.Answer(message.Done, "")
		a.Address, a.Size, a.Data = m.Address, m.Size, data
		end(a)
	}
	pause := w.has(Pause) && w.odds(3)
	if pause && w.odds(2) {
		n.freeze(1 + w.dice.Int64N(400)) // all of the process
	}
	if w.cfg.planted == noLook {
		finish(h.cache.Read(m.Address, txn, data, func() time.Duration { return h.ticked }))
		return
	}
	if !pause {
		finish(h.cache.Read(m.Address, txn, data, h.clock))
		return
	}
	w.did(stopped)
	ok := false
	next, stop := iter.Pull(func(yield func(bool) bool) {
		ok = h.cache.Read(m.Address, txn, data, func() time.Duration {
			yield(true)
			return h.clock()
		})
	})
	w.paused = append(w.paused, stop)
	next()
	n.later(1+w.dice.Int64N(3), func() {
		next()
		finish(ok)
	})
}

// fill brings the bytes of a cell's block that lie in its page.
func (h *holder) fill(x *cell, end func()) {
	f, ok := h.cache.Want(x.at, 8)
	if !ok {
		end()
		return
	}
	q := message.New(message.READ)
	q.Address = max(x.block.Address, f.Address)
	q.Size = min(uint64(x.block.Address)+x.block.Size, uint64(f.Address)+f.Size) - uint64(q.Address)
	q.Txn, q.Token = x.txn, f.Token
	if !x.txn.IsZero() {
		q.Flags |= message.PartOf
	}
	h.n.self.do(x.company, q, 150, func(a *message.Message, _ bool) {
		h.heard(x.company, a)
		if a != nil && a.Status == message.Done {
			h.cache.Filled(f, a.Address, a.Data, []cache.Extent{x.block})
		}
		end()
	})
}

// gives is REVOKE: when the lease is not used any more, and never will be, gone is called (T5).
func (n *node) gives(l message.Lease, gone func()) {
	if n.holder == nil {
		n.leased() // remembers the token
	}
	n.holder.give(l, gone)
}

func (h *holder) give(l message.Lease, gone func()) {
	if h.n.w.cfg.planted == revokeDrops {
		h.cache.Abandon(l) // and says nothing
	}
	pieces := h.cache.Revoke(l)
	if h.n.w.cfg.planted == flushAfterRevoke {
		h.given(l)
		gone()
	} else {
		h.leaving = append(h.leaving, leaving{l, gone})
	}
	h.flush(pieces, func(bool) {})
	h.leave()
}

// leave lets go what is not dirty any more.
func (h *holder) leave() {
	kept := h.leaving[:0]
	var out []leaving
	for _, x := range h.leaving {
		if h.cache.Gone(x.l) {
			out = append(out, x)
		} else {
			kept = append(kept, x)
		}
	}
	h.leaving = kept
	for _, x := range out {
		h.given(x.l)
		x.gone()
	}
	for i := 0; i < len(h.syncing); i++ {
		if s := h.syncing[i]; h.cache.Unwritten(s.x.at, 8) == 0 {
			h.syncing = slices.Delete(h.syncing, i, i+1)
			h.synced(s)
			i--
		}
	}
}

// given remembers what was given back while it stood.
func (h *holder) given(l message.Lease) {
	if h.n.w.groups[l.Company].over[l.Token] {
		return
	}
	if h.gave[l.Company] == nil {
		h.gave[l.Company] = map[uint64]bool{}
	}
	h.gave[l.Company][l.Token] = true
}

// sync writes back what is absorbed of a cell, for a client that wants to be sure of it.
func (h *holder) sync(x *cell) {
	s := syncing{x, h.n.w.moment()}
	if h.n.w.cfg.planted == eagerSync {
		h.synced(s)
		return
	}
	h.syncing = append(h.syncing, s)
	h.flush(h.cache.Flush(x.at, 8), func(bool) {})
	h.leave()
}

// synced is the answer to a sync: what was absorbed before it is in the log, or its loss is said (S11).
func (h *holder) synced(s syncing) {
	w := h.n.w
	w.did(synced)
	for _, a := range s.x.absorbed {
		if a.by == h && !a.lost && a.since < s.began {
			w.fail("S11", s.x.name, "node %s has said that it is synced, and %d, which it had absorbed before, is not written back", h.n.id, a.value)
		}
	}
}

// release gives a lease back unasked.
func (h *holder) release(l message.Lease) {
	h.give(l, func() {
		q := message.New(message.RELEASE)
		q.Token, q.Final, q.Address, q.Size = l.Token, h.n.id, l.Address, l.Size
		h.n.self.do(l.Company, q, attemptLong, func(*message.Message, bool) {})
	})
}

// releaseAll gives back what is held.
func (h *holder) releaseAll() {
	for _, l := range h.cache.Held(h.clock()) {
		h.release(l)
	}
}

// tick ends what is over and writes back what should be.
func (h *holder) tick() {
	now := h.clock()
	h.ticked = now
	h.flush(slices.Concat(h.cache.Expire(now), h.cache.NextFlush(now)), func(bool) {})
	h.leave()
	if h.ticks++; h.ticks%16 == 0 { // it costs more than all else here
		if err := h.cache.Check(); err != nil {
			h.n.w.fail("S10", "", "node %s: %v", h.n.id, err)
		}
	}
}
