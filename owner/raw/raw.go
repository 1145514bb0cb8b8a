package raw

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/lni/dragonboat/v4"
	"github.com/lni/dragonboat/v4/config"
	"github.com/lni/dragonboat/v4/plugin/tan"
	sm "github.com/lni/dragonboat/v4/statemachine"
)

// counter is the least that a state machine can do.
type counter struct{ n uint64 }

func (c *counter) Update(entries []sm.Entry) ([]sm.Entry, error) {
	for i := range entries {
		c.n++
		entries[i].Result = sm.Result{Value: c.n}
	}
	return entries, nil
}
func (c *counter) Lookup(any) (any, error)       { return c.n, nil }
func (c *counter) PrepareSnapshot() (any, error) { return nil, nil }
func (c *counter) SaveSnapshot(any, io.Writer, sm.ISnapshotFileCollection, <-chan struct{}) error {
	return nil
}
func (c *counter) RecoverFromSnapshot(io.Reader, []sm.SnapshotFile, <-chan struct{}) error {
	return nil
}
func (c *counter) Close() error { return nil }

const (
	shard   = 1               // the first one
	opLimit = 5 * time.Second // for an operation whose caller sets none
)

// Group is the replicas of one shard.
type Group struct {
	dir    string
	hosts  []*dragonboat.NodeHost
	leader int
}

// Config is what a Group, or one replica of it, needs.
type Config struct {
	Replicas  int    // 0: three
	Groups    int    // of processes of their own; 0: one. Their leaders are on different replicas, as far as there are enough
	Dir       string // for its logs; "" means a temporary directory
	Tick      int    // milliseconds
	Election  int    // ticks
	Heartbeat int
}

func (c Config) replicas() int {
	if c.Replicas == 0 {
		return 3
	}
	return c.Replicas
}

func (c Config) groups() int { return max(c.Groups, 1) }

// Version is that of Dragonboat in this program, "" where nobody wrote it down.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	at := slices.IndexFunc(info.Deps, func(m *debug.Module) bool { return m.Path == "github.com/lni/dragonboat/v4" })
	if at < 0 {
		return ""
	}
	return info.Deps[at].Version
}

// Start starts a group and waits for its leader.
func Start(ctx context.Context, cfg Config) (_ *Group, err error) {
	g := &Group{}
	if g.dir, err = os.MkdirTemp(cfg.Dir, "dmalloc-raw-"); err != nil {
		return nil, fmt.Errorf("make a directory for raw Dragonboat: %w", err)
	}
	defer func() {
		if err != nil {
			g.Close()
		}
	}()
	addresses, err := freeAddresses(cfg.replicas())
	if err != nil {
		return nil, err
	}
	for i := range addresses {
		nh, err := replica(filepath.Join(g.dir, fmt.Sprint(i)), i, addresses, cfg)
		if err != nil {
			return nil, err
		}
		g.hosts = append(g.hosts, nh)
	}
	for {
		if id, _, ok, err := g.hosts[0].GetLeaderID(shard); err == nil && ok {
			g.leader = int(id - 1)
			return g, nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("raw Dragonboat elected no leader: %w", ctx.Err())
		}
	}
}

// replica starts the one that listens at addresses[i], with its files in dir.
func replica(dir string, i int, addresses []string, cfg Config) (*dragonboat.NodeHost, error) {
	members := map[uint64]dragonboat.Target{}
	for j, a := range addresses {
		members[uint64(j+1)] = a
	}
	logdb := config.GetTinyMemLogDBConfig()
	logdb.Shards = 1
	nh, err := dragonboat.NewNodeHost(config.NodeHostConfig{
		NodeHostDir: dir, RTTMillisecond: uint64(cfg.Tick), RaftAddress: addresses[i],
		Expert: config.ExpertConfig{LogDBFactory: tan.Factory, LogDB: logdb,
			Engine: config.EngineConfig{ExecShards: 1, CommitShards: 1, ApplyShards: 1, SnapshotShards: 1, CloseShards: 1}},
	})
	if err != nil {
		return nil, fmt.Errorf("start raw Dragonboat: %w", err)
	}
	for g := range cfg.groups() {
		if err := nh.StartConcurrentReplica(members, false, func(_, _ uint64) sm.IConcurrentStateMachine { return &counter{} }, config.Config{
			ReplicaID: uint64(i + 1), ShardID: uint64(shard + g), CheckQuorum: true, PreVote: true,
			ElectionRTT: uint64(cfg.Election), HeartbeatRTT: uint64(cfg.Heartbeat),
		}); err != nil {
			nh.Close()
			return nil, fmt.Errorf("start raw Dragonboat's shard: %w", err)
		}
	}
	return nh, nil
}

// propose has one operation, a proposal of its own, committed and applied.
func propose(ctx context.Context, nh *dragonboat.NodeHost, group int, p []byte) error {
	_, err := nh.SyncPropose(ctx, nh.GetNoOPSession(uint64(shard+group)), p)
	return err
}

// confirm reads linearizably.
func confirm(ctx context.Context, nh *dragonboat.NodeHost, group int) error {
	_, err := nh.SyncRead(ctx, uint64(shard+group), nil)
	return err
}

// Write proposes p at the replica that led when the group had started.
func (g *Group) Write(ctx context.Context, p []byte) error {
	ctx, cancel := context.WithTimeout(ctx, opLimit) // Dragonboat wants a limit
	defer cancel()
	return propose(ctx, g.hosts[g.leader], 0, p)
}

// Confirm reads there.
func (g *Group) Confirm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, opLimit)
	defer cancel()
	return confirm(ctx, g.hosts[g.leader], 0)
}

func freeAddresses(n int) ([]string, error) {
	var all []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close()
		all = append(all, l.Addr().String())
	}
	return all, nil
}

// Close stops the group and removes its files.
func (g *Group) Close() {
	for _, h := range g.hosts {
		h.Close()
	}
	_ = os.RemoveAll(g.dir)
}

// Propose has clients propose size bytes each, at the leader, one proposal under way a client, and
// returns how long each took.
func (g *Group) Propose(ctx context.Context, clients, size int, warmup, length time.Duration) []time.Duration {
	return g.run(ctx, clients, warmup, length, func(ctx context.Context, nh *dragonboat.NodeHost) error {
		return propose(ctx, nh, 0, make([]byte, size))
	})
}

// Read has clients read linearizably at the leader.
func (g *Group) Read(ctx context.Context, clients int, warmup, length time.Duration) []time.Duration {
	return g.run(ctx, clients, warmup, length, func(ctx context.Context, nh *dragonboat.NodeHost) error { return confirm(ctx, nh, 0) })
}

func (g *Group) run(ctx context.Context, clients int, warmup, length time.Duration, op func(context.Context, *dragonboat.NodeHost) error) []time.Duration {
	nh := g.hosts[g.leader]
	count := time.Now().Add(warmup)
	end := count.Add(length)
	ctx, cancel := context.WithDeadline(ctx, end.Add(5*time.Second))
	defer cancel()
	var (
		wg  sync.WaitGroup
		mu  sync.Mutex
		all []time.Duration
	)
	for range clients {
		wg.Go(func() {
			var took []time.Duration
			for begin := time.Now(); begin.Before(end) && ctx.Err() == nil; begin = time.Now() {
				if op(ctx, nh) == nil && begin.After(count) {
					took = append(took, time.Since(begin))
				}
			}
			mu.Lock()
			all = append(all, took...)
			mu.Unlock()
		})
	}
	wg.Wait()
	return all
}
