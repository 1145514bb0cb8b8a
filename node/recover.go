package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"dmalloc/message"
	"dmalloc/owner"
)

// founder is this node among those with whom a company began, nil if it is none of them.
func (n *Node) founder(c *message.Company) *message.Founder {
	i := slices.IndexFunc(c.Founders, func(f message.Founder) bool {
		return f.Node == n.cfg.ID && f.Incarnation == n.cfg.Incarnation
	})
	if i < 0 {
		return nil
	}
	return &c.Founders[i]
}

// saved says whether a replica that is to be deleted may be: where the company begins anew from it, what it holds is
// kept first. One whose deletion has begun was kept before.
func (n *Node) saved(c *message.Company, k kept) bool {
	if c == nil || k.Removed {
		return true
	}
	f := n.founder(c)
	if f == nil || f.From != k.Replica || c.Owner(f.Replica) == nil || n.identity.find(c.ID, f.Replica) != nil {
		return true
	}
	if err := n.host.WriteSeed(c.ID, f.Replica); err != nil {
		n.cfg.Log.Error("keep what a company begins anew from", "company", c.ID, "replica", k.Replica, "error", err)
		return false
	}
	n.cfg.Log.Info("company begins anew", "company", c.ID, "generation", c.Generation, "replica", f.Replica, "from", k.Replica)
	return true
}

// canBegin says whether the founder of a later generation may start: what the replica held that it takes the place
// of is kept. Without that it would begin with nothing.
func (n *Node) canBegin(id message.CompanyID, replica uint64) bool {
	if !n.host.HasSeed(id, replica) {
		n.cfg.Log.Error("a company cannot begin anew: what it shall begin from is not here", "company", id, "replica", replica)
		return false
	}
	return true
}

// sealed says whether others may join a company that is led here: nothing of it is in a seed only.
func (n *Node) sealed(r *owner.Replica) bool {
	n.seatMu.Lock()
	k := n.identity.find(r.ID, r.Replica)
	seeded := k != nil && k.Seeded
	n.seatMu.Unlock()
	if !seeded {
		return true
	}
	ctx, cancel := context.WithTimeout(n.ctx, time.Minute) // a snapshot of all that the company holds
	defer cancel()
	err := r.Seal(ctx)
	if err == nil {
		err = n.unseed(r)
	}
	if err != nil && n.ctx.Err() == nil {
		n.cfg.Log.Warn("take the first snapshot of a company that began anew", "company", r.ID, "error", err)
	}
	return err == nil
}

// unseed deletes a seed that a snapshot holds. That it is not needed is kept first: a start would miss it.
func (n *Node) unseed(r *owner.Replica) error {
	n.seatMu.Lock()
	defer n.seatMu.Unlock()
	k := n.identity.find(r.ID, r.Replica)
	if k == nil {
		return nil
	}
	k.Seeded = false
	if err := n.identity.save(n.cfg.Dir); err != nil {
		k.Seeded = true
		return err
	}
	return n.host.RemoveSeed(r.ID, r.Replica)
}

// current says whether a replica here may act for its company. While this node was down the company may have begun
// anew without it; two or three such nodes that come back together are a majority of what it was, elect a leader, and
// would serve a company that has gone on elsewhere. So nobody acts who has not seen a directory that knows of this
// very start: whatever was decided before the start is in it. The directory's own replicas are asked for that, and
// are never replaced in this way.
func (n *Node) current(r *owner.Replica) bool {
	if r.ID == 0 {
		return true
	}
	c := n.directory.Load().Company(r.ID)
	return n.admitted() && c != nil && c.Generation <= r.Generation
}

// mine is this node's replica of a company that a request may be given to; nil where there is none, or where the
// refusal was sent.
func (n *Node) mine(m *message.Message, reply func(*message.Message)) *owner.Replica {
	r := n.host.Replica(m.Company)
	if r == nil || m.Company == 0 {
		n.elsewhere(m, reply)
		return nil
	}
	if !n.current(r) {
		reply(m.Answer(message.NotLeader, fmt.Sprintf("node %s has started and does not know yet whether company %s is still its own; the directory has to say, which needs a majority of its owners", n.cfg.ID, m.Company)))
		return nil
	}
	if n.quiet(r, m, reply) {
		return nil
	}
	return r
}

// awaitSight waits until this node has seen a directory that knows of its start.
func (n *Node) awaitSight(ctx context.Context) {
	for !n.admitted() {
		select {
		case <-time.After(watchBusy):
		case <-ctx.Done():
			return
		}
	}
}
