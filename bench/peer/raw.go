package peer

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"dmalloc/message"
	"dmalloc/owner/raw"
)

// group is what both ways to run raw Dragonboat have.
type group interface {
	Write(ctx context.Context, p []byte) error
	Confirm(ctx context.Context) error
}

// rawConn is raw Dragonboat as a heap: whatever changes something is a proposal, which nobody applies.
type rawConn struct {
	group
	*keys
	noRegisters
	close func() error
}

// dialRaw connects to replicas in processes of their own.
func dialRaw(ctx context.Context, o *Order, _ int) (Conn, error) {
	return dialGroups(ctx, o, 1)
}

// dialRawGroups is for as many groups as there are replicas.
func dialRawGroups(ctx context.Context, o *Order, _ int) (Conn, error) {
	return dialGroups(ctx, o, len(o.Addresses))
}

func dialGroups(ctx context.Context, o *Order, groups int) (Conn, error) {
	c, err := raw.Dial(ctx, o.Addresses, groups)
	if err != nil {
		return nil, err
	}
	return &rawConn{group: c, keys: newKeys(), close: c.Close}, nil
}

// startRaw starts the replicas in this process, for one connection that is none.
func startRaw(ctx context.Context, o *Order, _ int) (Conn, error) {
	if o.Connections != 1 {
		return nil, message.Errorf(message.InvalidArgument, "in its own process Dragonboat needs no %d connections", o.Connections)
	}
	g, err := raw.Start(ctx, raw.Config{Dir: o.Dir, Replicas: o.Replicas, Tick: o.Raft.Tick, Election: o.Raft.Election, Heartbeat: o.Raft.Heartbeat})
	if err != nil {
		return nil, err
	}
	return &rawConn{group: g, keys: newKeys(), close: func() error { g.Close(); return nil }}, nil
}

func (c *rawConn) Close() error { return c.close() }

func (c *rawConn) Malloc(ctx context.Context, size uint64) (message.Allocation, error) {
	return c.take(size), c.Write(ctx, make([]byte, 16))
}

func (c *rawConn) Free(ctx context.Context, _ message.Addr) error {
	return c.Write(ctx, make([]byte, 16))
}

func (c *rawConn) ReadAt(ctx context.Context, _ []byte, _ message.Addr) error { return c.Confirm(ctx) }

func (c *rawConn) WriteAt(ctx context.Context, p []byte, _ message.Addr) (uint64, error) {
	return 0, c.Write(ctx, p)
}

func launchRaw(s *Server, cfg Config) error { return launchGroups(s, cfg, 1) }

func launchRawGroups(s *Server, cfg Config) error { return launchGroups(s, cfg, cfg.Replicas) }

// launchGroups runs this program once a replica.
func launchGroups(s *Server, cfg Config, groups int) error {
	ports, err := freeAddresses(2 * cfg.Replicas)
	if err != nil {
		return err
	}
	raft, clients := ports[:cfg.Replicas], ports[cfg.Replicas:]
	for i := range cfg.Replicas {
		told, err := json.Marshal(raw.ServerConfig{Index: i, Raft: raft, Listen: clients[i], Config: raw.Config{
			Dir: filepath.Join(s.dir, fmt.Sprint(i)), Groups: groups, Tick: cfg.Raft.Tick, Election: cfg.Raft.Election, Heartbeat: cfg.Raft.Heartbeat}})
		if err != nil {
			return err
		}
		if err := s.run(fmt.Sprintf("raw Dragonboat %d", i), cfg.Program, slices.Concat(cfg.RawArgs, []string{string(told)})...); err != nil {
			return err
		}
	}
	s.Addresses = clients
	return nil
}
