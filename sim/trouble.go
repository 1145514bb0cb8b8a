package sim

import (
	"slices"

	"dmalloc/message"
	"dmalloc/register"
)

// trouble breaks something, has it mended later, and comes again.
func (w *world) trouble() {
	if w.calm {
		return
	}
	w.in(10+w.dice.Int64N(160), w.trouble)
	n := w.nodes[w.dice.IntN(len(w.nodes))]
	long := 20 + w.dice.Int64N(400)
	if w.faults&Replace != 0 && w.odds(4) {
		long += 900
	}
	switch w.dice.IntN(10) {
	case 0:
		if w.has(Crash) && n.up {
			n.crash(long)
		}
	case 1:
		if w.has(Power) && w.odds(3) {
			w.say("", "the power fails")
			for _, n := range w.nodes {
				if n.up {
					n.crash(long + w.dice.Int64N(50))
				}
			}
		}
	case 2:
		if w.has(Pause) && n.up && !n.frozen {
			n.freeze(long)
		}
	case 3:
		if w.has(Cut) && n.up && !n.cutOff {
			n.isolate(long)
		}
	case 4:
		if w.has(Disk) && n.up && w.mayLose(n) {
			w.say("", "node %s loses its disk", n.id)
			n.lose()
		}
	case 5:
		if w.has(Members) {
			w.change()
		}
	case 8:
		if w.has(Join) && len(w.nodes) < 8 {
			w.join()
		}
	case 9:
		if w.has(Leave) {
			w.dismiss(n)
		}
	default:
		if w.has(Death) && w.odds(2) {
			w.clients[w.dice.IntN(len(w.clients))].die()
		}
	}
}

func (n *node) crash(long int64) {
	w := n.w
	w.mix(7, uint64(w.now), uint64(n.id))
	w.say("", "node %s crashes", n.id)
	n.stop()
	run := n.run
	w.in(long, func() {
		if n.run == run {
			n.revive()
		}
	})
}

func (n *node) revive() {
	if !n.up && !n.retiring && !n.coming && !n.gone() {
		n.w.say("", "node %s starts again", n.id)
		n.start()
	}
}

func (n *node) freeze(long int64) {
	n.w.say("", "node %s freezes", n.id)
	n.frozen, n.frozenAt = true, n.w.now
	run := n.run
	n.w.in(long, func() {
		if n.run == run {
			n.thaw()
		}
	})
}

// thaw has all happen that came meanwhile, in any order: timers and messages race.
func (n *node) thaw() {
	if !n.frozen {
		return
	}
	n.w.say("", "node %s goes on", n.id)
	n.frozen = false
	n.stood += n.w.now - n.frozenAt
	held := n.held
	n.held = nil
	n.w.dice.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
	for _, do := range held {
		do()
	}
}

func (n *node) isolate(long int64) {
	n.w.say("", "node %s is cut off from the others", n.id)
	n.cutOff = true
	n.w.in(long, n.rejoin)
}

func (n *node) rejoin() {
	if n.cutOff {
		n.w.say("", "node %s reaches the others again", n.id)
		n.cutOff = false
	}
}

// heal ends all trouble.
func (w *world) heal() {
	w.say("", "all faults end")
	w.calm = true
	for _, n := range w.nodes {
		n.rejoin()
		n.thaw()
		n.revive()
	}
}

// mayLose says whether the promises hold without this disk: a majority of each company's voters stays, of a
// register's old replicas as many as meet every quorum, of its new ones a quorum.
func (w *world) mayLose(n *node) bool {
	for _, o := range n.owners {
		if o.lost {
			continue
		}
		dead, all := o.g.deadVoters()
		if o.voting {
			dead++
		}
		if all-dead <= all/2 {
			return false
		}
	}
	// A company may be founded before the directory knows of a lost disk: of its founders one may be missing.
	if n.gone() || w.faults&Join != 0 && (w.plan.Settings.Replicas < 3 || slices.ContainsFunc(w.nodes, func(x *node) bool { return x.retiring })) {
		return false
	}
	c := w.directory().Registers
	for i := range registers {
		groups := w.where(c, registerAt(i))
		for k, g := range groups {
			need := register.Meets(len(g))
			if k > 0 {
				need = register.Quorum(len(g))
			}
			if w.left(g, n) < need {
				return false
			}
		}
	}
	return true
}

// left is how many of a group would still have their disks without a node's.
func (w *world) left(group []message.Member, without *node) (count int) {
	for _, x := range group {
		if n := w.nodes[x.Node]; n != without && n.incarnation == x.Incarnation {
			count++
		}
	}
	return count
}

// settled says whether nothing is under way that the cluster does by itself.
func (w *world) settled() bool {
	d := w.directory()
	if len(d.Registers.Next) > 0 {
		return false
	}
	for i, g := range w.groups {
		if slices.ContainsFunc(d.Companies[i].Owners, func(o message.Owner) bool { return o.Joining }) {
			return false
		}
		for _, o := range g.owners {
			if o.over() {
				continue
			}
			if !o.up() || o.applied < g.length() || len(o.queue)+len(o.flying) > 0 || o.heap != nil && len(o.heap.Pending()) > 0 {
				return false
			}
		}
	}
	return !slices.ContainsFunc(w.nodes, func(n *node) bool { return !n.gone() && (n.retiring || !n.up) }) && w.complete()
}

// complete says whether the directory is as it should be.
func (w *world) complete() bool {
	return !w.growing() || w.next(w.directory(), 0).Op == message.NONE
}
