package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"dmalloc/message"
)

func TestHelloRefused(t *testing.T) {
	w := newNetwork(t, 3, nil, nil)
	change := func(f func(*hello)) []byte {
		h := nodeHello(1, classMessage, 1)
		f(&h)
		return h.frame().append(nil)
	}
	trail := nodeHello(1, classMessage, 1).frame()
	trail.payload, trail.trail = trail.payload[:helloSize-4], []byte{1, 0, 0, 0}
	for _, c := range []struct {
		name string
		say  []byte
		code message.Code
		text string
	}{
		{"another cluster", change(func(h *hello) { h.cluster++ }), message.Forbidden, "belongs to cluster 00000000000000c1"},
		{"a node without a cluster", change(func(h *hello) { h.cluster = 0 }), message.Forbidden, "cluster"},
		{"another version", change(func(h *hello) { h.version = 9 }), message.Unsupported, "version 9"},
		{"another node wanted", change(func(h *hello) { h.to = 2 }), message.NoSuchNode, "node 0 listens here, not node 2"},
		{"the same node", change(func(h *hello) { h.from = 0 }), message.Forbidden, "two nodes have one id"},
		{"a client that wants Raft", change(func(h *hello) { h.from, h.class = message.NoNode, classRaft }), message.InvalidArgument, "not for a client"},
		{"a class that is none", change(func(h *hello) { h.class = classes }), message.InvalidArgument, "class_3"},
		{"a node that is none", change(func(h *hello) { h.from = message.MaxNodes }), message.InvalidArgument, "is no node"},
		{"a hello with hops", trail.append(nil), message.InvalidArgument, "not a dmalloc hello"},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: dmalloc\r\n\r\n"), message.InvalidArgument, "not dmalloc's protocol"},
		{"TLS", []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), message.InvalidArgument, "not dmalloc's protocol"},
		{"a huge length", []byte{0xff, 0xff, 0xff, 0x7f, byte(kindHello)}, message.InvalidArgument, "not dmalloc's protocol"},
		{"a request first", (&frame{kind: kindRequest, src: 1, dst: 0}).append(nil), message.InvalidArgument, "not dmalloc's protocol"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := dialRaw(t, w.peers[0].Address)
			s.say(c.say)
			_, err := readHello(s)
			if message.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.text) {
				t.Fatalf("%v, want %v %q", err, c.code, c.text)
			}
			s.ends()
		})
	}
	if w.nodes[0].open.Load() != 0 {
		t.Errorf("%d connections are open", w.nodes[0].open.Load())
	}
	ask(t, w.nodes[1], 0, request(1, "x"))
}

// A refusal reaches who dialled, in words.
func TestRefusalIsTold(t *testing.T) {
	w := newNetwork(t, 1, nil, nil)
	tr := start(t, Config{Self: 1, Cluster: 0xbad})
	tr.SetPeers(w.peers)
	_, err := tr.Call(within(t), 0, request(1, "x"), nil)
	if e := linkError(t, err); e.MaybeSent() || !strings.Contains(err.Error(), "belongs to cluster") {
		t.Fatal(err)
	}
}

// The reason arrives even where much more was said than was read: closing over unread bytes would reset
// the connection and lose it.
func TestRefusalSurvivesUnreadBytes(t *testing.T) {
	w := newNetwork(t, 1, nil, nil)
	for range 50 {
		s := dialRaw(t, w.peers[0].Address)
		s.say([]byte("POST / HTTP/1.1\r\n\r\n" + strings.Repeat("x", 20000)))
		if err := s.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it was refused", func() bool { return stat(w.nodes[0], hellosRefused) > 0 })
		if _, err := readHello(s); message.CodeOf(err) != message.InvalidArgument {
			t.Fatal(err)
		}
	}
}

func TestSilentStrangersGo(t *testing.T) {
	w := newNetwork(t, 1, nil, func(c *Config) { c.Limits.Hello = 30 * time.Millisecond })
	silent := dialRaw(t, w.peers[0].Address)
	slow := dialRaw(t, w.peers[0].Address)
	slow.say(clientHello().frame().append(nil)[:10])
	silent.ends()
	slow.ends()
}

