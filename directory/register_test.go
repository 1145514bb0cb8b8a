package directory

import (
	"slices"
	"testing"

	"dmalloc/message"
)

func withRegisters() *State {
	d := sample()
	d.Registers = message.Registers{Epoch: 1, Replicas: 2, Members: []message.Member{{Node: 0}, {Node: 1}, {Node: 2}}}
	return New(d)
}

func spreads(nodes ...message.NodeID) *message.Message {
	m := message.New(message.REGCHANGE)
	m.Data = message.JSON(nodes)
	return m
}

func done(epoch uint64) *message.Message {
	m := message.New(message.REGDONE)
	m.Value = epoch
	return m
}

func retires(node message.NodeID, incarnation uint64) *message.Message {
	m := message.New(message.RETIRE)
	m.Data = message.JSON(message.Node{ID: node, Incarnation: incarnation})
	return m
}

// D5, in the order of a story: each step, what it answers, and the configuration behind it.
func TestRegisters(t *testing.T) {
	s := withRegisters()
	at := func(node message.NodeID, incarnation uint64) message.Member {
		return message.Member{Node: node, Incarnation: incarnation}
	}
	for i, step := range []struct {
		m             *message.Message
		want          message.Code
		epoch         uint64
		members, next []message.Member
	}{
		{done(1), message.InvalidArgument, 1, []message.Member{at(0, 0), at(1, 0), at(2, 0)}, nil},
		{spreads(2, 0, 0), message.Done, 2, []message.Member{at(0, 0), at(1, 0), at(2, 0)}, []message.Member{at(0, 0), at(2, 0)}},
		{spreads(0, 2), message.Done, 2, []message.Member{at(0, 0), at(1, 0), at(2, 0)}, []message.Member{at(0, 0), at(2, 0)}},
		{retires(2, 1), message.Done, 3, []message.Member{at(0, 0), at(1, 0), at(2, 0)}, []message.Member{at(0, 0), at(2, 1)}},
		{done(2), message.Stale, 3, []message.Member{at(0, 0), at(1, 0), at(2, 0)}, []message.Member{at(0, 0), at(2, 1)}},
		{done(3), message.Done, 4, []message.Member{at(0, 0), at(2, 1)}, nil},
		{done(3), message.Done, 4, []message.Member{at(0, 0), at(2, 1)}, nil},
		{spreads(0, 1, 2), message.Done, 5, []message.Member{at(0, 0), at(2, 1)}, []message.Member{at(0, 0), at(1, 0), at(2, 1)}},
		{spreads(0, 2), message.Done, 6, []message.Member{at(0, 0), at(2, 1)}, nil}, // taken back
		{retires(1, 1), message.Done, 6, []message.Member{at(0, 0), at(2, 1)}, nil}, // keeps none
		{spreads(0, 2), message.Done, 6, []message.Member{at(0, 0), at(2, 1)}, nil},
		{retires(0, 1), message.Done, 7, []message.Member{at(0, 0), at(2, 1)}, []message.Member{at(0, 1), at(2, 1)}},
		{spreads(2), message.Done, 8, []message.Member{at(0, 0), at(2, 1)}, []message.Member{at(2, 1)}},
		{retires(0, 2), message.Done, 9, []message.Member{at(0, 0), at(2, 1)}, []message.Member{at(2, 1)}}, // its list is worth nothing now
		{done(8), message.Stale, 9, []message.Member{at(0, 0), at(2, 1)}, []message.Member{at(2, 1)}},
		{spreads(0, 2), message.Done, 10, []message.Member{at(0, 0), at(2, 1)}, []message.Member{at(0, 2), at(2, 1)}},
		{spreads(), message.InvalidArgument, 10, []message.Member{at(0, 0), at(2, 1)}, []message.Member{at(0, 2), at(2, 1)}},
		{spreads(0, 7), message.NoSuchNode, 10, []message.Member{at(0, 0), at(2, 1)}, []message.Member{at(0, 2), at(2, 1)}},
	} {
		r := apply(t, s, step.m)
		if have := s.Current().Registers; r.Code != step.want || have.Epoch != step.epoch || !slices.Equal(have.Members, step.members) || !slices.Equal(have.Next, step.next) {
			t.Fatalf("step %d: %v %s; now %+v", i, r.Code, r.Text, have)
		}
	}
}

