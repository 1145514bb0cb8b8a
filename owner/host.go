package owner

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lni/dragonboat/v4"
	"github.com/lni/dragonboat/v4/config"
	"github.com/lni/dragonboat/v4/raftio"
	sm "github.com/lni/dragonboat/v4/statemachine"
	"github.com/lni/vfs"

	"dmalloc/company"
	"dmalloc/faultfs"
	"dmalloc/internal/boottime"
	"dmalloc/message"
	"dmalloc/owner/tanlog"
)

// Config is what a Host needs.
type Config struct {
	Node        message.NodeID
	Incarnation uint64
	Settings    message.Settings
	Dir         string // of its own: kept files, nothing else
	Carrier     Carrier
	Inbox       *Inbox
	Observer    Observer
	// Led hears of a change of leadership, from one goroutine: node is NoNode while nobody leads.
	Led func(id message.CompanyID, term uint64, node message.NodeID)
	// Entry and Index hear how long a request waited and its entry took, and how long a ReadIndex took.
	Entry func(wait, commit time.Duration)
	Index func(took time.Duration)
	Files vfs.FS       // where Dir is; nil means the machine's files. Other files are not checked before they are opened
	Disk  faultfs.Disk // what is wrong with the disk on purpose; nil: nothing
	// Now is the node's clock: it says how long a leader's entries are apart, which moves the company's clock.
	// nil: time.Now.
	Now func() time.Time
	// Together runs a function that answers many requests, so that what it answers can be sent together. nil: it is just run.
	Together func(func())
	// Failed hears once, and must not wait, that the disk failed: the process has to end. Without it Dragonboat panics.
	Failed func(error)
	// Leaving are the replicas whose Drop has begun: it may have been cut short anywhere.
	Leaving []Seat
}

// Host holds the replicas of this node over one Dragonboat NodeHost.
type Host struct {
	cfg    Config
	nh     *dragonboat.NodeHost
	disk   *sentinel
	origin uint64

	clock   boottime.Clock
	lease   time.Duration // of a leader that was confirmed, from when that was asked for
	ballots *ballots
	traffic *traffic

	// This node's owners by company. They change under mu, and are found without it: there is a look for each request.
	replicas [message.MaxCompany + 1]atomic.Pointer[Replica]

	mu    sync.RWMutex                 // guards what follows
	nodes map[[2]uint64]message.NodeID // company, replica -> node
	// Reports of leaders whose node was not known yet: a replica that joined while this node was away.
	strangers map[message.CompanyID]raftio.LeaderInfo

	queued atomic.Int64 // bytes of data in the queues of all replicas

	outgrown chan message.CompanyID // companies whose log wants a snapshot; full means that one is under way
	ctx      context.Context
	cancel   context.CancelFunc
	tasks    sync.WaitGroup
}

const (
	maxInMemLog  = 64 << 20  // bytes of unapplied entries a replica holds before it slows its clients down
	maxRaftQueue = 128 << 20 // bytes of Dragonboat's queues to and from a peer
)

// Open checks the kept files and opens them. A *tanlog.DamageError means that they were altered, a
// *message.Error of class Unavailable that the disk does not take what is written.
func Open(cfg Config) (*Host, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Together == nil {
		cfg.Together = func(answer func()) { answer() }
	}
	dir := filepath.Join(cfg.Dir, "raft")
	disk := newSentinel(cfg)
	if err := disk.prepare(dir); err != nil {
		return nil, err
	}
	if cfg.Files == nil {
		kept, err := tanlog.Check(dir, pairs(cfg.Leaving)...)
		if err == nil {
			err = disk.cut(kept.Room)
		}
		if err != nil {
			return nil, err
		}
	}
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, fmt.Errorf("draw the number of this run: %w", err)
	}
	h := &Host{cfg: cfg, origin: binary.LittleEndian.Uint64(random[:]) | 1,
		nodes: map[[2]uint64]message.NodeID{}, strangers: map[message.CompanyID]raftio.LeaderInfo{}, outgrown: make(chan message.CompanyID, message.MaxCompany+1),
		disk: disk, traffic: &traffic{}}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	election := time.Duration(cfg.Settings.Election*cfg.Settings.Tick) * time.Millisecond
	h.lease, h.ballots = leaseOf(election), newBallots(h.clock.Now, bindingOf(election), h.barLease)
	cluster, err := strconv.ParseUint(cfg.Settings.Cluster, 16, 64)
	if err != nil {
		return nil, message.Errorf(message.InvalidArgument, "cluster id %s is not hexadecimal", message.Quote(cfg.Settings.Cluster))
	}
	logdb := config.GetTinyMemLogDBConfig()
	logdb.Shards = uint64(cfg.Settings.LogShards)
	shards := uint64(cfg.Settings.Executors)
	h.nh, err = h.disk.open(config.NodeHostConfig{
		DeploymentID:        cluster,
		NodeHostDir:         dir,
		RTTMillisecond:      uint64(cfg.Settings.Tick),
		RaftAddress:         target(cfg.Settings.Cluster, cfg.Node, cfg.Incarnation),
		MaxSendQueueSize:    maxRaftQueue,
		MaxReceiveQueueSize: maxRaftQueue,
		RaftEventListener:   listener{h},
		Expert: config.ExpertConfig{
			LogDBFactory:     logFactory{},
			TransportFactory: &factory{cfg: cfg, ballots: h.ballots, traffic: h.traffic},
			LogDB:            logdb,
			Engine: config.EngineConfig{ExecShards: shards, CommitShards: shards, ApplyShards: shards,
				SnapshotShards: 1, CloseShards: 1},
		},
	})
	if err != nil {
		h.cancel()
		return nil, err
	}
	if info := h.nh.GetNodeHostInfo(dragonboat.NodeHostInfoOption{}); info != nil {
		for _, n := range info.LogInfo {
			h.ballots.restarted(n.ShardID)
		}
	}
	h.tasks.Go(h.snapshots)
	h.tasks.Go(h.resign)
	return h, nil
}

