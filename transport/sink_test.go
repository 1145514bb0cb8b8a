package transport

import (
	"sync"
	"testing"

	"dmalloc/message"
)

// tags is a Sink for many requests at once.
type tags struct {
	all  sync.WaitGroup
	mu   sync.Mutex
	done map[uint64]int
	errs map[uint64]error
	odd  bool // an answer came under the tag of another request
}

func (*tags) Alive(uint64) {}

func (s *tags) Done(tag uint64, m *message.Message, err error) {
	defer s.all.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done[tag]++
	s.errs[tag] = err
	s.odd = s.odd || err == nil && m.Value != tag
}

// One Sink may wait for many requests: each ends once, under its own tag.
func TestOneSinkForMany(t *testing.T) {
	w := newNetwork(t, 1, nil, nil)
	c := w.client(t, 0)
	s := &tags{done: map[uint64]int{}, errs: map[uint64]error{}}
	const n = 500
	s.all.Add(n + 1)
	m := request(0, "x")
	for i := range uint64(n) {
		m.Value = i
		if c.Ask(0, m, s, i) == 0 {
			t.Fatal("a request without an id")
		}
	}
	if id := c.Ask(message.MaxNodes, m, s, n); id != 0 {
		t.Fatalf("what cannot be sent has the id %d", id)
	}
	c.Forget(0)
	s.all.Wait()
	if message.CodeOf(s.errs[n]) != message.NoSuchNode {
		t.Fatalf("what cannot be sent ended with %v", s.errs[n])
	}
	for i := range uint64(n + 1) {
		if s.done[i] != 1 || i < n && s.errs[i] != nil {
			t.Errorf("request %d ended %d times: %v", i, s.done[i], s.errs[i])
		}
	}
	if s.odd {
		t.Error("an answer came for another request")
	}
}
