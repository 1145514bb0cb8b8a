package drill

import (
	"slices"
	"time"

	"dmalloc/message"
)

// State is what a script has done to a cluster so far, as far as the commands tell.
type State struct {
	nodes  []message.NodeID // that are there, by number
	next   message.NodeID   // the number of the next that joins
	active []active
}

// active is a fault that has not ended.
type active struct {
	command Command
	out     []message.NodeID // who can do nothing, or may not be able to
	ends    time.Duration    // by itself; 0 means not
}

// NewState is a whole cluster of nodes from 0 on.
func NewState(nodes int) *State { return stateOf(firstNodes(nodes), message.NodeID(nodes)) }

// stateOf is a whole cluster, where the next node gets a number.
func stateOf(nodes []message.NodeID, next message.NodeID) *State {
	return &State{nodes: slices.Clone(nodes), next: next}
}

func firstNodes(n int) []message.NodeID {
	all := make([]message.NodeID, max(0, n))
	for i := range all {
		all[i] = message.NodeID(i)
	}
	return all
}

// has says whether there is such a node.
func (s *State) has(n message.NodeID) bool { return slices.Contains(s.nodes, n) }

// Do notes a command that was done. Its nodes are numbers.
func (s *State) Do(at time.Duration, c Command) {
	s.expire(at)
	switch c.Verb {
	case "", "reg spread": // registers stay where they are put: nothing is broken
	case "node add":
		s.nodes = append(s.nodes, s.next)
		s.next++ // numbers are not used again
	case "node remove":
		n := c.Who[0].Node
		s.nodes = slices.DeleteFunc(s.nodes, func(x message.NodeID) bool { return x == n })
		s.active = slices.DeleteFunc(s.active, func(a active) bool { return len(a.command.Who) == 1 && a.command.Who[0].Node == n })
	case "revive":
		s.end(c.Who[0].Node, "kill", "disk full", "corrupt", "pause")
	case "resume":
		s.end(c.Who[0].Node, "pause")
	case "heal":
		s.active = slices.DeleteFunc(s.active, func(a active) bool { return !lastsBeyondHeal(a.command.Verb) })
	default:
		a := active{command: c, out: s.outOf(c)}
		if c.For > 0 {
			a.ends = at + c.For
		}
		s.active = append(s.active, a)
	}
}

// lastsBeyondHeal is what only revive ends; a full disk may have killed the node.
func lastsBeyondHeal(verb string) bool {
	return verb == "kill" || verb == "corrupt" || verb == "disk full"
}

// expire ends what ends by itself. What a full disk killed does not come back by itself.
func (s *State) expire(at time.Duration) {
	s.active = slices.DeleteFunc(s.active, func(a active) bool {
		return a.ends > 0 && a.ends <= at && a.command.Verb != "disk full"
	})
}

func (s *State) end(n message.NodeID, verbs ...string) {
	s.active = slices.DeleteFunc(s.active, func(a active) bool {
		return slices.Contains(verbs, a.command.Verb) && a.command.Who[0].Node == n
	})
}

// outOf is who a fault takes out: nodes that stop, and those on the smaller sides of a cut.
func (s *State) outOf(c Command) []message.NodeID {
	switch c.Verb {
	case "kill", "pause", "disk full", "corrupt":
		return []message.NodeID{c.Who[0].Node}
	case "partition":
		if len(c.Groups) == 0 {
			return nil
		}
		most := 0
		for i, g := range c.Groups {
			if len(g) > len(c.Groups[most]) || c.OneWay && i > 0 && len(g) == len(c.Groups[most]) {
				most = i
			}
		}
		var out []message.NodeID
		for i, g := range c.Groups {
			for _, w := range g {
				if i != most {
					out = append(out, w.Node)
				}
			}
		}
		return out
	}
	return nil
}

// Out lists who is down, frozen or cut off, by number.
func (s *State) Out(at time.Duration) []message.NodeID {
	s.expire(at)
	var out []message.NodeID
	for _, a := range s.active {
		out = append(out, a.out...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Closing is what ends all that lasts: frozen nodes first, then links and disks, then the dead.
func (s *State) Closing() []Command {
	var first, last []Command
	for _, n := range s.nodes {
		for _, a := range s.active {
			if len(a.command.Who) != 1 || a.command.Who[0].Node != n {
				continue
			}
			if a.command.Verb == "pause" {
				first = append(first, Command{Verb: "resume", Who: []Who{nodeWho(n)}})
			}
			if lastsBeyondHeal(a.command.Verb) {
				last = append(last, Command{Verb: "revive", Who: []Who{nodeWho(n)}})
				break
			}
		}
	}
	return slices.Concat(first, []Command{{Verb: "heal"}}, last)
}
