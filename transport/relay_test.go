package transport

import (
	"context"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"dmalloc/message"
)

func line() []message.Edge { return edges(0, 1, 1, 2, 2, 3) }

func traced() *message.Message {
	m := request(5, "over")
	m.Flags |= message.Traced | message.NeedCallback
	return m
}

func TestRelayOverALine(t *testing.T) {
	paths := make(chan []message.NodeID, 10)
	w := newNetwork(t, 4, line(), func(c *Config) {
		c.Handle = func(ctx context.Context, p Peer, m *message.Message, reply func(*message.Message)) {
			paths <- m.Path
			echo(ctx, p, m, reply)
		}
	})
	for _, c := range []struct {
		name     string
		from     *Transport
		to       message.NodeID
		path     []message.NodeID
		answerer message.NodeID
	}{
		{"to the other end", w.nodes[0], 3, []message.NodeID{1, 2}, 3},
		{"and back", w.nodes[3], 0, []message.NodeID{2, 1}, 0},
		{"next door", w.nodes[1], 2, nil, 2},
		{"a client of the first", w.client(t, 0), 3, []message.NodeID{0, 1, 2}, 3},
		{"a client of the last", w.client(t, 3), 2, []message.NodeID{3}, 2},
		{"a client at its node", w.client(t, 1), 1, nil, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var alive atomic.Int32
			a, err := c.from.Call(within(t), c.to, traced(), func() { alive.Add(1) })
			if err != nil {
				t.Fatal(err)
			}
			if got := get(t, paths, "the request"); !reflect.DeepEqual(got, c.path) {
				t.Errorf("request came by %v, want %v", got, c.path)
			}
			if !reflect.DeepEqual(a.Path, c.path) || a.Source != c.answerer || a.Value != 5 || string(a.Data) != "over" {
				t.Errorf("answer %v by %v, want %v", a, a.Path, c.path)
			}
			if alive.Load() != 1 {
				t.Errorf("%d ALIVE", alive.Load())
			}
			if c.from.Heard(c.to).IsZero() {
				t.Error("the answerer was not heard")
			}
		})
	}
	m := traced()
	m.Flags = 0
	if a := ask(t, w.nodes[0], 3, m); a.Path != nil || get(t, paths, "the request") != nil {
		t.Error("a path that nobody asked for")
	}
	if stat(w.nodes[1], relayed) == 0 || stat(w.nodes[3], malformedFrames) != 0 {
		t.Error("node 1 relayed nothing, or node 3 saw garbage")
	}
}

func TestClientReachesAllThroughOne(t *testing.T) {
	w := newNetwork(t, 5, nil, nil)
	c := w.client(t, 2)
	for to := range message.NodeID(5) {
		if a := ask(t, c, to, request(uint64(to), "x")); a.Value != uint64(to) || a.Source != to {
			t.Errorf("node %d: %v", to, a)
		}
	}
	if got := c.Path(4); !reflect.DeepEqual(got, []message.NodeID{2, 4}) {
		t.Errorf("path %v", got)
	}
}

func TestRelayTellsWhatItCannotCarry(t *testing.T) {
	w := newNetwork(t, 4, line(), nil)
	ask(t, w.nodes[0], 2, request(1, "x"))
	_ = w.nodes[3].Close()
	for _, from := range []*Transport{w.nodes[0], w.client(t, 0)} {
		eventually(t, "a relay says that node 3 is gone", func() bool {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_, err := from.Call(ctx, 3, request(1, "x"), nil)
			return linkError(t, err).Code == message.Unavailable
		})
	}
	// The connection on which a chunk came tells about it, too.
	if e := linkError(t, w.nodes[0].SendChunk(within(t), 3, 1, []byte("x"))); e.Code != message.Unavailable {
		t.Fatal(e)
	}
}

func TestDownNodesRelayNothing(t *testing.T) {
	w := newNetwork(t, 4, edges(0, 1, 1, 3, 0, 2, 2, 3), nil)
	if a := ask(t, w.nodes[0], 3, traced()); !reflect.DeepEqual(a.Path, []message.NodeID{1}) {
		t.Fatal(a)
	}
	w.nodes[0].SetDown(map[message.NodeID]bool{1: true, 2: false})
	if a := ask(t, w.nodes[0], 3, traced()); !reflect.DeepEqual(a.Path, []message.NodeID{2}) {
		t.Fatal(a)
	}
	ask(t, w.nodes[0], 1, traced()) // it can still be addressed
	w.nodes[0].SetDown(map[message.NodeID]bool{1: true, 2: true})
	_, err := w.nodes[0].Call(within(t), 3, traced(), nil)
	if e := linkError(t, err); e.Code != message.Unavailable || e.MaybeSent() || w.nodes[0].Path(3) != nil {
		t.Fatal(err)
	}
	w.nodes[0].SetDown(nil)
	ask(t, w.nodes[0], 3, traced())
}

