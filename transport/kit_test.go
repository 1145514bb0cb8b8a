package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"dmalloc/message"
)

const testCluster = 0xc1

// patience is how long a test waits for what must come. It is never waited for in a test that passes.
const patience = 20 * time.Second

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually polls for what happens on other goroutines.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// get waits for a value that another goroutine sends.
func get[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("not within %v: %s", patience, what)
		panic("unreachable")
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func start(t testing.TB, cfg Config) *Transport {
	t.Helper()
	tr, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

// echo answers each request with what it holds, after an ALIVE if one was asked for.
func echo(_ context.Context, _ Peer, m *message.Message, reply func(*message.Message)) {
	if m.Flags&message.NeedCallback != 0 {
		alive := m.Answer(message.Done, "")
		alive.Op = message.ALIVE
		reply(alive)
	}
	a := m.Answer(message.Done, "")
	a.Data, a.Value, a.Final = m.Data, m.Value, m.Source
	reply(a)
}

// network is n nodes that know each other.
type network struct {
	nodes []*Transport
	peers map[message.NodeID]Peer
}

func newNetwork(t testing.TB, n int, edges []message.Edge, change func(*Config)) *network {
	t.Helper()
	w := &network{peers: map[message.NodeID]Peer{}}
	for i := range n {
		cfg := Config{Self: message.NodeID(i), Cluster: testCluster, Incarnation: 1, Listener: listen(t), Handle: echo}
		if change != nil {
			change(&cfg)
		}
		w.peers[cfg.Self] = Peer{Address: cfg.Listener.Addr().String(), Incarnation: cfg.Incarnation}
		w.nodes = append(w.nodes, start(t, cfg))
	}
	for _, tr := range w.nodes {
		tr.SetPeers(w.peers)
		tr.SetTopology(n, edges)
	}
	return w
}

// client is one that knows only the nodes given.
func (w *network) client(t testing.TB, nodes ...message.NodeID) *Transport {
	t.Helper()
	c := start(t, Config{Self: message.NoNode, Cluster: testCluster})
	peers := map[message.NodeID]Peer{}
	for _, n := range nodes {
		peers[n] = w.peers[n]
	}
	c.SetPeers(peers)
	return c
}

func request(value uint64, data string) *message.Message {
	m := message.New(message.TEST)
	m.Value, m.Data = value, []byte(data)
	return m
}

// ask calls and expects an answer.
func ask(t testing.TB, tr *Transport, to message.NodeID, m *message.Message) *message.Message {
	t.Helper()
	a, err := tr.Call(within(t), to, m, nil)
	if err != nil {
		t.Fatalf("call node %s: %v", to, err)
	}
	return a
}

// stat is a counter's value.
func stat(tr *Transport, c counter) uint64 { return tr.tally[c].Load() }

// linkError expects one and returns it.
func linkError(t testing.TB, err error) *LinkError {
	t.Helper()
	var e *LinkError
	if !errors.As(err, &e) {
		t.Fatalf("%v is no LinkError", err)
	}
	return e
}

// stranger is a connection on which a test speaks for itself.
type stranger struct {
	t testing.TB
	net.Conn
}

func dialRaw(t testing.TB, address string) stranger {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return stranger{t, nc}
}

func (s stranger) say(b []byte) {
	s.t.Helper()
	if _, err := s.Write(b); err != nil {
		s.t.Fatal(err)
	}
}

func (s stranger) greet(h hello) {
	s.t.Helper()
	s.say(h.frame().append(nil))
	if _, err := readHello(s); err != nil {
		s.t.Fatal(err)
	}
}

// ends expects that the other side closes, whatever it says before.
func (s stranger) ends() {
	s.t.Helper()
	_, err := io.Copy(io.Discard, s)
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		s.t.Fatal("the connection was not closed")
	}
}

func clientHello() hello {
	return hello{from: message.NoNode, to: message.NoNode, version: Version, cluster: testCluster}
}

func nodeHello(n message.NodeID, c class, incarnation uint64) hello {
	return hello{from: n, to: message.NoNode, version: Version, class: c, cluster: testCluster, incarnation: incarnation}
}

// gate is a Handle that keeps its requests until the test answers them.
type gate struct {
	mu   sync.Mutex
	held []func()
}

func (g *gate) handle(_ context.Context, _ Peer, m *message.Message, reply func(*message.Message)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = append(g.held, func() { reply(m.Answer(message.Done, "")) })
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.held)
}