func pairs(seats []Seat) (all []tanlog.Pair) {
	for _, s := range seats {
		all = append(all, tanlog.Pair{Shard: shardOf(s.Company, s.Generation), Replica: s.Replica})
	}
	return all
}

// Close stops the replicas and closes the log.
func (h *Host) Close() {
	h.cancel()
	h.mu.Lock()
	all := h.Replicas()
	for _, r := range all {
		h.replicas[r.ID].Store(nil)
	}
	h.mu.Unlock()
	for _, r := range all {
		r.stop()
	}
	_ = h.disk.run(func() error { h.nh.Close(); return nil }) // what failed has been reported
	h.tasks.Wait()
}

// Seat is a replica that this node is to run.
type Seat struct {
	Company    message.CompanyID
	Generation uint64 // of the company
	Replica    uint64
	Founders   []message.Founder // with whom the company begins; nil when the log exists already, or when joining
	Join       bool              // the replica is added to a company that exists, and has no log yet
	Voting     bool              // false while it catches up
	Seeded     bool              // its log begins with the state in its seed
}

// Start begins to own a company, with the state empty.
func (h *Host) Start(seat Seat, state Machine) (*Replica, error) {
	members := map[uint64]dragonboat.Target{}
	known := []message.Owner{{Node: h.cfg.Node, Replica: seat.Replica}}
	for _, o := range seat.Founders {
		members[o.Replica] = target(h.cfg.Settings.Cluster, o.Node, o.Incarnation)
		known = append(known, message.Owner{Node: o.Node, Replica: o.Replica})
	}
	h.Know(seat.Company, known)
	if seat.Seeded {
		if err := h.plantSeed(seat, state); err != nil {
			return nil, err
		}
	}
	m := &machine{id: seat.Company, generation: seat.Generation, origin: h.origin, observer: h.cfg.Observer, state: state, waiting: map[uint64]chan []company.Result{}}
	h.outgrow(m, seat.Company)
	r := newReplica(h, seat, m)
	h.mu.Lock()
	h.replicas[seat.Company].Store(r)
	h.mu.Unlock()
	r.start()
	err := h.disk.run(func() error {
		return h.nh.StartConcurrentReplica(members, seat.Join, func(_, _ uint64) sm.IConcurrentStateMachine { return m }, config.Config{
			ReplicaID: seat.Replica, ShardID: r.shard(),
			CheckQuorum: true, PreVote: true, OrderedConfigChange: true,
			ElectionRTT: uint64(h.cfg.Settings.Election), HeartbeatRTT: uint64(h.cfg.Settings.Heartbeat),
			MaxInMemLogSize:    maxInMemLog,
			CompactionOverhead: keptEntries,
			IsNonVoting:        !seat.Voting,
		})
	})
	if err != nil {
		h.mu.Lock()
		h.replicas[seat.Company].Store(nil)
		h.mu.Unlock()
		r.stop()
		return nil, fmt.Errorf("start replica %d of company %s: %w", seat.Replica, seat.Company, err)
	}
	return r, nil
}

