package client

import (
	"context"
	"errors"
	"slices"
	"time"

	"dmalloc/message"
	"dmalloc/transport"
)

// attempt is one copy of a request, on its way to a node. It stays under way when the request turns to another
// node: an answer that comes late counts as any other, for the request has the same number in all its copies.
//
//	sent ──▶ half of the patience without a sign: is the node there? (TEST)
//	     ──▶ a sign of life: it works on it, so wait on; repeat what has probably been lost
//	     ──▶ patience over without a sign: on to the next node, and listen to this one, too
type attempt struct {
	to       message.NodeID
	at       time.Time
	callback bool  // asked to say at once that it lives
	alive    bool  // and did
	lease    *held // it asks the holder of this lease, who need not lead
	tag, id  uint64
}

// arrival is what came of the attempt with a tag: a sign of life, or its end.
type arrival struct {
	tag   uint64
	at    time.Duration // since epoch
	alive bool
	m     *message.Message
	err   error
}

// epoch is a moment of which only the distance counts: how long ago it was costs half of what the time of day does.
var epoch = time.Now()

// arrivals are a request's Sink, and all of it that others than its own goroutine touch.
type arrivals chan arrival

func (c arrivals) Alive(tag uint64) { c.post(arrival{tag: tag, at: time.Since(epoch), alive: true}) }

func (c arrivals) Done(tag uint64, m *message.Message, err error) {
	c.post(arrival{tag: tag, at: time.Since(epoch), m: m, err: err})
}

// post never blocks: what finds no room is as good as lost, and asked for again.
func (c arrivals) post(a arrival) {
	select {
	case c <- a:
	default:
	}
}

const (
	mostAttempts = 4           // copies under way to one node; the oldest is given up for a newer one
	mostArrivals = 8           // that wait to be looked at
	repeatMost   = time.Second // between two copies to a node that gives no answer
)

// errSilent is an owner that gave no sign of life for as long as one should take.
var errSilent = errors.New("no sign of life")

// send puts a copy of the request under way to a node.
func (r *request) send(to message.NodeID, callback bool) *attempt {
	h, m := r.h, r.m
	t := &r.first
	if r.made > 0 {
		t = new(attempt)
	}
	t.to, t.at, t.lease = to, r.begin, r.lease
	if !r.fresh {
		t.at = time.Now()
	}
	r.fresh = false
	r.made++
	r.tag++
	t.tag = r.tag
	// The message is sent as it lies, and then is again as it was: the carrier keeps nothing of it.
	flags, source, target, final := m.Flags, m.Source, m.Target, m.Final
	m.Target = to
	if m.Op != message.LEASE && m.Final == message.NoNode { // else it is whom the message is of: the holder of a lease, or of a run
		m.Final = to
	}
	// One that was heard a moment ago, and usually answers soon, need not prove that it lives.
	if callback || t.at.Sub(h.cfg.Carrier.Heard(to)) > 50*time.Millisecond || h.pace.answer.get(to).mean > h.cfg.Attempt/2 {
		m.Flags |= message.NeedCallback
		t.callback, r.called = true, true
	}
	r.event(m)
	if n, oldest, _ := r.copies(to); n == mostAttempts {
		r.forget(oldest)
	}
	r.under = append(r.under, t)
	t.id = h.cfg.Carrier.Ask(to, m, r.arrivals, t.tag)
	m.Flags, m.Source, m.Target, m.Final = flags, source, target, final
	return t
}

// sender is the attempt of which something came; nil where none is under way with its tag.
func (r *request) sender(got arrival) *attempt {
	for _, t := range r.under {
		if t.tag == got.tag {
			return t
		}
	}
	return nil
}

// forget gives up an attempt, of which nothing is known any more.
func (r *request) forget(t *attempt) {
	r.sent = r.sent || r.m.Op.Logged()
	r.h.cfg.Carrier.Forget(t.id)
	r.drop(t)
}

