package ring

import (
	"cmp"
	"slices"

	"dmalloc/message"
)

// MovesAtOnce is how many companies change their owners at a time: who catches up costs the others disk and network.
const MovesAtOnce = 2

// Change is what the directory's leader proposes next: nothing, where Op is NONE.
type Change struct {
	Op      message.Op
	Move    message.Move     // of MOVE
	Company message.Company  // of FOUND: its id and its owners' nodes, the one that leads first
	Nodes   []message.NodeID // of REGCHANGE: who shall keep the registers
	Epoch   uint64           // of REGCHANGE: of the directory that it was planned for
	Node    message.NodeID   // of GONE
}

// Next is the next change that brings a directory nearer to where it should be. dead says who has been dead for so
// long that others take its place. It ends: each change makes less of what it looks for (G5).
//
//	owners of dead nodes, then of leaving ones, then those that are missing; the most endangered company first
//	registers on the nodes that are there; balance; another company; a node that holds nothing goes
func Next(d *message.Directory, dead func(message.NodeID) bool) Change {
	return NextBeside(d, Beliefs{Dead: dead})
}

// Beliefs are what the planner knows beside the directory. What is nil says no.
type Beliefs struct {
	Dead  func(message.NodeID) bool    // for so long that others take its place
	Away  func(message.NodeID) bool    // now: it founds nothing. Its disk may be lost, and the directory not know it yet
	Stuck func(message.CompanyID) bool // a change gets nowhere there: others need not wait for it
}

func (b Beliefs) withDefaults() Beliefs {
	nobody := func(message.NodeID) bool { return false }
	if b.Dead == nil {
		b.Dead = nobody
	}
	if b.Away == nil {
		b.Away = nobody
	}
	if b.Stuck == nil {
		b.Stuck = func(message.CompanyID) bool { return false }
	}
	return b
}

// NextBeside is Next for who knows more than who is dead.
func NextBeside(d *message.Directory, b Beliefs) Change {
	p := newPlanner(d, b)
	if len(p.usable) == 0 {
		return Change{}
	}
	for _, look := range []func() (Change, bool){p.abandon, p.replace, p.spread, p.balance, p.found, p.goes} {
		if c, ok := look(); ok {
			return c
		}
	}
	return Change{}
}

// planner is a directory as Next looks at it.
type planner struct {
	d      *message.Directory
	dead   func(message.NodeID) bool
	away   func(message.NodeID) bool
	usable []message.NodeID // neither gone nor leaving nor dead
	can    map[message.NodeID]bool
	load   map[message.NodeID]int // companies >= 1 that a node will own when all moves have ended
	firsts map[message.NodeID]int // of which it is the first owner
	moves  int                    // under way, and not stuck
	around map[message.NodeID]int // place on the circle
}

func newPlanner(d *message.Directory, b Beliefs) *planner {
	b = b.withDefaults()
	p := &planner{d: d, dead: b.Dead, away: b.Away, can: map[message.NodeID]bool{}, load: map[message.NodeID]int{}, firsts: map[message.NodeID]int{}, around: map[message.NodeID]int{}}
	var there []message.Node
	for _, n := range d.Nodes {
		if !p.lost(n.ID) && (n.Key == 0 || n.Boot > 0 || p.keeps(n.ID)) { // one that was admitted must have come, too
			p.usable = append(p.usable, n.ID)
			p.can[n.ID] = true
			there = append(there, n)
		}
	}
	for i, n := range circle(there) {
		p.around[n] = i
	}
	for i := range d.Companies {
		c := &d.Companies[i]
		if p.busy(c) && !b.Stuck(c.ID) {
			p.moves++
		}
		if c.ID == 0 {
			continue
		}
		for at, o := range final(c) {
			p.load[o.Node]++
			if at == 0 {
				p.firsts[o.Node]++
			}
		}
	}
	return p
}

// lost says whether a node gets nothing any more.
func (p *planner) lost(id message.NodeID) bool {
	n := &p.d.Nodes[id]
	return n.Gone || n.Leaving || p.dead(id)
}

