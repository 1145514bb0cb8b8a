package node

import (
	"time"

	"dmalloc/message"
)

// carrier is how the node's own client sends: to itself without a socket, to others by the transport.
type carrier struct{ n *Node }

func (c carrier) Start(to message.NodeID, m *message.Message, alive func(), done func(*message.Message, error)) (cancel func()) {
	if to != c.n.cfg.ID {
		return c.n.transport.Start(to, m, alive, done)
	}
	own := *m
	own.Source, own.Target = to, to
	own.Data = append([]byte(nil), m.Data...) // the caller may take its bytes back before they are proposed
	c.n.Handle(&own, func(a *message.Message) {
		if a.Op == message.ALIVE {
			alive()
			return
		}
		done(a, nil)
	})
	return func() {}
}

func (c carrier) Heard(to message.NodeID) time.Time {
	if to == c.n.cfg.ID {
		return time.Now()
	}
	return c.n.transport.Heard(to)
}

// SetDirectory does nothing: the launcher and the directory's company tell a node where the others are.
func (c carrier) SetDirectory(d *message.Directory) { c.n.learn(d) }
