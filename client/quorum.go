package client

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"dmalloc/message"
	"dmalloc/register"
	"dmalloc/ring"
)

// quorumRun drives one operation on a register: it sends what the operation asks for, spares the replicas
// that a quorum does not need until the others are slow, and repeats what may have been lost.
//
//	first round   as many replicas as a quorum has, the well ones first; after a while (hedge), or when
//	              one fails, all the others
//	puts          to all at once: each replica is to have it
//
// Whom it spares is a guess and never changes what a quorum is.
type quorumRun struct {
	h       *Heap
	id      message.RegisterID
	number  uint64 // of the operation: a write's op, and where the order of replicas begins
	op      *register.Operation
	place   *ring.Placement
	begin   time.Time
	trace   func(Event)
	answers chan quorumAnswer
	sent    map[message.Member][]func() // what forgets the requests under way, oldest first
	busy    map[message.Member]int      // how often in a row a replica had no room, while it is to be asked again
	held    []register.Request          // of the running phase, not yet sent
	told    map[message.NodeID]bool
	failed  map[message.NodeID]error
	sick    error // what a replica said that no repetition mends
}

// quorumAnswer is what came of one request.
type quorumAnswer struct {
	q   *register.Request
	a   *message.Message
	err error
}

func (h *Heap) newRun(id message.RegisterID) *quorumRun {
	return &quorumRun{h: h, id: id, number: h.regs.ops.Add(1), place: h.placement(), begin: time.Now(), trace: h.tracer(),
		answers: make(chan quorumAnswer, 32), told: map[message.NodeID]bool{}, failed: map[message.NodeID]error{},
		sent: map[message.Member][]func(){}, busy: map[message.Member]int{}}
}

// call describes the operation in the newest configuration.
func (r *quorumRun) call() register.Call {
	return register.Call{ID: register.OpID{Client: r.h.regs.writer, Seq: r.number}, Register: r.id, Epoch: r.place.Epoch,
		Groups: r.place.Groups(ring.Shard(r.id)), WriteAll: r.h.directory().Settings.Acks == "all"}
}

// usual is how long a round takes at most as a rule: no quorum is faster than the last of its fastest replicas.
// A replica that is slower than a quorum of the others is not waited for.
func (r *quorumRun) usual() time.Duration {
	var longest time.Duration
	for _, g := range r.place.Groups(ring.Shard(r.id)) {
		each := make([]time.Duration, len(g))
		for i, m := range g {
			each[i] = r.h.pace.register.get(m.Node).patience(0, longestTrip)
		}
		slices.Sort(each)
		longest = max(longest, each[register.Quorum(len(g))-1])
	}
	return longest
}

// hedge is how long those that are asked may take before the others are asked, too.
func (r *quorumRun) hedge() time.Duration {
	return max(r.h.regs.hedge(r.h.cfg.Hedge), r.usual())
}

// order sorts members by how soon they are believed to answer: this node itself, then the well, then those
// in doubt. Among equals it turns from one operation to the next, so that all share the work.
func (r *quorumRun) order(members []message.Member) []message.Member {
	now := time.Now()
	regs := r.h.regs
	regs.mu.Lock()
	defer regs.mu.Unlock()
	rank := func(m message.Member) int {
		switch {
		case regs.doubt[m.Node].After(now):
			return 2
		case r.h.cfg.Doubt != nil && r.h.cfg.Doubt(m.Node):
			return 2
		case m.Node == r.h.cfg.Home:
			return 0
		}
		return 1
	}
	out := slices.Clone(members)
	if n := len(out); n > 1 {
		turn := int(r.number % uint64(n))
		out = append(append(out[:0:0], members[turn:]...), members[:turn]...)
	}
	slices.SortStableFunc(out, func(a, b message.Member) int { return rank(a) - rank(b) })
	return out
}

// first are the n members of each group that are asked first.
func (r *quorumRun) first(n int) []message.Member {
	var out []message.Member
	for _, g := range r.place.Groups(ring.Shard(r.id)) {
		out = append(out, r.order(g)[:min(n, len(g))]...)
	}
	return out
}

// do runs the operation to its end or the context's.
func (r *quorumRun) do(ctx context.Context, op *register.Operation) error {
	r.op = op
	defer func() {
		for _, all := range r.sent {
			for _, cancel := range all {
				cancel()
			}
		}
	}()
	r.send(op.Start())
	round := r.begin
	hedge := time.NewTimer(r.hedge())
	defer hedge.Stop()
	pause := max(resendAfter, r.usual())
	resend := time.NewTimer(pause)
	defer resend.Stop()
	for !op.Done() {
		select {
		case got := <-r.answers:
			next, anew := r.take(got)
			if anew || op.Done() {
				now := time.Now()
				r.h.regs.paced(now.Sub(round))
				round = now
				hedge.Reset(r.hedge())
			}
			r.send(next)
			if len(r.failed) > 0 {
				r.release() // somebody else has to make the quorum
			}
		case <-hedge.C:
			r.doubtSilent()
			r.release()
		case <-resend.C:
			pause = min(2*pause, max(resendMost, r.usual()))
			resend.Reset(pause)
			clear(r.failed)
			clear(r.told)
			r.send(r.follow(ctx, pause >= resendMost))
			r.again()
		case <-ctx.Done():
			return r.giveUp(ctx)
		}
	}
	return op.Result().Err
}

