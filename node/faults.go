package node

import (
	"time"

	"dmalloc/fault"
	"dmalloc/message"
	"dmalloc/transport"
)

// SetFaults makes this node behave as the faults are now: those of its links, its disk and its clock that the view
// does not have are over. Links are those to neighbours; what a client from outside says is never cut.
func (n *Node) SetFaults(v fault.View) {
	ids := n.cfg.Settings.Nodes
	if d := n.directory.Load(); d != nil {
		ids = max(ids, len(d.Nodes))
	}
	for id := range v.Links { // of a node that comes, the directory may not tell yet
		ids = max(ids, int(id)+1)
	}
	for i := range ids {
		if id := message.NodeID(i); id != n.cfg.ID {
			l := v.Links[id]
			n.transport.SetFault(id, transport.LinkFault{Cut: l.Cut, Delay: l.Delay, Drop: l.Drop})
		}
	}
	n.disk.Set(v.DiskFull, v.DiskSlow)
	n.clock.Store(int64(v.Clock))
}

// now is the node's clock, which a fault can put wrong. What other nodes may come to see goes by it: how far a leader
// moves its companies' clocks, when an election was, how old an unfinished transaction is. Waiting does not: like
// Raft's ticks it counts the time that passes, and that has no hands to move.
func (n *Node) now() time.Time { return time.Now().Add(time.Duration(n.clock.Load())) }
