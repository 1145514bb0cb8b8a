package health

import (
	"fmt"
	"slices"

	"dmalloc/message"
	"dmalloc/register"
	"dmalloc/ring"
)

// company judges one company, and says what it would need.
func (j *judge) company(d *message.Company) (Company, []need) {
	c := Company{ID: d.ID, State: Healthy, Owners: []message.NodeID{}, Missing: []message.NodeID{}, Broken: []message.NodeID{},
		CatchingUp: []message.NodeID{}, Revive: [][]message.NodeID{}}
	var applied, term uint64
	serving := map[message.NodeID]message.ReplicaStatus{}
	for _, o := range d.Owners {
		if !o.Joining {
			c.Owners = append(c.Owners, o.Node)
		} else if !slices.Contains(c.CatchingUp, o.Node) {
			c.CatchingUp = append(c.CatchingUp, o.Node)
		}
		s, ok := j.answers(o.Node)
		if o.Joining {
			continue
		}
		if !ok {
			c.Missing = append(c.Missing, o.Node)
			continue
		}
		r, ok := replica(s, d.ID, o.Replica)
		if !ok || r.State != "" {
			c.Broken = append(c.Broken, o.Node)
			if r.State != "" {
				c.Why = fmt.Sprintf("node %s does not serve it: %s", o.Node, r.State)
			}
			continue
		}
		serving[o.Node] = r
		applied = max(applied, r.Applied)
		// Only who says it of itself leads: a follower may not have heard of a death yet.
		if r.Leader != nil && *r.Leader == o.Node && r.Term >= term {
			node := o.Node
			c.Leader, term = &node, r.Term
		}
	}
	for _, n := range c.Owners {
		if r, ok := serving[n]; ok && (applied-r.Applied > farBehind || applied > r.Applied && !j.v.Said[n].CaughtUp) && !slices.Contains(c.CatchingUp, n) {
			c.CatchingUp = append(c.CatchingUp, n)
		}
	}
	return c, j.settle(&c, len(serving))
}

func replica(s message.NodeStatus, c message.CompanyID, id uint64) (message.ReplicaStatus, bool) {
	for _, r := range s.Replicas {
		if r.Company == c && r.Replica == id {
			return r, true
		}
	}
	return message.ReplicaStatus{}, false
}

// settle decides how a company is, whose owners are sorted out.
func (j *judge) settle(c *Company, serving int) []need {
	majority := len(c.Owners)/2 + 1
	slices.Sort(c.Missing)
	switch {
	case serving < majority:
		c.State, c.Leader = Unavailable, nil // who believes to lead can do nothing
		why := fmt.Sprintf("%d of %d owners serve, %d are needed", serving, len(c.Owners), majority)
		if c.Why != "" {
			why += "; " + c.Why
		}
		c.Why = why
		n := need{majority - serving, c.Missing}
		if n.k > len(n.of) {
			c.Why += "; the owners that do not answer would not be enough: look at the logs of " + nodes(c.Broken)
			return nil
		}
		c.Revive, _ = j.restore([]need{n})
		c.Why += "; " + alternatives(c.Revive, j.states)
		return []need{n}
	case c.Leader == nil:
		c.State, c.Why = Unavailable, "nobody leads: an election is under way"
	case len(c.Missing)+len(c.Broken) > 0:
		c.State = Degraded
		if c.Why == "" {
			c.Why = fmt.Sprintf("%s of %d missing", count(len(c.Missing)+len(c.Broken), "owner"), len(c.Owners))
		}
	case len(c.CatchingUp) > 0:
		c.State, c.Why = Degraded, nodes(c.CatchingUp)+" catching up"
	}
	return nil
}

// registers judges the shards of the registers, and says what they would need.
func (j *judge) registers() (needs []need) {
	d := j.d.Registers
	r := Registers{State: Healthy, Epoch: d.Epoch, Moving: len(d.Next) > 0, Down: []message.NodeID{}, Revive: [][]message.NodeID{}}
	defer func() { j.report.Registers = r }()
	if len(d.Members) == 0 {
		return nil
	}
	up := map[message.Member]bool{}
	for _, m := range append(slices.Clone(d.Members), d.Next...) {
		s, ok := j.answers(m.Node)
		if up[m] = ok && s.Incarnation == m.Incarnation; !up[m] && !slices.Contains(r.Down, m.Node) {
			r.Down = append(r.Down, m.Node)
		}
	}
	slices.Sort(r.Down)
	r.Shards = ring.Shards
	for shard := range r.Shards {
		state := Healthy
		for _, group := range ring.Groups(d, shard) {
			s, n := j.group(group, up)
			state = worse(state, s)
			if n.k > 0 {
				needs = append(needs, n)
			}
		}
		switch state {
		case Degraded:
			r.Degraded++
		case Unavailable:
			r.Unavailable++
		}
		r.State = worse(r.State, state)
	}
	if sets, _ := j.restore(needs); len(sets) > 0 {
		r.Revive = sets
	}
	return needs
}

// group judges the replicas of a shard. A member whose disk was lost does not come back: its node is another
// member now.
func (j *judge) group(group []message.Member, up map[message.Member]bool) (State, need) {
	want := register.Quorum(len(group))
	if j.d.Settings.Acks == "all" {
		want = len(group)
	}
	there := 0
	var down []message.NodeID
	for _, m := range group {
		if up[m] {
			there++
		} else if _, answers := j.answers(m.Node); !answers {
			down = append(down, m.Node)
		}
	}
	slices.Sort(down)
	switch {
	case there < want && want-there <= len(down):
		return Unavailable, need{want - there, down}
	case there < want:
		return Unavailable, need{}
	case there < len(group):
		return Degraded, need{}
	}
	return Healthy, need{}
}
