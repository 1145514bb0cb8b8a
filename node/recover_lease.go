package node

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"dmalloc/member"
	"dmalloc/message"
	"dmalloc/owner"
)

// Leases, and what was written under them, may be among what a company loses that begins anew. It does not know those,
// and their holders go on reading their copies. So holders give all leases up when they hear of a new generation, and
// its founder does nothing before every node has heard of it that can: those whose process has ended, or that the failure
// detector has for dead, are not waited for, and no lease lasts for longer than unheardOf.

// unheardOf is how long a founder waits at most: a lease's longest time, and what clocks may go wrong by.
const unheardOf = message.MaxLease * time.Millisecond * 102 / 100

// cryTime is how long one tick spends on that.
const cryTime = time.Second

// neverHeard is after how long a node that the failure detector has not heard of since this one started counts as dead.
const neverHeard = 3 * time.Second

// ended says whether a node need not be waited for: whoever started its process says that it has ended, or the failure
// detector that it is dead.
func (n *Node) ended(id message.NodeID, since time.Time) bool {
	switch n.members.State(id) {
	case member.Dead:
		return true
	case member.Unknown:
		return n.transport.Down(id) || time.Since(since) >= neverHeard
	}
	return n.transport.Down(id)
}

// outgrow gives up what this node has leased of companies that have begun anew.
func (h *holder) outgrow(d *message.Directory) {
	for i := range d.Companies {
		c := &d.Companies[i]
		known := &h.generation[c.ID]
		for old := known.Load(); old < c.Generation; old = known.Load() {
			h.tell(h.cache.Outgrow(c.ID, owner.FirstIndex(c.Generation)))
			known.CompareAndSwap(old, c.Generation)
			h.change()
		}
	}
}

// unheard are the generations that began here and of which not everybody has heard, by company.
type unheard struct {
	mu    sync.Mutex // guards since
	since map[seatID]time.Time
}

func (u *unheard) begin(id message.CompanyID, replica uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.since == nil {
		u.since = map[seatID]time.Time{}
	}
	u.since[seatID{id, replica}] = time.Now()
}

func (u *unheard) end(r *owner.Replica) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.since, seatID{r.ID, r.Replica})
}

func (u *unheard) of(r *owner.Replica) (since time.Time, is bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	since, is = u.since[seatID{r.ID, r.Replica}]
	return since, is
}

// cry asks all nodes that live whether they have heard of a generation that began here.
func (n *Node) cry(r *owner.Replica) {
	since, is := n.unheard.of(r)
	if !is {
		return
	}
	d := n.directory.Load()
	ctx, cancel := context.WithTimeout(n.ctx, cryTime)
	defer cancel()
	heard := make([]bool, len(d.Nodes))
	for {
		var asking sync.WaitGroup
		for i, x := range d.Nodes {
			if x.Gone || x.ID == n.cfg.ID || n.ended(x.ID, since) {
				heard[i] = true
			} else if !heard[i] {
				asking.Go(func() { heard[i] = n.heap.Knows(ctx, x.ID, d) })
			}
		}
		asking.Wait()
		if !slices.Contains(heard, false) || time.Since(since) >= unheardOf {
			n.unheard.end(r)
			return
		}
		select {
		case <-time.After(watchBusy): // who was asked has begun to ask for the directory
		case <-ctx.Done():
			return
		}
	}
}

// quiet refuses what is asked of a generation of which not everybody has heard.
func (n *Node) quiet(r *owner.Replica, m *message.Message, reply func(*message.Message)) bool {
	if r.Generation == 0 {
		return false
	}
	if _, is := n.unheard.of(r); !is {
		return false
	}
	reply(m.Answer(message.NotLeader, fmt.Sprintf("company %s has begun anew on node %s, and not all nodes have heard of it that may read what they leased; ask again", m.Company, n.cfg.ID)))
	return true
}
