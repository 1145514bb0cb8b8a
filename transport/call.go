package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"dmalloc/message"
)

// Sink is told what becomes of requests: Alive for each ALIVE of one, and then Done, once, with the answer or a
// *LinkError. tag is what was given to Ask with the request. Both run on a connection's goroutine and must not block.
type Sink interface {
	Alive(tag uint64)
	Done(tag uint64, m *message.Message, err error)
}

// funcs is a Sink for one request.
type funcs struct {
	alive func()
	done  func(*message.Message, error)
}

func (f *funcs) Alive(uint64) {
	if f.alive != nil {
		f.alive()
	}
}

func (f *funcs) Done(_ uint64, m *message.Message, err error) { f.done(m, err) }

// Funcs makes a Sink for one request of two functions, of which alive may be nil.
func Funcs(alive func(), done func(*message.Message, error)) Sink { return &funcs{alive, done} }

// Ask sends m to a node and returns at once; s is told what becomes of it, possibly before that. m.Source and
// m.Target are set; m belongs to the caller again when Ask returns. Forget takes the id.
func (t *Transport) Ask(to message.NodeID, m *message.Message, s Sink, tag uint64) (id uint64) {
	m.Source, m.Target = t.cfg.Self, to
	f := frame{kind: kindRequest, src: t.cfg.Self, dst: to}
	id, e := t.ask(&f, m, wait{sink: s, tag: tag, ours: true})
	if e != nil {
		s.Done(tag, nil, e)
	}
	return id
}

// Forget gives a request up: its Sink is not told any more what becomes of it, or is just being told. There need be
// no such request, as there is none of id 0.
func (t *Transport) Forget(id uint64) {
	if id != 0 {
		t.pending.remove(id)
	}
}

// Start is Ask and, as cancel, Forget.
func (t *Transport) Start(to message.NodeID, m *message.Message, alive func(), done func(*message.Message, error)) (cancel func()) {
	id := t.Ask(to, m, Funcs(alive, done), 0)
	return func() { t.Forget(id) }
}

// Call is Start for one who waits: for the answer, a *LinkError or the end of ctx.
func (t *Transport) Call(ctx context.Context, to message.NodeID, m *message.Message, alive func()) (*message.Message, error) {
	type outcome struct {
		m   *message.Message
		err error
	}
	got := make(chan outcome, 1)
	cancel := t.Start(to, m, alive, func(m *message.Message, err error) { got <- outcome{m, err} })
	select {
	case o := <-got:
		return o.m, o.err
	case <-ctx.Done():
		cancel()
		return nil, gaveUp(ctx, to, "the caller did not wait for its answer")
	}
}

func gaveUp(ctx context.Context, to message.NodeID, text string) *LinkError {
	code := message.Canceled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		code = message.Timeout
	}
	return &LinkError{To: to, Code: code, Sent: true, Text: text, Err: context.Cause(ctx)}
}

// fewOpen is up to how many requests under way on a connection are written each by who makes it.
const fewOpen = 2

// ask registers who waits and sends a request, whose payload is m encoded if there is one.
func (t *Transport) ask(f *frame, m *message.Message, w wait) (uint64, *LinkError) {
	l, e := t.hop(f.dst)
	if e != nil {
		t.count(unroutable)
		return 0, e
	}
	q, e := l.outlets[f.kind.class()].open()
	if e != nil {
		e.To = f.dst
		return 0, e
	}
	// Registered first, for the answer may be faster than we are.
	w.to, w.via = f.dst, q
	if !w.ours || t.pending.guests.Load() > 0 { // nothing else expires: the clock costs more than the rest of this
		w.began = t.now()
	}
	q.asking.RLock() // who ends the connection meanwhile waits until it is known whether this went into the queue
	id, v, lost, err := t.enter(l, f, m, &w)
	q.asking.RUnlock()
	if v == queued {
		if lost { // as on a real wire: nobody is told
			return id, nil
		}
		t.count(framesOut)
		if q.open.Load() <= fewOpen {
			q.flush()
		} else {
			q.tell() // others will follow before the writer runs
		}
		return id, nil
	}
	switch v {
	case tooMany:
		return 0, unsent(f.dst, message.Busy, "%d requests are under way; wait for answers before you send more", t.cfg.Limits.Pending)
	case unfit:
		e = unsent(f.dst, message.InvalidArgument, "the request cannot be encoded")
		e.Err = err
		return 0, e
	case full:
		t.count(requestsRefused)
		return 0, unsent(f.dst, message.Busy, "%d bytes wait to be sent to it; wait for answers before you send more", q.most)
	}
	e = unsent(f.dst, message.Unavailable, "the connection was just lost")
	e.Err = l.outlets[classMessage].failure()
	return 0, e
}

