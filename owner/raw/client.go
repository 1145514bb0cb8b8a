package raw

import (
	"context"
	"sync/atomic"
	"time"

	"dmalloc/message"
	"dmalloc/transport"
)

// Client is a connection to replicas in other processes.
type Client struct {
	transport *transport.Transport
	leaders   []message.NodeID // by group
	next      atomic.Uint64    // counts operations, which go to the groups in turns
}

// Dial connects to the replicas that serve at addresses, in the order of their indexes, and finds the leaders of as many
// groups, which it waits for until they are on different replicas, as far as there are enough.
func Dial(ctx context.Context, addresses []string, groups int) (*Client, error) {
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
		g := len(c.leaders)
		a, err := c.ask(ctx, message.NodeID(i%len(addresses)), g, message.WHOISLEADER, nil)
		if err == nil && a.Value < uint64(len(addresses)) && (groups == 1 || a.Value == uint64(g%len(addresses))) {
			if c.leaders = append(c.leaders, message.NodeID(a.Value)); len(c.leaders) == groups {
				return c, nil
			}
			continue
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			_ = t.Close()
			return nil, message.Errorf(message.Unavailable, "group %d of raw Dragonboat has no leader, or not the one that it should have: %v", g, err)
		}
	}
}

func (c *Client) ask(ctx context.Context, to message.NodeID, group int, op message.Op, p []byte) (*message.Message, error) {
	m := message.New(op)
	m.Company, m.Data = message.CompanyID(group), p
	a, err := c.transport.Call(ctx, to, m, nil)
	if err != nil {
		return nil, err
	}
	return a, a.Err()
}

// do asks the leader of the group whose turn it is.
func (c *Client) do(ctx context.Context, op message.Op, p []byte) error {
	g := int(c.next.Add(1) % uint64(len(c.leaders)))
	_, err := c.ask(ctx, c.leaders[g], g, op, p)
	return err
}

// Write has p proposed.
func (c *Client) Write(ctx context.Context, p []byte) error { return c.do(ctx, message.WRITE, p) }

// Confirm reads linearizably.
func (c *Client) Confirm(ctx context.Context) error { return c.do(ctx, message.READ, nil) }

// Close ends the connection.
func (c *Client) Close() error { return c.transport.Close() }
