package client

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"dmalloc/message"
	"dmalloc/transport"
)

// Conn is a Heap with the connections that it uses.
type Conn struct {
	*Heap
	Control *Control // reaches the launcher; nil if the nodes know of none
	carrier *wire
}

// Close ends the connections.
func (c *Conn) Close() error {
	if c.Control != nil {
		c.Control.Close()
	}
	return c.carrier.Transport.Close()
}

// Dial connects to the cluster of which a node listens at address.
func Dial(ctx context.Context, address string) (*Conn, error) {
	return DialWith(ctx, address, Options{})
}

// DialWith is Dial, with certificates where the cluster has them.
func DialWith(ctx context.Context, address string, o Options) (*Conn, error) {
	t, err := transport.New(transport.Config{Self: message.NoNode, TLS: o.TLS()})
	if err != nil {
		return nil, err
	}
	c, err := dial(ctx, t, address, o)
	if err != nil {
		_ = t.Close()
		if message.CodeOf(err) == message.Forbidden {
			return nil, err
		}
		return nil, message.Errorf(message.Unavailable, "no node of a cluster answers at %s: %v", address, err)
	}
	return c, nil
}

func dial(ctx context.Context, t *transport.Transport, address string, o Options) (*Conn, error) {
	who, err := t.Identify(ctx, address)
	if err != nil {
		return nil, err
	}
	home := who.Node
	t.SetPeers(map[message.NodeID]transport.Peer{home: {Address: address}})
	var d message.Directory
	var s message.NodeStatus
	for op, into := range map[message.Op]any{message.DIRECTORY: &d, message.STATUS: &s} {
		a, err := t.Call(ctx, home, message.New(op), nil)
		if err == nil {
			err = a.Err()
		}
		if err == nil {
			err = json.Unmarshal(a.Data, into)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", op, err)
		}
	}
	if n := d.Node(home); n != nil {
		n.Address = address // as it is reached from here, which may be by another name
	}
	var control *Control
	var states func(context.Context) ([]Node, error)
	var faults func(context.Context) ([]Fault, error)
	if s.Control != "" {
		control = NewControl(s.Control, o)
		states, faults = control.States, control.Faults
	}
	return connect(t, &d, home, control, states, faults, o)
}

// Connect makes a client of a cluster whose directory is known. states and faults may be nil.
func Connect(d *message.Directory, home message.NodeID, states func(context.Context) ([]Node, error), faults func(context.Context) ([]Fault, error), o Options) (*Conn, error) {
	cluster := uint64(0)
	if o.Launcher {
		cluster, _ = strconv.ParseUint(d.Settings.Cluster, 16, 64) // 0, if it is none: then this side is a client
	}
	t, err := transport.New(transport.Config{Self: message.NoNode, Cluster: cluster, TLS: o.TLS()})
	if err != nil {
		return nil, err
	}
	return connect(t, d, home, nil, states, faults, o)
}

func connect(t *transport.Transport, d *message.Directory, home message.NodeID, control *Control, states func(context.Context) ([]Node, error), faults func(context.Context) ([]Fault, error), o Options) (*Conn, error) {
	w := &wire{Transport: t, home: home}
	h, err := New(Config{Carrier: w, Home: home, HomeFirst: len(d.Settings.Topology) > 0, Directory: d, States: states, Faults: faults, Confirm: o.Confirm})
	if err != nil {
		_ = t.Close()
		return nil, err
	}
	return &Conn{Heap: h, Control: control, carrier: w}, nil
}

// SetPeers takes in where nodes are now, from whoever starts them.
func (c *Conn) SetPeers(nodes []message.Node) {
	d := c.directory().Clone()
	for _, n := range nodes {
		if have := d.Node(n.ID); have != nil && n.Address != "" {
			have.Address, have.HTTP = n.Address, n.HTTP
		}
	}
	c.setDirectory(d)
}

// wire is a transport as a client uses it. Where the network has a topology, the client is a guest of one
// node: it speaks to that one only, and its requests go the way that the node's own would go.
type wire struct {
	*transport.Transport
	home  message.NodeID
	entry atomic.Int64 // moves on from home when the entry node does not answer
	dir   atomic.Pointer[message.Directory]
}

// SetDirectory takes addresses from a directory; with a topology, those of the entry node alone.
func (w *wire) SetDirectory(d *message.Directory) {
	w.dir.Store(d)
	w.apply()
}

func (w *wire) apply() {
	d := w.dir.Load()
	if len(d.Settings.Topology) == 0 {
		w.Transport.SetDirectory(d)
		return
	}
	n := w.entryNode(d, w.entry.Load())
	w.SetPeers(map[message.NodeID]transport.Peer{n.ID: {Address: n.Address}})
}

// entryNode is the node through which this client speaks after so many moves.
func (w *wire) entryNode(d *message.Directory, moves int64) message.Node {
	around := d.From(w.home)
	return around[int(moves)%len(around)]
}

// Ask sends, and in a topology moves to another entry node when this one is gone.
func (w *wire) Ask(to message.NodeID, m *message.Message, s transport.Sink, tag uint64) (id uint64) {
	d := w.dir.Load()
	if len(d.Settings.Topology) > 0 {
		at := w.entry.Load()
		s = &entered{Sink: s, w: w, at: at, entry: w.entryNode(d, at).ID, begin: time.Now()}
	}
	return w.Transport.Ask(to, m, s, tag)
}

// entered is a request that went by an entry node.
type entered struct {
	transport.Sink
	w     *wire
	at    int64
	entry message.NodeID
	begin time.Time
}

func (e *entered) Done(tag uint64, a *message.Message, err error) {
	w := e.w
	if err != nil && !w.Heard(e.entry).After(e.begin) && w.entry.CompareAndSwap(e.at, e.at+1) {
		w.apply()
	}
	e.Sink.Done(tag, a, err)
}
