package node

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/cache"
	"dmalloc/client"
	"dmalloc/internal/boottime"
	"dmalloc/message"
)

// holder is this node's side of the leases that it has: it takes them, answers from what it keeps under them, has
// writes go through the log with their tokens or keeps them, and gives back what is asked for. Package cache decides;
// here are the messages.
type holder struct {
	n       *Node
	cache   *cache.Cache
	clock   boottime.Clock
	session uint64
	slots   chan struct{} // requests under way that wait
	wake    chan struct{} // has room for one
	ended   atomic.Bool   // no further lease is taken
	dones   dones

	// seen is, by company, the greatest log index of which an answer told. What was done at or before it was done
	// before what is sent now.
	seen [message.MaxCompany + 1]atomic.Uint64

	generation [message.MaxCompany + 1]atomic.Uint64 // of each company, as this node has heard

	mu      sync.Mutex // guards what follows
	changed chan struct{}
	running map[asked][]func(*message.Message) // who else waits for the answer of a request under way
	lost    []message.Block                    // not yet told to a SYNC; bounded
}

// asked is the name of a request.
type asked struct {
	client message.ClientID
	seq    uint64
}

const (
	holderSlots = 4096            // beyond them Busy
	holderTime  = 3 * time.Second // for what a holder asks of a leader for somebody
	flushTime   = 5 * time.Second // for writing one piece back
	holderIdle  = time.Minute
	maxLost     = 256 // ranges remembered as lost
)

func newHolder(n *Node) *holder {
	budget := n.cfg.Settings.Cache
	if budget == 0 {
		budget = message.DefaultCache
	}
	return &holder{n: n, cache: cache.New(budget), session: n.cfg.Incarnation<<32 | n.identity.Boot&(1<<32-1),
		slots: make(chan struct{}, holderSlots), wake: make(chan struct{}, 1), changed: make(chan struct{}),
		running: map[asked][]func(*message.Message){}, dones: dones{of: map[asked]done{}}}
}

// Read is how this node's own clients read what it keeps, without a message. It is client.Local.
func (h *holder) Read(a message.Addr, txn message.Txn, p []byte) bool {
	return h.cache.Read(a, txn, p, h.clock.Now)
}

var _ client.Local = (*holder)(nil)

func (h *holder) kick() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// change wakes who waits for something to be written back or to end.
func (h *holder) change() {
	h.mu.Lock()
	close(h.changed)
	h.changed = make(chan struct{})
	h.mu.Unlock()
}

