package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"dmalloc/message"
)

func TestCallAndAnswer(t *testing.T) {
	w := newNetwork(t, 2, nil, nil)
	m := request(7, "hello")
	m.Flags |= message.NeedCallback
	alive := make(chan struct{}, 10)
	a, err := w.nodes[0].Call(within(t), 1, m, func() { alive <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	if a.Op != message.OK || a.Value != 7 || string(a.Data) != "hello" || a.Source != 1 || a.Target != 0 || a.Final != 0 {
		t.Fatalf("answer %v of %q", a, a.Data)
	}
	if len(alive) != 1 {
		t.Fatalf("%d ALIVE, want 1, before the answer", len(alive))
	}
	if m.Source != 0 || m.Target != 1 {
		t.Fatalf("request %v", m)
	}
	if w.nodes[0].Heard(1).IsZero() || w.nodes[1].Heard(0).IsZero() || !w.nodes[0].Heard(5).IsZero() {
		t.Fatal("Heard does not tell who spoke")
	}
	if got := w.nodes[0].Path(1); !reflect.DeepEqual(got, []message.NodeID{1}) {
		t.Fatalf("path %v", got)
	}
}

func TestPipelining(t *testing.T) {
	var order []uint64
	w := newNetwork(t, 1, nil, func(c *Config) {
		c.Handle = func(ctx context.Context, p Peer, m *message.Message, reply func(*message.Message)) {
			order = append(order, m.Value) // one connection, one goroutine
			echo(ctx, p, m, reply)
		}
	})
	c := w.client(t, 0)
	const n = 1000
	var all sync.WaitGroup
	all.Add(n)
	for i := range uint64(n) {
		c.Start(0, request(i, strings.Repeat("x", int(i))), nil, func(a *message.Message, err error) {
			defer all.Done()
			if err != nil || a.Value != i || len(a.Data) != int(i) {
				t.Errorf("answer %d: %v %v", i, a, err)
			}
		})
	}
	all.Wait()
	_ = w.nodes[0].Close() // waits for who appends to order
	for i, v := range order {
		if v != uint64(i) {
			t.Fatalf("request %d arrived as number %d", v, i)
		}
	}
	if len(c.pending.waits) != 0 {
		t.Fatalf("%d requests are still pending", len(c.pending.waits))
	}
}

func TestLargeData(t *testing.T) {
	w := newNetwork(t, 3, edges(0, 1, 1, 2), nil)
	data := make([]byte, message.MaxData)
	for i := range data {
		data[i] = byte(i * 31 >> 3)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			m := request(1, "")
			m.Data = data
			a, err := w.nodes[0].Call(within(t), 2, m, nil)
			if err != nil || !bytes.Equal(a.Data, data) {
				t.Errorf("%v, %v", a, err)
			}
		})
	}
	all.Wait()
}

func TestRequestThatCannotBeEncoded(t *testing.T) {
	w := newNetwork(t, 2, nil, nil)
	m := request(1, "")
	m.Text = "\xff"
	_, err := w.nodes[0].Call(within(t), 1, m, nil)
	if e := linkError(t, err); e.Code != message.InvalidArgument || e.MaybeSent() {
		t.Fatal(err)
	}
	ask(t, w.nodes[0], 1, request(1, "x")) // the connection is none the worse
}

func TestAnswerThatCannotBeEncoded(t *testing.T) {
	w := newNetwork(t, 2, nil, func(c *Config) {
		c.Handle = func(_ context.Context, _ Peer, m *message.Message, reply func(*message.Message)) {
			reply(m.Answer(message.Done, "\xff"))
		}
	})
	if a := ask(t, w.nodes[0], 1, request(1, "x")); a.Status != message.Internal {
		t.Fatal(a)
	}
}

func TestUnreachable(t *testing.T) {
	gone := listen(t)
	_ = gone.Close()
	tr := start(t, Config{Self: 0, Cluster: testCluster})
	tr.SetPeers(map[message.NodeID]Peer{1: {Address: gone.Addr().String()}})
	for _, to := range []message.NodeID{1, 1, 2, 0, message.MaxNodes, message.NoNode} {
		_, err := tr.Call(within(t), to, request(1, "x"), nil)
		e := linkError(t, err)
		if e.MaybeSent() || e.To != to || message.CodeOf(err) == message.Internal {
			t.Errorf("node %s: %v", to, err)
		}
	}
	if err := tr.SendRaft(2, 1, []byte("x")); err == nil {
		t.Error("a batch to nowhere was taken")
	}
	if _, err := tr.Identify(within(t), gone.Addr().String()); message.CodeOf(err) != message.Unavailable {
		t.Error(err)
	}
}

