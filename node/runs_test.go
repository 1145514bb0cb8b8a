package node

import (
	"bytes"
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"dmalloc/message"
	"dmalloc/owner"
	"dmalloc/run"
)

// asideOf is how many blocks the companies have aside for a node, and how many runs.
func (h *herd) asideOf(id message.NodeID) (blocks, runs int) {
	for _, n := range h.nodes {
		for _, r := range n.host.Replicas() {
			if !r.Leads() {
				continue
			}
			r.View(func(m owner.Machine) {
				if c, ok := m.(*owner.Heap); ok {
					for _, x := range c.Runs() {
						if x.Node == id {
							blocks, runs = blocks+x.Blocks, runs+1
						}
					}
				}
			})
		}
	}
	return blocks, runs
}

func (h *herd) await(what string, ready func() bool) {
	h.t.Helper()
	for end := time.Now().Add(time.Minute); !ready(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatalf("%s: it did not come", what)
		}
	}
}

// burst allocates until the node has handed out so many by itself.
func (h *herd) burst(ctx context.Context, n *Node, handed uint64) (all []message.Addr) {
	h.t.Helper()
	from := n.runs.handed.Load()
	h.await("a burst", func() bool {
		for range 10 {
			a, err := n.heap.Malloc(ctx, 48)
			if err != nil {
				h.t.Fatal(err)
			}
			all = append(all, a.Address)
		}
		return n.runs.handed.Load()-from >= handed
	})
	return all
}

// vanish ends a node as SIGKILL does, as far as its runs go: nobody settles anything.
func (h *herd) vanish(n *Node) {
	n.runs.mu.Lock()
	n.runs.stock.End()
	n.runs.ended, n.runs.left = true, true
	n.runs.mu.Unlock()
	delete(h.nodes, n.cfg.ID)
	n.Close()
}

func (h *herd) listed(ctx context.Context, n *Node) (all []message.Addr) {
	h.t.Helper()
	table, err := n.heap.Table(ctx, 0, 1<<20)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, a := range table {
		all = append(all, a.Address)
	}
	return all
}

func runHerd(t *testing.T) *herd {
	return newHerd(t, 3, 60000, func(s *message.Settings) { s.Runs = 64 })
}

// A node that ends in order gives back what it did not hand out, and so does one that is killed, when it is there again.
func TestRunsAreSettled(t *testing.T) {
	h := runHerd(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	n := h.nodes[0]
	all := h.burst(ctx, n, 50)
	if got := h.listed(ctx, n); len(got) != len(all) {
		t.Fatalf("%d are listed of %d: what its own node is asked for is exact", len(got), len(all))
	}
	h.vanish(n)
	if _, runs := h.asideOf(0); runs == 0 {
		t.Fatal("nothing was aside")
	}
	n = h.start(0, true)
	h.ready(n)
	h.await("what was aside", func() bool { _, runs := h.asideOf(0); return runs == 0 })
	if got := h.listed(ctx, n); len(got) != len(all) {
		t.Fatalf("R5: %d are listed of %d", len(got), len(all))
	}
	h.await("the file's end", func() bool { return len(runFiles(n.cfg.Dir, n.runs.session)) == 0 })

	all = append(all, h.burst(ctx, n, 20)...)
	n.runs.leave(ctx)
	if blocks, runs := h.asideOf(0); blocks+runs != 0 {
		t.Fatalf("%d blocks in %d runs are left", blocks, runs)
	}
	if got := h.listed(ctx, n); len(got) != len(all) {
		t.Fatalf("%d are listed of %d", len(got), len(all))
	}
	if _, ok := n.runs.Take(48); ok {
		t.Fatal("R4: a block was handed out after the end")
	}
	for _, a := range all {
		if err := n.heap.Free(ctx, a); err != nil {
			t.Fatal(err)
		}
	}
}

// R5: where the file is lost, what may have been handed out stays, and all else comes back.
func TestStrandedRuns(t *testing.T) {
	h := runHerd(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	n := h.nodes[0]
	all := h.burst(ctx, n, 50)
	h.vanish(n)
	if err := os.Remove(runFilePath(n.cfg.Dir, n.runs.session)); err != nil {
		t.Fatal(err)
	}
	n = h.start(0, true)
	h.ready(n)
	h.await("what was aside", func() bool { _, runs := h.asideOf(0); return runs == 0 })
	got := h.listed(ctx, n)
	for _, a := range all {
		if !slices.Contains(got, a) {
			t.Fatalf("R5: %s was handed out and is gone", a)
		}
	}
	if more := len(got) - len(all); more > 3*message.MaxOpen {
		t.Fatalf("%d are listed of %d", len(got), len(all))
	}
}

// What a file says is what was written, or it says nothing.
func TestRunFile(t *testing.T) {
	dir := t.TempDir()
	x, err := createRunFile(dir, 7, "boot")
	if err != nil {
		t.Fatal(err)
	}
	defer x.close()
	if err := x.ask(3); err != nil {
		t.Fatal(err)
	}
	for n := range uint64(3) {
		if err := x.keep(run.Out{Company: 3, Number: 100 + n%2, Handed: n + 1, Slot: int(n % 2)}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readRunFile(dir, 7, "boot")
	if want := []run.Row{{Company: 3, Number: 100, Handed: 3}, {Company: 3, Number: 101, Handed: 2}}; err != nil || !slices.Equal(got.rows, want) || !slices.Equal(got.asked, []message.CompanyID{3}) {
		t.Fatalf("%+v %v", got, err)
	}
	if _, err := readRunFile(dir, 7, "another"); err == nil {
		t.Fatal("after a loss of power it was believed")
	}
	b, err := os.ReadFile(runFilePath(dir, 7))
	if err != nil {
		t.Fatal(err)
	}
	for at := range slotsAt + 2*slotBytes {
		bad := bytes.Clone(b)
		bad[at] ^= 4
		if y, err := decodeRunFile(bad, "boot"); err == nil {
			t.Fatalf("a flipped bit at %d was not seen: %+v", at, y)
		}
	}
	if s := runFiles(dir, 8); !slices.Equal(s, []uint64{7}) || len(runFiles(dir, 7)) != 0 {
		t.Fatal(s)
	}
	for range 2 { // what is gone already is removed
		if err := removeRunFile(dir, 7); err != nil {
			t.Fatal(err)
		}
	}
	if len(runFiles(dir, 8)) != 0 {
		t.Fatal("it is still there")
	}
}

func FuzzRunFile(f *testing.F) {
	dir := f.TempDir()
	x, err := createRunFile(dir, 7, "boot")
	if err != nil {
		f.Fatal(err)
	}
	defer x.close()
	_, _ = x.ask(1), x.keep(run.Out{Company: 1, Number: 5, Handed: 9, Slot: 2})
	b, err := os.ReadFile(runFilePath(dir, 7))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		y, err := decodeRunFile(b, "boot")
		if err == nil && (len(y.rows) > run.MaxRuns || len(y.asked) > message.MaxCompany) {
			t.Fatalf("%+v", y)
		}
	})
}
