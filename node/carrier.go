package node

import (
	"time"

	"dmalloc/message"
	"dmalloc/transport"
)

// carrier is how the node's own client sends: to itself without a socket, to others by the transport.
type carrier struct{ n *Node }

func (c carrier) Ask(to message.NodeID, m *message.Message, s transport.Sink, tag uint64) (id uint64) {
	if to != c.n.cfg.ID {
		return c.n.transport.Ask(to, m, s, tag)
	}
	own := *m
	own.Source, own.Target = to, to
	own.Data = append([]byte(nil), m.Data...) // the caller may take its bytes back before they are proposed
	c.n.Handle(&own, func(a *message.Message) {
		if a.Op == message.ALIVE {
			s.Alive(tag)
			return
		}
		s.Done(tag, a, nil)
	})
	return 0
}

// Forget has no say in what this node was asked itself: that is done at once, or soon.
func (c carrier) Forget(id uint64) { c.n.transport.Forget(id) }

// start is Ask for who waits by a function.
func (c carrier) start(to message.NodeID, m *message.Message, done func(*message.Message, error)) (cancel func()) {
	id := c.Ask(to, m, transport.Funcs(nil, done), 0)
	return func() { c.Forget(id) }
}

func (c carrier) Heard(to message.NodeID) time.Time {
	if to == c.n.cfg.ID {
		return time.Now()
	}
	return c.n.transport.Heard(to)
}

// SetDirectory does nothing: the launcher and the directory's company tell a node where the others are.
func (c carrier) SetDirectory(d *message.Directory) { c.n.learn(d) }
