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

// takeAgain is how long a replica that could not be started waits for the next attempt.
const takeAgain = time.Second

// memberTime is how long a company is asked whether it counts a replica.
const memberTime = 2 * time.Second

// seatID names a replica.
type seatID struct {
	company message.CompanyID
	replica uint64
}

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
			id := seatID{c.ID, o.Replica}
			if o.Node != n.cfg.ID || o.Replica <= n.identity.Dropped[c.ID] || time.Since(n.failed[id]) < takeAgain {
				continue
			}
			delete(n.failed, id)
			if err := n.takeSeat(c, o); err != nil {
				n.failed[id] = time.Now()
				n.cfg.Log.Error("join a company", "company", c.ID, "replica", o.Replica, "error", err)
			}
		}
	}
}

// takeSeat starts a replica, unless one of its company runs here. One that could not be started, or of which it could
// not be kept that it was, is tried again after a while: its company waits for it.
func (n *Node) takeSeat(c *message.Company, o message.Owner) error {
	row := n.identity.find(c.ID, o.Replica)
	if r := n.host.Replica(c.ID); r != nil {
		if row != nil && r.Replica == o.Replica {
			return n.begun(c.ID, o.Replica)
		}
		return nil
	}
	if slices.ContainsFunc(n.identity.Replicas, func(k kept) bool { return k.Company == c.ID && k.Replica != o.Replica }) {
		return nil // that one is to be deleted first: Dragonboat ends the process where two of a group meet
	}
	seat := owner.Seat{Company: c.ID, Generation: c.Generation, Replica: o.Replica}
	founder := n.founder(c)
	switch {
	case row != nil && (row.Removed || row.Started):
		return nil
	case founder != nil && founder.Replica == o.Replica:
		seat.Voting, seat.Founders, seat.Seeded = true, c.Founders, founder.From != 0
		if seat.Seeded && !n.canBegin(c.ID, o.Replica) {
			return nil
		}
		n.prefer[c.ID] = true
		return n.seat(seat)
	case o.Joining:
		seat.Join = true
		return n.seat(seat)
	}
	return nil
}

// dropSeats ends replicas that this node has, the directory does not list, and their companies do not count: they were
// removed, also while this node was away.
func (n *Node) dropSeats(d *message.Directory) {
	var ask []seatID
	for _, k := range slices.Clone(n.identity.Replicas) {
		if !k.Removed && !unlisted(d, k) {
			continue
		}
		// Nobody leads what a company was before it began anew, so nobody is asked then.
		c := d.Company(k.Company)
		over := c != nil && k.Generation < c.Generation
		if s := (seatID{k.Company, k.Replica}); !k.Removed && !over && !n.free[s] {
			ask = append(ask, s)
			continue
		}
		if !n.saved(c, k) {
			continue
		}
		if err := n.drop(k); err != nil {
			n.cfg.Log.Warn("leave a company", "company", k.Company, "replica", k.Replica, "error", err)
		}
	}
	n.askLeave(ask)
}

// unlisted says whether the directory had a replica and does not list it any more. Ids are given once, so it never comes
// back. One that the directory does not know yet is left alone: then it is the directory here that is old.
func unlisted(d *message.Directory, k kept) bool {
	c := d.Company(k.Company)
	return c != nil && k.Replica < c.Next && c.Owner(k.Replica) == nil
}

// askLeave asks the companies of these replicas whether they count them. To delete one that has a vote could cost the
// company its majority or what it acknowledged, so the directory's word alone is not enough. A company without a
// leader does not answer, and what it may need is kept.
func (n *Node) askLeave(ask []seatID) {
	if len(ask) == 0 || !n.asking.CompareAndSwap(false, true) {
		return
	}
	started := n.spawn(func() {
		defer n.asking.Store(false)
		for _, s := range ask {
			ctx, cancel := context.WithTimeout(n.ctx, memberTime)
			member, err := n.heap.Member(ctx, s.company, s.replica)
			cancel()
			if err == nil && !member {
				n.seatMu.Lock()
				n.free[s] = true
				n.seatMu.Unlock()
			}
		}
	})
	if !started {
		n.asking.Store(false)
	}
}

// answerMember says whether the company counts a replica, as a majority has it.
func answerMember(n *Node, m *message.Message, reply func(*message.Message)) {
	r := n.host.Replica(m.Company)
	if r == nil {
		n.elsewhere(m, reply)
		return
	}
	if !r.Leads() || !n.current(r) {
		reply(r.NotLeader(m))
		return
	}
	n.query(m, reply, memberTime, func(ctx context.Context) (any, error) { return r.Counts(ctx, m.Value) })
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
	if err := n.host.Drop(ctx, k.Company, k.Generation, k.Replica); err != nil {
		return err
	}
	if err := n.host.RemoveSeed(k.Company, k.Replica); err != nil {
		return err
	}
	n.identity.dropped(k.Company, k.Replica)
	delete(n.free, seatID{k.Company, k.Replica})
	return n.identity.save(n.cfg.Dir)
}

// leaving are the replicas whose deletion has begun.
func (id *identity) leaving() (all []owner.Seat) {
	for _, k := range id.Replicas {
		if k.Removed {
			all = append(all, owner.Seat{Company: k.Company, Generation: k.Generation, Replica: k.Replica})
		}
	}
	return all
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
