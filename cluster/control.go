package cluster

import (
	"context"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/client"
	"dmalloc/message"
	"dmalloc/transport"
)

// Control is the port at which the launcher takes what only it can do: STATUS of the processes, DIE,
// REVIVE, PAUSE, RESUME, NODEADD, NODEREMOVE and CORRUPT, and FAULT, HEAL and FAULTS, from nodes for HTTP and from shells that connect
// later. The node meant is in Value; a Size of 1 in REVIVE asks for an empty disk, in NODEREMOVE it goes on waiting; package client has the JSON.
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
	order := orders[m.Op]
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
		v, err := order(ctx, l, m)
		if err != nil {
			reply(m.Fail(err))
			return
		}
		a := m.Answer(message.Done, "")
		if v != nil {
			a.Data = message.JSON(v)
		}
		reply(a)
	})
}

// orders are what the port takes besides STATUS. What they return goes back as JSON, nil as no data.
var orders = map[message.Op]func(ctx context.Context, l *Launcher, m *message.Message) (any, error){
	message.DIE: func(ctx context.Context, l *Launcher, m *message.Message) (any, error) {
		return nil, l.Kill(ctx, message.NodeID(m.Value))
	},
	message.REVIVE: func(ctx context.Context, l *Launcher, m *message.Message) (any, error) {
		q, err := asked[client.ReturnRequest](m)
		if err != nil {
			return nil, err
		}
		if q.AfterMS != 0 {
			after, err := milliseconds(q.AfterMS)
			if err != nil {
				return nil, err
			}
			return nil, l.Return(ctx, message.NodeID(m.Value), after)
		}
		return nil, l.Revive(ctx, message.NodeID(m.Value), m.Size == 1, func(string) {})
	},
	message.PAUSE: func(ctx context.Context, l *Launcher, m *message.Message) (any, error) {
		return nil, l.Pause(ctx, message.NodeID(m.Value))
	},
	message.RESUME: func(ctx context.Context, l *Launcher, m *message.Message) (any, error) {
		return nil, l.Resume(ctx, message.NodeID(m.Value))
	},
	message.FAULT: func(ctx context.Context, l *Launcher, m *message.Message) (any, error) {
		q, err := asked[client.FaultRequest](m)
		if err != nil {
			return nil, err
		}
		lasts, err := milliseconds(q.ForMS)
		if err != nil {
			return nil, err
		}
		return l.Fault(ctx, q.Fault, lasts)
	},
	message.HEAL: func(ctx context.Context, l *Launcher, m *message.Message) (any, error) {
		q, err := asked[client.FaultRequest](m)
		if err != nil {
			return nil, err
		}
		return l.Heal(ctx, q.Fault)
	},
	message.FAULTS: func(ctx context.Context, l *Launcher, m *message.Message) (any, error) { return l.Faults(ctx) },
	message.NODEADD: func(ctx context.Context, l *Launcher, m *message.Message) (any, error) {
		q, err := asked[client.AddRequest](m)
		if err != nil {
			return nil, err
		}
		return l.AddNode(ctx, q.Host, nil)
	},
	message.NODEREMOVE: func(ctx context.Context, l *Launcher, m *message.Message) (any, error) {
		return l.Remove(ctx, message.NodeID(m.Value), m.Size == 1)
	},
	message.CORRUPT: func(ctx context.Context, l *Launcher, m *message.Message) (any, error) {
		q, err := asked[client.CorruptRequest](m)
		if err != nil {
			return nil, err
		}
		return l.Corrupt(ctx, message.NodeID(m.Value), q.Seed)
	},
}

func milliseconds(n int64) (time.Duration, error) {
	if n > math.MaxInt64/int64(time.Millisecond) || n < 0 {
		return 0, message.Errorf(message.InvalidArgument, "a fault cannot last for %d ms; give a shorter time, or none", n)
	}
	return time.Duration(n) * time.Millisecond, nil
}

// asked reads what an order asks for in detail.
func asked[T any](m *message.Message) (q T, err error) {
	if len(m.Data) == 0 {
		return q, nil
	}
	if err := strictJSON(m.Data, &q); err != nil {
		return q, message.Errorf(message.InvalidArgument, "the data of %s is not what the launcher reads: %v", m.Op, err)
	}
	return q, nil
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
