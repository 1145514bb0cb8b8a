package client

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"dmalloc/message"
	"dmalloc/quorum"
	"dmalloc/ring"
	"dmalloc/transport"
)

// keepers is a Carrier to nodes that keep registers, each on a disk of its own, and nothing else. Nodes can
// be away (they refuse connections), frozen (they take a request and say nothing) or lossy.
type keepers struct {
	t     *testing.T
	dir   *message.Directory
	mu    sync.Mutex
	nodes map[message.NodeID]*quorum.Keeper
	away  map[message.NodeID]bool
	ice   map[message.NodeID]bool
	loss  float64
	rng   *rand.Rand
	wait  sync.WaitGroup
	asked map[message.NodeID]int // requests of reads and writes
	last  message.Registers      // what a directory would say
}

func newKeepers(t *testing.T, n, replicas int) *keepers {
	s := message.Settings{Cluster: "00000000000000aa", Nodes: n, Replicas: 3, Memory: 1 << 20, RegisterReplicas: replicas}
	k := &keepers{t: t, dir: ring.Plan(s, nil), nodes: map[message.NodeID]*quorum.Keeper{}, away: map[message.NodeID]bool{},
		ice: map[message.NodeID]bool{}, rng: rand.New(rand.NewPCG(1, 2)), asked: map[message.NodeID]int{}}
	dir := t.TempDir() // removed after the keepers are closed
	t.Cleanup(func() {
		for _, keeper := range k.nodes {
			if err := keeper.Close(); err != nil {
				t.Error(err)
			}
		}
		k.wait.Wait()
	})
	for i := range n {
		id := message.NodeID(i)
		keeper, err := quorum.Open(quorum.Config{Self: message.Member{Node: id}, Cluster: s.Cluster, Dir: filepath.Join(dir, id.String()),
			Registers: k.dir.Registers, Ask: k, Refresh: func(context.Context) { k.refresh(id) }, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		k.mu.Lock()
		k.nodes[id] = keeper
		k.mu.Unlock()
	}
	return k
}

// asked is keepers as a client asks them.
type asked struct{ *keepers }

func (k asked) Ask(to message.NodeID, m *message.Message, s transport.Sink, tag uint64) uint64 {
	k.start(to, m, func(a *message.Message, err error) { s.Done(tag, a, err) })
	return 0
}

func (asked) Forget(uint64) {}

func (k *keepers) start(to message.NodeID, m *message.Message, done func(*message.Message, error)) {
	k.mu.Lock()
	keeper, away, ice := k.nodes[to], k.away[to], k.ice[to]
	lost := k.loss > 0 && k.rng.Float64() < k.loss
	if m.Op == message.REGGET || m.Op == message.REGTAG || m.Op == message.REGPUT {
		k.asked[to]++
	}
	k.mu.Unlock()
	if keeper == nil || away || m.Op == message.DIRECTORY {
		k.wait.Go(func() { done(nil, refused{errGone}) })
		return
	}
	if ice || lost {
		return
	}
	c := *m
	c.Data = append([]byte(nil), m.Data...)
	k.wait.Go(func() { keeper.Handle(&c, func(a *message.Message) { done(a, nil) }) })
}

// refresh tells one node what the directory says.
func (k *keepers) refresh(id message.NodeID) {
	k.mu.Lock()
	keeper, last := k.nodes[id], k.last
	k.mu.Unlock()
	if last.Epoch > 0 {
		keeper.Learn(last)
	}
}

// decide changes what the directory says.
func (k *keepers) decide(c message.Registers) {
	k.mu.Lock()
	k.last = c.Clone()
	k.mu.Unlock()
}

func (k *keepers) Ask(ctx context.Context, to message.NodeID, m *message.Message) (*message.Message, error) {
	got := make(chan outcome, 1)
	m.Source = 0 // a node
	k.start(to, m, func(a *message.Message, err error) { got <- outcome{a, err} })
	select {
	case o := <-got:
		return o.m, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (k *keepers) Heard(message.NodeID) time.Time  { return time.Time{} }
func (k *keepers) SetDirectory(*message.Directory) {}
func (k *keepers) set(what map[message.NodeID]bool, on bool, ids ...message.NodeID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, id := range ids {
		what[id] = on
	}
}

func (k *keepers) client() *Heap { return k.hedging(0) }

func (k *keepers) hedging(least time.Duration) *Heap {
	h, err := New(Config{Carrier: asked{k}, Home: message.NoNode, Directory: k.dir, Hedge: least})
	if err != nil {
		k.t.Fatal(err)
	}
	return h
}

func TestRegisterReadAndWrite(t *testing.T) {
	k := newKeepers(t, 5, 3)
	h, other := k.client(), k.client()
	ctx := t.Context()
	if _, err := h.ReadRegister(ctx, 9); message.CodeOf(err) != message.NotWritten {
		t.Fatal(err)
	}
	first, err := h.WriteRegister(ctx, 9, []byte("one"))
	if err != nil || first.TS != 1 || first.Writer != h.regs.writer {
		t.Fatal(first, err)
	}
	second, err := other.WriteRegister(ctx, 9, nil)
	if err != nil || second.TS != 2 || second.Writer == first.Writer {
		t.Fatal(second, err)
	}
	got, err := h.ReadRegister(ctx, 9)
	if err != nil || len(got.Value) != 0 || got.Tag != second {
		t.Fatalf("%+v, %v", got, err)
	}
	large := strings.Repeat("x", message.MaxData)
	if _, err := h.WriteRegister(ctx, 9, []byte(large)); err != nil {
		t.Fatal(err)
	}
	if got, err := other.ReadRegister(ctx, 9); err != nil || string(got.Value) != large {
		t.Fatalf("%d bytes, %v", len(got.Value), err)
	}
	if _, err := h.WriteRegister(ctx, 9, make([]byte, message.MaxData+1)); message.CodeOf(err) != message.InvalidArgument {
		t.Fatal(err)
	}
}

// A look at one node says what that node has, and that a node which is no replica has nothing.
func TestRegisterAt(t *testing.T) {
	k := newKeepers(t, 3, 2)
	h := k.client()
	if _, err := h.WriteRegister(t.Context(), 1, []byte("I am server 1")); err != nil {
		t.Fatal(err)
	}
	for node := range message.NodeID(2) {
		if got, err := h.RegisterAt(t.Context(), node, 1); err != nil || string(got.Value) != "I am server 1" {
			t.Errorf("node %s: %+v, %v", node, got, err)
		}
		if rows, err := h.ListRegisters(t.Context(), node, 0, 10); err != nil || len(rows) != 1 || rows[0].Address != 1 || rows[0].Size != 13 {
			t.Errorf("node %s lists %+v, %v", node, rows, err)
		}
	}
	if _, err := h.RegisterAt(t.Context(), 2, 1); message.CodeOf(err) != message.NotWritten || !strings.Contains(err.Error(), "nodes 0 and 1") {
		t.Error(err)
	}
	if got, err := h.ReadRegister(t.Context(), 1); err != nil || string(got.Value) != "I am server 1" {
		t.Errorf("%+v, %v", got, err)
	}
}

// A minority that is away or frozen costs nothing but time; without a majority the refusal says what is known.
func TestRegisterWithoutReplicas(t *testing.T) {
	k := newKeepers(t, 3, 3)
	h := k.client()
	for what, down := range map[string]map[message.NodeID]bool{"away": k.away, "frozen": k.ice} {
		k.set(down, true, 1)
		for i := range 20 {
			want := fmt.Sprint(what, i)
			if _, err := h.WriteRegister(t.Context(), 5, []byte(want)); err != nil {
				t.Fatal(what, err)
			}
			if got, err := h.ReadRegister(t.Context(), 5); err != nil || string(got.Value) != want {
				t.Fatalf("%s: %q, %v", what, got.Value, err)
			}
		}
		k.set(down, true, 2)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if _, err := h.ReadRegister(ctx, 5); message.CodeOf(err) != message.Unavailable || !strings.Contains(err.Error(), "nothing was read") {
			t.Error(what, err)
		}
		cancel()
		ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
		if _, err := h.WriteRegister(ctx, 5, nil); message.CodeOf(err) != message.Unavailable || !strings.Contains(err.Error(), "nothing was written") {
			t.Error(what, err)
		}
		cancel()
		k.set(down, false, 1, 2)
		if _, err := h.WriteRegister(t.Context(), 5, []byte("again")); err != nil {
			t.Error(what, err)
		}
	}
}

// Only as many replicas as a quorum are asked, as long as they answer.
func TestRegisterSparesReplicas(t *testing.T) {
	k := newKeepers(t, 5, 5)
	h := k.hedging(time.Hour)
	if _, err := h.WriteRegister(t.Context(), 5, []byte("x")); err != nil {
		t.Fatal(err)
	}
	for n := range message.NodeID(5) { // the write ended when three had it
		for _, err := h.RegisterAt(t.Context(), n, 5); err != nil; _, err = h.RegisterAt(t.Context(), n, 5) {
			time.Sleep(time.Millisecond)
		}
	}
	k.mu.Lock()
	clear(k.asked)
	k.mu.Unlock()
	for range 50 {
		if _, err := h.ReadRegister(t.Context(), 5); err != nil {
			t.Fatal(err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	sum := 0
	for n := range message.NodeID(5) {
		if k.asked[n] != 30 {
			t.Errorf("node %s was asked %d times: the work is not shared", n, k.asked[n])
		}
		sum += k.asked[n]
	}
	if sum != 50*3 {
		t.Errorf("50 reads took %d requests", sum)
	}
}

// regCall is one operation of a history of registers.
type regCall struct {
	key   int
	write bool
	value string
}

var regModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) (all [][]porcupine.Operation) {
		parts := map[int][]porcupine.Operation{}
		for _, o := range history {
			k := o.Input.(regCall).key
			parts[k] = append(parts[k], o)
		}
		for _, p := range parts {
			all = append(all, p)
		}
		return all
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		if c := input.(regCall); c.write {
			return true, c.value
		}
		return output.(string) == state.(string), state
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %v", input, output) },
}

// historian runs clients and writes down what they did.
type historian struct {
	mu      sync.Mutex
	history []porcupine.Operation
	begin   time.Time
	stop    atomic.Bool
	clients atomic.Int64
	wg      sync.WaitGroup
}

// work reads and writes four registers until it is stopped.
func (w *historian) work(h *Heap, n int) {
	rng := rand.New(rand.NewPCG(3, uint64(n)))
	id := int(w.clients.Add(1))
	for i := 0; !w.stop.Load(); i++ {
		in := regCall{key: rng.IntN(4), write: rng.IntN(2) == 0, value: fmt.Sprintf("%d.%d", n, i)}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		call := time.Since(w.begin).Nanoseconds()
		var out string
		var err error
		if in.write {
			_, err = h.WriteRegister(ctx, uint64(in.key), []byte(in.value))
		} else {
			var r Register
			r, err = h.ReadRegister(ctx, uint64(in.key))
			out = string(r.Value)
			if message.CodeOf(err) == message.NotWritten {
				err = nil
			}
		}
		end := time.Since(w.begin).Nanoseconds()
		cancel()
		if err != nil {
			if !in.write || strings.Contains(err.Error(), "nothing was written") {
				continue
			}
			end = int64(1) << 62 // it may happen at any time
		}
		w.mu.Lock()
		w.history = append(w.history, porcupine.Operation{ClientId: id, Input: in, Call: call, Output: out, Return: end})
		w.mu.Unlock()
		if err != nil {
			id = int(w.clients.Add(1))
		}
	}
}

// Clients read and write while replicas come and go, messages are lost and members change: the whole
// history is one that a single memory could have had.
func TestRegistersLinearizable(t *testing.T) {
	k := newKeepers(t, 5, 3)
	k.loss = 0.02
	w := &historian{begin: time.Now()}
	for n := range 6 {
		h := k.client()
		w.wg.Go(func() { w.work(h, n) })
	}
	rng := rand.New(rand.NewPCG(4, 4))
	config := k.dir.Registers.Clone()
	for range 12 {
		id := message.NodeID(rng.IntN(5))
		what := k.away
		if rng.IntN(2) == 0 {
			what = k.ice
		}
		k.set(what, true, id)
		time.Sleep(40 * time.Millisecond)
		k.set(what, false, id)
		// The members change: one leaves, or all are there again.
		config.Epoch++
		config.Next = k.dir.Registers.Members
		if len(config.Members) == 5 {
			config.Next = slices.Delete(slices.Clone(config.Members), int(id), int(id)+1)
		}
		k.decide(config)
		for tries := 0; ; tries++ { // messages are lost
			err := k.nodes[message.NodeID(rng.IntN(5))].Move(t.Context(), config)
			if err == nil {
				break
			}
			if tries == 50 {
				t.Fatal(err)
			}
		}
		config.Epoch++
		config.Members, config.Next = config.Next, nil
		k.decide(config)
		k.refresh(0) // the others hear of it when clients are ahead of them
	}
	w.stop.Store(true)
	w.wg.Wait()
	result, _ := porcupine.CheckOperationsVerbose(regModel, w.history, time.Minute)
	if result != porcupine.Ok {
		t.Fatalf("%d operations: %v", len(w.history), result)
	}
	t.Logf("%d operations", len(w.history))
}
