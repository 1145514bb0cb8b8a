package drill

import (
	"context"
	"fmt"
	"slices"
	"time"

	"dmalloc/message"
)

// Done is a command that was done, or that failed.
type Done struct {
	At      time.Duration // since the run began
	Until   time.Duration // when what it began ended, as far as the script tells; At otherwise
	Command Command
	Err     error
}

func (d Done) note() string {
	if d.Err != nil {
		return d.Err.Error()
	}
	return ""
}

// player plays a script: it waits, chooses victims, does the commands and notes them. One goroutine owns it.
type player struct {
	cluster Cluster
	now     func() time.Duration
	say     func(string)
	state   *State
	victims map[int]message.NodeID
	failed  map[message.NodeID]bool // whose fault could not be injected: there is nothing to end
	done    []Done
	steps   []Step // what was really done
	last    time.Duration
	times   *timetable // of a plan; nil where a script is played
	moves   bool       // owners may change: what takes nodes out waits for those that are needed
	moved   func([]message.NodeID)
}

const (
	doLimit   = 90 * time.Second // for one command; revive with all its data takes the longest
	lookLimit = time.Second      // for asking who leads
)

// play does the steps until they are over, ctx ends, or it has taken most, where that is not 0.
func (p *player) play(ctx context.Context, steps []Step, most time.Duration) {
	begin := p.now()
	p.last = begin
	for i, s := range steps {
		// A script's pauses are kept even when a command took long, so that what ends by --for has ended when the
		// next begins.
		pause, c := s.After, s.Command
		if p.times != nil {
			due := p.times.due(s)
			c = p.concrete(ctx, c) // before the pause: asking who leads takes time, most of all on a busy machine
			pause = due - p.now()
		}
		if !wait(ctx, pause) || most > 0 && p.now()-begin > most {
			return
		}
		if c.Verb == "" {
			continue
		}
		at := p.now()
		if err := p.calm(ctx, c, steps[i+1:]); err != nil {
			p.refuse(p.concrete(ctx, c), err)
		} else {
			waited := p.now() - at
			p.do(ctx, p.concrete(ctx, c))
			if c.moves() {
				waited = p.now() - at
			}
			most = p.stretch(most, waited)
		}
		if p.times != nil {
			p.times.done(s.Command, p.now())
		}
	}
}

// wait pauses, and is false when ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// do runs one command, and what must follow if a node's files turn out to be damaged.
func (p *player) do(ctx context.Context, c Command) {
	if c.ends() && p.failed[c.Who[0].Node] {
		return
	}
	at := p.now()
	err := p.run(ctx, c)
	switch {
	case err == nil:
	case c.Verb == "revive" && message.CodeOf(err) == message.AlreadyAlive:
		err = nil // it ended by itself: a node with a full disk that did not stop, a replay of what is below
	case c.Verb == "revive" && !c.Wipe && message.CodeOf(err) == message.Corrupt:
		p.say(fmt.Sprintf("%s: %v; its files are thrown away", c, err))
		c.Wipe = true
		err = p.run(ctx, c)
	case len(c.Who) == 1:
		p.failed[c.Who[0].Node] = true
	}
	until := at
	if c.moves() {
		until = p.now()
	}
	p.done = append(p.done, Done{At: at, Until: until, Command: c, Err: err})
	if err == nil {
		p.state.Do(p.now(), c)
		if c.moves() && p.moved != nil {
			p.moved(slices.Clone(p.state.nodes))
		}
	}
}

// run has one line done and writes it down.
func (p *player) run(ctx context.Context, c Command) error {
	at := p.now()
	p.steps = append(p.steps, Step{After: max(0, at-p.last).Round(time.Millisecond), Command: c})
	ctx, cancel := context.WithTimeout(ctx, doLimit)
	defer cancel()
	p.say(c.String())
	err := p.cluster.Faults.Do(ctx, c.String())
	p.last = p.now()
	return err
}

