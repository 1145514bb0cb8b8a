package owner

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/lni/dragonboat/v4/config"
	"github.com/lni/dragonboat/v4/raftio"
	pb "github.com/lni/dragonboat/v4/raftpb"

	"dmalloc/message"
)

// Carrier takes Raft's traffic to other nodes; package transport has it. What it cannot deliver it may
// drop: Raft repeats. A chunk of a snapshot that is not delivered is an error.
type Carrier interface {
	SendRaft(to message.NodeID, incarnation uint64, parts ...[]byte) error // of one payload; they do not change any more
	SendChunk(ctx context.Context, to message.NodeID, incarnation uint64, payload []byte) error
}

// Inbox takes Raft's traffic from other nodes and gives Dragonboat only what it may see. It exists
// before the Host, because the transport does.
type Inbox struct {
	to      atomic.Pointer[raftTransport]
	Refused atomic.Uint64 // batches and chunks that were dropped as malformed or misdirected
}

// open is where deliveries go, nil if nowhere. The caller holds it open until it calls gate.RUnlock.
func (in *Inbox) open() *raftTransport {
	t := in.to.Load()
	if t == nil {
		return nil
	}
	t.gate.RLock()
	if t.closed {
		t.gate.RUnlock()
		return nil
	}
	return t
}

// Batch takes a batch of Raft messages that arrived from a node. It keeps nothing of the payload.
func (in *Inbox) Batch(from message.NodeID, incarnation uint64, payload []byte) {
	t := in.open()
	if t == nil {
		return
	}
	defer t.gate.RUnlock()
	batch, err := decodeBatch(payload)
	if err == nil {
		err = t.check(from, incarnation, batch)
	}
	if err != nil {
		in.Refused.Add(1)
		return
	}
	t.messages(*batch)
}

// Chunk takes a piece of a snapshot; false ends the sender's stream.
func (in *Inbox) Chunk(from message.NodeID, incarnation uint64, payload []byte) bool {
	t := in.open()
	if t == nil {
		return false
	}
	defer t.gate.RUnlock()
	chunk, err := decodeChunk(payload)
	if err != nil || chunk.DeploymentId != t.cfg.GetDeploymentID() || !known(chunk.ShardID) {
		in.Refused.Add(1)
		return false
	}
	return t.chunks(*chunk)
}

// decodeBatch turns the generated decoder's panics on hostile bytes into errors.
func decodeBatch(payload []byte) (b *pb.MessageBatch, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("decode a Raft batch: %v", r)
		}
	}()
	b = new(pb.MessageBatch)
	err = b.Unmarshal(payload)
	return b, err
}

func decodeChunk(payload []byte) (c *pb.Chunk, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("decode a snapshot chunk: %v", r)
		}
	}()
	c = new(pb.Chunk)
	err = c.Unmarshal(payload)
	return c, err
}

// factory makes the transport that Dragonboat sees.
type factory struct {
	cfg     Config
	ballots *ballots
	traffic *traffic
}

func (f *factory) Create(nh config.NodeHostConfig, messages raftio.MessageHandler, chunks raftio.ChunkHandler) raftio.ITransport {
	return &raftTransport{owner: f.cfg, ballots: f.ballots, traffic: f.traffic, cfg: nh, messages: messages, chunks: chunks}
}

// Validate accepts the logical addresses of this cluster's nodes.
func (f *factory) Validate(address string) bool {
	_, _, ok := parseTarget(f.cfg.Settings.Cluster, address)
	return ok
}

type raftTransport struct {
	owner    Config
	ballots  *ballots
	traffic  *traffic
	cfg      config.NodeHostConfig
	messages raftio.MessageHandler
	chunks   raftio.ChunkHandler

	// Held for reading while something is delivered: Dragonboat takes itself apart behind Close, and what is delivered
	// then meets nothing.
	gate   sync.RWMutex
	closed bool // guarded by gate
}

var _ raftio.ITransport = (*raftTransport)(nil)

