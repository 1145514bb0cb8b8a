package quorum

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dmalloc/message"
	"dmalloc/ring"
)

// net is a network of keepers in one process. A node that is missing refuses connections.
type net struct {
	t      *testing.T
	config message.Registers
	mu     sync.Mutex
	nodes  map[message.NodeID]*Keeper
	dirs   map[message.NodeID]string
	lose   func(to message.NodeID, m *message.Message) bool // may be nil
}

func newNet(t *testing.T, n, replicas int) *net {
	w := &net{t: t, nodes: map[message.NodeID]*Keeper{}, dirs: map[message.NodeID]string{}}
	w.config = ring.Plan(message.Settings{Cluster: "c", Nodes: n, Memory: 1 << 20, RegisterReplicas: replicas}, nil).Registers
	for i := range n {
		w.start(message.Member{Node: message.NodeID(i)}, t.TempDir())
	}
	t.Cleanup(func() {
		for id := range w.nodes {
			w.stop(id)
		}
	})
	return w
}

func (w *net) start(self message.Member, dir string) *Keeper {
	w.t.Helper()
	k, err := Open(Config{Self: self, Cluster: "c", Dir: dir, Registers: w.config, Ask: w, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.nodes[self.Node], w.dirs[self.Node] = k, dir
	w.mu.Unlock()
	return k
}

func (w *net) stop(id message.NodeID) {
	w.mu.Lock()
	k := w.nodes[id]
	delete(w.nodes, id)
	w.mu.Unlock()
	if k != nil {
		if err := k.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

func (w *net) Ask(ctx context.Context, to message.NodeID, m *message.Message) (*message.Message, error) {
	w.mu.Lock()
	lost := w.lose != nil && w.lose(to, m)
	k := w.nodes[to]
	w.mu.Unlock()
	if k == nil {
		return nil, errors.New("connection refused")
	}
	if lost {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	got := make(chan *message.Message, 1)
	c := *m
	c.Data, c.Source = slices.Clone(m.Data), 0 // a node, not a client
	k.Handle(&c, func(a *message.Message) { got <- a })
	select {
	case a := <-got:
		return a, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func tag(ts uint64) message.Tag { return message.Tag{TS: ts, Writer: message.ClientID{1}, Op: ts} }

// put stores at one node, as a client of an epoch would.
func (w *net) put(to message.Member, epoch, address, ts uint64, value string) message.Code {
	w.t.Helper()
	m := message.New(message.REGPUT)
	m.SetRegister(message.RegisterID{Address: address})
	m.SetTag(tag(ts))
	m.Term, m.Index, m.Data = epoch, to.Incarnation, []byte(value)
	a, err := w.Ask(w.t.Context(), to.Node, m)
	if err != nil {
		w.t.Fatal(err)
	}
	return a.Status
}

// has is what a node has of a register; -1 for nothing.
func (w *net) has(id message.NodeID, address uint64) int {
	t, _, ok := w.nodes[id].store.Tag(message.RegisterID{Address: address})
	if !ok {
		return -1
	}
	return int(t.TS)
}

// eventually waits for what other goroutines do.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s does not come to be", what)
		}
	}
}

func member(node message.NodeID, incarnation uint64) message.Member {
	return message.Member{Node: node, Incarnation: incarnation}
}

func TestKeeperAnswers(t *testing.T) {
	w := newNet(t, 3, 3)
	if code := w.put(member(0, 0), 1, 7, 2, "two"); code != message.Done {
		t.Fatal(code)
	}
	if code := w.put(member(0, 0), 1, 7, 1, "one"); code != message.Done || w.has(0, 7) != 2 {
		t.Fatal("an older put is acknowledged and changes nothing:", code, w.has(0, 7))
	}
	for name, code := range map[string]message.Code{
		"another epoch": w.put(member(0, 0), 2, 7, 9, ""), "another incarnation": w.put(member(0, 1), 1, 7, 9, ""),
		"no tag": w.put(member(0, 0), 1, 7, 0, ""),
	} {
		want := message.Stale
		if name == "no tag" {
			want = message.InvalidArgument
		}
		if code != want || w.has(0, 7) != 2 {
			t.Errorf("%s: %v, and it has %d", name, code, w.has(0, 7))
		}
	}
	for _, bad := range []*message.Message{
		{Op: message.REGGET, Company: 2}, {Op: message.REGGET, Company: 1 << 20}, {Op: message.REGLIST, Data: []byte{1}},
		{Op: message.REGCONF, Data: []byte("{")}, {Op: message.READ},
	} {
		a, err := w.Ask(t.Context(), 0, bad)
		if err != nil || a.Status != message.InvalidArgument && a.Status != message.Unsupported {
			t.Errorf("%v: %v, %v", bad, a, err)
		}
	}
}

// K1: what was acknowledged is there after a restart, the newest configuration too.
func TestKeeperComesBack(t *testing.T) {
	w := newNet(t, 1, 1)
	next := w.config.Clone()
	next.Epoch = 5
	m := message.New(message.REGCONF)
	m.Data = message.JSON(next)
	if a, err := w.Ask(t.Context(), 0, m); err != nil || a.Term != 5 {
		t.Fatal(a, err)
	}
	if code := w.put(member(0, 0), 5, 7, 2, "two"); code != message.Done {
		t.Fatal(code)
	}
	w.stop(0)
	k := w.start(member(0, 0), w.dirs[0])
	if k.Registers().Epoch != 5 || w.has(0, 7) != 2 {
		t.Fatalf("epoch %d, tag %d", k.Registers().Epoch, w.has(0, 7))
	}
	if code := w.put(member(0, 0), 1, 7, 3, ""); code != message.Stale {
		t.Fatal("an epoch that was refused is served again:", code)
	}
	w.stop(0)
	if _, err := Open(Config{Self: member(0, 1), Cluster: "c", Dir: w.dirs[0], Registers: w.config, Ask: w, Log: slog.New(slog.DiscardHandler)}); message.CodeOf(err) != message.Corrupt {
		t.Error("another incarnation opens the files:", err)
	}
	if _, err := Open(Config{Self: member(0, 0), Cluster: "c", Dir: filepath.Join(w.dirs[0], "empty"), Known: true, Registers: w.config, Ask: w, Log: slog.New(slog.DiscardHandler)}); message.CodeOf(err) != message.Corrupt {
		t.Error("files that were there and are gone are not missed:", err)
	}
	files, _ := filepath.Glob(filepath.Join(w.dirs[0], "*"))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		if len(b) > 20 {
			b[len(b)/2] ^= 1
			_ = os.WriteFile(f, b, 0o600)
		}
	}
	if _, err := Open(Config{Self: member(0, 0), Cluster: "c", Dir: w.dirs[0], Registers: w.config, Ask: w, Log: slog.New(slog.DiscardHandler)}); message.CodeOf(err) != message.Corrupt {
		t.Error("altered files are opened:", err)
	}
}

// A replica that was away gets what it missed, without anybody reading it.
func TestCatchUp(t *testing.T) {
	w := newNet(t, 3, 3)
	w.stop(2)
	for a := range uint64(50) {
		for n := range message.NodeID(2) {
			if code := w.put(member(n, 0), 1, a, 3, fmt.Sprint("value ", a)); code != message.Done {
				t.Fatal(code)
			}
		}
	}
	w.start(member(2, 0), w.dirs[2])
	eventually(t, "node 2 with all 50", func() bool { return w.nodes[2].store.Stats().Registers == 50 })
	for a := range uint64(50) {
		if w.has(2, a) != 3 {
			t.Errorf("register %d has tag %d", a, w.has(2, a))
		}
	}
}

func TestMove(t *testing.T) {
	w := newNet(t, 4, 3)
	const registers = 300
	all := w.config.Members
	w.config.Members = all[:3]
	start := w.config.Clone()
	start.Epoch = 2
	for _, k := range w.nodes {
		k.Learn(start)
	}
	for a := range uint64(registers) { // each on two of three: what a write needs
		for n := range message.NodeID(2) {
			if code := w.put(member((message.NodeID(a)+n)%3, 0), 2, a, 4, fmt.Sprint("value ", a)); code != message.Done {
				t.Fatal(code)
			}
		}
	}
	joint := start.Clone()
	joint.Epoch, joint.Next = 3, all
	if err := w.nodes[1].Move(t.Context(), joint); err != nil {
		t.Fatal(err)
	}
	place := ring.Place(joint)
	moved := 0
	for a := range uint64(registers) {
		groups := place.Groups(ring.Shard(message.RegisterID{Address: a}))
		for _, m := range groups[len(groups)-1] {
			if len(groups) > 1 && w.has(m.Node, a) != 4 {
				t.Errorf("register %d did not move to node %s", a, m)
			}
		}
		moved += len(groups) - 1
	}
	if moved < registers/2 || moved > registers*9/10 {
		t.Errorf("%d of %d registers move; 3 of 4 have the new node among their replicas", moved, registers)
	}
	if code := w.put(member(0, 0), 2, 1, 9, ""); code != message.Stale {
		t.Error("the old epoch is served after the fence:", code)
	}
	done := joint.Clone()
	done.Epoch, done.Members, done.Next = 4, joint.Next, nil
	for _, k := range w.nodes {
		k.Learn(done)
	}
	if got := w.nodes[1].store.Stats().Registers; got == 0 {
		t.Error("what is still kept was forgotten")
	}
	for id, k := range w.nodes {
		want := 0
		for a := range uint64(registers) {
			if ring.Place(done).Holds(ring.Shard(message.RegisterID{Address: a}), member(id, 0)) {
				want++
			}
		}
		eventually(t, fmt.Sprintf("node %s with the %d registers of its shards", id, want), func() bool { return k.store.Stats().Registers <= want })
	}
	if err := w.nodes[1].Move(t.Context(), joint); message.CodeOf(err) != message.Stale {
		t.Error("a change that is over is done again:", err)
	}
}

// Two replicas, one of which lost its disk: the other has all that was acknowledged.
func TestMoveReplacesLostDisk(t *testing.T) {
	w := newNet(t, 3, 2)
	place := ring.Place(w.config)
	for a := range uint64(60) {
		for _, m := range place.Groups(ring.Shard(message.RegisterID{Address: a}))[0] {
			if code := w.put(m, 1, a, 4, "x"); code != message.Done {
				t.Fatal(code)
			}
		}
	}
	w.stop(1)
	w.start(member(1, 1), t.TempDir())
	joint := w.config.Clone()
	joint.Epoch, joint.Next = 2, []message.Member{member(0, 0), member(1, 1), member(2, 0)}
	if err := w.nodes[0].Move(t.Context(), joint); err != nil {
		t.Fatal(err)
	}
	for a := range uint64(60) {
		if ring.Place(joint).Holds(ring.Shard(message.RegisterID{Address: a}), member(1, 1)) && w.has(1, a) != 4 {
			t.Errorf("register %d is not on the new disk", a)
		}
	}
	// With a second node away nothing can be known of the shards that only those two keep.
	w.stop(0)
	joint.Epoch = 3
	if err := w.nodes[2].Move(t.Context(), joint); message.CodeOf(err) != message.Unavailable || !strings.Contains(err.Error(), "too few answer") {
		t.Error(err)
	}
}

// K2: a put that was judged under the old epoch is on the disk, and so in the lists, when the fence stands.
func TestFenceWaitsForPuts(t *testing.T) {
	w := newNet(t, 1, 1)
	for round := range uint64(50) {
		epoch := round + 1
		var wg sync.WaitGroup
		acked := make([]bool, 8)
		for i := range acked {
			wg.Go(func() { acked[i] = w.put(member(0, 0), epoch, 1000*epoch+uint64(i), 1, "v") == message.Done })
		}
		next := w.config.Clone()
		next.Epoch = epoch + 1
		m := message.New(message.REGCONF)
		m.Data = message.JSON(next)
		a, err := w.Ask(t.Context(), 0, m)
		if err != nil || a.Status != message.Done {
			t.Fatal(a, err)
		}
		list := message.New(message.REGLIST)
		list.SetRegister(message.RegisterID{Address: 1000 * epoch})
		list.Value = 100
		a, err = w.Ask(t.Context(), 0, list)
		if err != nil {
			t.Fatal(err)
		}
		var rows []Row
		if err := json.Unmarshal(a.Data, &rows); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		for i, ok := range acked {
			if ok && !slices.ContainsFunc(rows, func(r Row) bool { return r.Address == 1000*epoch+uint64(i) }) {
				t.Fatalf("K2: register %d was acknowledged in epoch %d and is not in the list behind the fence", i, epoch)
			}
		}
	}
}