func TestStrangersDoNotKeepOthersOut(t *testing.T) {
	w := newNetwork(t, 2, nil, func(c *Config) { c.Limits.Strangers, c.Limits.Hello = 8, time.Hour })
	var silent []stranger
	for range 30 {
		silent = append(silent, dialRaw(t, w.peers[0].Address))
	}
	ask(t, w.nodes[1], 0, request(1, "x"))
	silent[0].ends()
	if got := stat(w.nodes[0], strangersDropped); got < 22 {
		t.Errorf("%d strangers were dropped", got)
	}
	eventually(t, "at most 8 strangers are left", func() bool {
		s := &w.nodes[0].strangers
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.list) <= 8
	})
}

func TestTooManyConnections(t *testing.T) {
	w := newNetwork(t, 1, nil, func(c *Config) { c.Limits.Connections = 2 })
	for range 2 {
		dialRaw(t, w.peers[0].Address).greet(clientHello())
	}
	s := dialRaw(t, w.peers[0].Address)
	s.say(clientHello().frame().append(nil))
	if _, err := readHello(s); message.CodeOf(err) != message.Busy {
		t.Fatal(err)
	}
}

// Before its hello a stranger costs little, whatever it promises.
func TestStrangersAreCheap(t *testing.T) {
	const n = 200
	w := newNetwork(t, 1, nil, func(c *Config) { c.Limits.Hello = time.Hour })
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range n {
		dialRaw(t, w.peers[0].Address).say(clientHello().frame().append(nil)[:30])
	}
	eventually(t, "all are in", func() bool {
		w.nodes[0].strangers.mu.Lock()
		defer w.nodes[0].strangers.mu.Unlock()
		return len(w.nodes[0].strangers.list) == n
	})
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := (int64(after.HeapAlloc+after.StackInuse) - int64(before.HeapAlloc+before.StackInuse)) / n; each > 64<<10 {
		t.Fatalf("a stranger costs %d bytes", each)
	}
}

// What breaks the rules after the hello costs the connection, and only that one.
func TestRuleBreakersAreCutOff(t *testing.T) {
	w := newNetwork(t, 2, nil, nil)
	raw := func(f frame) []byte { return f.append(nil) }
	for _, c := range []struct {
		name  string
		hello hello
		say   []byte
	}{
		{"a second hello", clientHello(), clientHello().frame().append(nil)},
		{"a client in a node's name", clientHello(), raw(frame{kind: kindRequest, src: 1, dst: 0})},
		{"a client that answers", clientHello(), raw(frame{kind: kindAnswer, src: message.NoNode, dst: 0})},
		{"a client that relays", clientHello(), raw(frame{kind: kindRequest, src: message.NoNode, dst: 0, trail: []byte{1, 0, 0, 0}})},
		{"a client's huge frame", clientHello(), []byte{0, 0, 0, 4, 0}},
		{"a node in another's name", nodeHello(1, classMessage, 1), raw(frame{kind: kindRequest, src: 2, dst: 0})},
		{"a relay in another's name", nodeHello(1, classMessage, 1), raw(frame{kind: kindRequest, src: 1, dst: 0, trail: []byte{3, 0, 0, 0}})},
		{"a node in a client's name", nodeHello(1, classMessage, 1), raw(frame{kind: kindRequest, src: message.NoNode, dst: 0})},
		{"Raft among messages", nodeHello(1, classMessage, 1), raw(frame{kind: kindRaft, src: 1, dst: 0})},
		{"messages among Raft's", nodeHello(1, classRaft, 1), raw(frame{kind: kindRequest, src: 1, dst: 0})},
	} {
		t.Run(c.name, func(t *testing.T) {
			was := stat(w.nodes[0], malformedFrames)
			s := dialRaw(t, w.peers[0].Address)
			s.greet(c.hello)
			s.say(c.say)
			s.ends()
			eventually(t, "it is counted", func() bool { return stat(w.nodes[0], malformedFrames) > was })
		})
	}
	ask(t, w.nodes[1], 0, request(1, "x"))
}

