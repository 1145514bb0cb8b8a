package node

import (
	"context"
	"slices"
	"time"

	"dmalloc/message"
	"dmalloc/owner"
)

// dropTime is how long deleting a replica may take before it is tried again at the next tick.
const dropTime = 3 * time.Second

// takeSeats starts the replicas that the directory gives this incarnation of this node, and ends those that it does
// not list any more.
func (n *Node) takeSeats() {
	n.seatMu.Lock()
	defer n.seatMu.Unlock()
	d := n.directory.Load()
	me := d.Node(n.cfg.ID)
	if me == nil || me.Incarnation != n.cfg.Incarnation {
		return
	}
	n.dropSeats(d)
	for i := range d.Companies {
		c := &d.Companies[i]
		n.host.Know(c.ID, c.Owners)
		for _, o := range c.Owners {
			if o.Node != n.cfg.ID || n.identity.find(c.ID, o.Replica) != nil || n.host.Replica(c.ID) != nil {
				continue
			}
			seat := owner.Seat{Company: c.ID, Replica: o.Replica, Join: true}
			founder := message.Founder{Node: n.cfg.ID, Replica: o.Replica, Incarnation: n.cfg.Incarnation}
			switch {
			case slices.Contains(c.Founders, founder):
				seat = owner.Seat{Company: c.ID, Replica: o.Replica, Voting: true, Founders: c.Founders}
				n.prefer[c.ID] = true
			case !o.Joining:
				continue
			}
			if err := n.seat(seat); err != nil {
				n.cfg.Log.Error("join a company", "company", c.ID, "replica", o.Replica, "error", err)
			}
		}
	}
}

// dropSeats ends replicas that this node has and the directory does not list: the company has removed them, also
// while this node was away. Ids are given once, so a replica that the directory had and does not have never comes
// back. One that it does not know yet is left alone: then it is the directory here that is old.
func (n *Node) dropSeats(d *message.Directory) {
	for _, k := range slices.Clone(n.identity.Replicas) {
		if c := d.Company(k.Company); !k.Removed && (c == nil || k.Replica >= c.Next || c.Owner(k.Replica) != nil) {
			continue
		}
		if err := n.drop(k); err != nil {
			n.cfg.Log.Warn("leave a company", "company", k.Company, "replica", k.Replica, "error", err)
		}
	}
}

// drop ends a replica and deletes its files. That it does is kept first, so that a start goes on with it.
func (n *Node) drop(k kept) error {
	if row := n.identity.find(k.Company, k.Replica); !row.Removed {
		row.Removed = true
		if err := n.identity.save(n.cfg.Dir); err != nil {
			return err
		}
	}
	if k.Company != 0 {
		n.table.Detach(k.Company)
	}
	ctx, cancel := context.WithTimeout(n.ctx, dropTime)
	defer cancel()
	if err := n.host.Drop(ctx, k.Company, k.Replica); err != nil {
		return err
	}
	n.identity.forget(k.Company, k.Replica)
	return n.identity.save(n.cfg.Dir)
}

// late says whether this node came after the cluster was made.
func (n *Node) late() bool { return int64(n.cfg.ID) >= int64(n.cfg.Settings.Nodes) }

// admitted says whether a node that came later is known to be there as it is now.
func (n *Node) admitted() bool {
	me := n.directory.Load().Node(n.cfg.ID)
	return me != nil && me.Boot == n.identity.Boot && me.Incarnation == n.cfg.Incarnation
}

// Left is closed when this node has left the cluster for good: it holds nothing, and its process may end.
func (n *Node) Left() <-chan struct{} { return n.left }
