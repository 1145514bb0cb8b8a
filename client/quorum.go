package client

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
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
//
// One goroutine owns it, that of the caller, and is woken once a round: answers wait in its mail until there
// are as many as the round needs.
type quorumRun struct {
	h      *Heap
	id     message.RegisterID
	number uint64 // of the operation: a write's op, and where the order of replicas begins
	op     *register.Operation
	place  *ring.Placement
	all    bool // a quorum to put to is all replicas
	begin  time.Time
	trace  func(Event)

	mail
	asks   []*ask
	m      message.Message // that is being sent: a Carrier gives it back at once
	order  ranking
	values []message.Member   // whom a read asks for a value of any size
	held   []register.Request // of the running phase, not yet sent

	timer  *time.Timer
	round  time.Time // when the running phase began
	hedge  time.Time // when those that are held back are asked; zero: they were
	resend time.Time // when those that are silent are asked again

	// Of what seldom happens: nil until it does.
	busy   map[message.Member]int // how often in a row a replica had no room, while it is to be asked again
	told   map[message.NodeID]bool
	failed map[message.NodeID]error
	sick   error // what a replica said that no repetition mends
}

// runs are of operations that ended with nothing under way: nobody else knows them then.
var runs = sync.Pool{New: func() any {
	r := &quorumRun{timer: time.NewTimer(time.Hour)}
	r.mail.wake = make(chan struct{}, 1)
	return r
}}

func (h *Heap) newRun(id message.RegisterID) *quorumRun {
	r := runs.Get().(*quorumRun)
	r.h, r.id, r.number, r.place, r.begin, r.trace = h, id, h.regs.ops.Add(1), h.placement(), time.Now(), h.tracer()
	r.all = h.directory().Settings.Acks == "all"
	r.rank(r.begin)
	return r
}

// call describes the operation in the newest configuration.
func (r *quorumRun) call() register.Call {
	return register.Call{ID: register.OpID{Client: r.h.regs.writer, Seq: r.number}, Register: r.id, Epoch: r.place.Epoch,
		Groups: r.groups(), WriteAll: r.all}
}

func (r *quorumRun) groups() register.Groups { return r.place.Groups(ring.Shard(r.id)) }

// do runs the operation to its end or the context's.
func (r *quorumRun) do(ctx context.Context, op *register.Operation) error {
	r.op = op
	pause := max(resendAfter, r.order.usual)
	r.round, r.resend = r.begin, r.begin.Add(pause)
	r.hedgeFrom(r.begin)
	r.send(op.Start(), r.begin)
	for !op.Done() {
		if got, ok := r.next(); ok {
			r.look(got)
			continue
		}
		select {
		case <-r.wake:
		case <-r.timer.C:
			now := time.Now()
			if !r.hedge.IsZero() && !now.Before(r.hedge) {
				r.hedge = time.Time{}
				r.doubtSilent()
				r.release(now)
			}
			if !now.Before(r.resend) {
				pause = min(2*pause, max(resendMost, r.order.usual))
				r.resend = now.Add(pause)
				clear(r.failed)
				clear(r.told)
				r.send(r.follow(ctx, pause >= resendMost), now)
				r.again(now)
			}
			r.arm(now)
		case <-ctx.Done():
			return r.giveUp(ctx)
		}
	}
	return op.Result().Err
}

// hedgeFrom sets when those that are held back are asked, too, for a round that begins now.
func (r *quorumRun) hedgeFrom(now time.Time) {
	r.hedge = now.Add(max(r.h.regs.hedge(r.h.cfg.Hedge), r.order.usual))
	r.arm(now)
}

// arm sets the timer to what is due next.
func (r *quorumRun) arm(now time.Time) {
	due := r.resend
	if !r.hedge.IsZero() && r.hedge.Before(due) {
		due = r.hedge
	}
	r.timer.Reset(due.Sub(now))
}

// look takes one answer and sends what follows from it.
func (r *quorumRun) look(got quorumAnswer) {
	next, anew := r.take(got)
	now := got.at
	if anew || r.op.Done() {
		now = time.Now()
		r.h.regs.paced(now.Sub(r.round))
		r.round = now
		if !r.op.Done() {
			r.hedgeFrom(now)
		}
	}
	r.send(next, now)
	if len(r.failed) > 0 {
		r.release(now) // somebody else has to make the quorum
	}
}