// Drop ends a replica that the company has removed, and deletes what was kept of it. Asked again it goes on where it
// was cut short.
func (h *Host) Drop(ctx context.Context, id message.CompanyID, generation, replica uint64) error {
	shard := shardOf(id, generation)
	h.mu.Lock()
	r := h.Replica(id)
	if r != nil && r.Replica == replica {
		r.bar(math.MaxUint64) // barLease does not find it from here on
		h.replicas[id].Store(nil)
	}
	h.mu.Unlock()
	if r != nil && r.Replica == replica {
		r.stop()
	}
	err := h.disk.run(func() error {
		if err := h.nh.StopReplica(shard, replica); err != nil && !errors.Is(err, dragonboat.ErrShardNotFound) {
			return err
		}
		err := h.nh.SyncRemoveData(ctx, shard, replica)
		if errors.Is(err, dragonboat.ErrShardNotStopped) { // another replica of the company runs here
			err = h.nh.RemoveData(shard, replica)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("delete replica %d of company %s: %w", replica, id, err)
	}
	return nil
}

// Replica is this node's owner of a company, nil if it has none.
func (h *Host) Replica(id message.CompanyID) *Replica {
	if int(id) >= len(h.replicas) {
		return nil
	}
	return h.replicas[id].Load()
}

// Replicas lists this node's owners by company.
func (h *Host) Replicas() []*Replica {
	var all []*Replica
	for id := range h.replicas {
		if r := h.replicas[id].Load(); r != nil {
			all = append(all, r)
		}
	}
	return all
}

// Know records on which nodes a company's replicas live.
func (h *Host) Know(id message.CompanyID, owners []message.Owner) {
	h.mu.Lock()
	for _, o := range owners {
		h.nodes[[2]uint64{uint64(id), o.Replica}] = o.Node
	}
	info, waiting := h.strangers[id]
	if waiting {
		_, waiting = h.nodes[[2]uint64{uint64(id), info.LeaderID}]
	}
	h.mu.Unlock()
	if waiting {
		listener{h}.LeaderUpdated(info)
	}
}

func (h *Host) nodeOf(id message.CompanyID, replica uint64) (message.NodeID, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	n, ok := h.nodes[[2]uint64{uint64(id), replica}]
	return n, ok
}

// Keeps says whether a replica has a log here.
func (h *Host) Keeps(id message.CompanyID, generation, replica uint64) bool {
	if info := h.nh.GetNodeHostInfo(dragonboat.NodeHostInfoOption{}); info != nil {
		for _, n := range info.LogInfo {
			if n.ShardID == shardOf(id, generation) && n.ReplicaID == replica {
				return true
			}
		}
	}
	return false
}

// Kept lists the replicas that have a log here, of each company one: two have while the deletion of one goes on.
func (h *Host) Kept() map[message.CompanyID]uint64 {
	kept := map[message.CompanyID]uint64{}
	if info := h.nh.GetNodeHostInfo(dragonboat.NodeHostInfoOption{}); info != nil {
		for _, n := range info.LogInfo {
			id, _ := splitShard(n.ShardID)
			kept[id] = max(kept[id], n.ReplicaID) // of an earlier one the rest is about to be deleted
		}
	}
	return kept
}

func (h *Host) observe(queued, begin, end time.Time) {
	if h.cfg.Entry != nil {
		h.cfg.Entry(begin.Sub(queued), end.Sub(begin))
	}
}

func (h *Host) readIndex(took time.Duration) {
	if h.cfg.Index != nil {
		h.cfg.Index(took)
	}
}

// listener takes Dragonboat's reports of leadership.
type listener struct{ h *Host }

func (l listener) LeaderUpdated(info raftio.LeaderInfo) {
	if l.h.disk.failure() != nil {
		return
	}
	id, generation := splitShard(info.ShardID)
	term := termIn(generation, info.Term)
	node := message.NoNode
	if info.LeaderID != 0 {
		if n, ok := l.h.nodeOf(id, info.LeaderID); ok {
			node = n
		}
	}
	l.h.mu.Lock()
	delete(l.h.strangers, id)
	if info.LeaderID != 0 && node == message.NoNode {
		l.h.strangers[id] = info
	}
	l.h.mu.Unlock()
	if r := l.h.Replica(id); r != nil && r.Replica == info.ReplicaID {
		r.setLeader(node, term, info.LeaderID == info.ReplicaID && node != message.NoNode)
	}
	if l.h.cfg.Led != nil {
		l.h.cfg.Led(id, term, node)
	}
}

// target is the logical Raft address of a node: it outlives ports, but not the node's disk.
func target(cluster string, n message.NodeID, incarnation uint64) string {
	return string(appendTarget(nil, cluster, n, incarnation))
}

// appendTarget is target without memory of its own: each batch of Raft that comes in is compared with one.
func appendTarget(b []byte, cluster string, n message.NodeID, incarnation uint64) []byte {
	b = append(append(append(b, 'c'), cluster...), "-n"...)
	b = append(strconv.AppendUint(b, uint64(n), 10), "-i"...)
	return strconv.AppendUint(b, incarnation, 10)
}

// parseTarget reads what target wrote.
func parseTarget(cluster, s string) (message.NodeID, uint64, bool) {
	rest, ok := strings.CutPrefix(s, "c"+cluster+"-n")
	if !ok {
		return 0, 0, false
	}
	id, inc, ok := strings.Cut(rest, "-i")
	if !ok {
		return 0, 0, false
	}
	n, err1 := strconv.ParseUint(id, 10, 32)
	i, err2 := strconv.ParseUint(inc, 10, 64)
	if err1 != nil || err2 != nil || n >= message.MaxNodes || target(cluster, message.NodeID(n), i) != s {
		return 0, 0, false
	}
	return message.NodeID(n), i, true
}
