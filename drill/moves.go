package drill

import (
	"context"
	"slices"
	"time"

	"dmalloc/client"
	"dmalloc/message"
)

// calmLimit is how long what takes nodes out waits until the owners of companies are complete.
const calmLimit = 30 * time.Second

// moves says whether nodes come or go by the command, which takes as long as it takes.
func (c Command) moves() bool { return c.Verb == "node add" || c.Verb == "node remove" }

// stretch has the plan stand still for a while: what nodes that come and go take does not count.
func (p *player) stretch(most, by time.Duration) time.Duration {
	if p.times != nil {
		p.times.begin += by
	}
	if most > 0 {
		most += by
	}
	return most
}

// calm waits, where owners change, until a fault takes out no more owners than it should (S2, S3): the place of a
// dead owner is empty until another has caught up. A fault that throws files away must not come before.
func (p *player) calm(ctx context.Context, c Command, later []Step) error {
	if !p.moves || !c.takesOut() {
		return nil
	}
	damages := c.damages(later)
	ctx, cancel := context.WithTimeout(ctx, calmLimit)
	defer cancel()
	for {
		look, done := context.WithTimeout(ctx, lookLimit)
		companies, err := p.cluster.View.Companies(look)
		done()
		why := lacking(companies, len(p.state.Out(p.now())), damages)
		if err == nil && why == "" {
			return nil
		}
		if !wait(ctx, lookAgain) {
			break
		}
	}
	if damages {
		return message.Errorf(message.Unavailable, "the owners of the companies were not complete within %v, and without them a lost disk could lose data", calmLimit)
	}
	return nil
}

// takesOut says whether a command stops a node, or cuts it off.
func (c Command) takesOut() bool {
	return c.Verb == "kill" || c.Verb == "pause" || c.Verb == "partition" || c.Verb == "disk full"
}

// damages says whether a kill is followed by harm to the node's files.
func (c Command) damages(later []Step) bool {
	if c.Verb != "kill" {
		return false
	}
	for _, s := range later {
		if s.Command.ends() && s.Command.of(c.Who[0]) {
			return s.Command.Wipe || s.Command.Verb == "corrupt"
		}
	}
	return false
}

// of says whether a command is about a node that was named before.
func (c Command) of(w Who) bool {
	return len(c.Who) > 0 && c.Who[0].Victim == w.Victim && (w.Victim != 0 || c.Who[0].Node == w.Node)
}

// lacking says which company has fewer owners than it should have but for those that are out. A strict look
// forbids changes under way, too.
func lacking(companies []client.Company, out int, strict bool) string {
	for _, c := range companies {
		if c.Missing > out || strict && len(c.Moves) > 0 {
			return "company " + c.ID.String() + " lacks an owner"
		}
	}
	return ""
}

// refuse notes a command that must not be done.
func (p *player) refuse(c Command, err error) {
	p.failed[c.Who[0].Node] = true
	p.done = append(p.done, Done{At: p.now(), Until: p.now(), Command: c, Err: err})
}

// kind is what the command was in the end: a node that was dead for long was replaced.
func (d Done) kind(replaceAfter time.Duration) Kind {
	k := d.Command.Kind()
	if k == Kill && replaceAfter > 0 && d.Until-d.At > replaceAfter {
		return Replace
	}
	return k
}

// deadFor is how long the node of a kill, which is the first of some steps, will be dead; 0 if no end is there.
func deadFor(steps []Step) (d time.Duration) {
	c := steps[0].Command
	if c.For > 0 {
		return c.For
	}
	for _, s := range steps[1:] {
		d += s.After
		if s.Command.Verb == "revive" && s.Command.of(c.Who[0]) {
			return d
		}
	}
	return 0
}

// known follows a script and refuses a node that is not there when it is named.
func known(steps []Step, s *State) error {
	for _, step := range steps {
		c := step.Command
		for _, w := range c.nodes() {
			if w.Victim == 0 && !s.has(w.Node) {
				return message.Errorf(message.NoSuchNode, "%s: node %s does not exist then; there are %s", c, w, nodeList(s.nodes))
			}
		}
		if c.moves() && (len(c.Who) == 0 || c.Who[0].Victim == 0) {
			s.Do(0, c)
		}
		if len(s.nodes) == 0 {
			return message.Errorf(message.InvalidArgument, "%s: nobody is left then; leave it out", c)
		}
	}
	return nil
}

// nodeList shows numbers, as a range where there are no gaps.
func nodeList(nodes []message.NodeID) string {
	if n := len(nodes); n > 1 && int(nodes[n-1]-nodes[0]) == n-1 && slices.IsSorted(nodes) {
		return nodes[0].String() + " to " + nodes[n-1].String()
	}
	text := ""
	for i, n := range nodes {
		if i > 0 {
			text += ", "
		}
		text += n.String()
	}
	return text
}

// settle has a client go to a node that there is, when nodes have come or gone: its place among them is its number.
func (w *worker) settle(ctx context.Context) {
	nodes := w.work.nodes.Load()
	if nodes == nil || nodes == w.settled || time.Now().Before(w.retry) {
		return
	}
	w.retry = time.Now().Add(time.Second) // a cluster that is broken has other things to do
	n := (*nodes)[w.place%len(*nodes)]
	if n != w.home {
		ctx, cancel := context.WithTimeout(ctx, w.timeout)
		defer cancel()
		heap, done, err := w.dial(ctx, n)
		if err != nil {
			return
		}
		w.close()
		w.heap, w.close, w.home, w.held = heap, done, n, holding{}
	}
	w.settled, w.retry = nodes, time.Time{}
}
