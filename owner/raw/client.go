package raw

import (
	"context"
	"time"

	"dmalloc/message"
	"dmalloc/transport"
)

// Client is a connection to replicas in other processes.
type Client struct {
	transport *transport.Transport
	leader    message.NodeID
}

// Dial connects to the replicas that serve at addresses, in the order of their indexes, and finds their leader.
func Dial(ctx context.Context, addresses []string) (*Client, error) {
	t, err := transport.New(transport.Config{Self: message.NoNode})
	if err != nil {
		return nil, err
	}
	peers := map[message.NodeID]transport.Peer{}
	for i, a := range addresses {
		peers[message.NodeID(i)] = transport.Peer{Address: a}
	}
	t.SetPeers(peers)
	c := &Client{transport: t}
	for i := 0; ; i++ {
		a, err := c.ask(ctx, message.NodeID(i%len(addresses)), message.WHOISLEADER, nil)
		if err == nil && a.Value < uint64(len(addresses)) {
			c.leader = message.NodeID(a.Value)
			return c, nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			_ = t.Close()
			return nil, message.Errorf(message.Unavailable, "raw Dragonboat has no leader: %v", err)
		}
	}
}

func (c *Client) ask(ctx context.Context, to message.NodeID, op message.Op, p []byte) (*message.Message, error) {
	m := message.New(op)
	m.Data = p
	a, err := c.transport.Call(ctx, to, m, nil)
	if err != nil {
		return nil, err
	}
	return a, a.Err()
}

// Write has p proposed.
func (c *Client) Write(ctx context.Context, p []byte) error {
	_, err := c.ask(ctx, c.leader, message.WRITE, p)
	return err
}

// Confirm reads linearizably.
func (c *Client) Confirm(ctx context.Context) error {
	_, err := c.ask(ctx, c.leader, message.READ, nil)
	return err
}

// Close ends the connection.
func (c *Client) Close() error { return c.transport.Close() }
