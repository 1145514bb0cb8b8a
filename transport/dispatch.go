package transport

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"

	"dmalloc/message"
)

// dispatch does with a frame what it is for. An error ends the connection: its other end breaks the rules.
func (c *conn) dispatch(f *frame) error {
	if err := c.admit(f); err != nil {
		return err
	}
	t := c.t
	if l := t.link(f.src); l != nil && l != c.link {
		l.hear()
	}
	if f.dst != t.cfg.Self {
		c.relay(f)
		return nil
	}
	if f.passing && f.kind == kindAnswer && message.HasData(f.payload) {
		f.payload = bytes.Clone(f.payload) // who asked keeps the answer, whose data point into it
	}
	switch f.kind {
	case kindRequest:
		if c.node != message.NoNode {
			return c.request(f, f.src, RoleNode, f.payload)
		}
		return c.request(f, message.NoNode, c.role, f.payload)
	case kindGuest:
		role, payload, err := guest(f)
		if err != nil {
			return err
		}
		return c.request(f, message.NoNode, role, payload)
	case kindAlive:
		if w, ok := t.pending.get(f.id, f.src); ok {
			w.alive(*f)
		}
	case kindAnswer, kindTaken:
		c.answered = true
		if w, ok := t.pending.take(f.id, f.src); ok {
			w.answer(*f)
		} else {
			t.count(answersDropped) // canceled, or its connection was lost
		}
	case kindFailed:
		c.failed(f)
	case kindRaft:
		if from, data, ok := c.raft(f); ok && t.cfg.Raft != nil {
			t.cfg.Raft(f.src, from, data)
		}
	case kindChunk:
		c.chunk(f)
	}
	return nil
}

// admit holds T6: who may send what, and in whose name.
func (c *conn) admit(f *frame) error {
	switch {
	case f.kind == kindHello || f.kind == kindRefuse:
		return malformed("a second hello")
	case f.kind.class() != c.class && f.kind != kindFailed:
		return malformed("kind %d on a %s connection", f.kind, c.class)
	case c.node == message.NoNode && (f.kind != kindRequest || f.src != message.NoNode || len(f.trail) > 0):
		return malformed("a client sends requests in its own name, nothing else")
	case c.node != message.NoNode && (f.src == message.NoNode || f.lastHop() != c.node):
		return malformed("node %s sends in the name of node %s", c.node, f.lastHop())
	}
	return nil
}

// exchange is a request and where its answer goes: in one piece of memory, for there is one for each request. It outlives
// the frame, which it must not hold.
type exchange struct {
	c    *conn
	id   uint64
	src  message.NodeID   // the frame's: a client's goes back through the node that passed its request on
	from message.NodeID   // who is to be answered, NoNode a client
	path []message.NodeID // by which the request came, if it is traced
	m    message.Message
}

// request hands a request of who is to be answered, NoNode a client, to the node.
func (c *conn) request(f *frame, from message.NodeID, role Role, payload []byte) error {
	t := c.t
	x := &exchange{c: c, id: f.id, src: f.src, from: from}
	m := &x.m
	if err := message.DecodeTo(m, payload); err != nil {
		t.count(malformedFrames)
		r := message.New(message.OK)
		r.Status, r.Text = message.InvalidArgument, err.Error()
		x.reply(r)
		return nil
	}
	if f.passing { // all else is decoded into memory of its own
		m.Data = bytes.Clone(m.Data)
	}
	m.Source, m.Target = from, t.cfg.Self
	if m.Flags&message.Traced != 0 {
		x.path = f.path()
	}
	m.Path = x.path
	if t.cfg.Handle == nil {
		x.reply(m.Answer(message.Unsupported, "nobody here answers requests"))
		return nil
	}
	t.cfg.Handle(c.ctx, Peer{Address: c.address, Incarnation: c.incarnation, Role: role}, m, x.reply)
	return nil
}

// reply sends an answer, or an ALIVE before it, on the connection on which the request came.
func (x *exchange) reply(a *message.Message) {
	c, to := x.c, x.from
	own := *a // the caller may share its answer, for it is kept for repetitions
	own.Source, own.Target = c.t.cfg.Self, to
	if len(own.Path) == 0 {
		own.Path = x.path
	}
	back := frame{kind: kindAnswer, src: c.t.cfg.Self, dst: x.src, id: x.id}
	if a.Op == message.ALIVE {
		back.kind = kindAlive
	}
	v, err := c.send(&back, &own)
	switch {
	case v == unfit:
		own = *message.New(message.OK)
		own.Status, own.Text = message.Internal, fmt.Sprintf("node %s made an answer that cannot be encoded: %v", c.t.cfg.Self, err)
	case v == full: // only what reads has long answers: nothing was done
		c.t.count(requestsRefused)
		own = *message.New(message.OK)
		own.Status, own.Text = message.Busy, fmt.Sprintf("too many answers of node %s wait to be read; read them before you ask for more", c.t.cfg.Self)
	default:
		return
	}
	own.Client, own.Seq, own.Source, own.Target = a.Client, a.Seq, c.t.cfg.Self, to
	c.must(&back, &own)
}

