package node

import (
	"context"

	"dmalloc/client"
	"dmalloc/message"
	"dmalloc/transport"
)

// openTransport begins to listen. Requests that come before the owners are open are
// answered Unavailable: nothing was done.
func (n *Node) openTransport() (err error) {
	n.transport, err = transport.New(transport.Config{
		Self: n.cfg.ID, Cluster: clusterNumber(n.cfg.Settings.Cluster), Incarnation: n.cfg.Incarnation, Listener: n.cfg.Listener,
		Handle: func(_ context.Context, from transport.Peer, m *message.Message, reply func(*message.Message)) {
			n.take(from.Role, m, reply)
		},
		Raft:  n.inbox.Batch,
		Chunk: n.inbox.Chunk,
		TLS:   client.Options{Certs: n.cfg.Certs}.TLS(),
	})
	if err != nil {
		return err
	}
	n.transport.SetTopology(n.links(n.directory.Load()))
	return nil
}
