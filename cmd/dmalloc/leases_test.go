package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"dmalloc/client"
	"dmalloc/message"
)

// Clients on three nodes take leases of pages that they share, to read and to write, give them back or let them end,
// and work on the words there while holders and leaders are killed and frozen: nobody ever sees old bytes.
func TestLinearizableUnderLeases(t *testing.T) {
	var taken, given atomic.Int64
	linearizable(t, [][2]string{{"pause 0", "resume 0"}, {"kill 1", "revive 1"}, {"pause 2", "resume 2"}, {"lead 1 2", "lead 2 0"}, {"kill 0", "revive 0"}, {"pause 1", "resume 1"}},
		func(rng *rand.Rand, c *client.Heap, a message.Addr) bool {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			switch rng.IntN(20) {
			case 0, 1:
				length := time.Duration(20+rng.IntN(600)) * time.Millisecond
				if _, err := c.Lease(ctx, a, []string{"r", "r", "w"}[rng.IntN(3)], length); err == nil {
					taken.Add(1)
				}
			case 2:
				if _, err := c.Release(ctx, a); err == nil {
					given.Add(1)
				}
			default:
				return false
			}
			return true
		})
	t.Logf("%d leases were taken, %d given back", taken.Load(), given.Load())
	if taken.Load() < 50 || given.Load() < 5 {
		t.Error("too few to show anything")
	}
}

// dial connects to one node.
func (l *live) dial(node int) *client.Heap {
	l.t.Helper()
	c, err := client.Dial(l.t.Context(), l.do("nodes").Nodes[node].Address)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = c.Close() })
	return c.Heap
}

// alloc makes an allocation of a page, led by the first node that leads anything: who is said.
func (l *live) alloc() (a message.Addr) {
	l.t.Helper()
	m := l.do("m 4096")
	if !m.OK {
		l.t.Fatal(m.Error)
	}
	a, _ = message.ParseAddr(m.Address)
	return a
}

