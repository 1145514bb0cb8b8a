package directory

import (
	"bytes"
	"testing"

	"dmalloc/company"
	"dmalloc/message"
	"dmalloc/ring"
)

func planned(nodes int) *State {
	return New(ring.Plan(message.Settings{Nodes: nodes, Replicas: 3, Memory: 192 << 20}, nil))
}

// describing is a message about v. A REPLACE that does not say who votes comes from a leader that has done what it tells.
func describing(op message.Op, v any) *message.Message {
	if move, ok := v.(message.Move); ok && op == message.REPLACE && move.Voters == nil {
		move.Voters = []uint64{1 << 40}
		if move.Node != message.NoNode {
			move.Voters = []uint64{move.Replica}
		}
		v = move
	}
	m := message.New(op)
	m.Data = message.JSON(v)
	return m
}

func about(op message.Op, n uint64) *message.Message {
	m := message.New(op)
	m.Value = n
	return m
}

func moving(s *State, m message.Move) *message.Message {
	m.Epoch = s.Current().Epoch
	return describing(message.MOVE, m)
}

func want(t *testing.T, r company.Result, code message.Code) company.Result {
	t.Helper()
	if r.Code != code {
		t.Fatalf("%v %s, want %v", r.Code, r.Text, code)
	}
	return r
}

// A node gets one id, however often it asks, and keeps what it has told; when it has left the id is never used again.
func TestNodesComeAndGo(t *testing.T) {
	s := planned(5)
	n := message.Node{Key: 77, Address: "a", Host: "h", Memory: 1 << 20}
	for range 2 {
		if r := want(t, apply(t, s, describing(message.ADMIT, n)), message.Done); r.Value != 5 {
			t.Fatalf("id %d, want 5", r.Value)
		}
	}
	want(t, apply(t, s, describing(message.ADMIT, message.Node{Address: "a"})), message.InvalidArgument)
	want(t, apply(t, s, boots(5, 1, 0, "b")), message.Done)
	if got := *s.Current().Node(5); got.Address != "b" || got.Memory != 1<<20 || got.Host != "h" {
		t.Fatalf("%+v", got)
	}
	want(t, apply(t, s, about(message.GONE, 5)), message.InvalidArgument) // it was not dismissed
	want(t, apply(t, s, about(message.DISMISS, 1<<40)), message.NoSuchNode)
	want(t, apply(t, s, about(message.DISMISS, 0)), message.Done)
	want(t, apply(t, s, about(message.DISMISS, 0)), message.Done)
	want(t, apply(t, s, about(message.GONE, 0)), message.Busy) // it owns companies
	want(t, apply(t, s, about(message.DISMISS, 5)), message.Done)
	want(t, apply(t, s, about(message.GONE, 5)), message.Done)
	want(t, apply(t, s, about(message.GONE, 5)), message.Done)
	want(t, apply(t, s, describing(message.ADMIT, n)), message.NoSuchNode)
	want(t, apply(t, s, boots(5, 2, 0, "b")), message.NoSuchNode)
	want(t, apply(t, s, describing(message.REGCHANGE, []message.NodeID{1, 5})), message.NoSuchNode)
	n.Key++
	if r := apply(t, s, describing(message.ADMIT, n)); r.Value != 6 {
		t.Fatalf("id %d, want 6", r.Value)
	}
}

func TestTheLastNodeStays(t *testing.T) {
	s := planned(2)
	want(t, apply(t, s, about(message.DISMISS, 1)), message.Done)
	want(t, apply(t, s, about(message.DISMISS, 0)), message.InvalidArgument)
}

// A node that keeps registers is not let go.
func TestGoneWithRegisters(t *testing.T) {
	s := New(sample())
	s.d.Nodes = append(s.d.Nodes, message.Node{ID: 3})
	s.d.Registers = message.Registers{Epoch: 1, Replicas: 1, Members: []message.Member{{Node: 3}}}
	want(t, apply(t, s, about(message.DISMISS, 3)), message.Done)
	want(t, apply(t, s, about(message.GONE, 3)), message.Busy)
	want(t, apply(t, s, describing(message.REGCHANGE, []message.NodeID{0})), message.Done)
	want(t, apply(t, s, about(message.GONE, 3)), message.Busy)
	want(t, apply(t, s, about(message.REGDONE, s.Current().Registers.Epoch)), message.Done)
	want(t, apply(t, s, about(message.GONE, 3)), message.Done)
}