// A request that cannot be decoded is answered; the frame itself was in order.
func TestMalformedRequestIsAnswered(t *testing.T) {
	w := newNetwork(t, 1, nil, nil)
	s := dialRaw(t, w.peers[0].Address)
	s.greet(clientHello())
	s.say((&frame{kind: kindRequest, src: message.NoNode, dst: 0, id: 77, payload: []byte("nonsense")}).append(nil))
	b := make([]byte, 4096)
	n, err := s.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parseFrame(b[lengthSize:n])
	if err != nil || f.kind != kindAnswer || f.id != 77 {
		t.Fatalf("%+v %v", f, err)
	}
	if m, err := message.Decode(f.payload); err != nil || m.Status != message.InvalidArgument {
		t.Fatalf("%v %v", m, err)
	}
}

// A connection whose other side does not read ends, and nobody else waits for it.
func TestSlowReaderIsClosed(t *testing.T) {
	data := make([]byte, message.MaxData)
	w := newNetwork(t, 1, nil, func(c *Config) {
		c.Limits.Stall = 50 * time.Millisecond
		c.Handle = func(_ context.Context, _ Peer, m *message.Message, reply func(*message.Message)) {
			a := m.Answer(message.Done, "")
			a.Data = data
			reply(a)
		}
	})
	s := dialRaw(t, w.peers[0].Address)
	s.greet(clientHello())
	m := message.New(message.TEST)
	b, err := m.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		s.say((&frame{kind: kindRequest, src: message.NoNode, dst: 0, payload: b}).append(nil))
	}
	eventually(t, "the slow reader is closed", func() bool { return stat(w.nodes[0], slowClosed) == 1 })
	ask(t, w.client(t, 0), 0, request(1, "x"))
}

// Long answers that find no room become Busy ones; one who does not read even those is closed (T2).
func TestTooManyAnswers(t *testing.T) {
	data := make([]byte, message.MaxData)
	w := newNetwork(t, 1, nil, func(c *Config) {
		c.Limits.Messages = 2 << 20
		c.Handle = func(_ context.Context, _ Peer, m *message.Message, reply func(*message.Message)) {
			a := m.Answer(message.Done, "")
			a.Data = data
			reply(a)
		}
	})
	c := w.client(t, 0)
	const n = 200
	codes := make(chan message.Code, n)
	reading := make(chan struct{})
	for range n {
		c.Start(0, request(1, ""), nil, func(a *message.Message, err error) {
			<-reading
			if err != nil {
				t.Error(err)
				codes <- message.Internal
				return
			}
			codes <- a.Status
		})
	}
	eventually(t, "answers are refused", func() bool { return stat(w.nodes[0], requestsRefused) > 0 })
	close(reading)
	seen := map[message.Code]int{}
	for range n {
		seen[get(t, codes, "an answer")]++
	}
	if seen[message.Done] == 0 || seen[message.Busy] == 0 || len(seen) != 2 {
		t.Fatalf("answers %v", seen)
	}

	s := dialRaw(t, w.peers[0].Address)
	s.greet(clientHello())
	m := message.New(message.TEST)
	b, _ := m.Append(nil)
	one := (&frame{kind: kindRequest, src: message.NoNode, dst: 0, payload: b}).append(nil)
	var err error
	for err == nil {
		_, err = s.Write(one)
	}
	if errors.Is(err, io.EOF) || stat(w.nodes[0], slowClosed) == 0 {
		t.Fatal(err)
	}
}

// shortOfDescriptors fails as often as it is told before it accepts.
type shortOfDescriptors struct {
	net.Listener
	mu    sync.Mutex
	fails int
}

func (l *shortOfDescriptors) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fails > 0 {
		l.fails--
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

func TestAcceptSurvivesFullTables(t *testing.T) {
	w := newNetwork(t, 2, nil, func(c *Config) { c.Listener = &shortOfDescriptors{Listener: c.Listener, fails: 3} })
	ask(t, w.nodes[0], 1, request(1, "x"))
	if got := stat(w.nodes[1], acceptErrors); got != 3 {
		t.Fatalf("%d accept errors", got)
	}
}