// D6: what was planned before a user chose, and comes late, does not undo the choice.
func TestPlannedTooLate(t *testing.T) {
	s := withRegisters()
	planned := spreads(0, 1)
	planned.Value, planned.Size = 1, s.Current().Epoch
	again := spreads(0, 1, 2)
	again.Value, again.Size = 1, s.Current().Epoch
	if r := apply(t, s, planned); r.Code != message.Done || s.Current().Chosen {
		t.Fatal(r)
	}
	if r := apply(t, s, spreads(0, 2)); r.Code != message.Done || !s.Current().Chosen { // the user
		t.Fatal(r)
	}
	for _, late := range []*message.Message{planned, again} {
		if r := apply(t, s, late); r.Code != message.Stale {
			t.Fatalf("%v %s", r.Code, r.Text)
		}
	}
	if next := s.Current().Registers.Next; len(next) != 2 || next[1].Node != 2 || !s.Current().Chosen {
		t.Fatalf("the user's choice is undone: %v", next)
	}
}

// D6: a user's request that comes again, late, does not undo what another has asked for since.
func TestChosenTooLate(t *testing.T) {
	s := withRegisters()
	at := func(seen uint64, nodes ...message.NodeID) *message.Message {
		m := spreads(nodes...)
		m.Size = seen
		return m
	}
	first := at(1, 0, 1)
	for i, step := range []struct {
		m    *message.Message
		want message.Code
		next int // how many, after it
	}{
		{first, message.Done, 2},
		{first, message.Done, 2}, // under way
		{done(2), message.Done, 0},
		{first, message.Done, 0}, // done
		{at(1, 0, 1, 2), message.Fenced, 0},
		{at(3, 0, 1, 2), message.Done, 3},
		{first, message.Fenced, 3},
		{retires(1, 1), message.Done, 3},
		{at(4, 2), message.Fenced, 3},
		{done(5), message.Done, 0},
		{first, message.Fenced, 0},
		{spreads(1), message.Done, 1}, // whatever there is
	} {
		r := apply(t, s, step.m)
		if have := s.Current().Registers; r.Code != step.want || len(have.Next) != step.next {
			t.Fatalf("step %d: %v %s; now %+v", i, r.Code, r.Text, have)
		}
	}
}

func TestJobs(t *testing.T) {
	s := withRegisters()
	add := func(name, sum string) *message.Message {
		m := message.New(message.JOBADD)
		m.Data = message.JSON(message.Job{Name: name, Size: 1, SHA256: sum})
		return m
	}
	drop := func(name string) *message.Message {
		m := message.New(message.JOBDROP)
		m.Data = []byte(name)
		return m
	}
	for i, step := range []struct {
		m    *message.Message
		want message.Code
		jobs []string
	}{
		{add("b", "1"), message.Done, []string{"b1"}},
		{add("a", "2"), message.Done, []string{"a2", "b1"}},
		{add("b", "3"), message.Done, []string{"a2", "b3"}},
		{add("no name", "3"), message.InvalidArgument, []string{"a2", "b3"}},
		{drop("c"), message.NoSuchJob, []string{"a2", "b3"}},
		{drop("a"), message.Done, []string{"b3"}},
	} {
		r := apply(t, s, step.m)
		var have []string
		for _, j := range s.Current().Jobs {
			have = append(have, j.Name+j.SHA256)
		}
		if r.Code != step.want || !slices.Equal(have, step.jobs) {
			t.Fatalf("step %d: %v %s; now %v", i, r.Code, r.Text, have)
		}
	}
}
