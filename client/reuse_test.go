package client

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"dmalloc/message"
	"dmalloc/transport"
)

// rude is a Carrier that keeps to nothing: it answers at once or late, twice, says after the answer that the node lives, and
// answers what was given up. A read's answer says which address was read, so that one that is for another read is seen.
type rude struct {
	mu     sync.Mutex
	rng    *rand.Rand
	behind []func() // what is said much later
	after  sync.WaitGroup
}

func (c *rude) Ask(to message.NodeID, m *message.Message, s transport.Sink, tag uint64) uint64 {
	a := m.Answer(message.Done, "")
	a.Term, a.Data = 1, binary.LittleEndian.AppendUint64(nil, uint64(m.Address))
	done, alive := func() { s.Done(tag, a, nil) }, func() { s.Alive(tag) }
	c.mu.Lock()
	defer c.mu.Unlock()
	later := func(f func()) { c.after.Go(f) }
	switch c.rng.IntN(6) {
	case 0:
		done()
	case 1: // the answer, and a second one, on goroutines of their own
		later(done)
		later(done)
	case 2:
		later(func() { done(); alive(); done() })
	case 3:
		later(func() { alive(); done() })
	case 4: // one now, and one among the answers of other requests
		later(done)
		c.behind = append(c.behind, done, alive)
	case 5: // none before it is given up
		c.behind = append(c.behind, done)
	}
	if len(c.behind) > 32 {
		for _, f := range c.behind {
			later(f)
		}
		c.behind = nil
	}
	return 1
}

func (c *rude) Forget(uint64)                   {}
func (c *rude) Heard(message.NodeID) time.Time  { return time.Now() }
func (c *rude) SetDirectory(*message.Directory) {}

// Requests are used again: none ever gets what was for another one, whatever is said to it when it is over.
func TestRequestsAreUsedAgain(t *testing.T) {
	c := &rude{rng: rand.New(rand.NewPCG(3, 4))}
	h, err := New(Config{Carrier: c, Directory: three(), Attempt: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 500 {
				limit := 30 * time.Second
				if i%5 == 0 { // some are given up
					limit = time.Duration(i) * time.Microsecond
				}
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				p := make([]byte, 8)
				at := message.HeapBase + message.Addr(g<<20+8*i)
				err := h.ReadAt(ctx, p, at)
				cancel()
				if got := message.Addr(binary.LittleEndian.Uint64(p)); err == nil && got != at {
					t.Errorf("a read of %s got the answer to one of %s", at, got)
				}
				if err != nil && limit == 30*time.Second {
					t.Errorf("a read of %s: %v", at, err)
				}
			}
		})
	}
	all.Wait()
	c.after.Wait()
}

// A request is used again only where all that was sent has ended, and nothing was asked to say that it lives.
func TestWhichRequestsAreUsedAgain(t *testing.T) {
	const none = 0
	for name, c := range map[string]struct {
		asked bool // to say that it lives
		ends  int  // of two copies
		again bool
	}{
		"both have ended":            {false, 2, true},
		"one is under way":           {false, 1, false},
		"both are under way":         {false, none, false},
		"one was asked if it lives":  {true, 2, false},
		"asked, and still under way": {true, none, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := &far{more: make(chan struct{}, 1)}
			h, err := New(Config{Carrier: heardNow{f}, Directory: three()})
			if err != nil {
				t.Fatal(err)
			}
			r := h.request(1, message.New(message.READ))
			r.send(0, c.asked)
			r.send(1, false)
			for _, s := range f.sent[:c.ends] {
				s.done(serve(&s.m), nil)
			}
			r.arrived(t.Context())
			r.arrived(t.Context())
			r.close()
			if again := r.h == nil; again != c.again {
				t.Errorf("used again: %v", again)
			}
		})
	}
}

// heardNow is far with nodes that were just heard.
type heardNow struct{ *far }

func (heardNow) Heard(message.NodeID) time.Time { return time.Now() }

// A message is sent as it lies, and each copy of it names the node that it goes to, and asks for a sign of life only where it
// should.
func TestCopiesNameTheirNodes(t *testing.T) {
	f := &far{more: make(chan struct{}, 1)}
	h, err := New(Config{Carrier: heardNow{f}, Directory: three()})
	if err != nil {
		t.Fatal(err)
	}
	m := message.New(message.READ)
	r := h.request(1, m)
	defer r.close()
	was := *m
	for to := range message.NodeID(3) {
		r.send(to, to == 1)
		if s := f.sent[to].m; s.Target != to || s.Final != to || (s.Flags&message.NeedCallback != 0) != (to == 1) {
			t.Errorf("to node %s: target %s, final %s, flags %b", to, s.Target, s.Final, s.Flags)
		}
		if !m.Equal(&was) {
			t.Errorf("it was %v, and is %v behind a copy to node %s", &was, m, to)
		}
	}
}
