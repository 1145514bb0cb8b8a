package node

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"dmalloc/message"
	"dmalloc/owner"
	"dmalloc/ring"
)

const (
	evenAfter = 6               // ticks of calm before leadership is spread: preferred owners come first
	evenTime  = 5 * time.Second // for one hand-over
	evenAgain = time.Second     // after one that failed
)

// even is what the directory's leader knows of how leadership is spread. It is spread anew when owners have come or
// gone, and only then: otherwise `lead` and elections have the last word.
type even struct {
	nodes, companies int // that there were; 0 for a leader that is new
	calm             int // ticks since anything was under way
	due              atomic.Bool
	running          atomic.Bool
}

// evenLeaders has one company handed over, if this node leads the directory, owners have changed, and nothing moves any
// more. ring.Lead decides; one hand-over ends before the next is thought of.
func (n *Node) evenLeaders() {
	e := &n.even
	r := n.host.Replica(0)
	if r == nil || !r.Leads() {
		e.nodes, e.companies = 0, 0
		e.due.Store(false)
		return
	}
	d := n.directory.Load()
	nodes, companies := len(d.Present()), len(d.Companies)
	news := e.nodes > 0 && (nodes != e.nodes || companies != e.companies)
	e.nodes, e.companies = nodes, companies
	if news || slices.ContainsFunc(d.Companies, func(c message.Company) bool { return c.Changing() }) {
		e.due.Store(true)
		e.calm = 0
	}
	if n.unsettled() {
		e.calm = 0
	}
	if e.calm++; e.calm < evenAfter || !e.due.Load() || !e.running.CompareAndSwap(false, true) {
		return
	}
	started := n.spawn(func() {
		defer e.running.Store(false)
		ctx, cancel := context.WithTimeout(n.ctx, evenTime)
		defer cancel()
		all, ok := n.leadership(ctx, d)
		if !ok {
			return // somebody is being elected: later
		}
		c, to, ok := ring.Lead(all)
		if !ok {
			e.due.Store(false)
			return
		}
		if !n.caughtUp(ctx, d.Company(c), to) {
			return
		}
		if err := n.heap.Lead(ctx, c, to); err != nil && n.ctx.Err() == nil {
			n.cfg.Log.Warn("spread leadership", "company", c, "to", to, "error", err)
			select {
			case <-time.After(evenAgain):
			case <-n.ctx.Done():
			}
		}
	})
	if !started {
		e.running.Store(false)
	}
}

// leadership says who leads which company of the heap, and who may; false where one has no leader.
func (n *Node) leadership(ctx context.Context, d *message.Directory) (all []ring.Led, ok bool) {
	companies, err := n.heap.Companies(ctx)
	if err != nil {
		return nil, false
	}
	for _, x := range companies {
		if x.ID == 0 {
			continue
		}
		if x.Leader == nil || d.Company(x.ID) == nil {
			return nil, false
		}
		led := ring.Led{Company: x.ID, Leader: *x.Leader}
		for _, o := range d.Company(x.ID).Owners {
			node := d.Node(o.Node)
			if !o.Joining && !o.Leaving && node != nil && !node.Leaving && !n.away(o.Node) {
				led.May = append(led.May, o.Node)
			}
		}
		all = append(all, led)
	}
	return all, true
}

// caughtUp says whether a node's replica of a company has applied what the others have: a hand-over to one that lags
// would leave the company without a leader for as long.
func (n *Node) caughtUp(ctx context.Context, c *message.Company, node message.NodeID) bool {
	var its, most uint64
	for _, o := range c.Owners {
		applied := n.heap.Applied(ctx, o.Node, c.ID, o.Replica)
		if o.Node == node {
			its = applied
		} else {
			most = max(most, applied)
		}
	}
	return its+lagMost >= most
}

// mayLead says whether who is to lead next has applied what the leader has, and the change of members by which it has
// got its vote. Who does not know of its vote lets the leader's word pass, and the company takes nothing on until the
// leader gives up waiting.
func (n *Node) mayLead(ctx context.Context, company message.CompanyID, s owner.Step, applied, order uint64) bool {
	return readyToLead(n.heap.Replica(ctx, s.Node, company, s.Replica), applied, order)
}

func readyToLead(heir message.ReplicaStatus, applied, order uint64) bool {
	return heir.Replica != 0 && heir.Applied+lagMost >= applied && (heir.Members >= order || heir.Members == 0) // 0: a version that does not say
}

// lagMost is how many entries a replica may be behind others that were asked at another moment, under load.
const lagMost = 1000
