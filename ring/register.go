package ring

import "dmalloc/message"

// Shards is into how many parts the registers are cut, each with replicas of its own. It must never
// change: kept registers lie where it said. With 1024, twenty nodes differ in load by about a tenth.
const Shards = 1024

// Shard is the part that a register belongs to.
func Shard(r message.RegisterID) int {
	return int(mix(r.Address^uint64(r.Space)*0x9e3779b97f4a7c15) >> (64 - 10))
}

// Replicas are the members that keep a shard, heaviest first: as Owners, by their nodes. A node's new
// incarnation takes the place of its old one. No node may be there twice.
func Replicas(shard int, members []message.Member, r int) []message.Member {
	nodes := make([]message.NodeID, len(members))
	at := make(map[message.NodeID]message.Member, len(members))
	for i, m := range members {
		nodes[i] = m.Node
		at[m.Node] = m
	}
	owners := Owners(mix(uint64(shard)), nodes, r)
	replicas := make([]message.Member, len(owners))
	for i, n := range owners {
		replicas[i] = at[n]
	}
	return replicas
}

// Placement is where each shard's replicas are in one configuration of the registers. It is made once a
// configuration and then only read.
type Placement struct {
	Epoch  uint64
	groups [Shards][][]message.Member
}

// Place works out a configuration.
func Place(r message.Registers) *Placement {
	p := &Placement{Epoch: r.Epoch}
	for s := range p.groups {
		p.groups[s] = Groups(r, s)
	}
	return p
}

// Groups are the replicas of one shard in a configuration, as Placement.Groups has them.
func Groups(r message.Registers, shard int) [][]message.Member {
	groups := [][]message.Member{Replicas(shard, r.Members, r.Replicas)}
	if len(r.Next) > 0 {
		if next := Replicas(shard, r.Next, r.Replicas); !sameMembers(groups[0], next) {
			groups = append(groups, next)
		}
	}
	return groups
}

// Groups are the replicas of a shard: one group, or, while members change, the old and the new one. An
// operation needs a quorum of each. The result is not to be changed.
func (p *Placement) Groups(shard int) [][]message.Member { return p.groups[shard] }

// Short finds a shard of which no quorum of the members that shall keep it is there, and says who they are.
func Short(r message.Registers, there func(message.Member) bool) (replicas []message.Member, few bool) {
	for s := range Shards {
		all, n := Replicas(s, r.Members, r.Replicas), 0
		for _, m := range all {
			if there(m) {
				n++
			}
		}
		if n < len(all)/2+1 {
			return all, true
		}
	}
	return nil, false
}

// Holds says whether a member is among the replicas of a shard, in any group.
func (p *Placement) Holds(shard int, m message.Member) bool {
	for _, g := range p.groups[shard] {
		for _, have := range g {
			if have == m {
				return true
			}
		}
	}
	return false
}

// Moving says whether the shard's replicas are changing.
func (p *Placement) Moving(shard int) bool { return len(p.groups[shard]) > 1 }

func sameMembers(a, b []message.Member) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
