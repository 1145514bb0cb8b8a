package client

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"dmalloc/message"
	"dmalloc/transport"
)

// Control reaches the launcher, the only one who can start and signal the processes of nodes.
type Control struct {
	address string
	options Options

	mu   sync.Mutex
	link *transport.Transport // made at the first call
}

// LauncherID is how the launcher is called on a connection to it, which carries nothing else.
const LauncherID message.NodeID = 0

// NewControl makes a Control for the launcher at an address; an empty one means that there is none.
func NewControl(address string, o Options) *Control { return &Control{address: address, options: o} }

// Call passes a message on to the launcher.
func (c *Control) Call(ctx context.Context, m *message.Message) (*message.Message, error) {
	if c.address == "" {
		return nil, message.Errorf(message.Unsupported, "this cluster was not started by a launcher: %s needs one", m.Op)
	}
	c.mu.Lock()
	if c.link == nil {
		link, err := transport.New(transport.Config{Self: message.NoNode, TLS: c.options.LauncherTLS()})
		if err != nil {
			c.mu.Unlock()
			return nil, err
		}
		link.SetPeers(map[message.NodeID]transport.Peer{LauncherID: {Address: c.address}})
		c.link = link
	}
	link := c.link
	c.mu.Unlock()
	own := *m
	a, err := link.Call(ctx, LauncherID, &own, nil)
	if err != nil && !errors.Is(err, &message.Error{Code: message.Canceled}) {
		err = message.Errorf(message.CodeOf(err), "the launcher does not answer at %s: %v", c.address, err)
	}
	return a, err
}

// States asks the launcher what became of the processes.
func (c *Control) States(ctx context.Context) ([]Node, error) {
	ctx, cancel := context.WithTimeout(ctx, 400*time.Millisecond)
	defer cancel()
	a, err := c.Call(ctx, message.New(message.STATUS))
	if err == nil {
		err = a.Err()
	}
	if err != nil {
		return nil, err
	}
	var nodes []Node
	err = json.Unmarshal(a.Data, &nodes)
	return nodes, err
}

// order has the launcher do something to a process.
func (c *Control) order(ctx context.Context, op message.Op, id message.NodeID, wipe bool) error {
	m := message.New(op)
	m.Value = uint64(id)
	if wipe {
		m.Size = 1
	}
	a, err := c.Call(ctx, m)
	if err != nil {
		return err
	}
	return a.Err()
}

// Kill ends a node's process with SIGKILL.
func (c *Control) Kill(ctx context.Context, id message.NodeID) error {
	return c.order(ctx, message.DIE, id, false)
}

// Revive starts a node again, on an empty disk if wipe, and returns when it has caught up.
func (c *Control) Revive(ctx context.Context, id message.NodeID, wipe bool, _ func(string)) error {
	return c.order(ctx, message.REVIVE, id, wipe)
}

// Pause stops a node's process with SIGSTOP.
func (c *Control) Pause(ctx context.Context, id message.NodeID) error {
	return c.order(ctx, message.PAUSE, id, false)
}

// Resume continues it.
func (c *Control) Resume(ctx context.Context, id message.NodeID) error {
	return c.order(ctx, message.RESUME, id, false)
}

// Close ends the connection.
func (c *Control) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != nil {
		_ = c.link.Close()
		c.link = nil
	}
}