// drop takes an attempt off those under way.
func (r *request) drop(t *attempt) {
	if i := slices.Index(r.under, t); i >= 0 {
		r.under = slices.Delete(r.under, i, i+1)
	}
}

// early says that a node has a copy already, and that it is too soon for another: the pause between copies doubles.
func (r *request) early(to message.NodeID) bool {
	n, _, last := r.copies(to)
	return n > 0 && time.Since(last.at) < min(r.h.patience(to)<<n, repeatMost)
}

// ask makes one attempt at one node, and waits for its answer for as long as the node lives. It returns the
// answer if that ends the request, be it from this node or from one asked before; otherwise the node that the
// answer names, or NoNode.
func (r *request) ask(ctx context.Context, to message.NodeID) (*message.Message, message.NodeID) {
	if r.early(to) {
		return nil, message.NoNode
	}
	h := r.h
	t := r.send(to, false)
	start, wait := t.at, h.patience(to)
	timer := r.alarm(wait / 2)
	for half := true; ; {
		select {
		case got := <-r.arrivals:
			of := r.sender(got)
			a, next := r.take(ctx, of, got)
			switch {
			case a != nil:
				return a, message.NoNode
			case of == nil:
			case of.to == to && got.alive:
				half, wait = false, h.patience(to)+3*h.cfg.Attempt
				timer = r.alarm(wait)
			case of == t:
				return nil, next
			}
		case <-timer:
			heard := h.cfg.Carrier.Heard(to)
			switch {
			case half:
				half = false
				if !heard.After(start) && !t.callback {
					r.probe(to)
				}
				timer = r.alarm(wait - wait/2)
			case heard.After(start) && time.Since(heard) < wait:
				r.alive = true
				if r.lost(t, wait) {
					t = r.send(to, true)
				}
				start = heard
				wait = min(2*wait, max(repeatMost, h.patience(to)))
				timer = r.alarm(wait)
			default:
				r.sent, r.leased = r.sent || r.m.Op.Logged(), false
				r.silence(to, errSilent)
				return nil, message.NoNode
			}
		case <-ctx.Done(): // it was the caller's time that ended, not the node's life
			a := r.arrived(ctx)
			r.sent = r.sent || r.m.Op.Logged() && r.open()
			return a, message.NoNode
		}
	}
}

// arrived takes in what has come already. It returns the answer that ends the request, if there is one.
func (r *request) arrived(ctx context.Context) *message.Message {
	for {
		select {
		case got := <-r.arrivals:
			if a, _ := r.take(ctx, r.sender(got), got); a != nil {
				return a
			}
		default:
			return nil
		}
	}
}

// lost says that an attempt, or its answer, has probably been lost on the way to or from a node that lives.
func (r *request) lost(t *attempt, waited time.Duration) bool {
	if waited >= repeatMost {
		return true
	}
	return !t.alive && time.Since(t.at) >= r.h.pace.answer.get(t.to).patience(r.h.patience(t.to), longestTrip)
}

// probe asks a node for a sign of life alone, for the request did not ask for one and may take long. Heard tells
// that it came; when it came tells how long the way is.
func (r *request) probe(to message.NodeID) {
	m := message.New(message.TEST)
	m.Target, m.Final = to, to
	r.event(m)
	begin, sign := time.Now(), &r.h.pace.sign
	r.probes = append(r.probes, r.h.cfg.Carrier.Ask(to, m, transport.Funcs(nil, func(_ *message.Message, err error) {
		if err == nil {
			sign.took(to, time.Since(begin))
		}
	}), 0))
}

