package transport

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/message"
)

// Peer is a node as the transport needs to know it.
type Peer struct {
	Address     string // host:port
	Incarnation uint64
	Role        Role // to Handle: as whom the request was sent, which may have come through a node
}

// Config is what a Transport needs.
type Config struct {
	Self        message.NodeID // NoNode for a client
	Cluster     uint64         // a client leaves it 0: any; without TLS only the launcher does not
	Incarnation uint64
	Listener    net.Listener // nil for a client; the Transport closes it
	// Handle takes each request, in order, on its connection's goroutine: it must not block. reply may be
	// called from anywhere and several times, for each ALIVE and last for the answer. ctx ends with the connection.
	// The Source of the message is the node that sent it; NoNode where it is a client's, also when a node passed it on.
	Handle func(ctx context.Context, from Peer, m *message.Message, reply func(*message.Message))
	// Raft takes a batch that arrived. It must not block, and not keep the payload.
	Raft func(from message.NodeID, fromIncarnation uint64, payload []byte)
	// Chunk takes a piece of a snapshot, and owns it; false ends the sender's stream. It may take its time.
	Chunk func(from message.NodeID, fromIncarnation uint64, payload []byte) bool
	// Dial makes a connection; nil means TCP.
	Dial   func(ctx context.Context, address string) (net.Conn, error)
	TLS    *TLS // for all connections, in both directions; nil: none
	Limits Limits
}

// Limits bound what a Transport holds and waits for. Zeros mean what stands here.
type Limits struct {
	Messages    int           // bytes waiting on a connection for messages: 32 MiB; beyond: Busy
	Raft        int           // bytes waiting on one for Raft or snapshots: 64 MiB; beyond: dropped, Busy
	Pending     int           // requests under way: 65536; beyond: Busy
	Relayed     int           // requests of one client passed on: 4096; beyond: Busy
	Strangers   int           // connections before their hello, handshakes of TLS too: 256; beyond: the oldest is closed
	Connections int           // accepted connections after it: 4096; beyond: refused
	Hello       time.Duration // for the hello, handshake included: 3 s
	Dial        time.Duration // for connecting, hello included: 3 s
	Stall       time.Duration // for the other side to read 1 MiB: 10 s; beyond: closed
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		have *int
		is   int
	}{
		{&l.Messages, 32 << 20}, {&l.Raft, MaxRaft}, {&l.Pending, 1 << 16}, {&l.Relayed, 4096}, {&l.Strangers, 256}, {&l.Connections, 4096},
	} {
		if *d.have <= 0 {
			*d.have = d.is
		}
	}
	for _, d := range []struct {
		have *time.Duration
		is   time.Duration
	}{
		{&l.Hello, 3 * time.Second}, {&l.Dial, 3 * time.Second}, {&l.Stall, 10 * time.Second},
	} {
		if *d.have <= 0 {
			*d.have = d.is
		}
	}
	return l
}

func (l *Limits) queue(c class) int {
	if c == classMessage {
		return l.Messages
	}
	return l.Raft
}

// Transport carries frames to and from other nodes. All its methods may be called from many goroutines at once.
type Transport struct {
	cfg       Config
	begin     time.Time // moments are nanoseconds since then, by the monotonic clock
	ctx       context.Context
	cancel    context.CancelFunc
	pending   *pending
	strangers strangers
	together  together
	open      atomic.Int32 // accepted connections
	tally     tally
	links     [message.MaxNodes]atomic.Pointer[link]
	routes    atomic.Pointer[routes]

	mu    sync.Mutex // guards what follows
	nodes int
	edges []message.Edge
	down  map[message.NodeID]bool

	gate   sync.RWMutex // guards closed; held for reading while a goroutine is started
	closed bool
	tasks  sync.WaitGroup
}

