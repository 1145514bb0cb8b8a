package cluster

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/client"
	"dmalloc/message"
	"dmalloc/transport"
)

// Control is the port at which the launcher takes what only it can do: STATUS of the processes, DIE,
// REVIVE, PAUSE and RESUME, from nodes for HTTP and from shells that connect later. The node meant is in
// Value; a Size of 1 in REVIVE asks for an empty disk.
type Control struct {
	transport *transport.Transport
	listener  net.Listener
	launcher  atomic.Pointer[Launcher]
	ctx       context.Context
	cancel    context.CancelFunc
	slots     chan struct{} // orders under way; beyond them Busy

	mu     sync.Mutex // guards closed against a task that starts
	closed bool
	tasks  sync.WaitGroup
}

const (
	controlSlots = 64
	orderTime    = 2 * time.Minute // that an order may take; a revive copies what its node has missed
)

// Listen opens the port on loopback, before there is a launcher: nodes are told of it when they start.
func Listen(o client.Options) (*Control, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, message.Errorf(message.Unavailable, "the launcher cannot listen on loopback: %v", err)
	}
	c := &Control{listener: l, slots: make(chan struct{}, controlSlots)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.transport, err = transport.New(transport.Config{Self: client.LauncherID, Listener: l, TLS: o.LauncherTLS(),
		Handle: func(_ context.Context, _ transport.Peer, m *message.Message, reply func(*message.Message)) {
			c.handle(m, reply)
		}})
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return c, nil
}

// Address is where it listens.
func (c *Control) Address() string { return c.listener.Addr().String() }

// Serve begins to take orders for a launcher.
func (c *Control) Serve(l *Launcher) { c.launcher.Store(l) }

func (c *Control) handle(m *message.Message, reply func(*message.Message)) {
	l := c.launcher.Load()
	if l == nil {
		reply(m.Answer(message.Unavailable, "the cluster is still starting; try again"))
		return
	}
	if m.Op == message.STATUS {
		nodes, err := l.Nodes(c.ctx)
		if err != nil {
			reply(m.Fail(err))
			return
		}
		a := m.Answer(message.Done, "")
		a.Data = message.JSON(nodes)
		reply(a)
		return
	}
	id := message.NodeID(m.Value)
	order := map[message.Op]func(ctx context.Context) error{
		message.DIE:    func(ctx context.Context) error { return l.Kill(ctx, id) },
		message.REVIVE: func(ctx context.Context) error { return l.Revive(ctx, id, m.Size == 1, func(string) {}) },
		message.PAUSE:  func(ctx context.Context) error { return l.Pause(ctx, id) },
		message.RESUME: func(ctx context.Context) error { return l.Resume(ctx, id) },
	}[m.Op]
	if order == nil {
		reply(m.Answer(message.Unsupported, "the launcher does not answer "+m.Op.String()))
		return
	}
	if m.Value > uint64(message.MaxNodes) {
		reply(m.Answer(message.NoSuchNode, "there is no such node"))
		return
	}
	select {
	case c.slots <- struct{}{}:
	default:
		reply(m.Answer(message.Busy, "the launcher has too many orders under way; try again"))
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		<-c.slots
		reply(m.Answer(message.Unavailable, "the cluster is stopping"))
		return
	}
	c.tasks.Go(func() {
		defer func() { <-c.slots }()
		ctx, cancel := context.WithTimeout(c.ctx, orderTime)
		defer cancel()
		if err := order(ctx); err != nil {
			reply(m.Fail(err))
			return
		}
		reply(m.Answer(message.Done, ""))
	})
}

// Close ends the port and the orders that came through it.
func (c *Control) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.tasks.Wait()
	_ = c.transport.Close()
}
