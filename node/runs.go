package node

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/client"
	"dmalloc/message"
	"dmalloc/run"
)

// runner is this node's side of runs: it hands out what is set aside for it, and tells the companies. Package run
// decides; here are the messages, the clock and the file.
//
//	Take ─▶ stock ─▶ file ─▶ the user        (R1, R2: no message)
//	run  ─▶ stock.Due ─▶ RUN, CLAIM, SETTLE ─▶ leaders ─▶ stock
type runner struct {
	n       *Node
	session uint64
	wake    chan struct{} // has room for one
	tells   chan struct{} // TELLs that wait

	handed, runs, claims atomic.Uint64

	mu      sync.Mutex // guards what follows
	stock   *run.Stock
	file    *runFile      // nil until a run is asked for
	changed chan struct{} // closed when something was told
	ended   bool          // nothing is handed out any more
	leaving bool          // a task gives back what was not
	left    bool          // that is done
}

var _ client.Runs = (*runner)(nil)

const (
	tellSlots = 64 // beyond them Busy
	tellTime  = time.Second
	runTime   = 3 * time.Second        // for what the runner asks of a leader
	earlierIn = 200 * time.Millisecond // between attempts to settle what a process before had
)

func newRunner(n *Node) *runner {
	return &runner{n: n, session: n.holder.session, wake: make(chan struct{}, 1), tells: make(chan struct{}, tellSlots),
		stock: run.New(n.cfg.Settings.Runs), changed: make(chan struct{})}
}

func (s *runner) now() time.Duration { return time.Since(s.n.started) }

func (s *runner) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Take hands out a block of a size, if one is at hand.
func (s *runner) Take(size uint64) (message.Allocation, bool) {
	s.mu.Lock()
	out, ok, kick := s.stock.Take(size, s.now())
	if ok {
		if err := s.file.keep(out); err != nil { // R2: what cannot be kept is not handed out, and neither is more
			s.n.cfg.Log.Error("keep what is handed out", "error", err)
			s.stock.End()
			ok = false
		}
	}
	s.mu.Unlock()
	if kick {
		s.kick()
	}
	if !ok {
		return message.Allocation{}, false
	}
	s.handed.Add(1)
	return message.Allocation{Address: out.Address, Size: size, State: message.Allocated,
		Blocks: []message.Block{{Address: out.Address, Size: size, Company: out.Company, Behind: out.Address}}}, true
}

// Handed says of which run a block is that the companies may not know to be handed out.
func (s *runner) Handed(a message.Addr) (session, number, handed uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	number, handed, ok = s.stock.Handed(a)
	return s.session, number, handed, ok
}

// Tell waits until the companies know what was handed out when it was called, and until nothing is open; not for long.
func (s *runner) Tell(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	return s.tell(ctx, func() { s.stock.Tell(s.now()) })
}

