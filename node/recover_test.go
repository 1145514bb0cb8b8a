package node

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dmalloc/message"
)

// written is the answer of a node to a write, asked of it alone.
func written(n *Node, a message.Addr, text string) message.Code {
	m := message.New(message.WRITE)
	m.Company, m.Address, m.Size, m.Data = 1, a, uint64(len(text)), []byte(text)
	done := make(chan message.Code, 1)
	n.Handle(m, func(a *message.Message) { done <- a.Status })
	return <-done
}

// A company begins anew from one of its three owners, keeps that through a start, and gets others. The two that it
// has lost come back where no directory can be asked: they are a majority of what the company was, elect a leader,
// and serve nobody.
func TestACompanyBeginsAnew(t *testing.T) {
	h := newHerd(t, 5, -1)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	heap := h.nodes[0].heap
	x, err := heap.Malloc(ctx, 64)
	if err != nil {
		t.Fatal(err)
	}
	a := x.Address
	if c, _ := a.Company(); c != 1 {
		t.Fatalf("%s is not in company 1, whose owners this stops", a)
	}
	if _, err := heap.WriteAt(ctx, []byte("hello"), a); err != nil {
		t.Fatal(err)
	}
	if _, err := heap.Recover(ctx, 1, true); message.CodeOf(err) != message.InvalidArgument {
		t.Fatalf("with a majority: %v", err)
	}
	h.stop(1)
	h.stop(2)
	if r, err := heap.Recover(ctx, 1, false); message.CodeOf(err) != message.InvalidArgument || len(r.Missing) != 2 {
		t.Fatalf("without a yes: %+v, %v", r, err)
	}
	if _, err := heap.Recover(ctx, 0, true); message.CodeOf(err) != message.Unsupported {
		t.Fatalf("the directory: %v", err)
	}
	if r, err := heap.Recover(ctx, 1, true); err != nil || r.Generation != 1 || r.Node != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	h.reads(ctx, a, "hello")
	if _, err := heap.WriteAt(ctx, []byte("again"), a); err != nil {
		t.Fatal(err)
	}
	h.stop(0)
	h.stop(3)
	h.stop(4)

	for _, id := range []message.NodeID{1, 2} {
		h.start(id, false)
	}
	h.tell()
	deadline := time.Now().Add(30 * time.Second)
	leads := func(n *Node) bool { r := n.host.Replica(1); return r != nil && r.Generation == 0 && r.Leads() }
	for !leads(h.nodes[1]) && !leads(h.nodes[2]) {
		if time.Now().After(deadline) {
			t.Fatal("those who were lost elect nobody, and this shows nothing")
		}
		time.Sleep(5 * time.Millisecond)
	}
	for range 20 {
		for _, n := range h.nodes {
			if code := written(n, a, "wrong"); code != message.NotLeader {
				t.Fatalf("node %s answers %v for a company that has begun anew elsewhere", n.cfg.ID, code)
			}
		}
		time.Sleep(5 * time.Millisecond)
	}

	for _, id := range []message.NodeID{0, 3, 4} {
		h.start(id, false)
	}
	h.tell()
	for _, n := range h.nodes {
		h.ready(n)
	}
	h.until("three owners", func(d *message.Directory) bool {
		return calm(d, nobody) && len(d.Companies[1].Owners) == 3 && d.Companies[1].Generation == 1
	})
	h.reads(ctx, a, "again")
	for time.Now().Before(deadline.Add(30*time.Second)) && !h.onlyNew() {
		time.Sleep(20 * time.Millisecond)
	}
	if !h.onlyNew() {
		t.Error("somebody still has a replica of the earlier generation")
	}
	if seeds, _ := filepath.Glob(filepath.Join(h.dir, "*", "seed-*")); len(seeds) > 0 {
		t.Errorf("left over: %v", seeds)
	}
	if v, err := h.any().heap.Verify(ctx, 1, false); err != nil || v[0].Wrong != "" || len(v[0].Owners) != 3 {
		t.Errorf("%+v, %v", v, err)
	}
}

func (h *herd) reads(ctx context.Context, a message.Addr, want string) {
	h.t.Helper()
	p := make([]byte, len(want))
	if err := h.any().heap.ReadAt(ctx, p, a); err != nil || string(p) != want {
		h.t.Fatalf("%s holds %q, %v; want %q", a, p, err, want)
	}
}

// onlyNew says whether all replicas of company 1 that run are of its second generation.
func (h *herd) onlyNew() bool {
	for _, n := range h.nodes {
		if r := n.host.Replica(1); r != nil && r.Generation != 1 {
			return false
		}
	}
	return true
}

// A founder that has lost its seed does not begin with nothing.
func TestNoSeedNoCompany(t *testing.T) {
	h := newHerd(t, 3, -1)
	n := h.nodes[0]
	n.seatMu.Lock()
	defer n.seatMu.Unlock()
	if n.canBegin(1, 9) {
		t.Error("there is another replica of the company")
	}
	if n.canBegin(message.MaxCompany, 9) {
		t.Error("there is no seed")
	}
	if err := os.WriteFile(filepath.Join(n.cfg.Dir, "seed-64-9"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if !n.canBegin(message.MaxCompany, 9) {
		t.Error("there is a seed")
	}
}