// enter registers who waits and puts the request into its queue, or does neither.
func (t *Transport) enter(l *link, f *frame, m *message.Message, w *wait) (id uint64, v verdict, lost bool, err error) {
	id, ok := t.pending.add(w)
	if !ok {
		return 0, tooMany, false, nil
	}
	f.id = id
	due, lost := l.judge(f.kind)
	switch {
	case !lost:
		v, err = w.via.put(f, m, due)
	case w.via.ended():
		v = closed
	}
	if v != queued {
		if _, mine := t.pending.remove(id); !mine { // somebody has told it
			v, lost = queued, true
		}
	}
	return id, v, lost, err
}

// SendRaft queues a Raft batch for a node's incarnation, in parts that must not change any more. An error
// means that it is dropped; no error does not mean that it arrives.
func (t *Transport) SendRaft(to message.NodeID, incarnation uint64, parts ...[]byte) error {
	f := &frame{kind: kindRaft, src: t.cfg.Self, dst: to, prefix: t.address(incarnation)}
	switch len(parts) {
	case 0:
	case 1:
		f.payload = parts[0]
	default:
		f.payload, f.more = parts[0], parts[1:]
	}
	if n := f.rest() - len(f.prefix); n > MaxRaft {
		return unsent(to, message.InvalidArgument, "a Raft batch of %d bytes is over the limit of %d", n, MaxRaft)
	}
	if e := t.forward(f); e != nil {
		return e
	}
	return nil
}

// address is what stands before Raft's bytes: for whom they are and from whom.
func (t *Transport) address(incarnation uint64) []byte {
	b := make([]byte, 0, incarnations)
	b = binary.LittleEndian.AppendUint64(b, incarnation)
	return binary.LittleEndian.AppendUint64(b, t.cfg.Incarnation)
}

// forward sends a frame on its next link. What cannot be sent is dropped and counted.
func (t *Transport) forward(f *frame) *LinkError {
	l, e := t.hop(f.dst)
	if e != nil {
		t.count(unroutable)
		return e
	}
	due, lost := l.judge(f.kind)
	if lost {
		return nil
	}
	q, e := l.outlets[f.kind.class()].open()
	if e != nil {
		t.count(framesDropped)
		e.To = f.dst
		return e
	}
	if v, _ := q.put(f, nil, due); v != queued {
		t.count(framesDropped)
		return unsent(f.dst, message.Busy, "%d bytes wait to be sent to it", q.most)
	}
	t.count(framesOut)
	q.flush()
	return nil
}

// chunkWait is a chunk that is on its way.
type chunkWait struct{ got chan error }

var errNotTaken = errors.New("the node refused the chunk")

func (w *chunkWait) alive(frame)       {}
func (w *chunkWait) fail(e *LinkError) { w.got <- e }
func (w *chunkWait) answer(f frame) {
	if len(f.payload) != 1 || f.payload[0] != 1 {
		w.got <- errNotTaken
		return
	}
	w.got <- nil
}

// SendChunk sends a piece of a snapshot and waits until the node's incarnation has taken it: one chunk of
// a stream is under way at a time, which is all the flow control that snapshots need.
func (t *Transport) SendChunk(ctx context.Context, to message.NodeID, incarnation uint64, payload []byte) error {
	if len(payload) > MaxRaft {
		return unsent(to, message.InvalidArgument, "a chunk of %d bytes is over the limit of %d", len(payload), MaxRaft)
	}
	w := &chunkWait{got: make(chan error, 1)}
	f := &frame{kind: kindChunk, src: t.cfg.Self, dst: to, prefix: t.address(incarnation), payload: payload}
	id, e := t.ask(f, nil, wait{waiter: w, ours: true})
	if e != nil {
		return e
	}
	patience := time.NewTimer(2 * t.cfg.Limits.Stall)
	defer patience.Stop()
	select {
	case err := <-w.got:
		if errors.Is(err, errNotTaken) {
			return &LinkError{To: to, Code: message.Unavailable, Sent: true, Text: "its snapshot stream was refused", Err: err}
		}
		return err
	case <-patience.C:
		t.pending.remove(id)
		return &LinkError{To: to, Code: message.Timeout, Sent: true, Text: "a chunk of a snapshot was not taken in time"}
	case <-ctx.Done():
		t.pending.remove(id)
		return gaveUp(ctx, to, "the snapshot was given up")
	}
}
