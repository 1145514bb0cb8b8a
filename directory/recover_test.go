package directory

import (
	"testing"

	"dmalloc/message"
)

func recovering(s *State, m message.Move) *message.Message {
	m.Epoch = s.Current().Epoch
	return describing(message.RECOVER, m)
}

// A company begins anew from one owner, in a replica that never was, as planned for the directory that there is.
func TestRecover(t *testing.T) {
	s := planned(5)
	c := s.Current().Company(1)
	last := c.Owners[2]
	from := message.Move{Company: 1, Node: last.Node, From: last.Replica}
	want(t, apply(t, s, recovering(s, message.Move{Company: 0, Node: 0, From: 1})), message.Unsupported)
	want(t, apply(t, s, recovering(s, message.Move{Company: 64, Node: 0, From: 1})), message.InvalidArgument)
	want(t, apply(t, s, recovering(s, message.Move{Company: 1, Node: last.Node, From: 77})), message.InvalidArgument)
	want(t, apply(t, s, recovering(s, message.Move{Company: 1, Node: 4, From: last.Replica})), message.InvalidArgument)
	if m := message.New(message.RECOVER); want(t, apply(t, s, m), message.InvalidArgument).Text == "" {
		t.Error("no reason")
	}
	want(t, apply(t, s, moving(s, message.Move{Company: 1, Node: 4, From: c.Owners[0].Replica})), message.Done) // is under way
	next, m := s.Current().Company(1).Next, recovering(s, from)
	if r := want(t, apply(t, s, m), message.Done); r.Value != 1 {
		t.Errorf("generation %d, want 1", r.Value)
	}
	want(t, apply(t, s, m), message.Stale)
	c = s.Current().Company(1)
	founder := message.Founder{Node: last.Node, Replica: next, From: last.Replica}
	if c.Generation != 1 || c.Next != next+1 || c.Changing() || len(c.Owners) != 1 || c.Owners[0] != (message.Owner{Node: last.Node, Replica: next}) || len(c.Founders) != 1 || c.Founders[0] != founder {
		t.Errorf("%s", message.JSON(c))
	}
	// What the old group's leader still tells of its moves changes nothing.
	for _, old := range []message.Move{{Company: 1, Node: 4, Replica: next - 1}, {Company: 1, Node: last.Node, Replica: last.Replica}} {
		want(t, apply(t, s, describing(message.REPLACE, old)), message.InvalidArgument)
	}
	if again := s.Current().Company(1); len(again.Owners) != 1 || again.Owners[0].Replica != next {
		t.Errorf("%s", message.JSON(again))
	}
	if r := want(t, apply(t, s, recovering(s, message.Move{Company: 1, Node: last.Node, From: next})), message.Done); r.Value != 2 {
		t.Errorf("generation %d, want 2", r.Value)
	}
}