// keeps says whether a node is a member of the registers.
func (p *planner) keeps(id message.NodeID) bool {
	is := func(m message.Member) bool { return m.Node == id }
	return slices.ContainsFunc(p.d.Registers.Members, is) || slices.ContainsFunc(p.d.Registers.Next, is)
}

// final are a company's owners when what is under way has ended.
func final(c *message.Company) []message.Owner {
	var owners []message.Owner
	for _, o := range c.Owners {
		if o.Leaving || o.Joining {
			continue
		}
		for _, j := range c.Owners {
			if j.Joining && !j.Leaving && (j.Instead == o.Replica || j.Node == o.Node) {
				o = message.Owner{Node: j.Node, Replica: j.Replica}
			}
		}
		owners = append(owners, o)
	}
	for _, j := range c.Owners {
		if j.Joining && !j.Leaving && !slices.ContainsFunc(owners, func(o message.Owner) bool { return o.Replica == j.Replica }) {
			owners = append(owners, j)
		}
	}
	return owners
}

// live counts the voters of a company, and those of them that are not dead.
func (p *planner) live(c *message.Company) (live, voters int) {
	for _, o := range c.Owners {
		if !o.Joining {
			voters++
			if !p.dead(o.Node) {
				live++
			}
		}
	}
	return live, voters
}

// alive says whether a company has a majority: without one nothing can be changed.
func (p *planner) alive(c *message.Company) bool {
	live, voters := p.live(c)
	return live > voters/2
}

// busy says whether the nodes of a company have work with a change of its owners: it can be made, and nobody who joins
// is on a node that is dead.
func (p *planner) busy(c *message.Company) bool {
	return c.Changing() && p.alive(c) && !slices.ContainsFunc(c.Owners, func(o message.Owner) bool { return o.Joining && p.dead(o.Node) })
}

// wanted is how many owners a company should have.
func (p *planner) wanted(c *message.Company) int {
	if c.ID == 0 {
		return min(DirectoryOwners, len(p.usable))
	}
	return min(max(p.d.Settings.Replicas, 1), len(p.usable), message.MaxReplicas)
}

// hosts are those of a company's owners, without one replica.
func (p *planner) hosts(c *message.Company, without uint64) map[string]bool {
	hosts := map[string]bool{}
	for _, o := range final(c) {
		if o.Replica != without {
			hosts[p.d.Nodes[o.Node].Host] = true
		}
	}
	return hosts
}

// choose is the best node to join a company instead of one of its replicas: on a host that the others are not on if
// there is one, and the emptiest. For the directory it is the next on the circle.
func (p *planner) choose(c *message.Company, instead uint64) (message.NodeID, bool) {
	return p.chooseOf(p.usable, c, instead)
}

// chooseOf is choose among some of the usable nodes.
func (p *planner) chooseOf(nodes []message.NodeID, c *message.Company, instead uint64) (message.NodeID, bool) {
	hosts, taken := p.hosts(c, instead), ownerNodes(c)
	best, found := message.NoNode, false
	better := func(a, b message.NodeID) bool {
		return cmp.Or(order(hosts[p.d.Nodes[a].Host], hosts[p.d.Nodes[b].Host]), cmp.Compare(p.burden(c, a), p.burden(c, b)), cmp.Compare(a, b)) < 0
	}
	for _, n := range nodes {
		if !taken[n] && (!found || better(n, best)) {
			best, found = n, true
		}
	}
	return best, found
}

func (p *planner) burden(c *message.Company, n message.NodeID) int {
	if c.ID == 0 {
		return p.around[n]
	}
	return p.load[n]
}

// order puts false before true.
func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func (p *planner) move(c *message.Company, to message.NodeID, from uint64) (Change, bool) {
	return Change{Op: message.MOVE, Move: message.Move{Company: c.ID, Node: to, From: from, Epoch: p.d.Epoch}}, true
}

// endangered are the companies in the order of their need: those that can lose the fewest owners first.
func (p *planner) endangered() []*message.Company {
	all := make([]*message.Company, 0, len(p.d.Companies))
	for i := range p.d.Companies {
		if c := &p.d.Companies[i]; p.alive(c) {
			all = append(all, c)
		}
	}
	spare := func(c *message.Company) int {
		live, voters := p.live(c)
		return live - voters/2
	}
	slices.SortStableFunc(all, func(a, b *message.Company) int { return cmp.Compare(spare(a), spare(b)) })
	return all
}

