package node

import (
	"context"
	"encoding/binary"
	"sync"

	"dmalloc/cache"
	"dmalloc/internal/boottime"
	"dmalloc/message"
)

// What a holder does for operations on bytes that it has leases of. usual is what is done where it has none, or
// cannot help: its company's owner here, if there is one, or where to go instead.
type handling func(m *message.Message, reply func(*message.Message))

// read answers from the copy, and brings the pages first where a lease allows to keep them.
func (h *holder) read(m *message.Message, reply func(*message.Message), usual handling) {
	if m.Token != 0 || m.Size == 0 || m.Size > message.MaxData || !h.cache.Any() {
		m.Flags &^= message.WriteBack
		usual(m, reply)
		return
	}
	// Who does not ask here for the lease, but for the company's leader, must not see what may yet be lost: after the
	// copy was made, so that what it shows is in the log by now. The leader calls the lease back first, from here.
	own := m.Flags&message.WriteBack != 0 || !h.n.cfg.Settings.WriteBack
	m.Flags &^= message.WriteBack
	hidden := func() bool { return !own && h.cache.Unwritten(m.Address, m.Size) > 0 }
	a := h.copyOf(m)
	if hidden() {
		usual(m, reply)
		return
	}
	if a != nil {
		reply(a)
		return
	}
	f, ok := h.cache.Want(m.Address, m.Size)
	if !ok || f.Size > message.MaxData {
		h.asIs(m, reply, usual)
		return
	}
	h.start(m, reply, holderTime, func(ctx context.Context) *message.Message {
		if code := h.fill(ctx, m.Company, f); code == message.Done {
			if a := h.copyOf(m); a != nil && !hidden() {
				return a
			}
		}
		return h.pass(ctx, m, f.Token)
	})
}

// copyOf is the answer to a READ from the copy, nil where it cannot be given.
func (h *holder) copyOf(m *message.Message) *message.Message {
	data := make([]byte, m.Size)
	if !h.cache.Read(m.Address, txnOf(m), data, h.clock.Now) {
		return nil
	}
	a := m.Answer(message.Done, "")
	a.Address, a.Size, a.Data = m.Address, m.Size, data
	return a
}

func txnOf(m *message.Message) message.Txn {
	if m.Flags&message.PartOf != 0 {
		return m.Txn
	}
	return message.Txn{}
}

// fill brings pages under their lease's token.
func (h *holder) fill(ctx context.Context, company message.CompanyID, f cache.Fill) message.Code {
	q := message.New(message.READ)
	q.Address, q.Size, q.Token = f.Address, f.Size, f.Token
	a, err := h.forward(ctx, company, q)
	switch {
	case err != nil:
		return message.CodeOf(err)
	case a.Status != message.Done:
		return a.Status
	}
	live := make([]cache.Extent, 0, len(a.Blocks))
	for _, b := range a.Blocks {
		x := cache.Extent{Address: b.Address, Size: b.Size}
		if b.Behind != 0 {
			x.Txn = a.Txn
		}
		live = append(live, x)
	}
	h.cache.Filled(f, a.Address, a.Data, live)
	return message.Done
}

// pass asks the leader for what the copy cannot answer, as the holder of a lease.
func (h *holder) pass(ctx context.Context, m *message.Message, token uint64) *message.Message {
	if m.Address%message.PageSize == 0 && m.Size%message.PageSize == 0 || h.cache.Unwritten(m.Address, m.Size) > 0 {
		return m.Answer(message.Unavailable, "the page cannot be had here now; nothing was read, ask the leader")
	}
	q := message.New(message.READ)
	q.Address, q.Size, q.Txn, q.Flags, q.Token = m.Address, m.Size, m.Txn, m.Flags&message.PartOf, token
	a, err := h.forward(ctx, m.Company, q)
	if err != nil {
		return h.open(m, err)
	}
	return answerAs(m, a)
}

// asIs hands on what the copy cannot do. While a lease is held that will not be so for long: the client goes to the
// leader this time, and comes back.
func (h *holder) asIs(m *message.Message, reply func(*message.Message), usual handling) {
	r := h.n.host.Replica(m.Company)
	if _, held := h.cache.At(m.Address, h.clock.Now()); held && (r == nil || !r.Leads()) {
		reply(m.Answer(message.Unavailable, "the page cannot be had here now; nothing was done, ask the leader"))
		return
	}
	usual(m, reply)
}

