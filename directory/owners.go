package directory

import (
	"encoding/json"
	"fmt"
	"slices"

	"dmalloc/company"
	"dmalloc/message"
	"dmalloc/ring"
)

// retire gives a node that lost its disk a new incarnation and joining replicas (D2, D4). What was about to leave
// the node anyway is not brought back.
func retire(d *message.Directory, n *message.Node, incarnation uint64) company.Result {
	if n.Gone {
		return goneForGood(n)
	}
	if incarnation <= n.Incarnation {
		if incarnation == n.Incarnation {
			return company.Result{} // a repetition
		}
		return refuse(message.InvalidArgument, "node %s is at incarnation %d already", n.ID, n.Incarnation)
	}
	n.Incarnation, n.Boot = incarnation, 0
	for i := range d.Companies {
		c := &d.Companies[i]
		again, instead, kept := false, uint64(0), c.Owners[:0]
		for _, o := range c.Owners {
			if o.Node == n.ID && o.Joining {
				if !o.Leaving {
					again, instead = true, o.Instead // lost before it had joined
				}
				continue
			}
			if o.Node == n.ID && !o.Leaving && !replaced(c, o.Replica) {
				again = true
			}
			kept = append(kept, o)
		}
		c.Owners = kept
		if again {
			c.Owners = append(c.Owners, message.Owner{Node: n.ID, Replica: c.Next, Joining: true, Instead: instead})
			c.Next++
		}
	}
	moveRegisters(d, n)
	ring.Share(d)
	return company.Result{}
}

// replaced says whether another replica joins instead of this one.
func replaced(c *message.Company, replica uint64) bool {
	return slices.ContainsFunc(c.Owners, func(o message.Owner) bool { return o.Joining && o.Instead == replica })
}

// begin has a company's owners change. It is refused where the directory is not the one that the change was planned
// for, so a repetition does nothing.
func begin(d *message.Directory, data []byte) company.Result {
	var m message.Move
	if err := json.Unmarshal(data, &m); err != nil {
		return refuse(message.InvalidArgument, "the description of a move is not JSON")
	}
	c := d.Company(m.Company)
	if c == nil {
		return noCompany(d, m.Company)
	}
	if m.Epoch != d.Epoch {
		return refuse(message.Stale, "D6: a move was planned at epoch %d, the directory is at %d", m.Epoch, d.Epoch)
	}
	var from *message.Owner
	if m.From != 0 {
		if from = c.Owner(m.From); from == nil {
			return refuse(message.InvalidArgument, "company %s has no replica %d", c.ID, m.From)
		}
	}
	if c.Changing() && (from == nil || !from.Joining || from.Leaving) {
		return refuse(message.Busy, "D6: a change of the owners of company %s is under way", c.ID)
	}
	if m.Node == message.NoNode {
		return giveUp(d, c, from)
	}
	if from != nil && from.Joining {
		return refuse(message.Busy, "D9: replica %d joins company %s and may vote already; give it up first, without a successor", from.Replica, c.ID)
	}
	switch n := d.Node(m.Node); {
	case n == nil:
		return noNode(d, m.Node)
	case n.Gone || n.Leaving:
		return refuse(message.InvalidArgument, "node %s leaves, and cannot own company %s", n.ID, c.ID)
	case slices.Contains(c.OwnerNodes(), n.ID):
		return refuse(message.InvalidArgument, "D4: node %s owns company %s already", n.ID, c.ID)
	case from == nil && len(c.Owners) >= message.MaxReplicas:
		return refuse(message.InvalidArgument, "company %s has %d owners, more are not possible", c.ID, len(c.Owners))
	}
	o := message.Owner{Node: m.Node, Replica: c.Next, Joining: true, Instead: m.From}
	c.Owners = append(c.Owners, o)
	c.Next++
	ring.Share(d)
	return company.Result{Value: o.Replica}
}

// giveUp has a replica leave without a successor; of a joining one it ends the attempt. It stays on the list until
// Raft does not count it (D9): it may have got its vote in the meantime.
func giveUp(d *message.Directory, c *message.Company, from *message.Owner) company.Result {
	if from == nil {
		return refuse(message.InvalidArgument, "a move of company %s names neither who joins nor who leaves", c.ID)
	}
	if !from.Joining && len(c.Owners) < 2 {
		return refuse(message.InvalidArgument, "company %s has no other owner than replica %d", c.ID, from.Replica)
	}
	from.Leaving = true
	return company.Result{}
}

