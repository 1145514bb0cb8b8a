package transport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"dmalloc/message"
)

const (
	leastPause = 20 * time.Millisecond  // before the first redial
	mostPause  = 500 * time.Millisecond // between redials
)

// outlet is the kept connection of one class to a neighbour. It dials when something is to be sent; after
// a failure it refuses at once until a pause is over, so that nobody waits for the dead.
type outlet struct {
	link  *link
	class class

	mu    sync.Mutex         // guards what follows
	queue *queue             // nil while there is no connection and none is being made
	hang  context.CancelFunc // ends the connection; nil with queue
	after int64              // it is not dialled before
	fails int                // in a row
	why   error              // of the last failure
}

// open gives the queue to the node, dialling if need be.
func (o *outlet) open() (*queue, *LinkError) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.queue != nil {
		return o.queue, nil
	}
	t, node := o.link.t, o.link.node
	peer := o.link.peer.Load()
	if peer == nil || peer.Address == "" {
		return nil, unsent(node, message.Unavailable, "no address of it is known")
	}
	if wait := o.after - t.now(); wait > 0 {
		e := unsent(node, message.Unavailable, "it could not be reached at %s and is tried again in %v", peer.Address, time.Duration(wait).Round(time.Millisecond))
		e.Err = o.why
		return nil, e
	}
	q := newQueue(t.cfg.Limits.queue(o.class))
	ctx, cancel := context.WithCancel(t.ctx)
	if !t.spawn(func() { defer cancel(); o.run(ctx, q, peer.Address) }) {
		cancel()
		return nil, unsent(node, message.Canceled, "the transport is closed")
	}
	o.queue, o.hang = q, cancel
	return q, nil
}

// run dials, and carries the connection until it ends.
func (o *outlet) run(ctx context.Context, q *queue, address string) {
	t := o.link.t
	t.count(dials)
	nc, h, err := t.dial(ctx, address, hello{from: t.cfg.Self, to: o.link.node, version: Version, class: o.class,
		cluster: t.cfg.Cluster, incarnation: t.cfg.Incarnation})
	if err != nil {
		t.count(dialsFailed)
		o.ended(q, fmt.Errorf("dial %s: %w", address, err), false)
		return
	}
	o.link.hear()
	since := t.now()
	c := &conn{t: t, nc: nc, node: o.link.node, incarnation: h.incarnation, class: o.class, link: o.link, queue: q, address: address}
	err = c.run(ctx)
	o.ended(q, err, time.Duration(t.now()-since) > time.Second)
}

// ended makes the next open dial again, after a pause, and fails what was under way.
func (o *outlet) ended(q *queue, err error, lived bool) {
	t := o.link.t
	o.mu.Lock()
	if lived {
		o.fails = 0
	}
	pause := min(leastPause<<min(o.fails, 8), mostPause)
	pause = pause/2 + rand.N(pause/2) // so that nodes do not come back in step
	o.fails++
	o.why, o.after = err, t.now()+int64(pause)
	o.queue, o.hang = nil, nil
	o.mu.Unlock()
	q.close()
	o.tell(q, err)
}

// tell fails what was under way through a queue that is closed: our own requests here, and those of others that
// we were to pass on by a frame to who asked. Of those that were taken nobody knows what became of them: who
// asked waits no longer than it chose to.
func (o *outlet) tell(q *queue, why error) {
	t := o.link.t
	unsent := map[uint64]bool{}
	for _, a := range q.settled() {
		if a.src == t.cfg.Self {
			unsent[a.id] = true
			continue
		}
		e := &LinkError{Code: message.Unavailable, Text: fmt.Sprintf("node %s cannot be reached", o.link.node), Err: why}
		_ = t.forward(e.frame(t.cfg.Self, a.src, a.id)) // dropped and counted if that fails, too
	}
	t.pending.sweep(q, unsent, func(to message.NodeID, sent bool) *LinkError {
		text := "the connection was lost"
		if o.link.node != to {
			text = fmt.Sprintf("the connection to node %s, through which it is reached, was lost", o.link.node)
		}
		return &LinkError{To: to, Code: message.Unavailable, Sent: sent, Text: text, Err: why}
	})
}

// failure is why the last connection ended, nil if none has.
func (o *outlet) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.why
}

// reset forgets past failures, for there is news of the node; hang up, too, if it has moved.
func (o *outlet) reset(moved bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.after, o.fails = 0, 0
	if moved && o.hang != nil {
		o.hang()
	}
}

// dial connects, with TLS shakes hands, and exchanges hellos.
func (t *Transport) dial(ctx context.Context, address string, h hello) (net.Conn, hello, error) {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Limits.Dial)
	defer cancel()
	raw, err := t.cfg.Dial(ctx, address)
	if err != nil {
		return nil, hello{}, err
	}
	keep(raw)
	// The deadline ends a silent handshake, and so does the end of ctx.
	_ = raw.SetDeadline(time.Now().Add(t.cfg.Limits.Hello))
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(closed); _ = raw.Close() })
	var got hello
	nc, err := t.wrap(raw, address)
	if err == nil {
		got, err = t.introduce(nc, h)
	}
	if !stop() {
		<-closed
		err = errors.Join(err, context.Cause(ctx))
	}
	if err == nil {
		err = raw.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = raw.Close()
		return nil, hello{}, err
	}
	return nc, got, nil
}

func (t *Transport) introduce(nc net.Conn, h hello) (hello, error) {
	if _, err := nc.Write(h.frame().append(nil)); err != nil {
		return hello{}, fmt.Errorf("say hello: %w", err)
	}
	got, err := readHello(nc)
	if err != nil {
		return hello{}, fmt.Errorf("read the hello: %w", rejected(err))
	}
	if err := t.genuine(nc, got); err != nil {
		return hello{}, err
	}
	if h.to != message.NoNode && got.from != h.to {
		return hello{}, message.Errorf(message.NoSuchNode, "node %s listens there, not node %s", got.from, h.to)
	}
	if got.version != Version || (h.cluster != 0 && got.cluster != h.cluster) {
		return hello{}, message.Errorf(message.Forbidden, "another cluster or version answered")
	}
	return got, nil
}

// keep has the kernel find out when the other machine is gone. Go switches Nagle's delay off by itself.
func keep(nc net.Conn) {
	if tc, ok := nc.(*net.TCPConn); ok {
		_ = tc.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3})
	}
}

// Greeting is what a node says of itself to whoever knows only its address.
type Greeting struct {
	Node        message.NodeID
	Cluster     uint64
	Incarnation uint64
}

// Identify asks who listens at an address, as a client, with TLS if the Transport has it. It ends with ctx, not with Close.
func (t *Transport) Identify(ctx context.Context, address string) (Greeting, error) {
	nc, h, err := t.dial(ctx, address, hello{from: message.NoNode, to: message.NoNode, version: Version})
	if err != nil {
		e := &message.Error{Op: "transport.Identify", Code: message.Unavailable, Text: "no node answers at " + address, Err: err}
		if errors.Is(err, &message.Error{Code: message.Forbidden}) {
			e.Code, e.Text = message.Forbidden, "the node at "+address+" and this side do not talk to each other"
		}
		return Greeting{}, e
	}
	_ = nc.Close()
	return Greeting{Node: h.from, Cluster: h.cluster, Incarnation: h.incarnation}, nil
}