// D6, and who stands where after a move.
func TestMove(t *testing.T) {
	s := planned(5) // company 1 is on 0 1 2, replicas 1 2 3
	stale := moving(s, message.Move{Company: 1, Node: 3, From: 1})
	want(t, apply(t, s, moving(s, message.Move{Company: 1, Node: 1, From: 1})), message.InvalidArgument)
	want(t, apply(t, s, moving(s, message.Move{Company: 1, Node: 9, From: 1})), message.NoSuchNode)
	want(t, apply(t, s, moving(s, message.Move{Company: 1, Node: 3, From: 9})), message.InvalidArgument)
	want(t, apply(t, s, moving(s, message.Move{Company: 9, Node: 3, From: 1})), message.InvalidArgument)
	want(t, apply(t, s, moving(s, message.Move{Company: 1, Node: message.NoNode})), message.InvalidArgument)
	before := s.Current().Companies[3].Capacity
	want(t, apply(t, s, stale), message.Done)
	want(t, apply(t, s, stale), message.Stale)
	if after := s.Current().Companies[3].Capacity; before != 64<<20 || after != 48<<20 { // node 3 owns a fourth one now
		t.Errorf("capacity %d, then %d", before, after)
	}
	want(t, apply(t, s, moving(s, message.Move{Company: 1, Node: 4, From: 2})), message.Busy)
	// Its node is lost for good, D9: it stays on the list until Raft does not count it, and then another one joins.
	want(t, apply(t, s, moving(s, message.Move{Company: 1, Node: 4, From: 4})), message.Busy)
	want(t, apply(t, s, moving(s, message.Move{Company: 1, Node: message.NoNode, From: 4})), message.Done)
	want(t, apply(t, s, moving(s, message.Move{Company: 1, Node: 4, From: 1})), message.Busy)
	if o := s.Current().Company(1).Owners; len(o) != 4 || o[3] != (message.Owner{Node: 3, Replica: 4, Joining: true, Instead: 1, Leaving: true}) {
		t.Fatalf("owners %+v", o)
	}
	want(t, apply(t, s, describing(message.REPLACE, message.Move{Company: 1, Node: message.NoNode, Replica: 4})), message.Done)
	want(t, apply(t, s, moving(s, message.Move{Company: 1, Node: 4, From: 1})), message.Done)
	if o := s.Current().Company(1).Owners; len(o) != 4 || o[3] != (message.Owner{Node: 4, Replica: 5, Joining: true, Instead: 1}) {
		t.Fatalf("owners %+v", o)
	}
	want(t, apply(t, s, describing(message.REPLACE, message.Move{Company: 1, Node: 3, Replica: 4})), message.InvalidArgument)
	for range 2 {
		want(t, apply(t, s, describing(message.REPLACE, message.Move{Company: 1, Node: 4, Replica: 5})), message.Done)
	}
	o := s.Current().Company(1).Owners
	if len(o) != 3 || o[0] != (message.Owner{Node: 4, Replica: 5}) || o[1].Node != 1 {
		t.Fatalf("owners %+v: who joined stands where the other one stood", o)
	}
}

// D8: what is told too early, or by somebody who knows nothing of Raft, unlists nobody who votes.
func TestReplaceBeforeItIsDone(t *testing.T) {
	s := planned(5)
	forget := func(replica uint64, voters ...uint64) *message.Message {
		if voters == nil {
			voters = []uint64{}
		}
		return describing(message.REPLACE, message.Move{Company: 1, Node: message.NoNode, Replica: replica, Voters: voters})
	}
	replace := func(voters ...uint64) *message.Message {
		if voters == nil {
			voters = []uint64{}
		}
		return describing(message.REPLACE, message.Move{Company: 1, Node: 3, Replica: 4, Voters: voters})
	}
	want(t, apply(t, s, forget(2)), message.InvalidArgument)
	want(t, apply(t, s, forget(2, 1, 2, 3)), message.InvalidArgument)
	want(t, apply(t, s, moving(s, message.Move{Company: 1, Node: 3, From: 1})), message.Done)
	for _, m := range []*message.Message{replace(), replace(1, 2, 3), replace(1, 2, 3, 4), replace(2, 3), forget(1), forget(4, 2, 3, 4)} {
		want(t, apply(t, s, m), message.InvalidArgument)
		if o := s.Current().Company(1).Owners; len(o) != 4 {
			t.Fatalf("%s: %+v", m.Data, o)
		}
	}
	want(t, apply(t, s, replace(2, 3, 4)), message.Done)
	want(t, apply(t, s, replace()), message.Done) // a repetition
	if o := s.Current().Company(1).Owners; len(o) != 3 || o[0].Replica != 4 {
		t.Fatalf("%+v", o)
	}
	// Raft has removed one that was to stay: its leader knows, and it may go.
	want(t, apply(t, s, forget(3, 2, 4)), message.Done)
	want(t, apply(t, s, moving(s, message.Move{Company: 1, Node: message.NoNode, From: 2})), message.Done)
	want(t, apply(t, s, forget(2, 2, 4)), message.InvalidArgument)
	want(t, apply(t, s, forget(2)), message.Done)
}

