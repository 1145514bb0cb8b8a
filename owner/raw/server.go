package raw

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/lni/dragonboat/v4"

	"dmalloc/message"
	"dmalloc/transport"
)

// serverSlots is how many operations may be under way at once; beyond them Busy.
const serverSlots = 4096

// ServerConfig is one replica in a process of its own.
type ServerConfig struct {
	Config
	Index  int      // which of Raft it is, from 0
	Raft   []string // where the replicas listen for each other
	Listen string   // and this one for clients
}

// Serve runs one replica for clients of other processes until ctx ends. What it is asked with WRITE is one proposal,
// with READ one linearizable read; WHOISLEADER tells the index of the leader in Value.
func Serve(ctx context.Context, cfg ServerConfig) error {
	if cfg.Index < 0 || cfg.Index >= len(cfg.Raft) {
		return message.Errorf(message.InvalidArgument, "replica %d is none of %d", cfg.Index, len(cfg.Raft))
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen for clients of raw Dragonboat: %w", err)
	}
	nh, err := replica(cfg.Dir, cfg.Index, cfg.Raft, cfg.Config)
	if err != nil {
		_ = l.Close()
		return err
	}
	s := &server{host: nh, slots: make(chan struct{}, serverSlots)}
	t, err := transport.New(transport.Config{Self: message.NodeID(cfg.Index), Cluster: 1, Incarnation: 1, Listener: l, Handle: s.handle})
	if err != nil {
		_ = l.Close()
		nh.Close()
		return err
	}
	<-ctx.Done()
	err = t.Close()
	s.busy.Wait()
	nh.Close()
	return err
}

type server struct {
	host  *dragonboat.NodeHost
	slots chan struct{}
	busy  sync.WaitGroup
}

func (s *server) handle(ctx context.Context, _ transport.Peer, m *message.Message, reply func(*message.Message)) {
	var do func(context.Context) error
	switch m.Op {
	case message.WHOISLEADER:
		reply(s.leader(m))
		return
	case message.WRITE:
		p := bytes.Clone(m.Data) // the log keeps it longer than the frame lasts
		do = func(ctx context.Context) error { return propose(ctx, s.host, p) }
	case message.READ:
		do = func(ctx context.Context) error { return confirm(ctx, s.host) }
	default:
		reply(m.Answer(message.Unsupported, m.Op.String()+" is nothing that Dragonboat alone does"))
		return
	}
	select {
	case s.slots <- struct{}{}:
	default:
		reply(m.Answer(message.Busy, "too many operations are under way"))
		return
	}
	s.busy.Go(func() {
		defer func() { <-s.slots }()
		ctx, cancel := context.WithTimeout(ctx, opLimit)
		defer cancel()
		if err := do(ctx); err != nil {
			reply(m.Answer(message.Unavailable, err.Error()))
			return
		}
		reply(m.Answer(message.Done, ""))
	})
}

func (s *server) leader(m *message.Message) *message.Message {
	id, _, ok, err := s.host.GetLeaderID(shard)
	if err != nil || !ok {
		return m.Answer(message.Unavailable, "no leader is known here")
	}
	a := m.Answer(message.Done, "")
	a.Value = id - 1
	return a
}