// write does WRITE, CAS and ADD under an exclusive lease: in the copy only where that may absorb it, otherwise
// through the log and then in the copy.
func (h *holder) write(m *message.Message, reply func(*message.Message), usual handling) {
	size := uint64(8)
	if m.Op == message.WRITE {
		size = uint64(len(m.Data))
	}
	fresh := false // it may be absorbed
	if m.Op == message.WRITE && m.Flags&message.WriteBack != 0 {
		if m.Value != h.session {
			// It was under way while this node ended and began anew. The older session may have absorbed it, and written
			// it back; what it knew of numbers died with it.
			reply(m.Answer(message.Fenced, "the session of the node that may have kept the write is over; nothing was done now"))
			return
		}
		switch h.dones.begin(m, boottime.Exact()) {
		case doneAbsorbed:
			reply(absorbedAnswer(m))
			return
		case doneFull:
			reply(m.Answer(message.Busy, "too many writes were absorbed of late; nothing was done, ask the leader"))
			return
		case doneFresh:
			fresh = true
		}
		m.Value, reply = 0, h.certain(reply)
	}
	m.Flags &^= message.WriteBack
	if m.Token != 0 || !h.cache.Any() {
		usual(m, reply)
		return
	}
	l, held := h.cache.At(m.Address, h.clock.Now())
	if !held || l.Mode != "w" || uint64(m.Address-l.Address)+size > l.Size {
		usual(m, reply)
		return
	}
	h.start(m, reply, holderTime, func(ctx context.Context) *message.Message {
		if fresh && l.WriteBack {
			if a := h.absorb(ctx, m); a != nil {
				return a
			}
		}
		return h.through(ctx, m, size)
	})
}

// certain has refusals name the session, which knows the write by its number from now on: what it does not absorb now
// it never will, so that its client may go elsewhere.
func (h *holder) certain(reply func(*message.Message)) func(*message.Message) {
	return func(a *message.Message) {
		if a.Status != message.Done {
			a.Value = h.session
		}
		reply(a)
	}
}

// absorb keeps a write in the copy. Nil means that it has to go through the log.
func (h *holder) absorb(ctx context.Context, m *message.Message) *message.Message {
	what := h.cache.Absorb(m.Address, txnOf(m), m.Data, boottime.Exact)
	if what == cache.NotAbsorbed {
		if f, ok := h.cache.Want(m.Address, uint64(len(m.Data))); ok && f.Size <= message.MaxData {
			h.fill(ctx, m.Company, f)
			what = h.cache.Absorb(m.Address, txnOf(m), m.Data, boottime.Exact)
		}
	}
	switch what {
	case cache.Absorbed:
		h.dones.kept(m)
		h.kick()
		return absorbedAnswer(m)
	case cache.Late:
		if _, lost := h.flush(ctx, h.cache.Flush(m.Address, uint64(len(m.Data)))); len(lost) > 0 {
			return m.Answer(message.Fenced, "the lease ended before the write was done; nothing was done")
		}
		h.dones.kept(m)
		return absorbedAnswer(m)
	}
	return nil
}

func absorbedAnswer(m *message.Message) *message.Message {
	a := m.Answer(message.Done, "")
	a.Address, a.Size = m.Address, uint64(len(m.Data))
	a.Flags |= message.WriteBack
	return a
}

// through has a write done by the log under the lease's token. Fenced means that nothing was done: where that was
// because a newer lease of this node has taken the place of the older one, it is done under the newer one.
func (h *holder) through(ctx context.Context, m *message.Message, size uint64) *message.Message {
	for {
		a, token := h.throughOnce(ctx, m, size)
		if a.Status != message.Fenced || !h.until(ctx, func() bool { return !h.cache.Asking(m.Address, size) }) {
			return a
		}
		if l, held := h.cache.At(m.Address, h.clock.Now()); !held || l.Token <= token {
			return a
		}
	}
}

// throughOnce is one attempt of through, under the lease of that token, and changes the copy then.
func (h *holder) throughOnce(ctx context.Context, m *message.Message, size uint64) (_ *message.Message, token uint64) {
	var w *cache.Write
	var pieces []cache.Piece
	h.until(ctx, func() (ready bool) {
		var wait bool
		w, pieces, wait = h.cache.Begin(m.Address, size, boottime.Exact())
		return !wait
	})
	if w == nil {
		return m.Answer(message.Unavailable, "the lease cannot be written under now; nothing was done, ask the leader"), 0
	}
	end := func(o cache.Outcome, bytes []byte) {
		h.tell(h.cache.End(w, o, bytes))
		h.change()
	}
	if ok, _ := h.flush(ctx, pieces); !ok {
		end(cache.Refused, nil)
		return m.Answer(message.Unavailable, "what was written before could not be written back; nothing was done, ask the leader"), 0
	}
	before := h.seen[m.Company].Load() // after Begin: see below
	q := *m
	q.Token, q.Path = w.Token, nil
	a, err := h.forward(ctx, m.Company, &q)
	switch {
	case err != nil:
		end(cache.Unknown, nil)
		return h.open(m, err), 0
	case a.Status == message.Fenced:
		end(cache.Fenced, nil)
	case a.Status != message.Done, a.Index <= before:
		// The second is an answer that was kept: the write was done before this one was begun, and what the copy holds
		// may be newer. Whoever begins a write while another is under way spoils the page in package cache.
		end(cache.Refused, nil)
	default:
		end(cache.Written, whatIsThere(m, a))
	}
	return answerAs(m, a), w.Token
}

