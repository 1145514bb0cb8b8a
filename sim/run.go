package sim

import (
	"fmt"

	"dmalloc/message"
)

// Run plays one history: a calm beginning, trouble, and calm, in which everything must come to an end and is
// then judged. A history that fails is played again for its story.
func Run(c Config) Result {
	r := play(c)
	if r.Failed() && !c.Tell {
		c.Tell = true
		again := play(c)
		again.Config.Tell = false
		return again
	}
	return r
}

func play(c Config) Result {
	w := newWorld(c)
	w.act()
	for _, stop := range w.paused {
		stop()
	}
	if w.failure == nil {
		w.judge()
	}
	r := Result{Config: c, Operations: w.ops, Unknown: w.unknown, Events: w.events, Hash: w.hash, Deeds: w.deeds}
	if f := w.failure; f != nil {
		r.Check, r.Err = f.check, message.Errorf(message.Internal, "%s: %s; play it again with the same numbers", f.check, f.text)
	}
	if c.Tell {
		r.Story = w.story()
	}
	return r
}

// act plays everything but the judge.
func (w *world) act() {
	if !w.share() || !w.until(max(calmUntil, w.now)) {
		w.stuck("the shared allocations are not made")
		return
	}
	w.calm = false
	for i := range w.cfg.Clients {
		w.hire(fmt.Sprintf("client %d", i+1), w.cfg.Ops).workSoon()
	}
	w.in(w.dice.Int64N(100), w.trouble)
	if !w.until(troubleUntil) {
		w.stuck("time does not go on")
		return
	}
	w.heal()
	if !w.run(w.idle) {
		w.stuck("clients do not come to an end")
		return
	}
	if !w.run(w.settled) {
		w.stuck("the cluster does not come to rest: " + w.restless())
		return
	}
	w.audit()
}

func (w *world) idle() bool {
	for _, c := range w.clients {
		if c.left > 0 || c.busy {
			return false
		}
	}
	return true
}

// stuck is S8, unless something else was wrong before.
func (w *world) stuck(what string) { w.fail("S8", "", "%s", what) }

// restless says what is still under way.
func (w *world) restless() string {
	d := w.directory()
	if len(d.Registers.Next) > 0 {
		return fmt.Sprintf("the registers' members are changing from %v to %v in epoch %d", d.Registers.Members, d.Registers.Next, d.Registers.Epoch)
	}
	for i, g := range w.groups {
		for _, o := range d.Companies[i].Owners {
			if o.Joining {
				return fmt.Sprintf("replica %d on node %s is joining company %d", o.Replica, o.Node, i)
			}
		}
		for _, o := range g.owners {
			if o.over() {
				continue
			}
			if o.applied < g.length() {
				return fmt.Sprintf("node %s has applied %d of %d entries of company %d", o.n.id, o.applied, g.length(), i)
			}
			if o.heap != nil && len(o.heap.Pending()) > 0 {
				return fmt.Sprintf("company %d has an unfinished transaction on node %s: %v", i, o.n.id, o.heap.Pending()[0])
			}
		}
	}
	if c := w.next(d, 0); c.Op != message.NONE {
		return fmt.Sprintf("the directory wants %s: %v", c.Op, c)
	}
	return "something is on its way"
}
