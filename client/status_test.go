package client

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"dmalloc/health"
	"dmalloc/message"
)

// tells is a node that says how it is and gives out a directory.
func tells(id message.NodeID, d *message.Directory) func(m *message.Message) *message.Message {
	return func(m *message.Message) *message.Message {
		a := m.Answer(message.Done, "")
		switch m.Op {
		case message.STATUS:
			leader := message.NodeID(0)
			s := message.NodeStatus{ID: id, CaughtUp: true, TimeMS: time.Now().Add(time.Hour).UnixMilli()}
			for c := range message.CompanyID(2) {
				s.Replicas = append(s.Replicas, message.ReplicaStatus{Company: c, Replica: uint64(id) + 1, Leader: &leader, Term: 2})
			}
			a.Data = message.JSON(s)
		case message.DIRECTORY:
			a.Epoch = d.Epoch
			if m.Epoch != d.Epoch {
				a.Data = message.JSON(d)
			}
		}
		return a
	}
}

// Status needs nobody in particular: it goes by whoever answers, takes in the newest directory among them, and
// asks once more where a message may have been lost.
func TestStatus(t *testing.T) {
	newer := three()
	newer.Epoch = 7
	var lost atomic.Int32
	forgetful := func(m *message.Message) *message.Message {
		if m.Op == message.STATUS && lost.Add(1) == 1 {
			return nil
		}
		return tells(1, three())(m)
	}
	for name, c := range map[string]struct {
		nodes    map[message.NodeID]func(m *message.Message) *message.Message
		state    health.State
		answer   int
		epoch    uint64
		revive   int
		warnings int
	}{
		"all":                     {map[message.NodeID]func(m *message.Message) *message.Message{0: tells(0, newer), 1: tells(1, three()), 2: tells(2, three())}, health.Healthy, 3, 7, 0, 3},
		"one is gone, one forgot": {map[message.NodeID]func(m *message.Message) *message.Message{0: tells(0, three()), 1: forgetful}, health.Degraded, 2, 1, 0, 2},
		"one left":                {map[message.NodeID]func(m *message.Message) *message.Message{1: tells(1, newer), 2: silent}, health.Unavailable, 1, 7, 2, 1},
		"nobody":                  {nil, health.Unavailable, 0, 1, 3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := open(t, c.nodes)
			r, err := h.Status(t.Context())
			if err != nil || r.State != c.state || r.Cluster.Answering != c.answer || r.Cluster.Epoch != c.epoch || len(r.Revive) != c.revive {
				t.Errorf("%v: %s, %d answer, epoch %d, revive %v", err, r.Verdict, r.Cluster.Answering, r.Cluster.Epoch, r.Revive)
			}
			if len(r.Warnings) != c.warnings { // their clocks are an hour ahead
				t.Errorf("%q", r.Warnings)
			}
			if d, err := h.Directory(t.Context()); err != nil || d.Epoch != c.epoch {
				t.Errorf("it goes by epoch %d, %v", d.Epoch, err)
			}
		})
	}
}

// Ask says who does not answer, and hands on refusals.
func TestAsk(t *testing.T) {
	h, _ := open(t, map[message.NodeID]func(m *message.Message) *message.Message{0: tells(0, three()), 1: silent,
		2: func(m *message.Message) *message.Message { return m.Answer(message.Unsupported, "too old") }})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if a, err := h.Ask(ctx, 0, message.New(message.STATUS)); err != nil || len(a.Data) == 0 {
		t.Errorf("%v %v", a, err)
	}
	if _, err := h.Ask(ctx, 2, message.New(message.JOURNAL)); message.CodeOf(err) != message.Unsupported {
		t.Errorf("%v", err)
	}
	if _, err := h.Ask(ctx, 1, message.New(message.STATUS)); message.CodeOf(err) != message.Unavailable {
		t.Errorf("%v", err)
	}
}
