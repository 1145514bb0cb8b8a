package owner

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmalloc/directory"
	"dmalloc/message"
	"dmalloc/ring"
)

// group is a company as Raft has it.
type group struct {
	Members
	knows  map[uint64]bool // replicas that hold the log, on a disk that is there
	leader uint64
}

// cluster is a directory that changes and companies that follow it, with leaders that die between any two steps and
// see directories that are out of date.
type cluster struct {
	t       *rapid.T
	s       *directory.State
	history []*message.Directory
	groups  []*group
	dead    map[message.NodeID]bool
}

func newCluster(t *rapid.T) *cluster {
	s := message.Settings{Nodes: rapid.IntRange(1, 6).Draw(t, "nodes"), Replicas: rapid.SampledFrom([]int{1, 2, 3, 3, 3, 5}).Draw(t, "replicas"), Memory: 1 << 30}
	s.Companies = ring.Companies(s.Nodes, s.Memory)
	w := &cluster{t: t, s: directory.New(ring.Plan(s, nil)), dead: map[message.NodeID]bool{}}
	w.history = append(w.history, w.s.Current())
	w.groupsFollow()
	return w
}

// groupsFollow begins the companies that are new in the directory.
func (w *cluster) groupsFollow() {
	for _, c := range w.s.Current().Companies[len(w.groups):] {
		g := &group{Members: Members{Voting: map[uint64]message.NodeID{}, Joining: map[uint64]message.NodeID{}, Gone: map[uint64]bool{}}, knows: map[uint64]bool{}}
		for _, o := range c.Owners {
			g.Voting[o.Replica], g.knows[o.Replica] = o.Node, true
		}
		w.groups = append(w.groups, g)
	}
}

func (w *cluster) log(op message.Op, v any, value uint64) message.Code {
	m := message.New(op)
	m.Value = value
	if op == message.REGCHANGE {
		m.Size = w.s.Current().Epoch
	}
	if v != nil {
		m.Data = message.JSON(v)
	}
	r := w.s.Apply(w.s.Index()+1, &message.Batch{Messages: []*message.Message{m}}).Results[0]
	if err := w.s.Check(); err != nil {
		w.t.Fatal(err)
	}
	w.history = append(w.history, w.s.Current())
	w.groupsFollow()
	return r.Code
}

// dropSeats has each node that lives delete the replicas that the directory does not list any more.
func (w *cluster) dropSeats() {
	for id, g := range w.groups {
		for _, have := range []map[uint64]message.NodeID{g.Voting, g.Joining} {
			for r, n := range have {
				if !w.dead[n] && !w.same(id, r) {
					delete(g.knows, r)
				}
			}
		}
	}
	w.majorities("a node deleted what the directory does not list")
}

func (w *cluster) majorities(after any) {
	for id, g := range w.groups {
		if g.known() <= len(g.Voting)/2 {
			w.t.Fatalf("company %d: after %+v of the voters %v only %v know the log; the directory has %+v", id, after, g.Voting, g.knows, w.s.Current().Company(message.CompanyID(id)).Owners)
		}
	}
}

// plan has the directory's leader do one thing.
func (w *cluster) plan() bool {
	d := w.s.Current()
	c := ring.Next(d, func(n message.NodeID) bool { return w.dead[n] })
	switch c.Op {
	case message.MOVE:
		w.log(c.Op, c.Move, 0)
	case message.FOUND:
		w.log(c.Op, c.Company, 0)
	case message.GONE:
		w.log(c.Op, nil, uint64(c.Node))
	case message.REGCHANGE:
		w.log(c.Op, c.Nodes, 1)
		w.log(message.REGDONE, nil, w.s.Current().Registers.Epoch)
	default:
		return false
	}
	return true
}

func (g *group) live(dead map[message.NodeID]bool) (live int) {
	for r, n := range g.Voting {
		if g.knows[r] && !dead[n] {
			live++
		}
	}
	return live
}

// known counts the voters that hold the log.
func (g *group) known() (known int) {
	for r := range g.Voting {
		if g.knows[r] {
			known++
		}
	}
	return known
}

// elect makes somebody lead who can, if there is a majority.
func (w *cluster) elect(g *group) bool {
	if g.live(w.dead) <= len(g.Voting)/2 {
		return false
	}
	can := func(r uint64) bool {
		n, votes := g.Voting[r]
		return votes && g.knows[r] && !w.dead[n]
	}
	if can(g.leader) {
		return true
	}
	var all []uint64
	for r := range g.Voting {
		if can(r) {
			all = append(all, r)
		}
	}
	slices.Sort(all)
	g.leader = rapid.SampledFrom(all).Draw(w.t, "leader")
	return true
}

