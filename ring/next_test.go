package ring

import (
	"encoding/json"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"dmalloc/message"
)

// book is the directory's company as the planner's tests need it: it does what Next says, at once.
type book struct {
	d     *message.Directory
	dead  map[message.NodeID]bool
	moved int // replicas that were copied
}

func newBook(nodes, replicas int, hosts []string) *book {
	s := message.Settings{Nodes: nodes, Replicas: replicas, Memory: 1 << 30}
	s.Companies = Companies(nodes, s.Memory)
	return &book{d: Plan(s, hosts), dead: map[message.NodeID]bool{}}
}

func (b *book) isDead(n message.NodeID) bool { return b.dead[n] }

func (b *book) planner() *planner {
	return newPlanner(b.d, Beliefs{Dead: b.isDead})
}

func (b *book) add(host string) message.NodeID {
	id := message.NodeID(len(b.d.Nodes))
	b.d.Nodes = append(b.d.Nodes, message.Node{ID: id, Host: host, Key: uint64(id), Boot: 1})
	b.d.Epoch++
	return id
}

// do begins a change, in the directory only.
func (b *book) do(t fatal, c Change) {
	// Those whose joiner is dead do not count, and may come back later.
	if p := b.planner(); c.Op == message.MOVE && c.Move.Node != message.NoNode && p.moves >= MovesAtOnce {
		t.Fatalf("another move begins beside %d", p.moves)
	}
	b.d.Epoch++
	switch c.Op {
	case message.MOVE:
		x := b.d.Company(c.Move.Company)
		if c.Move.Epoch != b.d.Epoch-1 {
			t.Fatalf("%+v was not planned for epoch %d", c.Move, b.d.Epoch-1)
		}
		from := x.Owner(c.Move.From)
		if x.Changing() && (from == nil || !from.Joining) {
			t.Fatalf("%+v: company %d changes already", c.Move, x.ID)
		}
		if c.Move.Node == message.NoNode {
			from.Leaving = true
			return
		}
		if ownerNodes(x)[c.Move.Node] {
			t.Fatalf("%+v: two owners of company %d on one node: %+v", c.Move, x.ID, x.Owners)
		}
		o := message.Owner{Node: c.Move.Node, Replica: x.Next, Joining: true, Instead: c.Move.From}
		x.Next++
		if from != nil && from.Joining {
			t.Fatalf("%+v: replica %d of company %d may vote already", c.Move, from.Replica, x.ID)
		}
		x.Owners = append(x.Owners, o)
		b.moved++
	case message.FOUND:
		x := c.Company
		x.Next = uint64(len(x.Owners)) + 1
		b.d.Companies = append(b.d.Companies, x)
	case message.REGCHANGE:
		b.d.Registers.Next = nil
		for _, n := range c.Nodes {
			b.d.Registers.Next = append(b.d.Registers.Next, message.Member{Node: n})
		}
	case message.GONE:
		b.d.Nodes[c.Node].Gone = true
	}
}

// finish ends what is under way in one company, as its leader would, if it has a majority.
func (b *book) finish(c *message.Company) {
	if p := b.planner(); !p.alive(c) {
		return
	}
	for _, o := range c.Owners {
		if o.Joining && b.dead[o.Node] && !o.Leaving {
			return
		}
	}
	b.d.Epoch++
	kept := final(c)
	for i := range kept {
		kept[i] = message.Owner{Node: kept[i].Node, Replica: kept[i].Replica}
	}
	c.Owners = kept
}

func (b *book) finishAll() {
	for i := range b.d.Companies {
		if c := &b.d.Companies[i]; c.Changing() {
			b.finish(c)
		}
	}
	if r := &b.d.Registers; len(r.Next) > 0 {
		r.Members, r.Next = r.Next, nil
	}
}

type fatal interface{ Fatalf(string, ...any) }

// settle goes on until nothing is to be done.
func (b *book) settle(t fatal) (changes int) {
	for ; ; changes++ {
		if changes > 2000 {
			t.Fatalf("G5: it does not end: %s", message.JSON(b.d))
		}
		c := Next(b.d, b.isDead)
		if c.Op == message.NONE {
			under := slices.ContainsFunc(b.d.Companies, func(c message.Company) bool { return c.Changing() }) || len(b.d.Registers.Next) > 0
			epoch := b.d.Epoch
			b.finishAll()
			if !under || epoch == b.d.Epoch && len(b.d.Registers.Next) == 0 && Next(b.d, b.isDead).Op == message.NONE {
				return changes
			}
			continue
		}
		b.do(t, c)
		b.check(t)
	}
}