// until waits until ready says so. It is asked again whenever something was written back or has ended.
func (h *holder) until(ctx context.Context, ready func() bool) bool {
	for {
		h.mu.Lock()
		changed := h.changed
		h.mu.Unlock()
		if ready() {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// start runs f for a request in a goroutine of its own, if there is a slot. Copies of a request that come meanwhile
// get its answer, too: what a holder does for a request it does once at a time.
func (h *holder) start(m *message.Message, reply func(*message.Message), limit time.Duration, f func(ctx context.Context) *message.Message) {
	key := asked{m.Client, m.Seq}
	single := m.Seq != 0
	if single {
		h.mu.Lock()
		if others, ok := h.running[key]; ok {
			if len(others) < 16 { // a copy that is not answered is asked again
				h.running[key] = append(others, reply)
			}
			h.mu.Unlock()
			return
		}
		h.running[key] = nil
		h.mu.Unlock()
	}
	finish := func(a *message.Message) {
		var others []func(*message.Message)
		if single {
			h.mu.Lock()
			others = h.running[key]
			delete(h.running, key)
			h.mu.Unlock()
		}
		reply(a)
		for _, other := range others {
			b := *a
			other(&b)
		}
	}
	select {
	case h.slots <- struct{}{}:
	default:
		finish(m.Answer(message.Busy, "too many requests under leases are under way; nothing was done, try again"))
		return
	}
	started := h.n.spawn(func() {
		defer func() { <-h.slots }()
		ctx, cancel := context.WithTimeout(h.n.ctx, limit)
		defer cancel()
		finish(f(ctx))
	})
	if !started {
		<-h.slots
		finish(m.Answer(message.Unavailable, "node is stopping; nothing was done"))
	}
}

// forward has the leader do m. Without an answer, whether it was done is not known.
func (h *holder) forward(ctx context.Context, company message.CompanyID, m *message.Message) (*message.Message, error) {
	m.Source, m.Target = h.n.cfg.ID, message.NoNode
	a, err := h.n.heap.Forward(ctx, company, m)
	if err == nil && a.Status == message.Done {
		h.learn(company, a.Index)
	}
	return a, err
}

func (h *holder) learn(company message.CompanyID, index uint64) {
	seen := &h.seen[company]
	for {
		old := seen.Load()
		if index <= old || seen.CompareAndSwap(old, index) {
			return
		}
	}
}

// take is LEASE as a user's client asks it: this node is to hold the lease.
func (h *holder) take(m *message.Message, reply func(*message.Message)) {
	switch {
	case m.Length == 0 || m.Length > message.MaxLease:
		reply(m.Answer(message.InvalidArgument, "a lease lasts 1 ms to 30 s; ask again for longer"))
		return
	case m.Company == 0 || m.Company > message.MaxCompany:
		h.n.elsewhere(m, reply)
		return
	case h.ended.Load():
		reply(m.Answer(message.Unavailable, "node is stopping; nothing was done"))
		return
	}
	h.start(m, reply, holderTime, func(ctx context.Context) *message.Message { return h.grant(ctx, m) })
}

// grant asks the leader for a lease, when all is written back that was absorbed under those whose place it may take:
// the leader ends those with the grant, and their tokens fence what comes later.
func (h *holder) grant(ctx context.Context, m *message.Message) *message.Message {
	question, known := h.cache.Ask(m.Address, m.Size), true
	defer func() {
		h.cache.Answered(question, known)
		h.change()
	}()
	written := h.until(ctx, func() bool {
		pieces, ready := h.cache.Asked(question)
		if len(pieces) > 0 {
			h.flush(ctx, pieces)
			_, ready = h.cache.Asked(question)
		}
		return ready
	})
	if !written {
		return m.Answer(message.Unavailable, "what was written under an older lease could not be written back; nothing was done, try again")
	}
	a, err := h.ask(ctx, m)
	if err != nil {
		known = false
		return h.open(m, err)
	}
	return a
}

// ask has the leader grant what a client asks for. An error says that it may have.
func (h *holder) ask(ctx context.Context, m *message.Message) (*message.Message, error) {
	q := message.New(message.LEASE)
	q.Address, q.Size, q.Length, q.Txn = m.Address, m.Size, m.Length, m.Txn
	q.Flags = m.Flags & (message.Exclusive | message.PartOf)
	q.Final, q.Value = h.n.cfg.ID, h.session
	if h.n.cfg.Settings.WriteBack && q.Flags&message.Exclusive != 0 {
		q.Flags |= message.WriteBack
	}
	sent := boottime.Exact() // T1: before the first attempt
	a, err := h.forward(ctx, m.Company, q)
	if err != nil {
		return nil, err
	}
	if a.Status != message.Done {
		return answerAs(m, a), nil
	}
	l := message.Lease{Company: m.Company, Address: a.Address, Size: a.Size, Mode: "r", Token: a.Token, Holder: h.n.cfg.ID, Session: h.session,
		LengthMS: a.Length, WriteBack: q.Flags&message.WriteBack != 0}
	if q.Flags&message.Exclusive != 0 {
		l.Mode = "w"
	}
	ok, lost := h.cache.Granted(l, sent, boottime.Exact())
	h.tell(lost)
	h.kick()
	h.change()
	if ok && h.ended.Load() { // Close has looked at the leases already
		h.cache.Abandon(l)
		ok = false
	}
	if !ok {
		h.giveBack(ctx, l)
		return m.Answer(message.Retry, "the lease came too late to be used; it was given back, ask again"), nil
	}
	l.LeftMS = uint64(max(0, (cache.Until(sent, l.LengthMS) - boottime.Exact()).Milliseconds()))
	out := m.Answer(message.Done, "")
	out.Address, out.Size, out.Token, out.Length, out.Index, out.Term = l.Address, l.Size, l.Token, l.LengthMS, a.Index, a.Term
	out.Data = message.JSON(l)
	return out, nil
}

// giveBack tells the leader that a lease is not used any more. Where that fails it expires.
func (h *holder) giveBack(ctx context.Context, l message.Lease) (*message.Message, error) {
	q := message.New(message.RELEASE)
	q.Token, q.Final, q.Address, q.Size = l.Token, h.n.cfg.ID, l.Address, l.Size
	return h.forward(ctx, l.Company, q)
}

// open answers for what got no answer in time: it may have been done, or may be still.
func (h *holder) open(m *message.Message, err error) *message.Message {
	a := m.Fail(err)
	if a.Status == message.Timeout || a.Status == message.Canceled || a.Status == message.Unavailable {
		a.Status = message.Retry
	}
	return a
}

// answerAs is the answer of somebody else to what was asked here.
func answerAs(m, a *message.Message) *message.Message {
	out := *a
	out.Client, out.Seq, out.Source, out.Target, out.Company = m.Client, m.Seq, m.Target, m.Source, m.Company
	return &out
}

// release is RELEASE as a user's client asks it.
func (h *holder) release(m *message.Message, reply func(*message.Message)) {
	l, ok := h.cache.At(m.Address, h.clock.Now())
	if !ok {
		a := m.Answer(message.Fenced, "no lease is held here on the page at "+m.Address.String())
		held := h.cache.Held(h.clock.Now())
		a.Data = message.JSON(held[:min(len(held), 1000)])
		a.Blocks = h.takeLost(m.Address-m.Address%message.PageSize, message.PageSize)
		reply(a)
		return
	}
	h.start(m, reply, holderTime+flushTime, func(ctx context.Context) *message.Message {
		h.leave(ctx, l, h.cache.Release(l))
		if a, err := h.giveBack(ctx, l); err != nil {
			return h.open(m, err)
		} else if a.Status != message.Done && a.Status != message.Fenced {
			return answerAs(m, a)
		}
		out := m.Answer(message.Done, "")
		out.Data, out.Token = message.JSON(l), l.Token
		if out.Blocks = h.takeLost(l.Address, l.Size); len(out.Blocks) > 0 {
			out.Status, out.Text = message.Fenced, lostText
		}
		return out
	})
}

// revoke is REVOKE: a leader wants a lease back. Done says that it is not used any more, and never will be (T5).
func (h *holder) revoke(m *message.Message, reply func(*message.Message)) {
	if m.Value > h.session || m.Final != h.n.cfg.ID {
		reply(m.Answer(message.Stale, "the lease is not of this session"))
		return
	}
	l := message.Lease{Company: m.Company, Address: m.Address, Size: m.Size, Token: m.Token}
	if plantedDrops {
		h.cache.Abandon(l)
	}
	pieces := h.cache.Revoke(l)
	if len(pieces) == 0 && h.cache.Gone(l) {
		h.change()
		reply(m.Answer(message.Done, ""))
		return
	}
	h.start(m, reply, message.MaxLease*time.Millisecond, func(ctx context.Context) *message.Message {
		h.leave(ctx, l, pieces)
		return m.Answer(message.Done, "")
	})
}

// leave writes back what is dirty under a lease that is not used any more.
func (h *holder) leave(ctx context.Context, l message.Lease, pieces []cache.Piece) {
	h.flush(ctx, pieces)
	if !h.until(ctx, func() bool { return h.cache.Gone(l) }) {
		h.tell(h.cache.Abandon(l))
	}
	h.change()
}

// run expires leases and writes back what is dirty before they end, until the node ends.
func (h *holder) run() {
	timer := time.NewTimer(holderIdle)
	defer timer.Stop()
	var flushing sync.WaitGroup
	defer flushing.Wait()
	for {
		now := boottime.Exact()
		pieces := append(h.cache.Expire(now), h.cache.NextFlush(now)...)
		h.change()
		if len(pieces) > 0 {
			flushing.Go(func() {
				ctx, cancel := context.WithTimeout(h.n.ctx, flushTime)
				defer cancel()
				h.flush(ctx, pieces)
			})
		}
		wait := holderIdle
		if next, ok := h.cache.Next(); ok {
			wait = min(wait, max(next-boottime.Exact(), time.Millisecond))
		}
		if len(pieces) > 0 {
			wait = min(wait, 100*time.Millisecond) // what was busy is looked at again
		}
		timer.Reset(wait)
		select {
		case <-h.n.ctx.Done():
			return
		case <-h.wake:
		case <-timer.C:
		}
	}
}

// close writes everything back and gives all leases back, as far as that can be done in the time.
func (h *holder) close(ctx context.Context) {
	h.ended.Store(true)
	all := h.cache.Held(h.clock.Now())
	if len(all) == 0 {
		return
	}
	h.flush(ctx, h.cache.FlushAll())
	byCompany := map[message.CompanyID]bool{}
	for _, l := range all {
		h.flush(ctx, h.cache.Release(l))
		byCompany[l.Company] = true
	}
	h.tell(h.cache.Drop())
	var wg sync.WaitGroup
	for id := range byCompany {
		wg.Go(func() {
			q := message.New(message.RELEASE)
			q.Final, q.Value = h.n.cfg.ID, h.session
			_, _ = h.forward(ctx, id, q) // without it they expire
		})
	}
	wg.Wait()
}