// take gives an answer to the operation. anew says that a round has begun.
func (r *quorumRun) take(got quorumAnswer) (next []register.Request, anew bool) {
	q := got.q
	node := q.To.Node
	if errors.Is(got.err, errAgain) {
		if times, ok := r.busy[q.To]; ok {
			r.busy[q.To] = -times
		}
		if id, _ := r.op.Phase(); q.ID == id {
			r.ask(q, got.at)
		}
		return nil, false
	}
	if got.err != nil {
		r.fail(node, got.err)
		r.h.regs.doubts(node)
		r.note("node %s: %v", node, got.err)
		return nil, false
	}
	r.event(got.a)
	switch got.a.Status {
	case message.Done:
		delete(r.busy, q.To)
	case message.Stale:
		return r.stale(got)
	case message.Busy:
		r.later(q)
		return nil, false
	default:
		r.fail(node, got.a.Err())
		if got.a.Status != message.Unavailable {
			r.sick = got.a.Err()
		}
		return nil, false
	}
	before, _ := r.op.Phase()
	next = r.op.Step(register.Reply{From: q.To, ID: q.ID, Epoch: q.Epoch, Register: r.id, Tag: got.a.Tag(), Size: got.a.Size,
		Value: got.a.Data, HasValue: q.Kind == register.Get && got.a.Size == uint64(len(got.a.Data))})
	after, _ := r.op.Phase()
	return next, before != after
}

func (r *quorumRun) fail(node message.NodeID, err error) {
	if r.failed == nil {
		r.failed = map[message.NodeID]error{}
	}
	r.failed[node] = err
}

// stale goes on in the newer configuration of who refused, or tells it of ours.
func (r *quorumRun) stale(got quorumAnswer) (next []register.Request, anew bool) {
	if len(got.a.Data) > 0 {
		var c message.Registers
		if err := json.Unmarshal(got.a.Data, &c); err != nil {
			r.fail(got.q.To.Node, err)
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
		r.fail(got.q.To.Node, got.a.Err())
		return nil, false
	}
	if r.told == nil {
		r.told = map[message.NodeID]bool{}
	}
	r.told[got.q.To.Node] = true
	m := message.New(message.REGCONF)
	r.h.regs.mu.Lock()
	m.Data = message.JSON(r.h.regs.config)
	r.h.regs.mu.Unlock()
	a := r.room(got.q)
	a.tells = true
	r.start(a, m, time.Now())
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
	r.rank(time.Now())
	return r.op.Restart(place.Epoch, r.groups())
}

// later repeats a request that was refused because a queue was full, after a pause that grows. Only one
// such pause runs for a replica: busy counts down below zero while none does.
func (r *quorumRun) later(q register.Request) {
	times := r.busy[q.To]
	if times > 0 {
		return
	}
	times = 1 - times
	if r.busy == nil {
		r.busy = map[message.Member]int{}
	}
	r.busy[q.To] = times
	pause := busyLeast << min(times, 7)
	a := r.room(q)
	a.pause = time.AfterFunc(pause/2+rand.N(pause), func() { a.Done(0, nil, errAgain) })
}

// busyLeast is half of the first pause after a refusal for want of room.
const busyLeast = time.Millisecond

var errAgain = errors.New("ask again")

// send sends requests, but of a round that only asks, no more than quorums need.
func (r *quorumRun) send(all []register.Request, now time.Time) {
	if len(all) == 0 {
		return
	}
	r.held = all[:0] // ask copies what it is given
	for _, q := range all {
		if q.Kind == register.Put || r.order.first(q.To, r.all) {
			r.ask(q, now)
		} else {
			r.held = append(r.held, q)
		}
	}
}

// release sends what was held back.
func (r *quorumRun) release(now time.Time) {
	held := r.held
	r.held = nil
	for _, q := range held {
		r.ask(q, now)
	}
}

// again repeats the round to those that are silent.
func (r *quorumRun) again(now time.Time) {
	r.held = nil
	for _, q := range r.op.Resend() {
		if r.busy[q.To] <= 0 { // or it is asked again anyway
			r.ask(q, now)
		}
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
			r.h.regs.doubts(m.Node)
			r.note("node %s is slow: the others are asked too", m.Node)
		}
	}
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
	for _, g := range r.groups() {
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