// take gives an answer to the operation. anew says that a round has begun.
func (r *quorumRun) take(got quorumAnswer) (next []register.Request, anew bool) {
	node := got.q.To.Node
	if errors.Is(got.err, errAgain) {
		r.busy[got.q.To] = -r.busy[got.q.To]
		if id, _ := r.op.Phase(); got.q.ID == id {
			r.ask(*got.q)
		}
		return nil, false
	}
	if got.err != nil {
		r.failed[node] = got.err
		r.h.doubtNode(node)
		r.note("node %s: %v", node, got.err)
		return nil, false
	}
	r.event(got.a)
	switch got.a.Status {
	case message.Done:
		delete(r.busy, got.q.To)
		r.h.trustNode(node)
	case message.Stale:
		return r.stale(got)
	case message.Busy:
		r.later(got.q)
		return nil, false
	default:
		r.failed[node] = got.a.Err()
		if got.a.Status != message.Unavailable {
			r.sick = got.a.Err()
		}
		return nil, false
	}
	before, _ := r.op.Phase()
	next = r.op.Step(register.Reply{From: got.q.To, ID: got.q.ID, Epoch: got.q.Epoch, Register: r.id, Tag: got.a.Tag(), Size: got.a.Size,
		Value: got.a.Data, HasValue: got.q.Kind == register.Get && got.a.Size == uint64(len(got.a.Data))})
	after, _ := r.op.Phase()
	return next, before != after
}

// stale goes on in the newer configuration of who refused, or tells it of ours.
func (r *quorumRun) stale(got quorumAnswer) (next []register.Request, anew bool) {
	if len(got.a.Data) > 0 {
		var c message.Registers
		if err := json.Unmarshal(got.a.Data, &c); err != nil {
			r.failed[got.q.To.Node] = err
			return nil, false
		}
		r.h.learnRegisters(c)
		next = r.follow(context.Background(), false)
		if len(next) > 0 {
			clear(r.failed)
		}
		return next, len(next) > 0
	}
	if got.q.Epoch != r.op.Epoch() || r.told[got.q.To.Node] {
		r.failed[got.q.To.Node] = got.a.Err()
		return nil, false
	}
	r.told[got.q.To.Node] = true
	m := message.New(message.REGCONF)
	r.h.regs.mu.Lock()
	m.Data = message.JSON(r.h.regs.config)
	r.h.regs.mu.Unlock()
	q := got.q
	r.start(q, m, func(a *message.Message, err error) quorumAnswer {
		if err == nil && a.Status == message.Done {
			return quorumAnswer{q: q, err: errAgain} // now it is not behind
		}
		return quorumAnswer{q, a, err}
	})
	return nil, false
}

// follow goes on in a newer configuration, if there is one: the replicas that are waited for may have been
// removed, and those that answered are not asked again. It asks the directory once the wait is long.
func (r *quorumRun) follow(ctx context.Context, ask bool) []register.Request {
	if ask {
		r.h.refresh(ctx)
	}
	place := r.h.placement()
	if place.Epoch <= r.op.Epoch() {
		return nil
	}
	r.place, r.held = place, nil
	return r.op.Restart(place.Epoch, place.Groups(ring.Shard(r.id)))
}

// later repeats a request that was refused because a queue was full, after a pause that grows. Only one
// such pause runs for a replica: busy counts down below zero while none does.
func (r *quorumRun) later(q *register.Request) {
	times := r.busy[q.To]
	if times > 0 {
		return
	}
	times = 1 - times
	r.busy[q.To] = times
	pause := busyLeast << min(times, 7)
	timer := time.AfterFunc(pause/2+rand.N(pause), func() { r.post(quorumAnswer{q: q, err: errAgain}) })
	r.forgetWith(q.To, func() { timer.Stop() })
}

// busyLeast is half of the first pause after a refusal for want of room.
const busyLeast = time.Millisecond

// mostSent is how many requests to one replica are remembered: the answer to an older one is not waited for.
const mostSent = 4

// forgetWith keeps what forgets a request to a replica.
func (r *quorumRun) forgetWith(to message.Member, cancel func()) {
	all := append(r.sent[to], cancel)
	if len(all) > mostSent {
		all[0]()
		all = all[1:]
	}
	r.sent[to] = all
}

var errAgain = errors.New("ask again")

