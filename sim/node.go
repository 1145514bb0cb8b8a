package sim

import (
	"slices"

	"dmalloc/message"
)

// node is a process with its disk: the owners of its companies, a keeper of registers, and what it does
// unasked.
type node struct {
	w           *world
	id          message.NodeID
	incarnation uint64
	starts      uint64 // of this incarnation
	up          bool
	frozen      bool
	cutOff      bool
	held        []func() // what came while it was frozen
	owners      []*owner // also those that are over
	keeper      *keeper
	holder      *holder            // of leases; nil before the first
	drift       int64              // of its clock, in hundredths of a percent
	dir         *message.Directory // as this node knows it
	self        *session           // what it asks others in its own name
	mover       *mover
	run         int // how often it started or stopped
	downAt      int64
	frozenAt    int64
	stood       int64 // for how long it was frozen
	coming      bool  // it was admitted, and its process has not started yet
	planning    bool  // a change that it has planned is on its way to the directory
	retiring    bool  // its disk is lost, and the directory does not know its new incarnation yet
}

func newNode(w *world, id message.NodeID) *node {
	n := &node{w: w, id: id, dir: w.plan, drift: w.driftOf(id)}
	n.keeper = newKeeper(n, message.Member{Node: id}, w.plan.Registers)
	return n
}

// awake does something now, or when the node thaws.
func (n *node) awake(do func()) {
	if n.frozen {
		n.held = append(n.held, do)
		return
	}
	do()
}

// reach has something happen at a node if it lives when the message comes there.
func (w *world) reach(id message.NodeID, do func(n *node)) (twice bool) {
	n := w.nodes[id]
	return w.carry(func() {
		if n.up {
			run := n.run
			n.awake(func() {
				if n.run == run {
					do(n)
				}
			})
		}
	})
}

// later does something after a time unless the node stops before.
func (n *node) later(after int64, do func()) {
	run := n.run
	n.w.in(after, func() {
		n.awake(func() {
			if n.run == run && n.up {
				do()
			}
		})
	})
}

// start begins a run of the process, from what is on its disk.
func (n *node) start() {
	n.run++
	n.starts++
	n.up, n.frozen = true, false
	n.self = n.w.newSession("node " + n.id.String())
	n.mover, n.planning = nil, false
	for _, o := range n.owners {
		if !o.lost {
			o.start()
		}
	}
	n.learn(n.dir)
	n.announce()
	n.later(10+n.w.dice.Int64N(40), n.tick)
}

// stop ends it: what is in memory is gone.
func (n *node) stop() {
	n.run++
	n.up, n.frozen, n.held, n.downAt = false, false, nil, n.w.now
	n.self.close()
	for _, o := range n.owners {
		o.stop()
	}
	n.keeper.stop()
	if n.holder != nil {
		n.holder.die()
		n.holder = nil
	}
}

// announce tells the directory of the start, until it has heard.
func (n *node) announce() {
	m := message.New(message.BOOT)
	m.Data = message.JSON(message.Node{ID: n.id, Address: "there", Boot: n.starts, Incarnation: n.incarnation})
	n.self.do(0, m, forEver, func(a *message.Message, _ bool) {
		if a.Status == message.NoSuchNode && n.gone() {
			n.leaves()
		} else if a.Status != message.Done {
			n.w.fail("S9", "", "the directory refuses the start of node %s: %s", n.id, a.Text)
		}
	})
}

// learn takes in a newer directory.
func (n *node) learn(d *message.Directory) {
	if d.Epoch > n.dir.Epoch {
		n.dir = d
	}
	if n.dir.Node(n.id).Incarnation == n.incarnation {
		n.keeper.adopt(n.dir.Registers)
	}
	if n.dir.Node(n.id).Gone {
		n.later(0, n.leaves)
	}
}

// tick is what a node does unasked: it asks for the directory, takes the seats that it gives, mends the
// companies that it leads, and ends transactions whose coordinator went silent.
func (n *node) tick() {
	w := n.w
	n.later(45+w.dice.Int64N(20), n.tick)
	n.askDirectory()
	n.takeSeats()
	if n.holder != nil {
		n.holder.tick()
	}
	for _, o := range n.owners {
		switch {
		case !o.mine || !o.up():
		case o.g.id == 0:
			n.moveRegisters()
			o.mend()
			n.plans(o)
		default:
			o.settle()
			o.mend()
			o.sizes()
		}
	}
}

// askDirectory asks one that owns the directory for what it has applied.
func (n *node) askDirectory() {
	if n.w.growing() && n.w.odds(2) {
		n.w.reach(n.w.anyNode(), func(x *node) {
			d := x.dir
			n.w.reach(n.id, func(n *node) { n.learn(d) })
		})
		return
	}
	owners := n.w.groups[0].owners
	from := owners[n.w.dice.IntN(len(owners))]
	n.w.reach(from.n.id, func(*node) {
		if d := from.dir; d != nil {
			current := d.Current()
			n.w.reach(n.id, func(n *node) { n.learn(current) })
		}
	})
}

// lose takes the node's disk away. It comes back as another incarnation when the directory knows.
func (n *node) lose() {
	w := n.w
	n.stop()
	if w.cfg.planted == sameMember {
		n.keeper.forget()
		w.in(1+w.dice.Int64N(60), n.start)
		return
	}
	for _, o := range n.owners {
		o.lost, o.snapshot, o.dirSnapshot = true, nil, nil
	}
	n.incarnation++
	n.starts = 0
	n.retiring = true
	n.dir = w.directory()
	n.keeper = newKeeper(n, message.Member{Node: n.id, Incarnation: n.incarnation}, message.Registers{})
	m := message.New(message.RETIRE)
	m.Data = message.JSON(message.Node{ID: n.id, Incarnation: n.incarnation})
	w.admin.do(0, m, forEver, func(a *message.Message, _ bool) {
		if a.Status == message.NoSuchNode && n.gone() {
			n.retiring = false
			return
		}
		if a.Status != message.Done {
			w.fail("S9", "", "the directory refuses the new incarnation of node %s: %s", n.id, a.Text)
			return
		}
		w.in(1+w.dice.Int64N(60), func() {
			w.say("", "node %s starts as incarnation %d", n.id, n.incarnation)
			n.retiring = false
			n.start()
		})
	})
}

// change asks the directory to keep the registers elsewhere.
func (w *world) change() {
	var nodes []message.NodeID
	for _, n := range w.nodes {
		if w.odds(3) && !n.gone() {
			nodes = append(nodes, n.id)
		}
	}
	for len(nodes) < min(2, len(w.nodes)) {
		if id := w.anyNode(); !slices.Contains(nodes, id) {
			nodes = append(nodes, id)
		}
	}
	m := message.New(message.REGCHANGE)
	m.Data = message.JSON(nodes)
	if w.cfg.Tell {
		w.say(aboutRegisters, "the admin asks that nodes %v keep the registers", nodes)
	}
	w.admin.do(0, m, attemptLong, func(*message.Message, bool) {})
}

// anyNode is one that has not left.
func (w *world) anyNode() message.NodeID {
	for {
		if n := w.nodes[w.dice.IntN(len(w.nodes))]; !n.gone() {
			return n.id
		}
	}
}