// A replica leaves, and nobody takes its place; and an attempt is given up.
func TestLeaveWithoutSuccessor(t *testing.T) {
	s := planned(4)
	want(t, apply(t, s, moving(s, message.Move{Company: 1, Node: message.NoNode, From: 2})), message.Done)
	if o := s.Current().Company(1).Owner(2); !o.Leaving || o.Joining {
		t.Fatalf("%+v", o)
	}
	want(t, apply(t, s, moving(s, message.Move{Company: 1, Node: 3, From: 1})), message.Busy)
	for range 2 {
		want(t, apply(t, s, describing(message.REPLACE, message.Move{Company: 1, Node: message.NoNode, Replica: 2})), message.Done)
	}
	want(t, apply(t, s, moving(s, message.Move{Company: 1, Node: 3, From: 1})), message.Done)
	want(t, apply(t, s, moving(s, message.Move{Company: 1, Node: message.NoNode, From: 4})), message.Done)
	if o := s.Current().Company(1).Owner(4); !o.Leaving || !o.Joining || o.Instead != 1 {
		t.Fatalf("%+v", o)
	}
	want(t, apply(t, s, moving(s, message.Move{Company: 1, Node: 1, From: 4})), message.Busy)
	want(t, apply(t, s, describing(message.REPLACE, message.Move{Company: 1, Node: message.NoNode, Replica: 4})), message.Done)
	if o := s.Current().Company(1).Owners; len(o) != 2 || o[0].Replica != 1 || o[1].Replica != 3 {
		t.Fatalf("%+v", o)
	}
	want(t, apply(t, s, describing(message.REPLACE, message.Move{Company: 1, Node: message.NoNode, Replica: 1})), message.Done)
	want(t, apply(t, s, describing(message.REPLACE, message.Move{Company: 1, Node: message.NoNode, Replica: 3})), message.InvalidArgument)
	want(t, apply(t, s, moving(s, message.Move{Company: 1, Node: message.NoNode, From: 3})), message.InvalidArgument)
}

// A disk that is lost while its node takes a replica over is one more attempt; what leaves a node does not return to it.
func TestRetireDuringAMove(t *testing.T) {
	s := planned(5)
	want(t, apply(t, s, moving(s, message.Move{Company: 1, Node: 3, From: 1})), message.Done)
	want(t, apply(t, s, describing(message.RETIRE, message.Node{ID: 3, Incarnation: 1})), message.Done)
	if o := s.Current().Company(1).Owners; len(o) != 4 || o[3] != (message.Owner{Node: 3, Replica: 5, Joining: true, Instead: 1}) {
		t.Fatalf("%+v", o)
	}
	want(t, apply(t, s, describing(message.RETIRE, message.Node{ID: 0, Incarnation: 1})), message.Done)
	if o := s.Current().Company(1).Owners; len(o) != 4 {
		t.Fatalf("%+v", o)
	}
	if o := s.Current().Company(4).Owners; len(o) != 5 { // on 3 4 0, two of which lost their disks
		t.Fatalf("%+v", o)
	}
	// One of those is given up, and its node loses its disk once more: then it is one more attempt.
	old := s.Current().Company(4).Owners
	want(t, apply(t, s, moving(s, message.Move{Company: 4, Node: message.NoNode, From: old[3].Replica})), message.Done)
	want(t, apply(t, s, describing(message.RETIRE, message.Node{ID: old[3].Node, Incarnation: 2})), message.Done)
	if o := s.Current().Company(4).Owners; len(o) != 5 || o[4] != (message.Owner{Node: old[3].Node, Replica: old[4].Replica + 1, Joining: true}) {
		t.Fatalf("%+v", o)
	}
}

func TestFound(t *testing.T) {
	s := planned(5)
	want(t, apply(t, s, describing(message.RETIRE, message.Node{ID: 4, Incarnation: 2})), message.Done)
	of := func(id message.CompanyID, nodes ...message.NodeID) *message.Message {
		c := message.Company{ID: id}
		for _, n := range nodes {
			c.Owners = append(c.Owners, message.Owner{Node: n})
		}
		return describing(message.FOUND, c)
	}
	want(t, apply(t, s, of(7, 1, 2)), message.InvalidArgument)
	want(t, apply(t, s, of(6)), message.InvalidArgument)
	want(t, apply(t, s, of(6, 1, 1)), message.InvalidArgument)
	want(t, apply(t, s, of(6, 1, 11)), message.NoSuchNode)
	want(t, apply(t, s, of(6, 4, 2, 0)), message.Done)
	want(t, apply(t, s, of(6, 4, 2, 0)), message.Stale)
	c := s.Current().Company(6)
	if c.Base != message.CompanyID(6).Base() || c.Limit != c.Base+message.WindowSize || c.Next != 4 || len(c.Founders) != 3 ||
		c.Founders[0] != (message.Founder{Node: 4, Replica: 1, Incarnation: 2}) || c.Owners[2] != (message.Owner{Node: 0, Replica: 3}) || c.Capacity != 48<<20 {
		t.Fatalf("%+v", c)
	}
	var b bytes.Buffer
	_, _ = s.Snapshot().WriteTo(&b)
	got, err := Load(&b)
	if err != nil || !bytes.Equal(message.JSON(got.Current()), message.JSON(s.Current())) {
		t.Fatal(err)
	}
}
