package client

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"dmalloc/message"
	"dmalloc/transport"
)

// script is a Carrier whose nodes are functions. A function that returns nil is silent.
type script struct {
	mu    sync.Mutex
	nodes map[message.NodeID]func(m *message.Message) *message.Message
	heard map[message.NodeID]time.Time
	asked []message.NodeID
	seqs  []uint64
}

var errGone = errors.New("connection refused")

func (s *script) Ask(to message.NodeID, m *message.Message, sink transport.Sink, tag uint64) uint64 {
	s.mu.Lock()
	f := s.nodes[to]
	if m.Op.Logged() {
		s.asked = append(s.asked, to)
		s.seqs = append(s.seqs, m.Seq)
	}
	s.mu.Unlock()
	if f == nil {
		sink.Done(tag, nil, refused{errGone})
		return 0
	}
	c := *m
	if a := f(&c); a != nil {
		s.mu.Lock()
		s.heard[to] = time.Now()
		s.mu.Unlock()
		sink.Done(tag, a, nil)
	}
	return 0
}

func (s *script) Forget(uint64) {}

// refused is a link error after which certainly nothing was sent.
type refused struct{ error }

func (refused) MaybeSent() bool { return false }

func (s *script) Heard(to message.NodeID) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard[to]
}

func (s *script) SetDirectory(*message.Directory) {}

func leadBy(n message.NodeID) func(m *message.Message) *message.Message {
	return func(m *message.Message) *message.Message {
		a := m.Answer(message.NotLeader, "")
		a.Final, a.Term = n, 5
		return a
	}
}

func serve(m *message.Message) *message.Message {
	a := m.Answer(message.Done, "")
	a.Address, a.Index, a.Term = message.HeapBase+message.PageSize, 7, 6
	return a
}

func three() *message.Directory {
	d := &message.Directory{Epoch: 1}
	for i := range message.NodeID(3) {
		d.Nodes = append(d.Nodes, message.Node{ID: i})
	}
	for id := range message.CompanyID(2) {
		d.Companies = append(d.Companies, message.Company{ID: id, Base: id.Base(), Limit: id.Limit(), Capacity: 1 << 20,
			Owners: []message.Owner{{Node: 0, Replica: 1}, {Node: 1, Replica: 2}, {Node: 2, Replica: 3}}})
	}
	return d
}

func open(t *testing.T, nodes map[message.NodeID]func(m *message.Message) *message.Message) (*Heap, *script) {
	s := &script{nodes: nodes, heard: map[message.NodeID]time.Time{}}
	h, err := New(Config{Carrier: s, Directory: three(), Attempt: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return h, s
}

func silent(*message.Message) *message.Message { return nil }

// A wrong or dead leader costs the client a redirect, never its user an error, and the number of the
// request stays the same through all of it.
func TestFindsTheLeader(t *testing.T) {
	for name, c := range map[string]struct {
		nodes map[message.NodeID]func(m *message.Message) *message.Message
		last  message.NodeID
	}{
		"first leads":                    {map[message.NodeID]func(m *message.Message) *message.Message{0: serve}, 0},
		"redirected":                     {map[message.NodeID]func(m *message.Message) *message.Message{0: leadBy(2), 2: serve}, 2},
		"first is dead":                  {map[message.NodeID]func(m *message.Message) *message.Message{1: leadBy(2), 2: serve}, 2},
		"first is frozen":                {map[message.NodeID]func(m *message.Message) *message.Message{0: silent, 1: serve}, 1},
		"follower names the dead leader": {map[message.NodeID]func(m *message.Message) *message.Message{0: silent, 1: leadBy(0), 2: serve}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			h, s := open(t, c.nodes)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if _, err := h.WriteAt(ctx, []byte("x"), message.HeapBase+message.PageSize); err != nil {
				t.Fatal(err)
			}
			if got := s.asked[len(s.asked)-1]; got != c.last {
				t.Errorf("asked %v", s.asked)
			}
			for _, seq := range s.seqs {
				if seq != s.seqs[0] {
					t.Errorf("the request changed its number: %v", s.seqs)
				}
			}
			n := len(s.asked)
			if _, err := h.WriteAt(ctx, []byte("x"), message.HeapBase+message.PageSize); err != nil {
				t.Fatal(err)
			}
			if len(s.asked) != n+1 || s.asked[n] != c.last {
				t.Errorf("the leader was not remembered: %v", s.asked)
			}
		})
	}
}

func TestWaitsOutAnElection(t *testing.T) {
	var mu sync.Mutex
	n := 0
	h, _ := open(t, map[message.NodeID]func(m *message.Message) *message.Message{
		0: func(m *message.Message) *message.Message {
			mu.Lock()
			defer mu.Unlock()
			if n++; n < 5 {
				return m.Answer(message.Retry, "election")
			}
			return serve(m)
		}})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := h.WriteAt(ctx, []byte("x"), message.HeapBase+message.PageSize); err != nil {
		t.Fatal(err)
	}
}

// When nobody can serve, the error says what is known.
func TestHonestAtTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		nodes map[message.NodeID]func(m *message.Message) *message.Message
		code  message.Code
		says  string
	}{
		"all dead: nothing was sent":        {nil, message.Unavailable, "nothing was changed"},
		"leader died with it: cannot know":  {map[message.NodeID]func(m *message.Message) *message.Message{0: silent}, message.Unavailable, "cannot be known"},
		"nobody leads: nothing was changed": {map[message.NodeID]func(m *message.Message) *message.Message{0: leadBy(message.NoNode), 1: leadBy(message.NoNode), 2: leadBy(message.NoNode)}, message.Unavailable, "nothing was changed"},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := open(t, c.nodes)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			_, err := h.WriteAt(ctx, []byte("x"), message.HeapBase+message.PageSize)
			if message.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	h, _ := open(t, map[message.NodeID]func(m *message.Message) *message.Message{0: silent, 1: silent, 2: silent})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(30*time.Millisecond, cancel)
	if _, err := h.WriteAt(ctx, []byte("x"), message.HeapBase+message.PageSize); message.CodeOf(err) != message.Canceled {
		t.Errorf("%v", err)
	}
}

func TestSequenceLow(t *testing.T) {
	var s sequence
	s.reset()
	a, _ := s.begin()
	b, _ := s.begin()
	s.end(b)
	if _, low := s.begin(); low != a {
		t.Errorf("low is %d while %d is under way", low, a)
	}
	s.end(a)
	if _, low := s.begin(); low != 3 {
		t.Errorf("low is %d, want 3", low)
	}
}