// Two nodes whose topologies contradict each other must not play ball for ever.
func TestLoopsEnd(t *testing.T) {
	w := newNetwork(t, 3, nil, nil)
	w.nodes[0].SetTopology(3, edges(0, 1, 1, 2))
	w.nodes[1].SetTopology(3, edges(1, 0, 0, 2))
	w.nodes[0].Start(2, request(1, "x"), nil, func(*message.Message, error) {})
	eventually(t, "the loop is noticed", func() bool { return stat(w.nodes[0], unroutable)+stat(w.nodes[1], unroutable) == 1 })
	if n := stat(w.nodes[0], relayed) + stat(w.nodes[1], relayed); n != 1 {
		t.Errorf("the frame was passed on %d times; it came back to who sent it after one", n)
	}
}

func TestClientWithTooManyRelayed(t *testing.T) {
	g := &gate{}
	w := newNetwork(t, 2, nil, func(c *Config) {
		c.Limits.Relayed = 3
		c.Handle = g.handle
	})
	c := w.client(t, 0)
	results := make(chan error, 10)
	for range 4 {
		c.Start(1, request(1, "x"), nil, func(_ *message.Message, err error) { results <- err })
	}
	if e := linkError(t, get(t, results, "a refusal")); e.Code != message.Busy || e.MaybeSent() {
		t.Fatal(e)
	}
	eventually(t, "three arrive", func() bool { return g.count() == 3 })
	for _, answer := range g.held {
		answer()
	}
	for range 3 {
		if err := get(t, results, "an answer"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "there is room again", func() bool {
		c.Start(1, request(1, "x"), nil, func(_ *message.Message, err error) {})
		return g.count() > 3
	})
}

// What could not be passed on does not count as passed on.
func TestFailedRelaysAreNotCounted(t *testing.T) {
	w := newNetwork(t, 1, nil, func(c *Config) { c.Limits.Relayed = 3 })
	c := w.client(t, 0)
	for range 10 {
		_, err := c.Call(within(t), 1, request(1, "x"), nil)
		if e := linkError(t, err); e.Code != message.Unavailable || e.MaybeSent() {
			t.Fatal(err)
		}
	}
}

func TestForgottenRelayedRequestsExpire(t *testing.T) {
	p := newPending(10)
	failed := 0
	w := func(ours bool, began int64) *wait {
		return &wait{via: newQueue(1), waiter: failCounter{&failed}, to: 1, ours: ours, began: began}
	}
	for i := range 10 {
		if _, ok := p.add(w(i%2 == 0, 1)); !ok {
			t.Fatal("no room")
		}
	}
	if _, ok := p.add(w(true, 2)); ok {
		t.Fatal("room for an eleventh")
	}
	if _, ok := p.add(w(true, 2+forgotten)); !ok || failed != 5 || len(p.waits) != 6 {
		t.Fatalf("%v: %d expired, %d wait", ok, failed, len(p.waits))
	}
	if n := p.guests.Load(); n != 0 {
		t.Fatalf("%d requests of others are counted, and there are none", n)
	}
}

type failCounter struct{ n *int }

func (failCounter) alive(frame)       {}
func (failCounter) answer(frame)      {}
func (f failCounter) fail(*LinkError) { *f.n++ }

// Each request notes when it began where one may expire: a client's that was passed on, or any beside such a one, so that
// somebody looks for those. Nobody reads the clock for the others.
func TestRequestsKnowWhenTheyBegan(t *testing.T) {
	w := newNetwork(t, 2, edges(0, 1), func(c *Config) {
		c.Handle = func(context.Context, Peer, *message.Message, func(*message.Message)) {} // nothing is ever answered
	})
	n := w.nodes[0]
	began := func() (ours, guests []int64) {
		n.pending.mu.Lock()
		defer n.pending.mu.Unlock()
		for _, w := range n.pending.waits {
			if w.ours {
				ours = append(ours, w.began)
			} else {
				guests = append(guests, w.began)
			}
		}
		return ours, guests
	}
	first := n.Start(1, request(1, "alone"), nil, func(*message.Message, error) {})
	if ours, _ := began(); len(ours) != 1 || ours[0] != 0 {
		t.Errorf("alone, requests began at %d", ours)
	}
	first()
	w.client(t, 0).Start(1, request(2, "a client's"), nil, func(*message.Message, error) {})
	eventually(t, "the client's request is passed on", func() bool { _, guests := began(); return len(guests) == 1 })
	defer n.Start(1, request(3, "beside it"), nil, func(*message.Message, error) {})()
	if ours, guests := began(); len(ours) != 1 || ours[0] == 0 || guests[0] == 0 {
		t.Errorf("beside a client's, requests began at %d, the client's at %d", ours, guests)
	}
}