func (b *book) check(t fatal) {
	for i := range b.d.Companies {
		c := &b.d.Companies[i]
		nodes := map[message.NodeID]bool{}
		for _, o := range c.Owners {
			if nodes[o.Node] {
				t.Fatalf("G5: company %d has two owners on node %d: %+v", c.ID, o.Node, c.Owners)
			}
			nodes[o.Node] = true
		}
	}
}

// held counts the companies of each node, those that have left without a row.
func (b *book) held() []int {
	var held []int
	p := b.planner()
	for _, n := range p.usable {
		held = append(held, p.load[n])
	}
	return held
}

// A sixth node costs two copied replicas for balance and none for the sixth company, which is empty.
func TestNextForASixthNode(t *testing.T) {
	b := newBook(5, 3, nil)
	b.add("")
	b.settle(t)
	if held := b.held(); len(b.d.Companies) != 7 || spread(held) != 0 {
		t.Errorf("%d companies, held %v", len(b.d.Companies), held)
	}
	if b.moved != 2 {
		t.Errorf("%d replicas were copied; 2 are enough", b.moved)
	}
	if p := b.planner(); spread([]int{p.firsts[0], p.firsts[1], p.firsts[2], p.firsts[3], p.firsts[4], p.firsts[5]}) != 0 {
		t.Errorf("first owners: %v", p.firsts)
	}
	if len(b.d.Registers.Members) != 6 || len(b.d.Companies[0].Owners) != 5 {
		t.Errorf("registers on %v, the directory on %v", b.d.Registers.Members, b.d.Companies[0].OwnerNodes())
	}
}

// A node that is dead for long is replaced everywhere, with one copy for each of its replicas; back again it gets work.
func TestNextForADeadNode(t *testing.T) {
	b := newBook(6, 3, nil)
	b.dead[2] = true
	b.settle(t)
	for i := range b.d.Companies {
		if c := &b.d.Companies[i]; ownerNodes(c)[2] || len(c.Owners) != b.want(c) {
			t.Errorf("company %d is on %v", c.ID, c.OwnerNodes())
		}
	}
	if b.moved != 4 || spread(b.held()) > 1 || len(b.d.Registers.Members) != 5 { // 3 companies and the directory
		t.Errorf("%d copied, held %v, registers on %v", b.moved, b.held(), b.d.Registers.Members)
	}
	b.dead[2] = false
	b.moved = 0
	b.settle(t)
	if held := b.held(); spread(held) > 1 || b.moved != 3 || len(b.d.Registers.Members) != 6 || len(b.d.Companies) != 7 {
		t.Errorf("held %v, %d copied", held, b.moved)
	}
}

func (b *book) want(c *message.Company) int { return b.planner().wanted(c) }

// A node that leaves is drained and goes; with too few others its replicas have no successors.
func TestNextForALeavingNode(t *testing.T) {
	for _, nodes := range []int{6, 3, 2} {
		b := newBook(nodes, 3, nil)
		b.d.Nodes[1].Leaving = true
		b.settle(t)
		if !b.d.Nodes[1].Gone {
			t.Fatalf("node 1 of %d stays: %s", nodes, message.JSON(b.d))
		}
		for i := range b.d.Companies {
			if c := &b.d.Companies[i]; ownerNodes(c)[1] || len(c.Owners) != b.want(c) {
				t.Errorf("company %d is on %v", c.ID, c.OwnerNodes())
			}
		}
	}
}

// Dead owners for whom there is no other node are given up where their company can lose one more of the others then.
// Back again they are owners again.
func TestNextWithoutAnotherNode(t *testing.T) {
	for _, row := range []struct {
		nodes int
		dead  []message.NodeID
		want  int // owners of the directory
	}{{3, []message.NodeID{1}, 3}, {4, []message.NodeID{1}, 3}, {5, []message.NodeID{1}, 5}, {5, []message.NodeID{1, 3}, 3}, {6, []message.NodeID{1}, 5}} {
		b := newBook(row.nodes, 3, nil)
		for _, n := range row.dead {
			b.dead[n] = true
		}
		b.settle(t)
		c := b.d.Company(0)
		if live, _ := b.planner().live(c); len(c.Owners) != row.want || live != min(5, row.nodes-len(row.dead)) {
			t.Errorf("of %d nodes %v are dead: the directory is on %v", row.nodes, row.dead, c.OwnerNodes())
		}
		b.dead = map[message.NodeID]bool{}
		b.settle(t)
		if c := b.d.Company(0); len(c.Owners) != min(5, row.nodes) {
			t.Errorf("of %d nodes %v were dead: the directory is on %v", row.nodes, row.dead, c.OwnerNodes())
		}
	}
}