// send sends requests, but of a round that only asks, no more than quorums need.
func (r *quorumRun) send(all []register.Request) {
	if len(all) == 0 {
		return
	}
	if all[0].Kind == register.Put {
		r.held = nil
		for _, q := range all {
			r.ask(q)
		}
		return
	}
	now := map[message.Member]bool{}
	for _, g := range r.place.Groups(ring.Shard(r.id)) {
		need := register.Quorum(len(g))
		if r.call().WriteAll {
			need = len(g)
		}
		for _, m := range r.order(g)[:need] {
			now[m] = true
		}
	}
	r.held = r.held[:0]
	for _, q := range all {
		if now[q.To] {
			r.ask(q)
		} else {
			r.held = append(r.held, q)
		}
	}
}

// release sends what was held back.
func (r *quorumRun) release() {
	held := r.held
	r.held = nil
	for _, q := range held {
		r.ask(q)
	}
}

// again repeats the round to those that are silent.
func (r *quorumRun) again() {
	r.held = nil
	for _, q := range r.op.Resend() {
		if r.busy[q.To] <= 0 { // or it is asked again anyway
			r.ask(q)
		}
	}
}

// ask sends one request of the operation.
func (r *quorumRun) ask(q register.Request) {
	m := message.New(message.REGGET)
	switch q.Kind {
	case register.GetTag:
		m.Op = message.REGTAG
	case register.Put:
		m.Op = message.REGPUT
		m.SetTag(q.Tag)
		m.Data = q.Value
	default:
		m.Size = min(q.Most, message.MaxData)
		m.Seq, m.Low = r.h.regs.one.Swap(0), r.h.regs.two.Swap(0) // the node counts them
	}
	m.SetRegister(q.Register)
	m.Term, m.Index = q.Epoch, q.To.Incarnation
	r.start(&q, m, func(a *message.Message, err error) quorumAnswer { return quorumAnswer{&q, a, err} })
}

func (r *quorumRun) start(q *register.Request, m *message.Message, got func(*message.Message, error) quorumAnswer) {
	m.Target, m.Final = q.To.Node, q.To.Node
	if r.trace != nil {
		m.Flags |= message.Traced
		r.event(m)
	}
	begin := time.Now()
	r.forgetWith(q.To, r.h.start(q.To.Node, m, func(a *message.Message, err error) {
		if err == nil {
			r.h.pace.register.took(q.To.Node, time.Since(begin))
		}
		r.post(got(a, err))
	}))
}

// post never blocks: an answer that finds no room is as good as lost, and asked for again.
func (r *quorumRun) post(a quorumAnswer) {
	select {
	case r.answers <- a:
	default:
	}
}

// doubtSilent notes who was asked and has not answered in time.
func (r *quorumRun) doubtSilent() {
	held := map[message.NodeID]bool{}
	for _, q := range r.held {
		held[q.To.Node] = true
	}
	for _, m := range r.op.Waiting() {
		if !held[m.Node] {
			r.h.doubtNode(m.Node)
			r.note("node %s is slow: the others are asked too", m.Node)
		}
	}
}

func (h *Heap) doubtNode(n message.NodeID) {
	h.regs.mu.Lock()
	h.regs.doubt[n] = time.Now().Add(doubtFor)
	h.regs.mu.Unlock()
}

func (h *Heap) trustNode(n message.NodeID) {
	h.regs.mu.Lock()
	delete(h.regs.doubt, n)
	h.regs.mu.Unlock()
}

// giveUp says what is known at the end.
func (r *quorumRun) giveUp(ctx context.Context) error {
	known := "nothing was read"
	if _, kind := r.op.Phase(); r.op.Chosen() {
		known = "whether it was written cannot be known yet: it may still appear"
	} else if kind == register.GetTag {
		known = "nothing was written"
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return message.Errorf(message.Canceled, "canceled; %s", known)
	}
	if r.sick != nil {
		return message.Errorf(message.CodeOf(r.sick), "%s: %v; %s", r.id, r.sick, known)
	}
	var silent, all []message.NodeID
	for _, m := range r.op.Waiting() {
		silent = append(silent, m.Node)
	}
	for _, g := range r.place.Groups(ring.Shard(r.id)) {
		for _, m := range g {
			if !slices.Contains(all, m.Node) {
				all = append(all, m.Node)
			}
		}
	}
	return message.Errorf(message.Unavailable, "%s has no quorum: of its replicas %s, %s do not answer; %s; revive a dead node or resume a frozen one",
		r.id, list(all), list(silent), known)
}

func (r *quorumRun) event(m *message.Message) {
	if r.trace != nil {
		c := *m
		r.trace(Event{After: time.Since(r.begin), Message: &c})
	}
}

func (r *quorumRun) note(format string, args ...any) {
	if r.trace != nil {
		(&request{trace: r.trace, begin: r.begin}).note(format, args...)
	}
}