// replace ends a change of owners: a joining replica votes and stands where the one stood that it replaces, whom it
// leads is led by its node then; or one is out for good, and nobody has its place.
func replace(d *message.Directory, move message.Move) company.Result {
	c := d.Company(move.Company)
	if c == nil {
		return noCompany(d, move.Company)
	}
	if move.Node == message.NoNode {
		return forget(d, c, move.Replica, move.Voters)
	}
	o := c.Owner(move.Replica)
	if o == nil || o.Node != move.Node {
		return refuse(message.InvalidArgument, "company %s has no replica %d on node %s", move.Company, move.Replica, move.Node)
	}
	if !o.Joining {
		return company.Result{} // a repetition
	}
	if why := unfinished(c, o, move.Voters); why != "" {
		return refuse(message.InvalidArgument, "D8: %s", why)
	}
	done := message.Owner{Node: o.Node, Replica: o.Replica}
	instead, kept, placed := o.Instead, c.Owners[:0], false
	for _, x := range c.Owners {
		if x.Replica == done.Replica || x.Node == done.Node || instead != 0 && x.Replica == instead {
			if !placed {
				kept, placed = append(kept, done), true
			}
			continue
		}
		kept = append(kept, x)
	}
	c.Owners = kept
	ring.Share(d)
	return company.Result{}
}

// unfinished says why a joining replica does not stand in for others yet, empty if it does. What Raft has done does not
// become undone: who was given a vote knows the log, and a replica that was removed never comes back. So what a leader
// said of that is true for ever, however late it arrives.
func unfinished(c *message.Company, o *message.Owner, voters []uint64) string {
	if !slices.Contains(voters, o.Replica) {
		return fmt.Sprintf("replica %d of company %s does not vote yet, as far as was said; those that do are %v", o.Replica, c.ID, voters)
	}
	for _, x := range c.Owners {
		if x.Replica != o.Replica && (x.Node == o.Node || x.Replica == o.Instead) && slices.Contains(voters, x.Replica) {
			return fmt.Sprintf("replica %d of company %s still votes, and cannot be replaced before it is removed", x.Replica, c.ID)
		}
	}
	return ""
}

// forget takes a replica off the list, which Raft does not count any more (D8). For one that was to stay its
// company's leader has to have said so.
func forget(d *message.Directory, c *message.Company, replica uint64, voters []uint64) company.Result {
	o := c.Owner(replica)
	if o == nil {
		if replica < c.Next {
			return company.Result{} // a repetition
		}
		return refuse(message.InvalidArgument, "company %s has no replica %d", c.ID, replica)
	}
	if len(c.Owners) < 2 {
		return refuse(message.InvalidArgument, "company %s has no other owner than replica %d", c.ID, replica)
	}
	if slices.Contains(voters, replica) || len(voters) == 0 && !o.Joining && !o.Leaving {
		return refuse(message.InvalidArgument, "D8: replica %d of company %s votes and does not leave; move it first", replica, c.ID)
	}
	c.Owners = slices.DeleteFunc(c.Owners, func(o message.Owner) bool { return o.Replica == replica })
	for i := range c.Owners {
		if c.Owners[i].Instead == replica {
			c.Owners[i].Instead = 0
		}
	}
	ring.Share(d)
	return company.Result{}
}

// found begins a company, the next by number. It is empty, and gets its capacity from its own log.
func found(d *message.Directory, data []byte) company.Result {
	var said message.Company
	if err := json.Unmarshal(data, &said); err != nil {
		return refuse(message.InvalidArgument, "the description of a company is not JSON")
	}
	if int(said.ID) < len(d.Companies) {
		return refuse(message.Stale, "company %s exists", said.ID)
	}
	if int(said.ID) != len(d.Companies) || said.ID > message.MaxCompany {
		return refuse(message.InvalidArgument, "company %s cannot be founded; the next is %d, and the last possible one %d", said.ID, len(d.Companies), message.MaxCompany)
	}
	if len(said.Owners) == 0 || len(said.Owners) > message.MaxReplicas {
		return refuse(message.InvalidArgument, "company %s cannot have %d owners", said.ID, len(said.Owners))
	}
	c := message.Company{ID: said.ID, Base: said.ID.Base(), Limit: said.ID.Limit(), Next: 1}
	for _, o := range said.Owners {
		n := d.Node(o.Node)
		if n == nil {
			return noNode(d, o.Node)
		}
		if n.Gone || n.Leaving || slices.Contains(c.OwnerNodes(), n.ID) {
			return refuse(message.InvalidArgument, "node %s leaves or is named twice, and cannot found company %s", n.ID, c.ID)
		}
		c.Owners = append(c.Owners, message.Owner{Node: n.ID, Replica: c.Next})
		c.Founders = append(c.Founders, message.Founder{Node: n.ID, Replica: c.Next, Incarnation: n.Incarnation})
		c.Next++
	}
	d.Companies = append(d.Companies, c)
	ring.Share(d)
	return company.Result{Value: uint64(c.ID)}
}