// Who is away now, though not for long, founds no company: its disk may be lost. Where too few are left it waits.
func TestNextFoundsWithThoseThatAreThere(t *testing.T) {
	for _, row := range []struct {
		away []message.NodeID
		ok   bool
	}{{nil, true}, {[]message.NodeID{2}, true}, {[]message.NodeID{0, 1, 4}, true}, {[]message.NodeID{0, 1, 4, 5}, false}} {
		b := newBook(5, 3, nil)
		b.settle(t)
		b.add("")
		p := newPlanner(b.d, Beliefs{Away: func(n message.NodeID) bool { return slices.Contains(row.away, n) }})
		c, ok := p.found()
		if ok != row.ok || ok && len(c.Company.Owners) != 3 {
			t.Errorf("away are %v: %+v, %v", row.away, c, ok)
		}
		for _, o := range c.Company.Owners {
			if slices.Contains(row.away, o.Node) {
				t.Errorf("away are %v, and founders %v", row.away, c.Company.OwnerNodes())
			}
		}
	}
}

// The most endangered company goes first.
func TestNextHelpsTheMostEndangered(t *testing.T) {
	b := newBook(8, 5, nil)
	b.d.Companies[3].Owners = b.d.Companies[3].Owners[:2] // on 2 and 3: one more death ends it
	b.dead[7] = true
	for len(b.d.Companies[1].Owners) < 5 {
		t.Fatal("company 1 lacks owners")
	}
	if c := Next(b.d, b.isDead); c.Op != message.MOVE || !ownerNodes(b.d.Company(c.Move.Company))[7] {
		t.Fatalf("dead nodes come first: %+v", c)
	}
	b.dead = map[message.NodeID]bool{2: true, 4: true}
	b.d.Companies[3].Owners = Plan(b.d.Settings, nil).Companies[3].Owners[:3] // on 2 3 4: no majority
	if c := Next(b.d, b.isDead); c.Op != message.MOVE || c.Move.Company == 3 {
		t.Fatalf("what has no majority cannot be helped: %+v", c)
	}
}

func TestNextPrefersAnotherHost(t *testing.T) {
	b := newBook(6, 3, []string{"a", "b", "c", "a", "b", "c"})
	b.add("c")
	b.dead[2] = true
	b.settle(t)
	for _, c := range b.d.Companies[1:] {
		if p := b.planner(); len(p.hosts(&c, 0)) != 3 {
			t.Errorf("company %d is on %v", c.ID, c.OwnerNodes())
		}
	}
}

// G5: whatever comes and goes, it ends; then nothing is on lost nodes, nothing lacks owners, and the load is even where
// hosts do not forbid it.
func TestNextEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.IntRange(1, 12).Draw(t, "nodes")
		several := rapid.Bool().Draw(t, "hosts")
		host := func(i int) string {
			if several {
				return strconv.Itoa(rapid.IntRange(0, 3).Draw(t, "host"))
			}
			return ""
		}
		hosts := make([]string, nodes)
		for i := range hosts {
			hosts[i] = host(i)
		}
		b := newBook(nodes, rapid.IntRange(1, 5).Draw(t, "replicas"), hosts)
		for range rapid.IntRange(1, 12).Draw(t, "events") {
			id := message.NodeID(rapid.IntRange(0, len(b.d.Nodes)-1).Draw(t, "node"))
			switch rapid.IntRange(0, 5).Draw(t, "event") {
			case 0:
				b.add(host(len(b.d.Nodes)))
			case 1:
				if p := b.planner(); p.can[id] && len(p.usable) > 1 {
					b.d.Nodes[id].Leaving = true
				}
			case 2:
				b.dead[id] = !b.d.Nodes[id].Gone
			case 3:
				delete(b.dead, id)
			case 4: // some time
				for range rapid.IntRange(1, 4).Draw(t, "changes") {
					if c := Next(b.d, b.isDead); c.Op != message.NONE {
						b.do(t, c)
						b.check(t)
					}
				}
			case 5:
				i := rapid.IntRange(0, len(b.d.Companies)-1).Draw(t, "company")
				if c := &b.d.Companies[i]; c.Changing() {
					b.finish(c)
				}
			}
		}
		b.settle(t)
		b.dead = map[message.NodeID]bool{} // all come back
		b.settle(t)
		p := b.planner()
		for i := range b.d.Companies {
			c := &b.d.Companies[i]
			if len(c.Owners) != p.wanted(c) || c.Changing() {
				t.Fatalf("company %d has owners %+v, of %d usable nodes", c.ID, c.Owners, len(p.usable))
			}
		}
		for _, n := range b.d.Nodes {
			if n.Leaving && !n.Gone {
				t.Fatalf("node %d stays", n.ID)
			}
		}
		if held := b.held(); !several && spread(held) > 1 {
			t.Fatalf("held %v", held)
		}
		if text, _ := json.Marshal(Next(b.d, b.isDead)); Next(b.d, b.isDead).Op != message.NONE {
			t.Fatalf("%s after the end", text)
		}
	})
}