func TestReconnectOnAnotherPort(t *testing.T) {
	w := newNetwork(t, 2, nil, nil)
	ask(t, w.nodes[0], 1, request(1, "x"))
	_ = w.nodes[1].Close()
	again := start(t, Config{Self: 1, Cluster: testCluster, Incarnation: 2, Listener: listen(t), Handle: echo})
	w.nodes[0].SetPeers(map[message.NodeID]Peer{1: {Address: again.cfg.Listener.Addr().String(), Incarnation: 2}})
	// The end of the old connection may still be unnoticed: then this request was lost with it.
	eventually(t, "an answer from the new port", func() bool {
		a, err := w.nodes[0].Call(within(t), 1, request(2, "y"), nil)
		return err == nil && a.Value == 2
	})
}

// A peer that dials us lives: what failed before is tried again at once, without waiting for the pause.
func TestNewsEndsThePause(t *testing.T) {
	a := start(t, Config{Self: 0, Cluster: testCluster, Listener: listen(t), Handle: echo})
	l := listen(t)
	address := l.Addr().String()
	_ = l.Close()
	a.SetPeers(map[message.NodeID]Peer{1: {Address: address}})
	_, err := a.Call(within(t), 1, request(1, "x"), nil)
	linkError(t, err)
	a.link(1).outlets[classMessage].after = a.now() + int64(time.Hour)
	l, err = net.Listen("tcp", address)
	if err != nil {
		t.Skip("the port was taken by another")
	}
	b := start(t, Config{Self: 1, Cluster: testCluster, Listener: l, Handle: echo})
	b.SetPeers(map[message.NodeID]Peer{0: {Address: a.cfg.Listener.Addr().String()}})
	ask(t, b, 0, request(2, "y"))
	ask(t, a, 1, request(3, "z"))
}

func TestConnectionLostMaySent(t *testing.T) {
	g := &gate{}
	w := newNetwork(t, 2, nil, func(c *Config) { c.Handle = g.handle })
	got := make(chan error, 1)
	w.nodes[0].Start(1, request(1, "x"), nil, func(_ *message.Message, err error) { got <- err })
	eventually(t, "the request arrives", func() bool { return g.count() == 1 })
	_ = w.nodes[1].Close()
	if e := linkError(t, get(t, got, "the failure")); !e.MaybeSent() || e.Code != message.Unavailable {
		t.Fatal(e)
	}
	g.held[0]() // an answer to nobody harms nothing
}

func TestCancel(t *testing.T) {
	g := &gate{}
	w := newNetwork(t, 2, nil, func(c *Config) { c.Handle = g.handle })
	cancel := w.nodes[0].Start(1, request(1, "x"), nil, func(*message.Message, error) { t.Error("done was called after cancel") })
	eventually(t, "the request arrives", func() bool { return g.count() == 1 })
	cancel()
	cancel()
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		eventually(t, "the second request arrives", func() bool { return g.count() == 2 })
		stop()
	}()
	_, err := w.nodes[0].Call(ctx, 1, request(2, "y"), nil)
	if e := linkError(t, err); e.Code != message.Canceled || !e.MaybeSent() || !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	g.held[0]()
	g.held[1]()
	eventually(t, "both late answers are dropped", func() bool { return stat(w.nodes[0], answersDropped) == 2 })
}

func TestBusy(t *testing.T) {
	g := &gate{}
	w := newNetwork(t, 1, nil, func(c *Config) { c.Handle = g.handle })
	c := start(t, Config{Self: message.NoNode, Limits: Limits{Pending: 2}})
	c.SetPeers(w.peers)
	for range 2 {
		c.Start(0, request(1, "x"), nil, func(*message.Message, error) {})
	}
	_, err := c.Call(within(t), 0, request(1, "x"), nil)
	if e := linkError(t, err); e.Code != message.Busy || e.MaybeSent() {
		t.Fatal(err)
	}
}