// raft checks for whom and from whom Raft's bytes are.
func (c *conn) raft(f *frame) (from uint64, data []byte, ok bool) {
	if len(f.payload) >= incarnations {
		to := binary.LittleEndian.Uint64(f.payload)
		from = binary.LittleEndian.Uint64(f.payload[8:])
		if to == c.t.cfg.Incarnation && (len(f.trail) > 0 || from == c.incarnation) || plantedIncarnation {
			return from, f.payload[incarnations:], true
		}
	}
	c.t.count(otherIncarnation)
	return 0, nil, false
}

// chunk has a piece of a snapshot taken. It may block on the disk: that is the stream's flow control.
func (c *conn) chunk(f *frame) {
	taken := byte(0)
	if from, data, ok := c.raft(f); ok && c.t.cfg.Chunk != nil && c.t.cfg.Chunk(f.src, from, data) {
		taken = 1
	}
	c.must(&frame{kind: kindTaken, src: c.t.cfg.Self, dst: f.src, id: f.id, payload: []byte{taken}}, nil)
}

// relay passes on a frame that is for another. What nobody can carry is told to who asked.
func (c *conn) relay(f *frame) {
	t := c.t
	seen := (f.src == t.cfg.Self || f.passed(t.cfg.Self)) && !plantedLoop
	if t.cfg.Self == message.NoNode || len(f.trail) >= maxHops*hopSize || seen {
		t.count(unroutable)
		return
	}
	t.count(relayed)
	onward := *f
	// A copy, not an append behind the payload's end: the bytes there are the trail's own.
	onward.trail = binary.LittleEndian.AppendUint32(append(make([]byte, 0, len(f.trail)+hopSize), f.trail...), uint32(t.cfg.Self))
	var e *LinkError
	if c.node == message.NoNode {
		if n := c.relaying.Add(1); int(n) > t.cfg.Limits.Relayed {
			c.relaying.Add(-1)
			e = unsent(f.dst, message.Busy, "node %s carries %d requests of this client; wait for answers before you send more", t.cfg.Self, n-1)
		} else {
			onward.src, onward.kind, onward.prefix = t.cfg.Self, kindGuest, []byte{byte(c.role)}
			client := &relayedRequest{c: c, id: f.id, to: f.dst}
			if _, e = t.ask(&onward, nil, wait{waiter: client}); e != nil {
				client.done()
			}
		}
	} else {
		e = t.forward(&onward)
	}
	if e != nil && f.kind.asks() {
		c.must(e.frame(t.cfg.Self, f.src, f.id), nil)
	}
}

// frame tells who asked that its request goes no further.
func (e *LinkError) frame(self, to message.NodeID, id uint64) *frame {
	sent := byte(0)
	if e.Sent {
		sent = 1
	}
	text := e.Text
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	p := append([]byte{byte(e.Code), sent}, text[:min(len(text), message.MaxText)]...)
	return &frame{kind: kindFailed, src: self, dst: to, id: id, payload: p}
}

// failed ends a request that a relay could not pass on.
func (c *conn) failed(f *frame) {
	if len(f.payload) < 2 || !message.Code(f.payload[0]).Valid() {
		c.t.count(malformedFrames)
		return
	}
	w, ok := c.t.pending.remove(f.id)
	if !ok {
		c.t.count(answersDropped)
		return
	}
	w.fail(&LinkError{To: w.to, Code: message.Code(f.payload[0]), Sent: f.payload[1] != 0,
		Text: fmt.Sprintf("node %s could not pass the request on: %s", f.src, clean(f.payload[2:]))})
}

// relayedRequest is a client's request that this node sends under an id of its own.
type relayedRequest struct {
	c    *conn
	id   uint64 // the client's
	to   message.NodeID
	once sync.Once
}

func (r *relayedRequest) done() { r.once.Do(func() { r.c.relaying.Add(-1) }) }

func (r *relayedRequest) pass(f frame) {
	back := f
	back.dst, back.id = message.NoNode, r.id
	back.trail = binary.LittleEndian.AppendUint32(append(make([]byte, 0, len(f.trail)+hopSize), f.trail...), uint32(r.c.t.cfg.Self))
	if v, _ := r.c.send(&back, nil); v == full {
		r.fail(&LinkError{To: r.to, Code: message.Busy, Sent: true, Text: "too many answers wait to be read; read them before you ask for more"})
	}
}

func (r *relayedRequest) alive(f frame) { r.pass(f) }

func (r *relayedRequest) answer(f frame) {
	r.done()
	r.pass(f)
}

func (r *relayedRequest) fail(e *LinkError) {
	r.done()
	r.c.must(e.frame(r.c.t.cfg.Self, message.NoNode, r.id), nil)
}
