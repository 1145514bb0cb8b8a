package client

import (
	"testing"
	"time"

	"dmalloc/internal/allocs"
	"dmalloc/message"
	"dmalloc/register"
	"dmalloc/ring"
	"dmalloc/transport"
)

// Who is asked first: the near in turns, then who is far, then who is in doubt. What was seen long ago counts no more.
func TestRank(t *testing.T) {
	k := newKeepers(t, 4, 4)
	now := time.Now()
	steady := func(d time.Duration) (t trip) {
		for range 20 {
			t = t.after(d)
		}
		return t
	}
	trips := map[message.NodeID]seen{
		0: {trip: steady(time.Millisecond), at: now},
		1: {trip: steady(2 * time.Millisecond), at: now},
		2: {trip: steady(time.Millisecond), at: now, doubt: now.Add(time.Second)},
		3: {trip: steady(40 * time.Millisecond), at: now},
	}
	all := func(o ranking) (order []message.NodeID) {
		for _, m := range o.groups[0] {
			order = append(order, m.Node)
		}
		return order
	}
	first := map[message.NodeID]bool{}
	h := k.client()
	h.regs.nodes = trips
	for range 8 {
		r := h.newRun(message.RegisterID{Address: 7})
		r.rank(now)
		order := all(r.order)
		if order[0] > 1 {
			t.Errorf("not a near one first: %v", order)
		}
		if order[2] != 3 || order[3] != 2 {
			t.Errorf("the far and the doubted are not the last: %v", order)
		}
		if u := r.order.usual; u < 2*time.Millisecond || u > 3*time.Millisecond { // node 1's mean and four deviations
			t.Errorf("three of four take %v as a rule", r.order.usual)
		}
		r.rank(now.Add(2 * doubtFor))
		first[all(r.order)[0]] = true
	}
	if len(first) != 4 {
		t.Errorf("later on only %v were ever first", first)
	}
	trips[3] = seen{trip: trip{}.after(40 * time.Millisecond), at: now}
	r := h.newRun(message.RegisterID{Address: 7})
	if r.rankOf(3, now, farLeast) != rankWell {
		t.Error("node 3 is far after it was slow once")
	}
	h.cfg.Home, h.cfg.HomeFirst = 1, true
	for range 4 {
		r := h.newRun(message.RegisterID{Address: 7})
		if order := all(r.order); order[0] != 1 {
			t.Errorf("node 1 is this process, and the order is %v", order)
		}
	}
}

// A replica that says nothing costs one hedge, and is then asked last.
func TestFrozenReplicaCostsOneHedge(t *testing.T) {
	k := newKeepers(t, 3, 3)
	h := k.hedging(time.Millisecond)
	if _, err := h.WriteRegister(t.Context(), 5, []byte("x")); err != nil {
		t.Fatal(err)
	}
	k.set(k.ice, true, 1)
	k.mu.Lock()
	clear(k.asked)
	k.mu.Unlock()
	for range 60 {
		if _, err := h.ReadRegister(t.Context(), 5); err != nil {
			t.Fatal(err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if n := k.asked[1]; n > 20 { // of 40 if its turn always came; a few more than one, where the test was stopped for seconds
		t.Errorf("the frozen node was asked %d times in 60 reads", n)
	}
}

// The caller is woken when there are as many answers as a round takes, or by one that needs something done.
func TestMail(t *testing.T) {
	k := newKeepers(t, 3, 3)
	h := k.client()
	k.set(k.ice, true, 0, 1, 2)
	begin := func() *quorumRun {
		r := h.newRun(message.RegisterID{Address: 7})
		r.op = register.NewRead(r.call())
		r.send(r.op.Start(), r.begin)
		if _, ok := r.next(); ok || len(r.asks) != 2 {
			t.Fatalf("%d requests, mail %v", len(r.asks), ok)
		}
		return r
	}
	woken := func(r *quorumRun) bool {
		select {
		case <-r.wake:
			return true
		default:
			return false
		}
	}
	answer := message.New(message.OK)
	r := begin()
	r.asks[0].Done(0, answer, nil)
	if woken(r) {
		t.Error("woken by one answer of two")
	}
	r.asks[1].Done(0, answer, nil)
	if !woken(r) {
		t.Error("not woken by two answers")
	}
	r.end()
	r = begin()
	r.asks[1].Done(0, nil, errSilent)
	if !woken(r) {
		t.Error("not woken by a failure")
	}
	r.end()
	if h.newRun(message.RegisterID{Address: 7}) == r {
		t.Error("a run is used again while a request of it is under way")
	}
}

// steady is a Carrier to replicas that all have the same, and answer at once.
type steady struct {
	*instant
	value []byte
}

func (c steady) Ask(_ message.NodeID, m *message.Message, s transport.Sink, tag uint64) uint64 {
	a := m.Answer(message.Done, "")
	if a.SetTag(message.Tag{TS: 1}); m.Op == message.REGGET {
		a.Size, a.Data = uint64(len(c.value)), c.value
	}
	s.Done(tag, a, nil)
	return 0
}

func steadyHeap(tb testing.TB) *Heap {
	h, err := New(Config{Carrier: steady{&instant{}, []byte("sixteen bytes...")}, Directory: ring.Plan(message.Settings{Cluster: "00000000000000aa", Nodes: 3, Replicas: 3, Memory: 1 << 20, RegisterReplicas: 3}, nil)})
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// hotRegisters are operations on registers without what carries them: the operation, its requests and the answers, which
// are this test's.
func hotRegisters(tb testing.TB) []allocs.Operation {
	h := steadyHeap(tb)
	must := func(err error) {
		if err != nil {
			tb.Fatal(err)
		}
	}
	return []allocs.Operation{
		{Name: "read a register", Most: 4, Do: func() { _, err := h.ReadRegister(tb.Context(), 3); must(err) }},
		{Name: "write a register", Most: 8, Do: func() { _, err := h.WriteRegister(tb.Context(), 3, nil); must(err) }},
	}
}

func TestRegisterAllocations(t *testing.T) { allocs.Test(t, hotRegisters(t)...) }

func BenchmarkRegisters(b *testing.B) { allocs.Bench(b, hotRegisters(b)...) }
