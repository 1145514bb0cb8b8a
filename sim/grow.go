package sim

import (
	"maps"
	"slices"

	"dmalloc/message"
	plan "dmalloc/owner"
	"dmalloc/ring"
)

const (
	suspectAfter = 30  // milliseconds without a sign of life: nothing is removed
	deadAfter    = 60  // believed dead
	replaceAfter = 300 // others take its place
)

// growing says whether nodes come, go, or are replaced in this history.
func (w *world) growing() bool { return w.faults&(Join|Leave|Replace) != 0 }

// silent is for how long a node has given no sign of life.
func (n *node) silent() int64 {
	if n.up {
		return 0
	}
	return n.w.now - n.downAt
}

// grown makes the nodes and companies that are new in the directory.
func (w *world) grown() {
	d := w.directory()
	for len(w.nodes) < len(d.Nodes) {
		n := newNode(w, message.NodeID(len(w.nodes)))
		n.dir, n.downAt, n.coming = d, w.now, true
		n.keeper = newKeeper(n, message.Member{Node: n.id}, message.Registers{})
		w.nodes = append(w.nodes, n)
	}
	for i := len(w.groups); i < len(d.Companies); i++ {
		c := d.Companies[i]
		c.Capacity = 0 // its own log sets it
		g := newGroup(w, &c)
		w.groups = append(w.groups, g)
		w.did(founded)
		for _, o := range g.owners {
			if o.n.incarnation != d.Node(o.n.id).Incarnation { // its disk is lost, and the directory does not know yet
				o.lost = true
			} else if o.n.up {
				o.start()
			}
		}
	}
}

// join takes another node in.
func (w *world) join() {
	w.keys++
	m := message.New(message.ADMIT)
	m.Data = message.JSON(message.Node{Key: w.keys, Address: "there"})
	w.admin.do(0, m, forEver, func(a *message.Message, _ bool) {
		if a.Status == message.NoSuchNode {
			return // it was dismissed, and has left, before anybody heard that it had been admitted
		}
		if a.Status != message.Done {
			w.fail("S9", "", "the directory refuses a node: %s", a.Text)
			return
		}
		n := w.nodes[a.Value]
		w.in(1+w.dice.Int64N(60), func() {
			n.coming = false
			n.revive()
			w.did(joined)
		})
	})
}

// dismiss has a node leave, if enough stay.
func (w *world) dismiss(n *node) {
	if w.dismissing {
		return
	}
	stay := 0
	for _, x := range w.directory().Nodes {
		if !x.Leaving && !x.Gone && x.ID != n.id {
			stay++
		}
	}
	if stay < 3 || w.directory().Nodes[n.id].Leaving {
		return
	}
	w.say("", "the admin dismisses node %s", n.id)
	w.dismissing = true
	m := message.New(message.DISMISS)
	m.Value = uint64(n.id)
	w.admin.do(0, m, forEver, func(a *message.Message, _ bool) {
		w.dismissing = false
		if a.Status != message.Done {
			w.fail("S9", "", "the directory refuses to dismiss node %s: %s", n.id, a.Text)
		}
	})
}

// gone says whether the directory has said that the node is gone for good.
func (n *node) gone() bool { return n.w.directory().Nodes[n.id].Gone }

// leaves ends a process that the directory needs no more.
func (n *node) leaves() {
	if n.up {
		n.w.did(departed)
		n.w.say("", "node %s leaves for good", n.id)
		n.stop()
		for _, o := range n.owners {
			o.lost = true
		}
	}
}

// plans has the directory's leader propose the next change.
func (n *node) plans(o *owner) {
	w := n.w
	if !w.growing() || n.planning {
		return
	}
	dead := uint64(0)
	for _, x := range w.nodes {
		if w.faults&Replace != 0 && x.silent() >= replaceAfter {
			dead |= 1 << x.id
		}
	}
	c := w.next(o.dir.Current(), dead)
	m := message.New(c.Op)
	switch c.Op {
	case message.NONE:
		return
	case message.MOVE:
		m.Data = message.JSON(c.Move)
	case message.FOUND:
		m.Data = message.JSON(c.Company)
	case message.GONE:
		m.Value = uint64(c.Node)
	case message.REGCHANGE:
		m.Data, m.Value, m.Size = message.JSON(c.Nodes), 1, c.Epoch
	}
	if w.cfg.Tell {
		w.say("", "node %s, which leads the directory, plans %s %s%d", n.id, c.Op, m.Data, m.Value)
	}
	n.planning = true
	n.self.do(0, m, attemptLong, func(a *message.Message, _ bool) {
		n.planning = false
		if a != nil && a.Status == message.Done && c.Op == message.MOVE {
			w.did(migrated)
		}
	})
}

// next is ring.Next, of which the last answer is remembered: it is asked far more often than the directory changes.
func (w *world) next(d *message.Directory, dead uint64) ring.Change {
	if w.nextOf != d || w.nextDead != dead {
		w.nextOf, w.nextDead = d, dead
		w.nextIs = ring.Next(d, func(id message.NodeID) bool { return dead&(1<<id) != 0 })
	}
	return w.nextIs
}

// sizes brings a company's capacity to what the directory says.
func (o *owner) sizes() {
	c := o.n.dir.Company(o.g.id)
	if !o.g.w.growing() || c == nil || o.heap.Sized(c.Capacity) == o.heap.Status().Capacity {
		return
	}
	m := message.New(message.CAPACITY)
	m.Company, m.Value = o.g.id, c.Capacity
	o.handle(waiting{m, func(*message.Message) {}})
}