// step has the leader of a company take one step, as a directory says that may be old.
func (w *cluster) step(id, late int) StepKind {
	g := w.groups[id]
	if !w.elect(g) {
		return Settled
	}
	d := w.history[max(0, len(w.history)-1-late)]
	c := d.Company(message.CompanyID(id))
	if c == nil {
		return Settled
	}
	g.Lost = map[uint64]bool{}
	for r := range g.Voting {
		g.Lost[r] = !g.knows[r] // a disk that is lost is known from its address
	}
	s := Plan(c, g.Members, g.leader, func(r uint64) bool {
		n := g.Joining[r]
		if w.dead[n] || !w.same(id, r) {
			return false
		}
		g.knows[r] = true
		return true
	}, func(n message.NodeID) bool { return w.dead[n] })
	switch s.Kind {
	case Join:
		if g.Gone[s.Replica] {
			w.t.Fatalf("company %d: replica %d is added again", id, s.Replica)
		}
		g.Joining[s.Replica] = s.Node
	case Promote:
		if !g.knows[s.Replica] {
			w.t.Fatalf("company %d: replica %d votes and knows nothing", id, s.Replica)
		}
		delete(g.Joining, s.Replica)
		g.Voting[s.Replica] = s.Node
	case Remove:
		alive := g.knows[s.Replica] && !w.dead[s.Node]
		if s.Replica == g.leader {
			w.t.Fatalf("company %d: its leader removes itself", id)
		}
		delete(g.Voting, s.Replica)
		delete(g.Joining, s.Replica)
		g.Gone[s.Replica] = true
		for _, o := range c.Owners {
			if _, votes := g.Voting[o.Replica]; o.Joining && !o.Leaving && o.Instead == s.Replica && alive && !votes {
				w.t.Fatalf("company %d: replica %d lives and leaves before replica %d votes", id, s.Replica, o.Replica)
			}
		}
	case Handover:
		if n, votes := g.Voting[s.Replica]; !votes || w.dead[n] {
			w.t.Fatalf("company %d: handed over to replica %d, which does not vote", id, s.Replica)
		}
		g.leader = s.Replica
	case Record:
		w.log(message.REPLACE, message.Move{Company: c.ID, Node: s.Node, Replica: s.Replica, Voters: slices.Sorted(maps.Keys(g.Voting))}, 0)
	case Forget:
		if _, votes := g.Voting[s.Replica]; votes {
			w.t.Fatalf("company %d: replica %d is forgotten and votes", id, s.Replica)
		}
		w.log(message.REPLACE, message.Move{Company: c.ID, Node: message.NoNode, Replica: s.Replica, Voters: slices.Sorted(maps.Keys(g.Voting))}, 0)
	}
	w.majorities(s)
	return s.Kind
}

// same says whether a replica is one that its node has started: the directory has listed it for this disk.
func (w *cluster) same(id int, replica uint64) bool {
	o := w.s.Current().Company(message.CompanyID(id)).Owner(replica)
	return o != nil
}

func (w *cluster) usable() (n int) {
	for _, x := range w.s.Current().Nodes {
		if !x.Gone && !x.Leaving && !w.dead[x.ID] {
			n++
		}
	}
	return n
}

// lose takes a node's disk, if every company keeps a majority that knows its log.
func (w *cluster) lose(n message.NodeID) {
	for _, g := range w.groups {
		known := g.known()
		for r, at := range g.Voting {
			if at == n && g.knows[r] {
				known--
			}
		}
		if known <= len(g.Voting)/2 {
			return
		}
	}
	if w.s.Current().Node(n).Gone {
		return
	}
	for _, g := range w.groups {
		for _, have := range []map[uint64]message.NodeID{g.Voting, g.Joining} {
			for r, at := range have {
				if at == n {
					delete(g.knows, r)
				}
			}
		}
	}
	w.log(message.RETIRE, message.Node{ID: n, Incarnation: w.s.Current().Node(n).Incarnation + 1}, 0)
}

// stuck describes the companies that still change.
func (w *cluster) stuck() string {
	text := string(message.JSON(ring.Next(w.s.Current(), func(message.NodeID) bool { return false })))
	for id, g := range w.groups {
		if c := w.s.Current().Company(message.CompanyID(id)); c.Changing() {
			text += fmt.Sprintf("\ncompany %d: Raft has %v and %v, %v know, the directory has %+v", id, g.Voting, g.Joining, g.knows, c.Owners)
		}
	}
	return text
}

// Whatever is cut short, and however old the directory is that a leader goes by: a majority of the voters always
// knows the log, a live move costs no vote, and in the end Raft has whom the directory lists.
func TestPlanKeepsMajorities(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newCluster(t)
		for range rapid.IntRange(5, 120).Draw(t, "events") {
			w.dropSeats()
			d := w.s.Current()
			n := message.NodeID(rapid.IntRange(0, len(d.Nodes)-1).Draw(t, "node"))
			switch rapid.IntRange(0, 15).Draw(t, "event") {
			case 0:
				w.log(message.ADMIT, message.Node{Key: uint64(len(d.Nodes)) + 1}, 0)
				w.log(message.BOOT, message.Node{ID: message.NodeID(len(d.Nodes)), Boot: 1}, 0)
			case 1:
				if w.usable() > 1 {
					w.log(message.DISMISS, nil, uint64(n))
				}
			case 2:
				w.dead[n] = true
			case 3, 4:
				w.dead = map[message.NodeID]bool{}
			case 5:
				w.lose(n)
			case 6, 7, 8:
				w.plan()
			default:
				w.step(rapid.IntRange(0, len(w.groups)-1).Draw(t, "company"), rapid.SampledFrom([]int{0, 0, 0, 1, 2, 5}).Draw(t, "late"))
			}
		}
		w.dead = map[message.NodeID]bool{}
		for rounds, busy := 0, true; busy; rounds++ {
			if rounds > 3000 {
				t.Fatalf("it does not end: %s", w.stuck())
			}
			w.dropSeats()
			busy = w.plan()
			for id := range w.groups {
				busy = w.step(id, 0) != Settled || busy
			}
		}
		for id, g := range w.groups {
			c := w.s.Current().Company(message.CompanyID(id))
			if len(g.Voting) != len(c.Owners) || len(g.Joining) > 0 {
				t.Fatalf("company %d: Raft has %v and %v, the directory %+v", id, g.Voting, g.Joining, c.Owners)
			}
			for _, o := range c.Owners {
				if n, votes := g.Voting[o.Replica]; !votes || n != o.Node || !g.knows[o.Replica] {
					t.Fatalf("company %d: Raft has %v, the directory %+v", id, g.Voting, c.Owners)
				}
			}
		}
	})
}