// abandon gives up who joins on a node that cannot be used any more: it may vote already, so it stays in the list until
// its company does not count it, and only then another one joins. Where nobody else is left, nor the one that was to
// leave can stay, it is waited for.
func (p *planner) abandon() (Change, bool) {
	for _, c := range p.endangered() {
		for _, o := range c.Owners {
			if !o.Joining || o.Leaving || !p.lost(o.Node) {
				continue
			}
			instead := o.Instead
			for _, old := range c.Owners {
				if instead == 0 && old.Node == o.Node && !old.Joining {
					instead = old.Replica
				}
			}
			_, other := p.choose(c, o.Replica)
			old := c.Owner(instead)
			if stays := old != nil && old.Node != o.Node && p.can[old.Node]; other || stays {
				return p.move(c, message.NoNode, o.Replica)
			}
		}
	}
	return Change{}, false
}

// replace finds a company that has an owner on a node that is dead or leaves, or too few owners.
func (p *planner) replace() (Change, bool) {
	if p.moves >= MovesAtOnce {
		return Change{}, false
	}
	all := p.endangered()
	for _, lost := range []func(message.NodeID) bool{p.dead, func(n message.NodeID) bool { return p.d.Nodes[n].Leaving }} {
		for _, c := range all {
			if c.Changing() {
				continue
			}
			for _, o := range c.Owners {
				if !lost(o.Node) {
					continue
				}
				if to, ok := p.choose(c, o.Replica); ok {
					return p.move(c, to, o.Replica)
				}
				if p.d.Nodes[o.Node].Leaving && p.spared(c, o) || p.dead(o.Node) && p.lighter(c) {
					return p.move(c, message.NoNode, o.Replica)
				}
			}
		}
	}
	for _, c := range all {
		if !c.Changing() && len(c.Owners) < p.wanted(c) {
			if to, ok := p.choose(c, 0); ok {
				return p.move(c, to, 0)
			}
		}
	}
	return Change{}, false
}

// spared says whether a company keeps a majority without an owner.
func (p *planner) spared(c *message.Company, o message.Owner) bool {
	live, voters := p.live(c)
	if !p.dead(o.Node) {
		live--
	}
	return voters > 1 && live > (voters-1)/2
}

// lighter says whether a company gets by with a smaller majority without its dead voters. Then it can lose one more of the
// others; otherwise it gains nothing by giving them up, and a vote that may come back is kept: of 5 with one dead 3 are
// needed with it and without it, of 4 with one dead 3 with it and 2 without.
func (p *planner) lighter(c *message.Company) bool {
	live, voters := p.live(c)
	return live > voters/2 && live/2 < voters/2
}

// spread keeps the registers on the nodes that are there. A change that is under way ends first, unless it waits
// for a node that is lost.
func (p *planner) spread() (Change, bool) {
	r := p.d.Registers
	if len(r.Members) == 0 {
		return Change{}, false
	}
	wanted := r.Members
	if len(r.Next) > 0 {
		wanted = r.Next
		if !slices.ContainsFunc(r.Next, func(m message.Member) bool { return p.dead(m.Node) }) {
			return Change{}, false
		}
	}
	nodes := p.keepers(wanted)
	same := len(wanted) == len(nodes)
	for i := range wanted {
		same = same && wanted[i].Node == nodes[i]
	}
	return Change{Op: message.REGCHANGE, Nodes: nodes, Epoch: p.d.Epoch}, !same
}

// keepers are who shall keep the registers: all that are there. Where a user chose, those that stay of the chosen. While
// members change every operation needs the new ones, too: of those the dead are left out, and where nobody is left the
// registers stay where they are.
func (p *planner) keepers(now []message.Member) []message.NodeID {
	if !p.d.Chosen {
		return p.usable
	}
	changing := len(p.d.Registers.Next) > 0
	stay := p.staying(now, func(n message.NodeID) bool { return !changing || !p.dead(n) })
	if len(stay) == 0 {
		stay = p.staying(p.d.Registers.Members, func(message.NodeID) bool { return true })
	}
	if len(stay) == 0 {
		return p.usable
	}
	return stay
}

