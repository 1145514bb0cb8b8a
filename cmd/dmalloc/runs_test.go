package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"dmalloc/client"
	"dmalloc/message"
)

// counter is one of a node's numbers.
func counter(t *testing.T, h *client.Heap, node message.NodeID, name string) uint64 {
	t.Helper()
	a, err := h.Ask(t.Context(), node, message.New(message.STATS))
	if err != nil {
		t.Fatal(err)
	}
	var s message.NodeStats
	if err := json.Unmarshal(a.Data, &s); err != nil {
		t.Fatal(err)
	}
	for _, c := range s.Counters {
		if c.Name == name {
			return c.Value
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

func used(t *testing.T, h *client.Heap) (bytes uint64) {
	t.Helper()
	all, err := h.Companies(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		bytes += c.Used
	}
	return bytes
}

// until waits for something that comes by itself.
func until(t *testing.T, what string, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ready(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: it did not come", what)
		}
	}
}

// A node hands small blocks out by itself and is killed in the middle of it: whatever it handed out is there, and can be
// read, written and freed by others; whatever it had besides comes back when it starts again.
func TestRuns(t *testing.T) {
	const blocks, size = 200, 100
	l := start(t, "-n", "3", "--data", "d", "--runs", "64")
	near, far := l.dial(1), l.dial(0)
	ctx := t.Context()
	mark := func(i int) []byte { return fmt.Appendf(nil, "block %d", i) }
	var all []message.Addr
	for i := range blocks {
		a, err := near.Malloc(ctx, size)
		if err != nil {
			t.Fatal(err)
		}
		if a.Size != size || len(a.Blocks) != 1 || len(a.Blocks[0].Nodes) != 3 || slices.Contains(all, a.Address) {
			t.Fatalf("%+v", a)
		}
		all = append(all, a.Address)
		p := make([]byte, size)
		if err := far.ReadAt(ctx, p, a.Address); err != nil || !bytes.Equal(p, make([]byte, size)) {
			t.Fatalf("%x %v", p, err)
		}
		if err := far.ReadAt(ctx, make([]byte, size+1), a.Address); message.CodeOf(err) != message.OutOfBounds {
			t.Fatal(err)
		}
		if _, err := far.WriteAt(ctx, mark(i), a.Address); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 { // freed where it came from, or elsewhere
			h := near
			if i%20 == 0 {
				h = far
			}
			if err := h.Free(ctx, a.Address); err != nil {
				t.Fatal(err)
			}
			if err := h.Free(ctx, a.Address); message.CodeOf(err) != message.AlreadyFree {
				t.Fatal(err)
			}
			all = all[:len(all)-1]
		}
	}
	if n := counter(t, far, 1, "runs_handed_out"); n < blocks/2 {
		t.Errorf("of %d allocations %d needed no entry", blocks, n)
	} else {
		t.Logf("of %d allocations %d needed no entry; runs %d, claims %d", blocks, n, counter(t, far, 1, "runs_set_aside"), counter(t, far, 1, "runs_claims"))
	}
	if table, err := near.Table(ctx, 0, 1000); err != nil || len(table) != len(all) {
		t.Fatalf("%d are listed of %d: %v", len(table), len(all), err)
	}

	// Somebody allocates while the node is killed.
	stop, over := context.WithCancel(ctx)
	got := make(chan []message.Addr)
	go func() {
		var more []message.Addr
		for stop.Err() == nil {
			if a, err := near.Malloc(stop, size); err == nil {
				more = append(more, a.Address)
			}
		}
		got <- more
	}()
	until(t, "a burst", func() bool { return counter(t, far, 1, "runs_handed_out") > blocks })
	if a := l.do("kill 1"); !a.OK {
		t.Fatal(a.Error)
	}
	over()
	more := <-got
	until(t, "leaders", func() bool { _, err := far.Table(ctx, 0, 1); return err == nil })
	table, err := far.Table(ctx, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[message.Addr]bool{}
	for _, a := range table {
		listed[a.Address] = true
	}
	for i, a := range append(all, more...) {
		if !listed[a] {
			t.Fatalf("%s, the %d., was handed out and is not there", a, i)
		}
		if _, err := far.WriteAt(ctx, mark(i), a); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			if err := far.Free(ctx, a); err != nil {
				t.Fatal(err)
			}
			if err := far.Free(ctx, a); message.CodeOf(err) != message.AlreadyFree {
				t.Fatal(err)
			}
			delete(listed, a)
		}
	}
	if a := l.do("revive 1"); !a.OK {
		t.Fatal(a.Error)
	}
	// Of what was asked for when the node died, and when its client gave up, nobody knows whether it was done.
	const lost = 2 * size
	live := uint64(0)
	for i := range len(all) + len(more) {
		if i%2 == 1 {
			live += size
		}
	}
	until(t, "what was not handed out", func() bool { u := used(t, far); return live <= u && u <= live+lost })
	for i, a := range append(all, more...) {
		p := make([]byte, len(mark(i)))
		if i%2 == 0 {
			continue
		}
		if err := far.ReadAt(ctx, p, a); err != nil || !bytes.Equal(p, mark(i)) {
			t.Fatalf("%s: %q %v", a, p, err)
		}
		if err := far.Free(ctx, a); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "all of it", func() bool { return used(t, far) <= lost })
}
