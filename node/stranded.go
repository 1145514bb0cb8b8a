package node

import (
	"time"

	"dmalloc/message"
	"dmalloc/owner"
)

// session is a process of a node for which something is set aside.
type session struct {
	node    message.NodeID
	session uint64
}

// strandedFor is how long the process that follows has to settle what it knows exactly.
const strandedFor = 5 * time.Second

// settleStranded has a company that this node leads take back what was set aside for processes that are no more, and
// whose successors have not said what was handed out: what may have been stays (R5).
func (n *Node) settleStranded(r *owner.Replica, seen map[session]time.Time) map[session]time.Time {
	found := map[session]bool{}
	r.View(func(m owner.Machine) {
		if h, ok := m.(*owner.Heap); ok {
			for _, x := range h.Runs() {
				found[session{x.Node, x.Session}] = true
			}
		}
	})
	d, now, next := n.directory.Load(), time.Now(), map[session]time.Time{}
	for s := range found {
		if !over(d, s) {
			continue
		}
		first, ok := seen[s]
		if !ok {
			first = now
		}
		if next[s] = first; now.Sub(first) < strandedFor {
			continue
		}
		m := message.New(message.SETTLE)
		m.Company, m.Final, m.Value, m.Source = r.ID, s.node, s.session, n.cfg.ID
		n.lessor.do(r, m, func(*message.Message) {}) // what it did not do is asked again at the next tick
	}
	return next
}

// over says whether a process is no more, as the directory knows.
func over(d *message.Directory, s session) bool {
	n := d.Node(s.node)
	return n != nil && (n.Gone || s.session < n.Incarnation<<32|n.Boot&(1<<32-1))
}
