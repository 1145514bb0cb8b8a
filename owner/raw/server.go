package raw

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"time"

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
// with READ one linearizable read, in the group that the message's company numbers, from 0; WHOISLEADER tells the index of
// that group's leader in Value. Of several groups each replica takes the lead of its share once.
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
	s := &server{host: nh, groups: cfg.groups(), slots: make(chan struct{}, serverSlots)}
	t, err := transport.New(transport.Config{Self: message.NodeID(cfg.Index), Cluster: 1, Incarnation: 1, Listener: l, Handle: s.handle})
	if err != nil {
		_ = l.Close()
		nh.Close()
		return err
	}
	if cfg.groups() > 1 { // of one, whoever was elected leads: clients may have found it already
		for g := cfg.Index; g < cfg.groups(); g += len(cfg.Raft) {
			s.lead(ctx, g, uint64(cfg.Index+1))
		}
	}
	<-ctx.Done()
	err = t.Close()
	s.busy.Wait()
	nh.Close()
	return err
}

type server struct {
	host   *dragonboat.NodeHost
	groups int
	slots  chan struct{}
	busy   sync.WaitGroup
}

// leadAgain is after how long a replica asks again for the lead of a group.
const leadAgain = 100 * time.Millisecond

// lead waits until a replica, which is this one, leads a group, and asks for that.
func (s *server) lead(ctx context.Context, group int, replica uint64) {
	for ctx.Err() == nil {
		id, _, ok, err := s.host.GetLeaderID(uint64(shard + group))
		if err == nil && ok && id == replica {
			return
		}
		if ok {
			_ = s.host.RequestLeaderTransfer(uint64(shard+group), replica) // Raft may not do it: it is asked again
		}
		select {
		case <-time.After(leadAgain):
		case <-ctx.Done():
		}
	}
}

func (s *server) handle(ctx context.Context, _ transport.Peer, m *message.Message, reply func(*message.Message)) {
	var do func(context.Context) error
	group := int(m.Company)
	if group >= s.groups {
		reply(m.Answer(message.InvalidArgument, fmt.Sprintf("there are %d groups, from 0", s.groups)))
		return
	}
	switch m.Op {
	case message.WHOISLEADER:
		reply(s.leader(m, group))
		return
	case message.WRITE:
		p := bytes.Clone(m.Data) // the log keeps it longer than the frame lasts
		do = func(ctx context.Context) error { return propose(ctx, s.host, group, p) }
	case message.READ:
		do = func(ctx context.Context) error { return confirm(ctx, s.host, group) }
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

func (s *server) leader(m *message.Message, group int) *message.Message {
	id, _, ok, err := s.host.GetLeaderID(uint64(shard + group))
	if err != nil || !ok {
		return m.Answer(message.Unavailable, "no leader is known here")
	}
	a := m.Answer(message.Done, "")
	a.Value = id - 1
	return a
}
