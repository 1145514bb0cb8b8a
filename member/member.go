package member

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"dmalloc/message"
)

// speaks is the version of memberlist's protocol that all nodes speak.
const speaks = memberlist.ProtocolVersion2Compatible

// Carrier sends a packet to a node: one way, best effort, never waiting. The packet is the carrier's from
// then on. An error means that it was not sent; nil promises nothing. What arrives goes to Receive.
type Carrier interface {
	Send(to message.NodeID, packet []byte) error
}

// Config is what a failure detector is made with.
type Config struct {
	Self    message.NodeID
	Cluster string // packets of other clusters are refused
	Carrier Carrier
	Nodes   []message.NodeID // of the directory; self is among them, said or not
	Log     *slog.Logger     // nil is silence. memberlist's words go to it at level debug, so many a second

	ProbeInterval time.Duration // between two probes by a node; 0 means 500 ms
	ProbeTimeout  time.Duration // until others are asked to probe; 0 means 200 ms

	Load    func() uint16 // jobs running here, told to the others; nil means always 0
	Changed func(Status)  // told of each change of a state, one at a time and in order; must not call Close
}

// WithDefaults is the config filled in and judged.
func (c Config) WithDefaults() (Config, error) {
	if c.ProbeInterval == 0 {
		c.ProbeInterval = defaultProbeInterval
	}
	if c.ProbeTimeout == 0 {
		c.ProbeTimeout = min(defaultProbeTimeout, c.ProbeInterval*2/5)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Load == nil {
		c.Load = func() uint16 { return 0 }
	}
	if c.Changed == nil {
		c.Changed = func(Status) {}
	}
	switch {
	case c.Carrier == nil:
		return c, message.Errorf(message.InvalidArgument, "the failure detector of node %d has no carrier for its packets: give it one", c.Self)
	case c.Self > maxID:
		return c, message.Errorf(message.InvalidArgument, "node %d cannot take part in gossip: node ids go to %d", c.Self, maxID)
	case c.ProbeTimeout < 0 || c.ProbeInterval < 2*c.ProbeTimeout:
		// An answer through others takes a second timeout, and the verdict is due at the interval's end.
		return c, message.Errorf(message.InvalidArgument, "a probe timeout of %v does not fit twice into a probe interval of %v: make the interval longer", c.ProbeTimeout, c.ProbeInterval)
	}
	return c, nil
}

// Members is this node's belief about all nodes of the directory.
type Members struct {
	cfg     Config
	network *network
	list    *memberlist.Memberlist
	logs    *logWriter

	table atomic.Pointer[table]
	known atomic.Pointer[map[message.NodeID]bool]

	look    chan struct{} // one token: something may have changed, look now
	rejoin  chan struct{} // one token: the returner shall start anew
	told    atomic.Uint32 // the load that the others were last told
	slept   atomic.Bool   // the returner shall ask others what was missed
	closing sync.Once
	done    chan struct{}
	running sync.WaitGroup // watcher, returner
}

// New starts to probe and to be probed. Close ends it.
func New(cfg Config) (*Members, error) {
	cfg, err := cfg.WithDefaults()
	if err != nil {
		return nil, err
	}
	m := &Members{cfg: cfg, logs: &logWriter{log: cfg.Log}, look: make(chan struct{}, 1), rejoin: make(chan struct{}, 1), done: make(chan struct{})}
	m.know(cfg.Nodes)
	first, _ := newTable(nil).next(m.ids(), cfg.Self, nil, time.Now())
	m.table.Store(first)
	m.network = newNetwork(cfg.Self, cfg.Cluster, cfg.Carrier, m.knows)
	if m.list, err = memberlist.Create(m.settings()); err != nil {
		return nil, &message.Error{Op: "member.New", Code: message.Internal, Text: "the failure detector does not start", Err: err}
	}
	m.running.Go(m.watch)
	m.running.Go(m.bringBack)
	return m, nil
}

// Receive takes a packet that the carrier brought from a node. It never waits, and keeps nothing of the
// packet. What is malformed, of a stranger or too much is dropped and counted.
func (m *Members) Receive(from message.NodeID, packet []byte) { m.network.receive(from, packet) }

// SetNodes says which nodes the directory has. One that is gone is forgotten; a new one is Unknown until it is heard of.
func (m *Members) SetNodes(nodes []message.NodeID) {
	m.know(nodes)
	m.poke()
	token(m.rejoin)
}

// know publishes the nodes of the directory. Ids beyond what a made-up address can hold stay Unknown.
func (m *Members) know(nodes []message.NodeID) {
	known := make(map[message.NodeID]bool, len(nodes)+1)
	known[m.cfg.Self] = true
	for _, id := range nodes {
		if id <= maxID {
			known[id] = true
		}
	}
	m.known.Store(&known)
}

func (m *Members) knows(id message.NodeID) bool { return (*m.known.Load())[id] }

// ids are the known nodes in order.
func (m *Members) ids() []message.NodeID {
	known := *m.known.Load()
	ids := make([]message.NodeID, 0, len(known))
	for id := range known {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// View is what is believed of each node of the directory, by node; self is always alive.
func (m *Members) View() []Status { return slices.Clone(m.table.Load().sorted) }

// State is what is believed of one node. It takes no lock and allocates nothing.
func (m *Members) State(id message.NodeID) State { return m.table.Load().byNode[id].State }

// Stats are what became of packets since the start.
type Stats struct {
	Sent     uint64 // given to the carrier
	Unsent   uint64 // which the carrier did not take
	Received uint64
	Dropped  uint64 // received, and more than there was room for
	Refused  uint64 // received, and malformed or of a stranger
}

// Stats reads the counters.
func (m *Members) Stats() Stats {
	c := &m.network.counts
	return Stats{c.sent.Load(), c.unsent.Load(), c.received.Load(), c.dropped.Load(), c.refused.Load()}
}

// Close ends probing. The others are not told: to them the node is gone, as any that ends is.
func (m *Members) Close() {
	m.closing.Do(func() {
		close(m.done)
		m.list.Shutdown() // fails only if the network's Shutdown does, which never does
	})
	m.running.Wait()
}

// poke has the watcher look now.
func (m *Members) poke() { token(m.look) }

func token(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