// members is what Raft has of a group.
func (g *group) members() plan.Members {
	m := plan.Members{Voting: map[uint64]message.NodeID{}, Joining: map[uint64]message.NodeID{}, Gone: map[uint64]bool{}, Lost: map[uint64]bool{}}
	for _, o := range g.owners {
		if o.voting {
			m.Voting[o.replica], m.Lost[o.replica] = o.n.id, o.lost
		}
	}
	for _, s := range g.joining {
		m.Joining[s.Replica] = s.Node
	}
	for _, r := range g.gone {
		m.Gone[r] = true
	}
	return m
}

func (g *group) replica(id uint64) *owner {
	for _, o := range g.owners {
		if o.replica == id {
			return o
		}
	}
	return nil
}

// mend brings a company that is led here nearer to what the directory wants, by owner.Plan. Each change of members is
// an entry of Raft's, which the group stands for: it is there at once, if there is a majority.
func (o *owner) mend() {
	g, w := o.g, o.g.w
	c := o.n.dir.Company(g.id)
	if c == nil || !c.Changing() {
		return
	}
	for _, x := range c.Owners {
		if s := w.nodes[x.Node].silent(); s >= suspectAfter && s < deadAfter {
			return
		}
	}
	for g.leader == o && g.majority() && o.mine {
		s := plan.Plan(c, g.members(), o.replica, func(replica uint64) bool {
			x := g.replica(replica)
			return x != nil && x.up() && x.applied >= o.applied
		}, func(id message.NodeID) bool { return w.nodes[id].silent() >= deadAfter })
		if w.cfg.Tell && s.Kind != plan.Wait && s.Kind != plan.Settled {
			w.say("", "node %s, which leads company %s: step %d of replica %d on node %s", o.n.id, g.id, s.Kind, s.Replica, s.Node)
		}
		switch s.Kind {
		case plan.Join:
			g.joining = append(g.joining, s)
		case plan.Promote:
			g.unjoin(s.Replica)
			g.replica(s.Replica).voting = true
		case plan.Remove:
			g.remove(s.Replica)
		case plan.Handover:
			g.lead(g.replica(s.Replica))
			return
		case plan.Record, plan.Forget:
			m := message.New(message.REPLACE)
			move := message.Move{Company: g.id, Node: s.Node, Replica: s.Replica, Voters: slices.Sorted(maps.Keys(g.members().Voting))}
			if s.Kind == plan.Forget {
				move.Node = message.NoNode
			} else {
				w.did(replaced)
			}
			m.Data = message.JSON(move)
			o.n.self.do(0, m, attemptLong, func(*message.Message, bool) {})
			return
		default:
			return
		}
	}
}

func (g *group) unjoin(replica uint64) {
	g.joining = slices.DeleteFunc(g.joining, func(s plan.Step) bool { return s.Replica == replica })
}

// remove takes a replica out of Raft for ever. It is not told.
func (g *group) remove(replica uint64) {
	g.unjoin(replica)
	g.gone = append(g.gone, replica)
	if o := g.replica(replica); o != nil {
		o.voting, o.removed = false, true
		if !o.lost {
			g.w.did(removed)
		}
	}
	live := 0
	all := 0
	for _, o := range g.owners {
		if o.voting {
			all++
			if !o.lost {
				live++
			}
		}
	}
	if live <= all/2 {
		g.w.fail("S12", "", "company %s: only %d of its %d voters have their disks after replica %d was removed", g.id, live, all, replica)
	}
}

// follows says whether Raft sends the log to an owner.
func (o *owner) follows() bool {
	return o.voting || slices.ContainsFunc(o.g.joining, func(s plan.Step) bool { return s.Replica == o.replica })
}

// takeSeats starts the replicas that the directory gives this incarnation, and ends those that it does not list any
// more.
func (n *node) takeSeats() {
	me := n.dir.Node(n.id)
	if me.Incarnation != n.incarnation {
		return
	}
	if me.Leaving && n.holder != nil {
		n.holder.releaseAll()
	}
	for _, o := range n.owners {
		if c := n.dir.Company(o.g.id); !o.lost && c != nil && o.replica < c.Next && c.Owner(o.replica) == nil {
			n.w.say("", "node %s drops replica %d of company %s", n.id, o.replica, o.g.id)
			o.stop()
			o.lost = true
		}
	}
	for i := range n.dir.Companies {
		for _, seat := range n.dir.Companies[i].Owners {
			if seat.Node != n.id || !seat.Joining || i >= len(n.w.groups) || n.w.groups[i].seat(n.id) != nil || n.w.groups[i].replica(seat.Replica) != nil {
				continue
			}
			o := newOwner(n.w.groups[i], n, seat.Replica)
			o.removed = slices.Contains(o.g.gone, o.replica) // before it came: the attempt was given up
			o.g.owners = append(o.g.owners, o)
			o.start()
			n.w.say("", "node %s joins company %d as replica %d", n.id, i, seat.Replica)
		}
	}
}

// over says whether an owner is none any more: its disk is lost, it was removed, or nobody counts it and the
// directory has forgotten it, which its node may not know yet.
func (o *owner) over() bool {
	return o.lost || o.removed || !o.follows() && o.g.w.directory().Company(o.g.id).Owner(o.replica) == nil
}
