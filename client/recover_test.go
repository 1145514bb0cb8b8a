package client

import (
	"context"
	"sync"
	"testing"
	"time"

	"dmalloc/message"
)

// owner is a node that says how far its replica of company 1 is and who leads that, as it believes.
func owner(d *message.Directory, r message.ReplicaStatus) func(m *message.Message) *message.Message {
	return func(m *message.Message) *message.Message {
		a := m.Answer(message.Done, "")
		switch m.Op {
		case message.STATUS:
			r.Company = 1
			a.Data = message.JSON(message.NodeStatus{Replicas: []message.ReplicaStatus{r}})
		case message.DIRECTORY:
			a.Epoch, a.Data = d.Epoch, message.JSON(d)
		}
		return a
	}
}

// A company is lost where no majority answers and nobody who would know of it has a leader. While its owners change,
// Raft may count who joins and not who leaves, so that neither tells of a majority, or of a leader.
func TestSurvey(t *testing.T) {
	steady := three()
	steady.Epoch = 2
	moving := three()
	moving.Epoch = 2
	moving.Nodes = append(moving.Nodes, message.Node{ID: 3})
	moving.Companies[1].Owners = append(moving.Companies[1].Owners, message.Owner{Node: 3, Replica: 4, Joining: true, Instead: 3})
	anew := three()
	anew.Epoch = 2
	anew.Companies[1].Generation = 1
	anew.Companies[1].Owners = []message.Owner{{Node: 0, Replica: 4}}
	anew.Companies[1].Founders = []message.Founder{{Node: 0, Replica: 4, From: 1}}
	one := message.NodeID(1)
	for name, c := range map[string]struct {
		d        *message.Directory
		replicas map[message.NodeID]message.ReplicaStatus
		code     message.Code
		best     message.NodeID
	}{
		"one survives":                    {steady, map[message.NodeID]message.ReplicaStatus{0: {Replica: 1, Applied: 5}}, message.Done, 0},
		"two answer":                      {steady, map[message.NodeID]message.ReplicaStatus{0: {Replica: 1, Applied: 5}, 2: {Replica: 3, Applied: 6}}, message.InvalidArgument, 0},
		"one is led by who is cut off":    {steady, map[message.NodeID]message.ReplicaStatus{0: {Replica: 1, Applied: 5, Leader: &one}}, message.InvalidArgument, 0},
		"one has nothing":                 {steady, map[message.NodeID]message.ReplicaStatus{0: {Replica: 1}}, message.Unavailable, 0},
		"it has another replica":          {steady, map[message.NodeID]message.ReplicaStatus{0: {Replica: 9, Applied: 5}}, message.Unavailable, 0},
		"one who may be out is not asked": {moving, map[message.NodeID]message.ReplicaStatus{0: {Replica: 1, Applied: 5}, 2: {Replica: 3, Applied: 6, Leader: &one}}, message.Done, 2},
		"who joins has most":              {moving, map[message.NodeID]message.ReplicaStatus{0: {Replica: 1, Applied: 5}, 3: {Replica: 4, Applied: 7, Leader: &one}}, message.Done, 3},
		"while it moves, with a leader":   {moving, map[message.NodeID]message.ReplicaStatus{0: {Replica: 1, Applied: 5, Leader: &one}, 3: {Replica: 4, Applied: 7}}, message.InvalidArgument, 0},
		"while it moves, with a majority": {moving, map[message.NodeID]message.ReplicaStatus{0: {Replica: 1, Applied: 5}, 1: {Replica: 2, Applied: 6}}, message.Done, 1},
		"while it moves, with all":        {moving, map[message.NodeID]message.ReplicaStatus{0: {Replica: 1, Applied: 5}, 1: {Replica: 2, Applied: 6}, 2: {Replica: 3, Applied: 6}}, message.InvalidArgument, 0},
		"it has not begun yet":            {anew, map[message.NodeID]message.ReplicaStatus{0: {Replica: 1, Applied: 5}}, message.Unavailable, 0},
	} {
		t.Run(name, func(t *testing.T) {
			nodes := map[message.NodeID]func(m *message.Message) *message.Message{}
			for id, r := range c.replicas {
				nodes[id] = owner(c.d, r)
			}
			h, _ := open(t, nodes)
			r, err := h.Survey(t.Context(), 1)
			if message.CodeOf(err) != c.code || err == nil && r.Node != c.best {
				t.Errorf("%+v, %v; want %v and node %s", r, err, c.code, c.best)
			}
		})
	}
}

// What the directory's log refuses as planned for another directory is told at once, and not asked again until the time
// is over.
func TestPlannedForAnotherDirectory(t *testing.T) {
	h, _ := open(t, map[message.NodeID]func(m *message.Message) *message.Message{0: func(m *message.Message) *message.Message {
		a := m.Answer(message.Stale, "D6")
		a.Index = 7
		return a
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := h.Change(ctx, message.MOVE, message.Move{}); message.CodeOf(err) != message.Stale {
		t.Error(err)
	}
}

// Who asks for a recovery and loses the answer hears that it was done, not that a majority answers or nothing survives.
func TestRecoverOnce(t *testing.T) {
	d := three()
	d.Epoch = 2
	asked := 0
	var mu sync.Mutex
	h, _ := open(t, map[message.NodeID]func(m *message.Message) *message.Message{0: func(m *message.Message) *message.Message {
		mu.Lock()
		defer mu.Unlock()
		if m.Op != message.RECOVER {
			zero := message.NodeID(0)
			r := message.ReplicaStatus{Replica: d.Companies[1].Owners[0].Replica, Applied: 5}
			if r.Replica == 4 {
				r.Leader = &zero
			}
			return owner(d, r)(m)
		}
		if asked++; asked == 1 {
			next := d.Clone()
			next.Epoch++
			c := &next.Companies[1]
			c.Generation, c.Owners, c.Founders = 1, []message.Owner{{Node: 0, Replica: 4}}, []message.Founder{{Node: 0, Replica: 4, From: 1}}
			d = next
		}
		a := m.Answer(message.Stale, "D6")
		a.Index = 7
		return a
	}})
	if r, err := h.Recover(t.Context(), 1, true); err != nil || r.Generation != 1 || r.Index != 5 || asked != 1 {
		t.Errorf("%+v, %v, asked %d times", r, err, asked)
	}
}