// leader is which node leads the company of an address.
func (l *live) leader(c *client.Heap, a message.Addr) int {
	l.t.Helper()
	id, _ := a.Company()
	all, err := c.Companies(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	for _, x := range all {
		if x.ID == id && x.Leader != nil {
			return int(*x.Leader)
		}
	}
	l.t.Fatalf("company %s has no leader", id)
	return 0
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func reads(t *testing.T, c *client.Heap, a message.Addr, want string) {
	t.Helper()
	p := make([]byte, len(want))
	if err := c.ReadAt(within(t, 10*time.Second), p, a); err != nil || string(p) != want {
		t.Errorf("read %q %v, want %q", p, err, want)
	}
}

// reads has a node read by its own client, which looks first at what the node keeps.
func (l *live) reads(node int, a message.Addr, want string) {
	l.t.Helper()
	var got string
	for range 100 { // a node that was revived may not be ready
		var status int
		if status, got = l.http(node, "GET", fmt.Sprintf("/v1/memory/%s?size=%d", a, len(want)), ""); status == 200 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if got != want {
		l.t.Errorf("node %d reads %q, want %q", node, got, want)
	}
}

func writes(t *testing.T, c *client.Heap, a message.Addr, text string) client.Written {
	t.Helper()
	w, err := c.Write(within(t, 60*time.Second), []byte(text), a)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func leases(t *testing.T, c *client.Heap, a message.Addr, mode string, length time.Duration) message.Lease {
	t.Helper()
	lease, err := c.Lease(within(t, 20*time.Second), a, mode, length)
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

// A write by a third node has two readers give their leases back at once, and both then see it.
func TestWriteRevokesReaders(t *testing.T) {
	l := start(t, "-n", "3")
	a := l.alloc()
	first, second, third := l.dial(0), l.dial(1), l.dial(2)
	writes(t, third, a, "old")
	for _, c := range []*client.Heap{first, second} {
		leases(t, c, a, "r", 30*time.Second)
		reads(t, c, a, "old")
		reads(t, c, a, "old")
	}
	all, err := third.Leases(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v %v", all, err)
	}
	begin := time.Now()
	writes(t, third, a, "new")
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("readers that live made a write wait for %v", took)
	}
	l.reads(0, a, "new")
	l.reads(1, a, "new")
	reads(t, first, a, "new")
	reads(t, second, a, "new")
	if all, err := third.Leases(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%+v %v", all, err)
	}
}

// An exclusive lease goes from one node to the next that wants it, and what was written under it is seen.
func TestLeaseGoesRound(t *testing.T) {
	l := start(t, "-n", "3")
	a := l.alloc()
	clients := []*client.Heap{l.dial(0), l.dial(1), l.dial(2)}
	last := "0000"
	for i := range 9 {
		c := clients[i%3]
		leases(t, c, a, "w", 30*time.Second)
		reads(t, c, a, map[bool]string{true: "\x00\x00\x00\x00", false: last}[i == 0])
		last = fmt.Sprintf("%04d", i)
		writes(t, c, a, last)
		reads(t, c, a, last)
	}
	reads(t, clients[0], a, last)
}

// A holder that dies makes a write wait for the length of its lease at most, and one that is frozen for longer than
// that does not answer from its copy when it is back.
func TestHolderDiesOrFreezes(t *testing.T) {
	for _, fault := range [][2]string{{"kill", "revive"}, {"pause", "resume"}} {
		t.Run(fault[0], func(t *testing.T) {
			l := start(t, "-n", "4", "--replicas", "3")
			a := l.alloc()
			lead := l.leader(l.dial(0), a)
			holder, other := (lead+1)%4, (lead+2)%4
			h, o := l.dial(holder), l.dial(other)
			writes(t, o, a, "old")
			lease := leases(t, h, a, "r", 3*time.Second)
			reads(t, h, a, "old")
			l.reads(holder, a, "old")
			if x := l.do("%s %d", fault[0], holder); !x.OK {
				t.Fatal(x.Error)
			}
			begin := time.Now()
			writes(t, o, a, "new")
			took := time.Since(begin)
			t.Logf("a lease of %d ms: the write took %v", lease.LengthMS, took)
			if took > 15*time.Second {
				t.Errorf("the write took %v", took)
			}
			if x := l.do("%s %d", fault[1], holder); !x.OK {
				t.Fatal(x.Error)
			}
			l.reads(holder, a, "new")
			reads(t, h, a, "new")
			reads(t, o, a, "new")
		})
	}
}

// A holder that is cut off from all others hears of nothing; when its lease is over by its own clock it stops to
// answer from its copy, and it does so before anybody else may write.
func TestHolderIsCutOff(t *testing.T) {
	l := start(t, "-n", "4", "--replicas", "3")
	a := l.alloc()
	lead := l.leader(l.dial(0), a)
	holder, other := (lead+1)%4, (lead+2)%4
	h, o := l.dial(holder), l.dial(other)
	writes(t, o, a, "old")
	leases(t, h, a, "r", 3*time.Second)
	reads(t, h, a, "old")
	rest := ""
	for i := range 4 {
		if i != holder {
			rest += fmt.Sprintf(",%d", i)
		}
	}
	l.must(fmt.Sprintf("partition %d|%s", holder, rest[1:]))
	at := fmt.Sprintf("/v1/memory/%s?size=3&timeout=300ms", a)
	if status, b := l.http(holder, "GET", at, ""); status != 200 || b != "old" {
		t.Errorf("cut off, with a lease: %d %s", status, b)
	}
	writes(t, o, a, "new")
	if status, b := l.http(holder, "GET", at, ""); status == 200 {
		t.Errorf("cut off, after the lease: %s", b)
	}
	l.must("heal")
	l.reads(holder, a, "new")
}

// What a holder has only absorbed is read by others, for it is written back first; what it has not written back when
// it dies is lost, and the answer said so.
func TestWriteBackIsSaid(t *testing.T) {
	l := start(t, "-n", "4", "--replicas", "3", "--write-back")
	a := l.alloc()
	lead := l.leader(l.dial(0), a)
	holder, other := (lead+1)%4, (lead+2)%4
	h, o := l.dial(holder), l.dial(other)
	leases(t, h, a, "w", 30*time.Second)
	if w := writes(t, h, a, "one"); !w.WriteBack {
		t.Errorf("%+v", w)
	}
	reads(t, h, a, "one")
	reads(t, o, a, "one")
	leases(t, h, a, "w", 2*time.Second)
	writes(t, h, a, "two")
	if n, err := h.Sync(within(t, 10*time.Second), 0); err != nil || n != 3 {
		t.Errorf("%d %v", n, err)
	}
	if w := writes(t, h, a, "six"); !w.WriteBack {
		t.Errorf("%+v", w)
	}
	if x := l.do("kill %d", holder); !x.OK {
		t.Fatal(x.Error)
	}
	reads(t, o, a, "two")
}

// What a holder has absorbed is not lost when it takes a lease anew: it is written back before, for the new lease
// fences what comes under the old one.
func TestLeaseAgainKeepsAbsorbed(t *testing.T) {
	l := start(t, "-n", "4", "--replicas", "3", "--write-back")
	a := l.alloc()
	lead := l.leader(l.dial(0), a)
	holder, other := (lead+1)%4, (lead+2)%4
	h, o := l.dial(holder), l.dial(other)
	leases(t, h, a, "w", 4*time.Second)
	if w := writes(t, h, a, "one"); !w.WriteBack {
		t.Errorf("%+v", w)
	}
	leases(t, h, a, "w", 4*time.Second)
	if x := l.do("kill %d", holder); !x.OK {
		t.Fatal(x.Error)
	}
	reads(t, o, a, "one")
}

// A holder that leads the company shows what it has absorbed to nobody else before it is in the log: what was seen
// elsewhere does not die with it.
func TestLeaderShowsNothingAbsorbed(t *testing.T) {
	l := start(t, "-n", "4", "--replicas", "3", "--write-back")
	a := l.alloc()
	lead := l.leader(l.dial(0), a)
	h, o := l.dial(lead), l.dial((lead+2)%4)
	leases(t, h, a, "w", 4*time.Second)
	if w := writes(t, h, a, "one"); !w.WriteBack {
		t.Errorf("%+v", w)
	}
	reads(t, h, a, "one")
	reads(t, o, a, "one")
	if x := l.do("kill %d", lead); !x.OK {
		t.Fatal(x.Error)
	}
	reads(t, o, a, "one")
}