// concrete puts nodes in the place of victims.
func (p *player) concrete(ctx context.Context, c Command) Command {
	out := p.state.Out(p.now())
	var taken []message.NodeID // by this command
	node := func(w Who) Who {
		if w.Victim == 0 {
			taken = append(taken, w.Node)
			return w
		}
		n, chosen := p.victims[w.Victim]
		if !chosen {
			n = p.choose(ctx, w, out, taken)
			p.victims[w.Victim] = n
			delete(p.failed, n)
		}
		taken = append(taken, n)
		return nodeWho(n)
	}
	c.Who = slices.Clone(c.Who)
	for i, w := range c.Who {
		c.Who[i] = node(w)
	}
	groups := make([][]Who, len(c.Groups))
	var named []message.NodeID
	for i, g := range c.Groups {
		for _, w := range g {
			groups[i] = append(groups[i], node(w))
			named = append(named, groups[i][len(groups[i])-1].Node)
		}
	}
	if len(groups) > 0 {
		c.Groups = groups
	}
	if c.Rest {
		var rest []Who
		for _, n := range p.state.nodes {
			if !slices.Contains(named, n) {
				rest = append(rest, nodeWho(n))
			}
		}
		c.Groups, c.Rest = append(c.Groups, rest), false
	}
	return c
}

// choose finds who a victim is: by its role if the cluster tells, else by its number. It is nobody who is out,
// unless only they are left, and nobody whom the same command names already.
func (p *player) choose(ctx context.Context, w Who, out, taken []message.NodeID) message.NodeID {
	free := func(n message.NodeID) bool {
		return p.state.has(n) && !slices.Contains(out, n) && !slices.Contains(taken, n)
	}
	if w.Role == Leader || w.Role == Backup {
		look, cancel := context.WithTimeout(ctx, lookLimit)
		defer cancel()
		companies, _ := p.cluster.View.Companies(look) // what it cannot tell is chosen by number
		for _, c := range companies {
			if c.ID != w.Company {
				continue
			}
			if w.Role == Leader && c.Leader != nil && free(*c.Leader) {
				return *c.Leader
			}
			for i := range c.Owners {
				n := c.Owners[(i+w.Victim)%len(c.Owners)]
				if free(n) && (c.Leader == nil || n != *c.Leader) {
					return n
				}
			}
		}
	}
	nodes := p.state.nodes
	if w.Role == Newest {
		for _, n := range slices.Backward(nodes) {
			if free(n) {
				return n
			}
		}
	}
	for _, avoid := range [][]message.NodeID{slices.Concat(out, taken), taken} {
		for i := range nodes {
			if n := nodes[(i+w.Victim)%len(nodes)]; !slices.Contains(avoid, n) {
				return n
			}
		}
	}
	return nodes[w.Victim%len(nodes)]
}

// close ends everything that lasts.
func (p *player) close(ctx context.Context) {
	clear(p.failed)
	for _, c := range p.state.Closing() {
		p.do(ctx, c)
	}
}

// spans fills in when each fault ended.
func (p *player) spans() []Done {
	for i := range p.done {
		d := &p.done[i]
		if d.Command.Verb == "reg spread" || d.Command.moves() {
			continue
		}
		if d.Command.For > 0 {
			d.Until = d.At + d.Command.For
			continue
		}
		for _, e := range p.done[i+1:] {
			if e.Command.Verb == "heal" && !lastsBeyondHeal(d.Command.Verb) || (e.Command.Verb == "revive" || e.Command.Verb == "resume") &&
				len(d.Command.Who) == 1 && d.Command.Who[0] == e.Command.Who[0] && d.Command.Kind() != "" {
				d.Until = e.At
				break
			}
		}
	}
	return p.done
}

// Kind is the sort of fault that a command begins, "" if it ends one.
func (c Command) Kind() Kind {
	switch {
	case c.Verb == "revive" && c.Wipe:
		return Wipe
	case c.Verb == "revive", c.Verb == "resume", c.Verb == "heal", c.Verb == "":
		return ""
	case c.Verb == "partition" && c.OneWay:
		return OneWay
	case c.Verb == "node add":
		return Join
	case c.Verb == "node remove":
		return Leave
	case c.Verb == "disk full":
		return DiskFull
	case c.Verb == "disk slow":
		return DiskSlow
	}
	return Kind(c.Verb)
}

// findings are the commands that could not be done.
func (p *player) findings() []Finding {
	var out []Finding
	for _, d := range p.done {
		if d.Err != nil {
			out = append(out, Finding{Check: NotInject, Text: fmt.Sprintf("%s could not be done: %v", d.Command, d.Err)})
		}
	}
	return out
}