// A queue that is full refuses requests and drops Raft's batches, at once (T2).
func TestFullQueue(t *testing.T) {
	blocked := make(chan struct{})
	tr := start(t, Config{Self: 0, Limits: Limits{Messages: 1000, Raft: 1000}, Dial: func(ctx context.Context, _ string) (net.Conn, error) {
		select {
		case <-blocked:
		case <-ctx.Done():
		}
		return nil, errors.New("no way through")
	}})
	tr.SetPeers(map[message.NodeID]Peer{1: {Address: "x"}})
	results := make(chan error, 100)
	for range 100 {
		tr.Start(1, request(1, strings.Repeat("x", 50)), nil, func(_ *message.Message, err error) { results <- err })
	}
	first := linkError(t, get(t, results, "a refusal"))
	if first.Code != message.Busy || first.MaybeSent() {
		t.Fatal(first)
	}
	dropped := 0
	for range 100 {
		if tr.SendRaft(1, 0, make([]byte, 100)) != nil {
			dropped++
		}
	}
	if dropped == 0 || dropped == 100 {
		t.Fatalf("%d batches of 100 dropped", dropped)
	}
	close(blocked)
	for range 99 {
		if e := linkError(t, get(t, results, "a failure")); e.MaybeSent() { // T5: no byte left
			t.Fatal(e)
		}
	}
}

func TestRaftAndChunks(t *testing.T) {
	type arrival struct {
		from        message.NodeID
		incarnation uint64
		payload     []byte
	}
	batches, chunks := make(chan arrival, 100), make(chan arrival, 100)
	w := newNetwork(t, 3, edges(0, 1, 1, 2), func(c *Config) {
		c.Incarnation = 10 + uint64(c.Self)
		c.Raft = func(from message.NodeID, i uint64, p []byte) { batches <- arrival{from, i, bytes.Clone(p)} }
		c.Chunk = func(from message.NodeID, i uint64, p []byte) bool {
			chunks <- arrival{from, i, p}
			return string(p) != "refuse"
		}
	})
	for _, size := range []int{0, 1, attachFrom - 1, attachFrom, 5 << 20} {
		for to := message.NodeID(1); to <= 2; to++ {
			want := bytes.Repeat([]byte{byte(size), 2, 3}, size/3+1)[:size]
			cut := bytes.Clone(want)
			if err := w.nodes[0].SendRaft(to, 10+uint64(to), cut[:size/3], nil, cut[size/3:size/2], cut[size/2:]); err != nil {
				t.Fatal(err)
			}
			if got := get(t, batches, "a batch"); got.from != 0 || got.incarnation != 10 || !bytes.Equal(got.payload, want) {
				t.Fatalf("%d bytes to %d: from %d incarnation %d, %d bytes", size, to, got.from, got.incarnation, len(got.payload))
			}
			if err := w.nodes[0].SendChunk(within(t), to, 10+uint64(to), bytes.Clone(want)); err != nil {
				t.Fatal(err)
			}
			if got := get(t, chunks, "a chunk"); got.from != 0 || got.incarnation != 10 || !bytes.Equal(got.payload, want) {
				t.Fatalf("chunk of %d bytes to %d", size, to)
			}
		}
	}
	for to := message.NodeID(1); to <= 2; to++ {
		if err := linkError(t, w.nodes[0].SendChunk(within(t), to, 10+uint64(to), []byte("refuse"))); err.Code != message.Unavailable {
			t.Fatal(err)
		}
	}
}