// whatIsThere is what an operation that was done has left at its address.
func whatIsThere(m, a *message.Message) []byte {
	switch {
	case m.Op == message.WRITE:
		return m.Data
	case m.Op == message.ADD:
		return binary.LittleEndian.AppendUint64(nil, a.Value+m.Value)
	case a.Size == 1:
		return binary.LittleEndian.AppendUint64(nil, m.Value)
	}
	return binary.LittleEndian.AppendUint64(nil, a.Value)
}

// flush writes pieces back, several at once. It says whether all were, and what was lost.
func (h *holder) flush(ctx context.Context, pieces []cache.Piece) (all bool, lost []cache.Range) {
	all = true
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for _, p := range pieces {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			outcome := h.writeBack(ctx, p)
			gone := h.cache.Flushed(p, outcome)
			mu.Lock()
			all = all && outcome == cache.Written
			lost = append(lost, gone...)
			mu.Unlock()
			h.tell(gone)
			h.change()
		})
	}
	wg.Wait()
	return all, lost
}

func (h *holder) writeBack(ctx context.Context, p cache.Piece) cache.Outcome {
	q := message.New(message.WRITE)
	q.Address, q.Size, q.Data, q.Token = p.Address, uint64(len(p.Data)), p.Data, p.Token
	if !p.Txn.IsZero() {
		q.Flags |= message.PartOf
		q.Txn = p.Txn
	}
	a, err := h.forward(ctx, p.Company, q)
	switch {
	case err != nil:
		return cache.Unknown
	case a.Status == message.Done:
		return cache.Written
	}
	return cache.Fenced // whatever it is, asking again will not make it better
}

// tell remembers what was lost for the next SYNC or RELEASE, and says it in the log.
func (h *holder) tell(lost []cache.Range) {
	if len(lost) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, x := range lost {
		h.n.cfg.Log.Warn("absorbed bytes are lost: the lease under which they were written is over", "address", x.Address, "size", x.Size)
		if c, ok := x.Address.Company(); ok && len(h.lost) < maxLost {
			h.lost = append(h.lost, message.Block{Company: c, Address: x.Address, Size: x.Size})
		}
	}
}

// sync writes back what is dirty of a range, or everything.
func (h *holder) sync(m *message.Message, reply func(*message.Message)) {
	h.start(m, reply, flushTime, func(ctx context.Context) *message.Message {
		before := h.dirty(m)
		if m.Size == 0 {
			h.flush(ctx, h.cache.FlushAll())
		} else {
			h.flush(ctx, h.cache.Flush(m.Address, m.Size))
		}
		ok := h.until(ctx, func() bool { return h.dirty(m) == 0 })
		lost := h.takeLost(m.Address, m.Size)
		a := m.Answer(message.Done, "")
		a.Value = before
		for _, b := range lost {
			a.Value -= min(a.Value, b.Size)
		}
		switch {
		case len(lost) > 0:
			a.Status, a.Text, a.Blocks = message.Fenced, lostText, lost
		case !ok:
			a.Status, a.Text = message.Timeout, "not all could be written back in time; ask again"
		}
		return a
	})
}

// dirty is how many bytes of what a SYNC names are not written back.
func (h *holder) dirty(m *message.Message) uint64 {
	if m.Size == 0 {
		return h.cache.Stats().Dirty
	}
	return h.cache.Unwritten(m.Address, m.Size)
}

// lostText is why an answer names lost bytes.
const lostText = "a lease ended before what was written under it was written back"

// takeLost takes out of what was lost that which lies in a range; all of it where size is 0.
func (h *holder) takeLost(at message.Addr, size uint64) (out []message.Block) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var rest []message.Block
	for _, b := range h.lost {
		if size == 0 || b.Address < at+message.Addr(size) && at < b.Address+message.Addr(b.Size) {
			out = append(out, b)
		} else {
			rest = append(rest, b)
		}
	}
	h.lost = rest
	return out
}
