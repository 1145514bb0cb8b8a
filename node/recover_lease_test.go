package node

import (
	"context"
	"testing"
	"time"

	"dmalloc/message"
	"dmalloc/owner"
)

// A holder has heard of indexes of the log of before. What it writes under a lease of the company that has begun anew
// it reads, from its copy, too.
func TestLeaseAfterRecovery(t *testing.T) {
	h := newHerd(t, 5, -1)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	holder := h.nodes[4].heap
	x, err := h.nodes[0].heap.Malloc(ctx, 64)
	if err != nil {
		t.Fatal(err)
	}
	a := x.Address
	if c, _ := a.Company(); c != 1 {
		t.Fatalf("%s is not in company 1, whose owners this stops", a)
	}
	if _, err := holder.Lease(ctx, a, "w", 30*time.Second); err != nil {
		t.Fatal(err)
	}
	for range 50 { // entries, of which this node hears as the holder of a lease
		if _, err := holder.WriteAt(ctx, []byte("before"), a); err != nil {
			t.Fatal(err)
		}
	}
	before, _ := holder.Leases(ctx)
	if _, err := holder.Release(ctx, a); err != nil {
		t.Fatal(err)
	}
	h.stop(1)
	h.stop(2)
	if _, err := h.nodes[0].heap.Recover(ctx, 1, true); err != nil {
		t.Fatal(err)
	}
	l, err := holder.Lease(ctx, a, "w", 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if len(before) == 0 || l.Token <= before[0].Token+1<<32 {
		t.Errorf("token %d after %v: those that were lost may be given again", l.Token, before)
	}
	p := make([]byte, 5)
	if err := holder.ReadAt(ctx, p, a); err != nil { // now there is a copy
		t.Fatal(err)
	}
	if _, err := holder.WriteAt(ctx, []byte("after"), a); err != nil {
		t.Fatal(err)
	}
	if err := holder.ReadAt(ctx, p, a); err != nil || string(p) != "after" {
		t.Errorf("it reads %q, %v, of what it has written", p, err)
	}
}

// What a node has leased of a company it gives up when it hears that the company has begun anew, also when the answer to
// its LEASE comes later; and the founder refuses everything before all nodes have heard.
func TestHoldersHearOfANewGeneration(t *testing.T) {
	h := newHerd(t, 3, -1)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	n := h.nodes[2]
	x, err := n.heap.Malloc(ctx, 64)
	if err != nil {
		t.Fatal(err)
	}
	a := x.Address
	c, _ := a.Company()
	l, err := n.heap.Lease(ctx, a, "w", 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	d := n.directory.Load().Clone()
	d.Company(c).Generation = 1
	n.holder.outgrow(d)
	if held := n.holder.cache.Held(n.holder.clock.Now()); len(held) != 0 {
		t.Errorf("it still holds %v", held)
	}
	now := n.holder.clock.Now()
	if ok, _ := n.holder.cache.Granted(l, now, now); ok {
		t.Error("a lease of before is taken into use")
	}
	l.Token += 1 << 40
	if ok, _ := n.holder.cache.Granted(l, now, now); !ok {
		t.Error("a lease of the new generation is not")
	}

	r := &owner.Replica{ID: c, Generation: 1, Replica: 99}
	refused := func() (is bool) {
		m := message.New(message.READ)
		return n.quiet(r, m, func(a *message.Message) { is = a.Status == message.NotLeader }) && is
	}
	if refused() {
		t.Error("nothing began here, and it refuses")
	}
	n.unheard.begin(c, 99)
	if !refused() {
		t.Error("nobody has heard, and it answers")
	}
	for refused() && ctx.Err() == nil {
		n.cry(r)
	}
	if refused() {
		t.Error("all have heard, and it refuses")
	}
}