var errMisdirected = errors.New("not for this node, or not from whom it says")

// check refuses what would make Dragonboat panic or believe a stranger: a batch of another cluster, a
// sender that is not the connection's, kinds of messages that never cross the network.
func (t *raftTransport) check(from message.NodeID, incarnation uint64, b *pb.MessageBatch) error {
	if b.DeploymentId != t.cfg.GetDeploymentID() {
		return errMisdirected
	}
	var room [64]byte
	if b.SourceAddress != string(appendTarget(room[:0], t.owner.Settings.Cluster, from, incarnation)) {
		return errMisdirected
	}
	for i := range b.Requests {
		m := &b.Requests[i]
		if m.Type == pb.RequestVote && m.Hint == m.From {
			t.ballots.asked(m.ShardID, m.Term)
		}
		if !known(m.ShardID) || m.From == 0 || m.To == 0 || local(m.Type) {
			return errMisdirected
		}
	}
	return nil
}

// known says whether there can be a group of that number.
func known(shard uint64) bool {
	id, _ := splitShard(shard)
	return id <= message.MaxCompany
}

// local says whether a kind of message stays within its node.
func local(t pb.MessageType) bool {
	switch t {
	case pb.LocalTick, pb.Election, pb.LeaderHeartbeat, pb.ConfigChangeEvent, pb.NoOP, pb.SnapshotStatus,
		pb.Unreachable, pb.CheckQuorum, pb.BatchedReadIndex, pb.SnapshotReceived, pb.LogQuery:
		return true
	}
	_, known := pb.MessageType_name[int32(t)]
	return !known
}

func (t *raftTransport) Name() string { return "dmalloc" }

func (t *raftTransport) Start() error {
	t.owner.Inbox.to.Store(t)
	return nil
}

// Close waits for what is being delivered.
func (t *raftTransport) Close() error {
	t.gate.Lock()
	t.closed = true
	t.gate.Unlock()
	t.owner.Inbox.to.CompareAndSwap(t, nil)
	return nil
}

func (t *raftTransport) GetConnection(_ context.Context, address string) (raftio.IConnection, error) {
	return t.connect(context.Background(), address)
}

func (t *raftTransport) GetSnapshotConnection(ctx context.Context, address string) (raftio.ISnapshotConnection, error) {
	return t.connect(ctx, address)
}

func (t *raftTransport) connect(ctx context.Context, address string) (*connection, error) {
	n, i, ok := parseTarget(t.owner.Settings.Cluster, address)
	if !ok {
		return nil, message.Errorf(message.Internal, "%s is no Raft address", address)
	}
	return &connection{ctx, t.owner.Carrier, t.ballots, t.traffic, reached{}, n, i}, nil
}

type connection struct {
	ctx         context.Context
	carrier     Carrier
	ballots     *ballots
	traffic     *traffic
	reached     reached // of the one goroutine that sends batches
	to          message.NodeID
	incarnation uint64
}

func (c *connection) Close() {}

// SendMessageBatch drops what cannot be sent: an error would make Dragonboat hold the peer back for
// longer than our own reconnecting takes.
func (c *connection) SendMessageBatch(b pb.MessageBatch) error {
	b.Requests = c.ballots.pass(b.Requests)
	if len(b.Requests) == 0 {
		return nil
	}
	parts, err := encodeParts(&b)
	if err != nil {
		return fmt.Errorf("encode a Raft batch: %w", err)
	}
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	c.traffic.count(c.reached, b.Requests, size)
	_ = c.carrier.SendRaft(c.to, c.incarnation, parts...)
	return nil
}

func (c *connection) SendChunk(chunk pb.Chunk) error {
	payload, err := chunk.Marshal()
	if err != nil {
		return fmt.Errorf("encode a snapshot chunk: %w", err)
	}
	c.traffic.snapshot.Add(uint64(len(payload)))
	return c.carrier.SendChunk(c.ctx, c.to, c.incarnation, payload)
}