// Where a user has said who keeps the registers, nobody else joins; who leaves does leave.
func TestNextKeepsChosenRegisters(t *testing.T) {
	b := newBook(5, 3, nil)
	b.d.Chosen, b.d.Registers.Members = true, b.d.Registers.Members[1:3]
	b.add("")
	b.settle(t)
	if len(b.d.Registers.Members) != 2 {
		t.Errorf("members %v", b.d.Registers.Members)
	}
	b.d.Nodes[1].Leaving = true
	b.settle(t)
	if m := b.d.Registers.Members; len(m) != 1 || m[0].Node != 2 || !b.d.Nodes[1].Gone {
		t.Errorf("members %v", m)
	}
	b.d.Nodes[2].Leaving = true
	b.settle(t)
	if m := b.d.Registers.Members; len(m) != 4 {
		t.Errorf("members %v", m)
	}
}

// A user's choice that cannot be had holds nobody up for good: who is dead before the registers have come to it is
// left out, and where nobody is left they stay.
func TestNextForDeadChosenRegisters(t *testing.T) {
	for _, row := range []struct{ chosen, want []message.NodeID }{
		{[]message.NodeID{2}, []message.NodeID{0, 1, 2, 3, 4}},
		{[]message.NodeID{1, 2}, []message.NodeID{1}},
	} {
		b := newBook(5, 3, nil)
		b.dead[2] = true
		b.d.Chosen = true
		for _, n := range row.chosen {
			b.d.Registers.Next = append(b.d.Registers.Next, message.Member{Node: n})
		}
		p := b.planner()
		if c, ok := p.spread(); !ok || !slices.Equal(c.Nodes, row.want) {
			t.Errorf("chosen %v: %+v", row.chosen, c)
		}
	}
}

// Moves that get nowhere hold nobody up: those of nodes that are dead, and those that are said to be stuck.
func TestNextBesideStuckMoves(t *testing.T) {
	b := newBook(8, 3, nil)
	begin := func() (joining []message.NodeID) {
		b.d = newBook(8, 3, nil).d
		for id := message.CompanyID(3); id < 3+MovesAtOnce; id++ { // on 2 3 4 and 3 4 5
			c := b.d.Company(id)
			b.do(t, Change{Op: message.MOVE, Move: message.Move{Company: id, Node: message.NodeID(5 + id - 2), From: 2, Epoch: b.d.Epoch}})
			joining = append(joining, c.Owners[3].Node)
		}
		return joining
	}
	begin()
	b.dead = map[message.NodeID]bool{0: true}
	if c := Next(b.d, b.isDead); c.Op == message.MOVE {
		t.Fatalf("%+v while %d others are moved", c, MovesAtOnce)
	}
	helps := func(c Change) bool {
		return c.Op == message.MOVE && b.d.Company(c.Move.Company).Owner(c.Move.From).Node == 0
	}
	if c := NextBeside(b.d, Beliefs{Dead: b.isDead, Stuck: func(id message.CompanyID) bool { return id == 3 }}); !helps(c) {
		t.Errorf("node 0 is dead, and one of two moves is stuck: %+v", c)
	}
	for _, n := range begin() {
		b.dead[n] = true
	}
	for i := range b.d.Companies { // they are given up already, and their leaders cannot end that
		for j := range b.d.Companies[i].Owners {
			if o := &b.d.Companies[i].Owners[j]; o.Joining {
				o.Leaving = true
			}
		}
	}
	if c := Next(b.d, b.isDead); c.Op != message.MOVE {
		t.Errorf("nobody joins on a node that lives: %+v", c)
	}
}
