package node

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dmalloc/client"
	"dmalloc/message"
	"dmalloc/ring"
)

// herd is a cluster whose nodes are all in this process.
type herd struct {
	t        *testing.T
	dir      string
	settings message.Settings
	hosts    []string
	nodes    map[message.NodeID]*Node
}

func newHerd(t *testing.T, nodes, replaceAfter int, change ...func(*message.Settings)) *herd {
	s := message.Settings{Cluster: "00000000000000ab", Version: 2, Nodes: nodes, Replicas: 3, Memory: 64 << 20, Acks: "majority",
		Tick: 20, Election: 10, Heartbeat: 2, RegisterReplicas: 3, LogShards: 1, Executors: 1, ReplaceAfter: replaceAfter}
	s.Companies = ring.Companies(nodes, s.Memory)
	for _, f := range change {
		f(&s)
	}
	h := &herd{t: t, dir: t.TempDir(), settings: s, hosts: make([]string, nodes), nodes: map[message.NodeID]*Node{}}
	for id := range message.NodeID(nodes) {
		h.start(id, false)
	}
	h.tell()
	t.Cleanup(func() {
		for _, n := range h.nodes {
			n.Close()
		}
	})
	for _, n := range h.nodes {
		h.ready(n)
	}
	return h
}

func (h *herd) listen() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	return l
}

func (h *herd) start(id message.NodeID, tell bool) *Node {
	return h.startAt(id, h.listen(), tell)
}

func (h *herd) startAt(id message.NodeID, l net.Listener, tell bool) *Node {
	n, err := Start(Config{ID: id, Settings: h.settings, Hosts: h.hosts, Dir: filepath.Join(h.dir, id.String()), Listener: l,
		Log: slog.New(slog.DiscardHandler), Peers: h.peers()})
	if err != nil {
		h.t.Fatal(err)
	}
	h.nodes[id] = n
	if tell {
		h.tell()
	}
	return n
}

func (h *herd) peers() (all []message.Node) {
	for id, n := range h.nodes {
		all = append(all, message.Node{ID: id, Address: n.cfg.Listener.Addr().String()})
	}
	return all
}

func (h *herd) tell() {
	peers := h.peers()
	for _, n := range h.nodes {
		n.SetPeers(peers, nil)
	}
}

func (h *herd) ready(n *Node) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := n.Ready(ctx); err != nil {
		h.t.Fatalf("node %s: %v", n.cfg.ID, err)
	}
}

func (h *herd) stop(id message.NodeID) {
	h.nodes[id].Close()
	delete(h.nodes, id)
}

func (h *herd) any() *Node {
	for id := message.NodeID(0); ; id++ {
		if n := h.nodes[id]; n != nil {
			return n
		}
	}
}