func TestOtherIncarnationIsDropped(t *testing.T) {
	w := newNetwork(t, 2, nil, func(c *Config) {
		c.Raft = func(message.NodeID, uint64, []byte) { t.Error("a batch for another incarnation was delivered") }
		c.Chunk = func(message.NodeID, uint64, []byte) bool { t.Error("so was a chunk"); return true }
	})
	if err := w.nodes[0].SendRaft(1, 2, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := w.nodes[0].SendChunk(within(t), 1, 2, []byte("x")); err == nil {
		t.Fatal("the chunk was taken")
	}
	eventually(t, "both are counted", func() bool { return stat(w.nodes[1], otherIncarnation) == 2 })

	// A node that says another incarnation in its batch than in its hello.
	s := dialRaw(t, w.peers[1].Address)
	s.greet(nodeHello(0, classRaft, 7))
	f := &frame{kind: kindRaft, src: 0, dst: 1, prefix: make([]byte, incarnations)}
	f.prefix[0], f.prefix[8] = 1, 8
	s.say(f.append(nil))
	eventually(t, "the third is counted", func() bool { return stat(w.nodes[1], otherIncarnation) == 3 })
}

func TestIdentify(t *testing.T) {
	w := newNetwork(t, 3, nil, nil)
	got, err := w.nodes[0].Identify(within(t), w.peers[2].Address)
	if err != nil || got != (Greeting{Node: 2, Cluster: testCluster, Incarnation: 1}) {
		t.Fatalf("%+v %v", got, err)
	}
}

func TestSetDirectory(t *testing.T) {
	w := newNetwork(t, 3, nil, nil)
	d := &message.Directory{Settings: message.Settings{Nodes: 3, Topology: edges(0, 1, 1, 2)}}
	for i := range 3 {
		d.Nodes = append(d.Nodes, message.Node{ID: message.NodeID(i), Address: w.peers[message.NodeID(i)].Address})
	}
	tr := w.nodes[0]
	tr.SetPeers(nil)
	tr.SetDirectory(nil)
	tr.SetDirectory(d)
	if got := tr.Path(2); !reflect.DeepEqual(got, []message.NodeID{1, 2}) {
		t.Fatalf("path %v", got)
	}
	d = d.Clone()
	d.Nodes[1].Address = "" // not known now: what was known stays
	tr.SetDirectory(d)
	ask(t, tr, 2, request(1, "x"))
}

func TestConfigRefusals(t *testing.T) {
	l := listen(t)
	defer l.Close()
	for _, cfg := range []Config{{Self: message.MaxNodes}, {Self: message.NoNode, Listener: l}} {
		if _, err := New(cfg); message.CodeOf(err) != message.InvalidArgument {
			t.Errorf("%v", err)
		}
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	g := &gate{}
	w := newNetwork(t, 4, edges(0, 1, 1, 2, 2, 3), func(c *Config) {
		if c.Self == 3 {
			c.Handle = g.handle
		}
		c.Chunk = func(message.NodeID, uint64, []byte) bool { return true }
	})
	c := w.client(t, 0)
	failed := make(chan error, 10)
	for i, tr := range []*Transport{w.nodes[0], c} {
		tr.Start(3, request(1, "x"), nil, func(_ *message.Message, err error) { failed <- err })
		eventually(t, "the request arrives", func() bool { return g.count() == i+1 })
	}
	_ = w.nodes[0].SendRaft(2, 1, []byte("x"))
	_ = w.nodes[3].SendChunk(within(t), 0, 1, []byte("x"))
	silent := dialRaw(t, w.peers[0].Address)
	for _, tr := range append(w.nodes, c) {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
		_, err := tr.Call(within(t), 2, request(1, "x"), nil)
		if e := linkError(t, err); e.MaybeSent() {
			t.Error(err)
		}
		_ = tr.Close()
	}
	for range 2 {
		linkError(t, get(t, failed, "what was under way fails"))
	}
	silent.ends()
	eventually(t, fmt.Sprintf("only %d goroutines are left", before), func() bool { return runtime.NumGoroutine() <= before })
}

func TestStats(t *testing.T) {
	w := newNetwork(t, 2, nil, nil)
	ask(t, w.nodes[0], 1, request(1, "x"))
	got := map[string]uint64{}
	for _, c := range w.nodes[0].Stats() {
		if _, twice := got[c.Name]; twice || c.Name == "transport_" {
			t.Fatalf("counter %q", c.Name)
		}
		got[c.Name] = c.Value
	}
	if got["transport_frames_out"] != 1 || got["transport_frames_in"] != 1 || got["transport_connections_open"] != 1 {
		t.Fatalf("%v", got)
	}
	eventually(t, "written bytes are counted", func() bool { return stat(w.nodes[0], bytesOut) > 0 })
}
