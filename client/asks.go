package client

import (
	"sync"
	"time"

	"dmalloc/message"
	"dmalloc/register"
)

// ask is one request of a quorumRun to a replica, from when it is sent until what came of it was looked at. Then
// the run uses it again: one that is given up is not, for its answer may just be coming.
type ask struct {
	r     *quorumRun
	q     register.Request
	begin time.Time
	tells bool // a configuration, before q is asked again
	used  bool
	given bool        // up: it is not waited for
	id    uint64      // what the Carrier forgets it by
	pause *time.Timer // behind which it is sent; nil without one
}

// quorumAnswer is what came of one request.
type quorumAnswer struct {
	q   register.Request
	a   *message.Message
	err error
	at  time.Time
}

// mail is what has arrived for a run. Its goroutine is woken when there may be enough, not for each.
type mail struct {
	wake chan struct{} // one token

	mu      sync.Mutex // guards what follows
	arrived []arrived
	read    int // of arrived
	want    int // wakes the run when so many more are there
}

// arrived is an answer that nobody has looked at yet.
type arrived struct {
	of  *ask
	a   *message.Message
	err error
	at  time.Time
}

// cancel has nothing come of it any more, or just now.
func (k *ask) cancel() {
	if k.pause != nil {
		k.pause.Stop()
		return
	}
	k.r.h.cfg.Carrier.Forget(k.id)
}

// Alive is told of signs of life, for which nobody asks.
func (*ask) Alive(uint64) {}

// Done takes what came of an ask, on whatever goroutine has it.
func (k *ask) Done(_ uint64, a *message.Message, err error) {
	b := &k.r.mail
	b.mu.Lock()
	b.arrived = append(b.arrived, arrived{k, a, err, time.Now()})
	b.want--
	wake := b.want <= 0 || err != nil || a.Status != message.Done || k.tells
	b.mu.Unlock()
	if wake {
		select {
		case b.wake <- struct{}{}:
		default: // it is being woken
		}
	}
}

// next is the oldest answer that was not looked at. Without one, the run is woken when there are as many as
// its round takes at least, or one that is no plain answer.
func (r *quorumRun) next() (quorumAnswer, bool) {
	r.mu.Lock()
	if r.read == len(r.arrived) {
		clear(r.arrived)
		r.arrived, r.read = r.arrived[:0], 0
		r.want = r.op.Missing()
		if r.trace != nil {
			r.want = 1 // what is shown comes when it came
		}
		r.mu.Unlock()
		return quorumAnswer{}, false
	}
	got := r.arrived[r.read]
	r.read++
	r.mu.Unlock()

	k := got.of
	out := quorumAnswer{q: k.q, a: got.a, err: got.err, at: got.at}
	if got.err == nil {
		r.h.regs.heard(k.q.To.Node, got.at.Sub(k.begin), got.at, got.a.Status == message.Done)
		if k.tells && got.a.Status == message.Done {
			out.err = errAgain // now it is not behind
		}
	}
	k.used = false
	return out, true
}

// mostSent is how many requests to one replica are under way: the answer to an older one is not waited for. A pause before
// one is none of them: while it runs nobody else asks that replica again.
const mostSent = 4

// room is an ask that is free.
func (r *quorumRun) room(q register.Request) *ask {
	var free, oldest *ask
	n := 0
	for _, k := range r.asks {
		switch {
		case !k.used:
			free = k
		case !k.given && k.pause == nil && k.q.To == q.To:
			if n++; oldest == nil || k.begin.Before(oldest.begin) {
				oldest = k
			}
		}
	}
	if n >= mostSent {
		oldest.cancel()
		oldest.given = true
	}
	if free == nil {
		free = &ask{r: r}
		r.asks = append(r.asks, free)
	}
	free.q, free.tells, free.used, free.given, free.pause = q, false, true, false, nil
	return free
}

// ask sends one request of the operation.
func (r *quorumRun) ask(q register.Request, now time.Time) {
	m := &r.m
	*m = message.Message{Op: message.REGGET, Source: message.NoNode, Term: q.Epoch, Index: q.To.Incarnation}
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
	r.start(r.room(q), m, now)
}

func (r *quorumRun) start(k *ask, m *message.Message, now time.Time) {
	to := k.q.To.Node
	m.Target, m.Final = to, to
	if r.trace != nil {
		m.Flags |= message.Traced
		r.event(m)
	}
	k.begin = now
	k.id = r.h.cfg.Carrier.Ask(to, m, k, 0)
}

// end gives up what is under way. A run of which nothing is goes back to the others.
func (r *quorumRun) end() {
	r.timer.Stop()
	for _, ok := r.next(); ok; _, ok = r.next() { // they say who is well, even now
	}
	under := false
	for _, k := range r.asks {
		if k.used {
			under = true
			k.cancel()
		}
		k.q = register.Request{}
	}
	if under {
		return // an answer may just be coming
	}
	select {
	case <-r.wake:
	default:
	}
	r.h, r.op, r.place, r.trace, r.m = nil, nil, nil, nil, message.Message{}
	r.held, r.busy, r.told, r.failed, r.sick = nil, nil, nil, nil, nil
	runs.Put(r)
}