// until waits for a state of the directory, as a node has it.
func (h *herd) until(what string, is func(d *message.Directory) bool) *message.Directory {
	h.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		d, err := h.any().heap.Directory(ctx)
		cancel()
		if err == nil && is(d) {
			return d
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("%s did not come about: %s", what, message.JSON(d))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (h *herd) join(key uint64) *Node {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	l := h.listen()
	id, err := h.any().heap.Admit(ctx, message.Node{Key: key, Address: l.Addr().String()})
	if err != nil {
		h.t.Fatal(err)
	}
	n := h.startAt(id, l, false) // nobody tells the others: the directory does
	h.ready(n)
	return n
}

// calm says that nothing changes, and nothing is to be changed.
func calm(d *message.Directory, dead func(message.NodeID) bool) bool {
	for i := range d.Companies {
		if d.Companies[i].Changing() {
			return false
		}
	}
	return len(d.Registers.Next) == 0 && ring.Next(d, dead).Op == message.NONE
}

func owns(d *message.Directory, id message.NodeID) (n int) {
	for _, c := range d.Companies {
		for _, o := range c.Owners {
			if o.Node == id {
				n++
			}
		}
	}
	for _, m := range d.Registers.Members {
		if m.Node == id {
			n++
		}
	}
	return n
}

// load counts up memory and a register until it is ended; an error of a client fails the test.
type load struct {
	stop    chan struct{}
	once    sync.Once
	running sync.WaitGroup
	done    atomic.Uint64
	slowest atomic.Int64
	heap    *client.Heap
	cells   []message.Addr
	counts  []uint64
}

func (h *herd) load(heap *client.Heap) *load {
	l := &load{stop: make(chan struct{}), heap: heap}
	ctx := context.Background()
	for range 12 {
		a, err := heap.Malloc(ctx, 64)
		if err != nil {
			h.t.Fatal(err)
		}
		l.cells, l.counts = append(l.cells, a.Address), append(l.counts, 0)
	}
	h.t.Cleanup(l.halt)
	for w := range 4 {
		l.running.Go(func() {
			for i := w; ; i = (i + 4) % len(l.cells) {
				select {
				case <-l.stop:
					return
				default:
				}
				begin := time.Now()
				ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
				old, err := heap.FetchAdd(ctx, l.cells[i], 1)
				if err == nil && old != l.counts[i] {
					err = fmt.Errorf("cell %d holds %d, and was counted up %d times", i, old, l.counts[i])
				}
				l.counts[i]++
				if err == nil && w == 0 {
					_, err = heap.WriteRegister(ctx, 5, binary.LittleEndian.AppendUint64(nil, l.counts[i]))
				}
				cancel()
				if err != nil {
					h.t.Errorf("under load: %v", err)
					return
				}
				l.done.Add(1)
				for took := int64(time.Since(begin)); ; {
					if old := l.slowest.Load(); old >= took || l.slowest.CompareAndSwap(old, took) {
						break
					}
				}
			}
		})
	}
	return l
}

func (l *load) halt() {
	l.once.Do(func() { close(l.stop) })
	l.running.Wait()
}

func (l *load) end(t *testing.T) {
	l.halt()
	t.Logf("%d operations, the slowest took %v", l.done.Load(), time.Duration(l.slowest.Load()))
	l.check(t)
}

func (l *load) check(t *testing.T) {
	t.Helper()
	for i, a := range l.cells {
		p := make([]byte, 8)
		if err := l.heap.ReadAt(context.Background(), p, a); err != nil || binary.LittleEndian.Uint64(p) != l.counts[i] {
			t.Errorf("cell %d holds %d after %d additions, %v", i, binary.LittleEndian.Uint64(p), l.counts[i], err)
		}
	}
}

func nobody(message.NodeID) bool { return false }

// A sixth node comes while clients work, gets its share, and leaves again; nobody sees an error.
func TestANodeComesAndGoes(t *testing.T) {
	h := newHerd(t, 5, -1)
	l := h.load(h.any().heap)
	begin := time.Now()
	n := h.join(7)
	before := n.cfg.Listener.Addr().String()
	d := h.until("balance", func(d *message.Directory) bool { return len(d.Companies) == 7 && calm(d, nobody) })
	t.Logf("balanced after %v", time.Since(begin))
	for id := range message.NodeID(6) {
		held := 0
		for _, c := range d.Companies[1:] {
			for _, o := range c.Owners {
				if o.Node == id {
					held++
				}
			}
		}
		if held != 3 {
			t.Errorf("node %s owns %d companies: %s", id, held, message.JSON(d.Companies))
		}
	}
	if len(d.Registers.Members) != 6 {
		t.Errorf("registers on %v", d.Registers.Members)
	}
	h.serves(6, d)
	h.stop(5) // it is one that may start again, elsewhere
	h.ready(h.start(5, true))
	if now := h.nodes[5].cfg.Listener.Addr().String(); now == before || h.until("its new place", func(d *message.Directory) bool { return d.Nodes[5].Address == now }) == nil {
		t.Fatal("node 5 is where it was")
	}
	h.serves(6, d)
	begin = time.Now()
	ctx := context.Background()
	if err := h.any().heap.Dismiss(ctx, 1); err != nil {
		t.Fatal(err)
	}
	d = h.until("leaving", func(d *message.Directory) bool { return d.Nodes[1].Gone && calm(d, nobody) })
	t.Logf("gone after %v", time.Since(begin))
	select {
	case <-h.nodes[1].Left():
	case <-time.After(20 * time.Second):
		t.Error("node 1 does not know that it has left")
	}
	h.holds(1, 0)
	h.stop(1)
	l.end(t)
	h.agree(d)

	// All start again, with the settings of the beginning: what was founded and moved is there.
	for id := range message.NodeID(6) {
		if h.nodes[id] != nil {
			h.stop(id)
		}
	}
	begin = time.Now()
	for _, id := range []message.NodeID{5, 4, 3, 2, 0} {
		h.start(id, false)
	}
	h.tell()
	for _, n := range h.nodes {
		h.ready(n)
	}
	t.Logf("all ready after %v", time.Since(begin))
	h.until("the directory of before", func(now *message.Directory) bool { return now.Nodes[1].Gone && calm(now, nobody) })
	h.serves(6, d)
	l.heap = h.any().heap
	l.check(t)
	h.agree(d)
}

// serves waits until a company serves on all its owners with the capacity that the directory says.
func (h *herd) serves(id message.CompanyID, d *message.Directory) {
	h.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		all, err := h.any().heap.Companies(context.Background())
		if err == nil && len(all) > int(id) && all[id].Leader != nil && all[id].Missing == 0 && all[id].Room > 1<<20 {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("company %s does not serve: %s", id, message.JSON(all))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// holds waits until a node runs so many replicas, and keeps no other.
func (h *herd) holds(id message.NodeID, want int) {
	h.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		n := h.nodes[id]
		n.seatMu.Lock()
		kept := len(n.identity.Replicas)
		n.seatMu.Unlock()
		if len(n.host.Replicas()) == want && kept == want && len(n.host.Kept()) == want {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("node %s runs %d replicas, knows %d, and keeps %v; want %d", id, len(n.host.Replicas()), kept, n.host.Kept(), want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// agree compares what the owners hold.
func (h *herd) agree(d *message.Directory) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, c := range d.Companies[1:] {
		all, err := h.any().heap.Verify(ctx, c.ID, false)
		if err != nil {
			h.t.Errorf("verify company %s: %v", c.ID, err)
		}
		for _, v := range all {
			if v.Wrong != "" || len(v.Owners) != len(c.Owners) {
				h.t.Errorf("company %s: %+v of owners %v", c.ID, v, c.OwnerNodes())
			}
		}
	}
}

// The directory lies on all four nodes, and there is no fifth for the one that stays dead: it is given up, for of three
// two will do. Until then, and no longer, the others say that something is missing; so they do when it is back.
func TestTheDirectoryGivesUpADeadOwner(t *testing.T) {
	h := newHerd(t, 4, 1000)
	n := h.nodes[0]
	if thin := n.thin(); len(thin) > 0 {
		t.Errorf("all are there, and missing are %v", thin)
	}
	h.stop(2)
	d := h.until("replacement", func(d *message.Directory) bool {
		return owns(d, 2) == 0 && calm(d, func(n message.NodeID) bool { return n == 2 })
	})
	if all := d.Companies[0].OwnerNodes(); len(all) != 3 {
		t.Errorf("the directory is on %v", all)
	}
	h.stop(3) // of three two will do
	h.until("a directory that answers", func(d *message.Directory) bool { return true })
	if _, err := n.heap.Malloc(t.Context(), 64); err != nil {
		t.Error(err)
	}
	h.wait("news of a missing owner", func() bool { return h.thin(n, 0) > 0 })
	for _, id := range []message.NodeID{2, 3} {
		h.ready(h.start(id, true))
	}
	h.until("an owner on each node", func(d *message.Directory) bool { return len(d.Companies[0].Owners) == 4 && calm(d, nobody) })
	h.wait("news that none is missing", func() bool { return h.thin(n, 0) == 0 })
}

// When owners have come and gone leadership is spread, also that of companies that nothing has happened to.
func TestLeadershipIsSpreadAfterAChange(t *testing.T) {
	h := newHerd(t, 4, 1000)
	n := h.nodes[0]
	ctx, cancel := context.WithTimeout(t.Context(), 120*time.Second)
	defer cancel()
	for _, c := range n.directory.Load().Companies[1:] { // all that it can
		if slices.Contains(c.OwnerNodes(), 0) {
			if err := n.heap.Lead(ctx, c.ID, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.stop(2)
	d := h.until("replacement", func(d *message.Directory) bool {
		return owns(d, 2) == 0 && calm(d, func(n message.NodeID) bool { return n == 2 })
	})
	h.wait("even leadership", func() bool {
		all, ok := n.leadership(ctx, d)
		_, _, uneven := ring.Lead(all)
		return ok && !uneven
	})
}

// thin is how many owners a company lacks, as a node knows.
func (h *herd) thin(n *Node, id message.CompanyID) int {
	for _, x := range n.thin() {
		if x.Company == id {
			return x.Missing
		}
	}
	return 0
}

// wait waits for what a node gets to know.
func (h *herd) wait(what string, is func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("%s did not come", what)
		}
	}
}

// A node that stays dead is replaced everywhere. When it is back it holds nothing of before, and gets work again.
func TestADeadNodeIsReplaced(t *testing.T) {
	h := newHerd(t, 6, 1000) // the directory is on 0 to 4, so that there is one for it, too
	l := h.load(h.nodes[0].heap)
	h.stop(2)
	begin := time.Now()
	is := func(n message.NodeID) bool { return n == 2 }
	d := h.until("replacement", func(d *message.Directory) bool { return owns(d, 2) == 0 && calm(d, is) })
	t.Logf("replaced after %v", time.Since(begin))
	for _, c := range d.Companies[1:] {
		if len(c.Owners) != 3 {
			t.Errorf("company %s is on %v", c.ID, c.OwnerNodes())
		}
	}
	old := d.Clone()
	begin = time.Now()
	n := h.start(2, true)
	h.ready(n)
	t.Logf("back after %v", time.Since(begin))
	d = h.until("balance", func(d *message.Directory) bool { return owns(d, 2) > 2 && calm(d, nobody) })
	t.Logf("balanced after %v", time.Since(begin))
	want := owns(d, 2) - 1
	h.holds(2, want)
	for _, r := range n.host.Replicas() {
		if r.Replica < old.Company(r.ID).Next {
			t.Errorf("company %s: replica %d is one of before", r.ID, r.Replica)
		}
	}
	h.stop(2) // and its files are those of a node that may start again
	n = h.start(2, true)
	h.ready(n)
	h.holds(2, want)
	l.end(t)
	h.agree(d)
}