// take looks at what came of an attempt. It returns an answer that ends the request; otherwise the node that it names,
// or NoNode. What comes of none, because that was given up or was another request's, says nothing.
func (r *request) take(ctx context.Context, of *attempt, got arrival) (*message.Message, message.NodeID) {
	if of == nil {
		return nil, message.NoNode
	}
	to, h := of.to, r.h
	took := got.at - of.at.Sub(epoch)
	if !got.alive {
		r.ended++
		r.drop(of)
	}
	if of.lease != r.lease {
		return nil, message.NoNode // a holder's, from which the request has turned
	}
	if got.alive {
		if !of.alive {
			h.pace.sign.took(to, took)
		}
		of.alive, r.alive = true, true
		delete(r.silent, to)
		r.event(&message.Message{Op: message.ALIVE, Source: to, Target: message.NoNode, Final: message.NoNode})
		return nil, message.NoNode
	}
	if got.err != nil {
		r.leased = r.leased && ctx.Err() != nil
		r.failed(of, got.err)
		return nil, message.NoNode
	}
	r.took = took
	r.event(got.m)
	a, next := r.judge(ctx, of, got.m)
	switch {
	case a != nil:
		h.pace.answer.took(to, took)
		if s := h.pace.sign.get(to); s.known && took < s.mean { // the way cannot have taken longer
			h.pace.sign.took(to, took)
		}
	case got.m.Status == message.NotLeader && !of.alive: // said at once
		h.pace.sign.took(to, took)
	}
	return a, next
}

// failed notes why there is no answer.
func (r *request) failed(t *attempt, err error) {
	var link interface{ MaybeSent() bool }
	if !errors.As(err, &link) || link.MaybeSent() {
		r.sent = r.sent || r.m.Op.Logged()
	}
	r.last = err
	if message.CodeOf(err) == message.Busy { // our own side is full: it says nothing of the node
		r.refused = message.Busy
		return
	}
	r.silence(t.to, err)
}

// silence notes that a node gave no sign of life.
func (r *request) silence(n message.NodeID, err error) {
	if r.silent == nil {
		r.silent = map[message.NodeID]bool{}
	}
	r.silent[n], r.last = true, err
	r.h.leaders.forget(r.company, n)
	r.note("node %s: %v", n, err)
}

// judge says what an answer means: it ends the request, or names the node to ask, or neither.
func (r *request) judge(ctx context.Context, of *attempt, a *message.Message) (*message.Message, message.NodeID) {
	delete(r.silent, of.to)
	if of.lease != nil {
		return r.judgeHolder(*of.lease, a), message.NoNode
	}
	r.leased = a.Status == message.Leased
	switch a.Status {
	case message.Leased:
		if r.forwards {
			return a, message.NoNode
		}
		r.refused, r.last, r.standing = a.Status, a.Err(), decodeLeases(a.Data)
		if r.only == message.NoNode {
			r.h.leaders.learn(r.company, of.to, a.Term)
		}
		return nil, message.NoNode
	case message.NotLeader:
		r.refused = a.Status
		if r.only != message.NoNode { // it will find the leader
			return nil, message.NoNode
		}
		if a.Final != message.NoNode && !r.silent[a.Final] {
			r.h.leaders.learn(r.company, a.Final, a.Term)
			return nil, a.Final
		}
		return nil, message.NoNode
	case message.Retry:
		r.sent, r.refused = true, a.Status
		return nil, message.NoNode
	case message.Fenced:
		if _, write, ok := touched(r.m); !ok || !write || r.m.Token != 0 {
			return a, message.NoNode
		}
		// Who was asked has done it under a lease of its own, which was over. Nothing was done.
		r.refused, r.last = a.Status, a.Err()
		return nil, message.NoNode
	case message.Busy, message.Unavailable, message.Unsupported, message.Stale:
		if a.Status == message.Unsupported && a.Final == message.NoNode && (r.company != 0 || r.only != message.NoNode) {
			return a, message.NoNode
		}
		if a.Status == message.Stale && a.Index != 0 { // the log's word: what was planned for another directory never fits
			return a, message.NoNode
		}
		r.refused, r.last = a.Status, a.Err()
		if a.Status == message.Stale {
			r.h.refresh(ctx)
		}
		return nil, message.NoNode
	}
	if !r.near && r.only == message.NoNode { // an owner that reads need not lead, nor does a holder
		r.h.leaders.learn(r.company, of.to, a.Term)
	}
	return a, message.NoNode
}