// New makes a Transport and begins to listen, if there is a listener.
func New(cfg Config) (*Transport, error) {
	if cfg.Self != message.NoNode && !isNode(cfg.Self) {
		return nil, message.Errorf(message.InvalidArgument, "%d is no node: ids go from 0 to %d", uint32(cfg.Self), message.MaxNodes-1)
	}
	if cfg.Listener != nil && cfg.Self == message.NoNode {
		return nil, message.Errorf(message.InvalidArgument, "a client cannot listen: give it a node id or no listener")
	}
	if err := cfg.TLS.check(cfg.Listener != nil); err != nil {
		return nil, err
	}
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Dial == nil {
		cfg.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	t := &Transport{cfg: cfg, begin: time.Now(), pending: newPending(cfg.Limits.Pending)}
	t.begin = t.begin.Add(-1) // so that no moment is 0, which means never
	t.strangers.most = cfg.Limits.Strangers
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.routes.Store(newRoutes(cfg.Self, 0, nil, nil))
	if cfg.Listener != nil {
		t.spawn(t.accept)
	}
	return t, nil
}

// now is the present moment.
func (t *Transport) now() int64 { return int64(time.Since(t.begin)) }

// spawn starts a goroutine that Close waits for; false once Close has begun.
func (t *Transport) spawn(f func()) bool {
	t.gate.RLock()
	defer t.gate.RUnlock()
	if t.closed {
		return false
	}
	t.tasks.Go(f)
	return true
}

// Close ends every connection, fails what is under way and waits for every goroutine. It must not be
// called from Handle, Raft, Chunk or a Sink.
func (t *Transport) Close() error {
	t.gate.Lock()
	t.closed = true
	t.gate.Unlock()
	t.cancel()
	var err error
	if t.cfg.Listener != nil {
		err = t.cfg.Listener.Close()
	}
	t.tasks.Wait()
	return err
}

// SetPeers says where the nodes are. A node that has moved is dialled anew; one that is missing is not
// reached any more. Either way this is news: what could not be reached before is tried again at once.
func (t *Transport) SetPeers(peers map[message.NodeID]Peer) {
	for i := range t.links {
		n := message.NodeID(i)
		p, known := peers[n]
		l := t.links[i].Load()
		if l == nil && !known {
			continue
		}
		l = t.link(n)
		var old *Peer
		if known {
			old = l.peer.Swap(&p)
		} else {
			old = l.peer.Swap(nil)
		}
		moved := old != nil && (!known || old.Address != p.Address)
		for c := range l.outlets {
			l.outlets[c].reset(moved)
		}
	}
}

// SetTopology says which nodes have direct links, and how slow those are. No edges mean that everybody
// has one to everybody. A client's links are not part of it.
func (t *Transport) SetTopology(n int, edges []message.Edge) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.nodes, t.edges = n, append([]message.Edge(nil), edges...)
	latency := map[message.NodeID]time.Duration{}
	for _, e := range edges {
		for _, to := range []struct{ a, b message.NodeID }{{e.A, e.B}, {e.B, e.A}} {
			if to.a == t.cfg.Self && isNode(to.b) {
				latency[to.b] = time.Duration(e.LatencyUS) * time.Microsecond
			}
		}
	}
	for i := range t.links {
		n := message.NodeID(i)
		if d, ok := latency[n]; ok || t.links[i].Load() != nil {
			l := t.link(n)
			l.behave(func() { l.latency = d })
		}
	}
	t.reroute()
}

// SetDown says which nodes are believed dead: nothing is relayed through them.
func (t *Transport) SetDown(down map[message.NodeID]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.down = make(map[message.NodeID]bool, len(down))
	for n, is := range down {
		t.down[n] = is
	}
	t.reroute()
}

// Down says whether SetDown has named a node.
func (t *Transport) Down(n message.NodeID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.down[n]
}

// reroute is called with mu held.
func (t *Transport) reroute() {
	t.routes.Store(newRoutes(t.cfg.Self, t.nodes, t.edges, t.down))
}

// SetDirectory takes addresses and topology from a directory. Nodes whose address it does not know keep theirs.
func (t *Transport) SetDirectory(d *message.Directory) {
	if d == nil {
		return
	}
	peers := map[message.NodeID]Peer{}
	for i := range d.Nodes {
		n := &d.Nodes[i]
		if n.ID == t.cfg.Self || !isNode(n.ID) || n.Gone {
			continue
		}
		if n.Address != "" {
			peers[n.ID] = Peer{Address: n.Address, Incarnation: n.Incarnation}
		} else if old := t.link(n.ID).peer.Load(); old != nil {
			peers[n.ID] = *old
		}
	}
	t.SetPeers(peers)
	t.SetTopology(len(d.Nodes), d.Links())
}

// Path lists the nodes that a frame for a node passes at present, that node included; nil if it is
// unreachable.
func (t *Transport) Path(to message.NodeID) []message.NodeID {
	if t.cfg.Self != message.NoNode {
		return t.routes.Load().path(to)
	}
	l, err := t.hop(to)
	if err != nil {
		return nil
	}
	if l.node == to {
		return []message.NodeID{to}
	}
	return []message.NodeID{l.node, to}
}

// hop is the link on which a frame for a node leaves.
func (t *Transport) hop(to message.NodeID) (*link, *LinkError) {
	if !isNode(to) {
		return nil, unsent(to, message.NoSuchNode, "there is no such node: ids go from 0 to %d", message.MaxNodes-1)
	}
	if to == t.cfg.Self {
		return nil, unsent(to, message.InvalidArgument, "that is this node itself")
	}
	if t.cfg.Self == message.NoNode {
		return t.entry(to)
	}
	next, ok := t.routes.Load().hop(to)
	if !ok {
		return nil, unsent(to, message.Unavailable, "no path leads there; a node on the way is down or the topology has no link")
	}
	return t.link(next), nil
}

// entry is the link on which a client's request leaves: to the node itself where its address is known, else
// to the lowest node that is known, which passes it on.
func (t *Transport) entry(to message.NodeID) (*link, *LinkError) {
	if l := t.link(to); l.known() {
		return l, nil
	}
	for i := range t.links {
		if l := t.links[i].Load(); l.known() {
			return l, nil
		}
	}
	return nil, unsent(to, message.Unavailable, "no address of any node is known")
}

func (l *link) known() bool {
	if l == nil {
		return false
	}
	p := l.peer.Load()
	return p != nil && p.Address != ""
}