// staying are those of the members that do not leave, and that may stay.
func (p *planner) staying(members []message.Member, may func(message.NodeID) bool) (stay []message.NodeID) {
	for _, m := range members {
		if n := p.d.Nodes[m.Node]; !n.Gone && !n.Leaving && may(m.Node) {
			stay = append(stay, m.Node)
		}
	}
	return stay
}

// balance moves a replica from a node that has at least two more than another. No company gets onto fewer hosts.
func (p *planner) balance() (Change, bool) {
	if p.moves >= MovesAtOnce {
		return Change{}, false
	}
	type option struct {
		c        *message.Company
		from     message.Owner
		to       message.NodeID
		gap      int
		spreads  bool // onto one host more
		unevenly bool // the first owner's place goes where there are more of them, or stays where there are more
	}
	var best *option
	better := func(a, b *option) bool {
		return cmp.Or(cmp.Compare(b.gap, a.gap), order(b.spreads, a.spreads), order(a.unevenly, b.unevenly), cmp.Compare(a.c.ID, b.c.ID), cmp.Compare(a.to, b.to)) < 0
	}
	for i := range p.d.Companies {
		c := &p.d.Companies[i]
		if c.ID == 0 || c.Changing() || !p.alive(c) {
			continue
		}
		owners := ownerNodes(c)
		for at, o := range c.Owners {
			hosts := p.hosts(c, o.Replica)
			for _, to := range p.usable {
				gap := p.load[o.Node] - p.load[to]
				if gap < 2 || owners[to] || !p.can[o.Node] {
					continue
				}
				had, has := !hosts[p.d.Nodes[o.Node].Host], !hosts[p.d.Nodes[to].Host]
				if had && !has {
					continue
				}
				x := &option{c, o, to, gap, has && !had, (at == 0) != (p.firsts[o.Node] > p.firsts[to])}
				if best == nil || better(x, best) {
					best = x
				}
			}
		}
	}
	if best == nil {
		return Change{}, false
	}
	return p.move(best.c, best.to, best.from.Replica)
}

// found begins another company when there are more nodes than at the beginning. Who gave the cluster another number
// of companies than usual keeps that difference. Founders are there: a company of whose founders a majority has lost its
// disk before it began would never begin. Where too few are there now it waits.
func (p *planner) found() (Change, bool) {
	s := p.d.Settings
	usual := Companies(s.Nodes, s.Memory)
	wanted := min(Companies(len(p.usable), s.Memory)+s.Companies-usual, message.MaxCompany)
	if len(p.d.Companies)-1 >= wanted || p.moves > 0 {
		return Change{}, false
	}
	here := slices.DeleteFunc(slices.Clone(p.usable), p.away)
	c := message.Company{ID: message.CompanyID(len(p.d.Companies))}
	for len(c.Owners) < p.wanted(&c) {
		n, ok := p.chooseOf(here, &c, 0)
		if !ok {
			return Change{}, false
		}
		c.Owners = append(c.Owners, message.Owner{Node: n, Replica: uint64(len(c.Owners)) + 1})
	}
	slices.SortStableFunc(c.Owners, func(a, b message.Owner) int { return cmp.Compare(p.firsts[a.Node], p.firsts[b.Node]) })
	return Change{Op: message.FOUND, Company: c}, true
}

// goes finds a node that was dismissed and holds nothing any more.
func (p *planner) goes() (Change, bool) {
	held := map[message.NodeID]bool{}
	for i := range p.d.Companies {
		for n := range ownerNodes(&p.d.Companies[i]) {
			held[n] = true
		}
	}
	for _, list := range [][]message.Member{p.d.Registers.Members, p.d.Registers.Next} {
		for _, m := range list {
			held[m.Node] = true
		}
	}
	for _, n := range p.d.Nodes {
		if n.Leaving && !n.Gone && !held[n.ID] {
			return Change{Op: message.GONE, Node: n.ID}, true
		}
	}
	return Change{}, false
}