func (s *runner) tell(ctx context.Context, mark func()) error {
	s.mu.Lock()
	mark()
	s.mu.Unlock()
	for {
		s.mu.Lock()
		telling, changed := s.stock.Telling(), s.changed
		s.mu.Unlock()
		if !telling {
			return nil
		}
		s.kick()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// change wakes who waits for something to be told.
func (s *runner) change() {
	s.mu.Lock()
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	s.kick()
}

// run asks for what is due, until the node ends.
func (s *runner) run() {
	if s.n.cfg.Settings.Runs == 0 {
		return
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.n.ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
		timer.Reset(s.step())
	}
}

func (s *runner) step() time.Duration {
	s.mu.Lock()
	asks, wait := s.stock.Due(s.now())
	s.mu.Unlock()
	for _, a := range asks {
		send := s.settled
		if a.Kind == run.Run {
			send = s.setAside
		}
		s.n.spawn(func() { // at most one for each run and each size
			ctx, cancel := context.WithTimeout(s.n.ctx, runTime)
			defer cancel()
			send(ctx, a)
			s.change()
		})
	}
	return wait
}

// message is one of this node in its session.
func (s *runner) message(op message.Op) *message.Message {
	m := message.New(op)
	m.Final, m.Value = s.n.cfg.ID, s.session
	return m
}

// forward has a company's leader do m.
func (s *runner) forward(ctx context.Context, c message.CompanyID, m *message.Message) (*message.Message, error) {
	m.Source = s.n.cfg.ID
	return s.n.heap.Forward(ctx, c, m)
}

// setAside asks for a run. That the company is asked is kept first: a run of which no answer comes is given back by the
// process that follows, or when this one ends.
func (s *runner) setAside(ctx context.Context, ask run.Ask) {
	c, ok := s.n.heap.Roomiest(ask.Size * ask.Count)
	if ok {
		ok = s.prepare(c)
	}
	var given *run.Given
	full := !ok
	if ok {
		m := s.message(message.RUN)
		m.Size, m.Length = ask.Size, ask.Count
		a, err := s.forward(ctx, c, m)
		switch {
		case err != nil:
		case a.Status == message.Done:
			given = &run.Given{Company: c, Number: a.Token, End: a.Length, Pieces: a.Blocks}
			s.runs.Add(1)
		case a.Status == message.OutOfMemory:
			s.n.heap.Roomy(c, a.Value)
			full = true
		default:
			full = true
		}
	}
	s.mu.Lock()
	s.stock.Gave(ask, given, full, s.now())
	s.mu.Unlock()
}

// prepare keeps that a company is asked.
func (s *runner) prepare(c message.CompanyID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	var err error
	if s.file == nil {
		s.file, err = createRunFile(s.n.cfg.Dir, s.session, bootID())
	}
	if err == nil {
		err = s.file.ask(c)
	}
	if err != nil {
		s.n.cfg.Log.Warn("runs are not used", "error", err)
	}
	return err == nil
}

// settled asks a company to take in what was handed out of a run, or to take it back.
func (s *runner) settled(ctx context.Context, ask run.Ask) {
	m := s.message(message.CLAIM)
	if ask.Kind == run.Settle {
		m.Op = message.SETTLE
	}
	m.Token, m.Size, m.Length, m.Index = ask.Number, ask.Handed, ask.End, ask.Order
	outcome, end := run.Unknown, uint64(0)
	a, err := s.forward(ctx, ask.Company, m)
	switch {
	case err != nil:
	case a.Status == message.Done:
		outcome, end = run.Did, a.Length
		s.claims.Add(1)
	case a.Status == message.Fenced:
		outcome = run.Fenced
	}
	s.mu.Lock()
	s.stock.Done(ask, outcome, end, s.now())
	s.mu.Unlock()
}

// drain gives everything back when this node is to leave.
func (s *runner) drain() {
	me := s.n.directory.Load().Node(s.n.cfg.ID)
	if me == nil || !me.Leaving {
		return
	}
	s.mu.Lock()
	idle := s.left || s.leaving || s.file == nil
	s.mu.Unlock()
	if idle {
		return
	}
	s.n.spawn(func() {
		ctx, cancel := context.WithTimeout(s.n.ctx, runTime)
		defer cancel()
		s.leave(ctx)
	})
}

// leave ends the session: what was not handed out comes back. What cannot be told now the next process tells.
func (s *runner) leave(ctx context.Context) {
	s.mu.Lock()
	rows, idle := s.stock.End(), s.file == nil || s.left || s.leaving
	s.ended = true
	s.leaving = s.leaving || !idle
	s.mu.Unlock()
	if idle {
		return
	}
	left := false
	if x, err := readRunFile(s.n.cfg.Dir, s.session, bootID()); err == nil { // else the leaders settle it
		x.rows = rows
		left = s.settleAll(ctx, x)
	}
	if left {
		_ = removeRunFile(s.n.cfg.Dir, s.session) // otherwise it is settled once more, which does nothing
	}
	s.mu.Lock()
	s.leaving, s.left = false, left
	s.mu.Unlock()
}

// settleAll has every company that was asked settle a session, and says whether all did.
func (s *runner) settleAll(ctx context.Context, x earlier) bool {
	var wg sync.WaitGroup
	var failed atomic.Bool
	for _, c := range x.asked {
		wg.Go(func() {
			m := s.message(message.SETTLE)
			m.Value, m.Length = x.session, 1
			for _, r := range x.rows {
				if r.Company == c {
					m.Blocks = append(m.Blocks, message.Block{Address: message.Addr(r.Number), Size: r.Handed})
				}
			}
			if a, err := s.forward(ctx, c, m); err != nil || a.Status != message.Done {
				failed.Store(true)
			}
		})
	}
	wg.Wait()
	return !failed.Load()
}

// settleEarlier gives back what the processes before this one had and did not hand out, as far as their files are to be
// relied on. The directory has to know this start first: then no older copy of the files is used.
func (s *runner) settleEarlier() {
	for _, session := range runFiles(s.n.cfg.Dir, s.session) {
		x, err := readRunFile(s.n.cfg.Dir, session, bootID())
		if err != nil {
			s.n.cfg.Log.Warn("what was handed out before is not known; what may have been stays", "session", session, "why", err.Error())
			_ = removeRunFile(s.n.cfg.Dir, session) // the leaders settle it
			continue
		}
		for !s.n.admitted() || !s.try(x) {
			select {
			case <-time.After(earlierIn):
			case <-s.n.ctx.Done():
				return
			}
		}
		if err := removeRunFile(s.n.cfg.Dir, session); err != nil {
			s.n.cfg.Log.Warn("remove what was handed out before", "error", err)
		}
	}
}

func (s *runner) try(x earlier) bool {
	ctx, cancel := context.WithTimeout(s.n.ctx, runTime)
	defer cancel()
	return s.settleAll(ctx, x)
}

// takeAside is TAKE: a client, another process, wants a block from this node.
func takeAside(n *Node, m *message.Message, reply func(*message.Message)) {
	x, ok := n.runs.Take(m.Size)
	if !ok {
		reply(m.Answer(message.Busy, "node "+n.cfg.ID.String()+" has no such block at hand; nothing was done, allocate the usual way"))
		return
	}
	a := m.Answer(message.Done, "")
	a.Address, a.Size, a.Blocks = x.Address, x.Size, x.Blocks
	reply(a)
}

// tellRuns is TELL: what was handed out is to be known, all of it or that of one block's run.
func tellRuns(n *Node, m *message.Message, reply func(*message.Message)) {
	s := n.runs
	select {
	case s.tells <- struct{}{}:
	default:
		reply(m.Answer(message.Busy, "too many wait for what this node has handed out to be known; try again"))
		return
	}
	started := n.spawn(func() {
		defer func() { <-s.tells }()
		ctx, cancel := context.WithTimeout(n.ctx, tellTime)
		defer cancel()
		mark := func() { s.stock.Tell(s.now()) }
		if m.Address != 0 {
			mark = func() { s.stock.TellOf(m.Address) }
		}
		if err := s.tell(ctx, mark); err != nil {
			reply(m.Fail(err))
			return
		}
		reply(m.Answer(message.Done, ""))
	})
	if !started {
		<-s.tells
		reply(m.Answer(message.Unavailable, "node is stopping"))
	}
}

func (s *runner) counters() []message.Counter {
	return []message.Counter{{Name: "runs_handed_out", Value: s.handed.Load()}, {Name: "runs_set_aside", Value: s.runs.Load()}, {Name: "runs_claims", Value: s.claims.Load()}}
}

func (s *runner) gauges() []message.Counter {
	s.mu.Lock()
	x := s.stock.Stats()
	s.mu.Unlock()
	return []message.Counter{{Name: "runs", Value: x.Runs}, {Name: "runs_blocks_left", Value: x.Left}}
}
