package peer

import (
	"context"
	"fmt"
	"time"

	"dmalloc/message"
)

const (
	tryFor   = 100 * time.Millisecond // a member that does not answer is left for the next
	tryAgain = 2 * time.Millisecond   // after a refusal
)

// Failover kills the member that leads, measures the time until a write is acknowledged, and starts the
// member again. The client knows all members and asks one after the other.
func (s *Server) Failover(ctx context.Context) (time.Duration, error) {
	if s.kind.name != Etcd {
		return 0, message.Errorf(message.Unsupported, "%s is not killed here", s.kind.name)
	}
	var conns []*etcdConn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	var leader, self uint64
	ids := map[uint64]int{}
	for i, a := range s.Addresses {
		c, err := dialMember(ctx, a)
		if err != nil {
			return 0, fmt.Errorf("connect to etcd: %w", err)
		}
		conns = append(conns, c)
		if self, leader, err = c.status(ctx); err != nil {
			return 0, fmt.Errorf("ask etcd who leads: %w", err)
		}
		ids[self] = i
	}
	at, ok := ids[leader]
	if !ok {
		return 0, message.Errorf(message.Unavailable, "etcd has no leader")
	}
	if err := conns[at].put(ctx, 1, []byte("before the kill!")); err != nil {
		return 0, fmt.Errorf("write to etcd: %w", err)
	}
	begin := time.Now()
	s.processes[at].kill()
	for i := at + 1; ; i++ {
		try, cancel := context.WithTimeout(ctx, tryFor)
		err := conns[i%len(conns)].put(try, 1, []byte("after the kill!!"))
		cancel()
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return 0, fmt.Errorf("etcd has taken no write after its leader was killed: %w", err)
		}
		time.Sleep(tryAgain)
	}
	took := time.Since(begin)
	if err := s.processes[at].start(); err != nil {
		return 0, err
	}
	return took, s.await(ctx, func(ctx context.Context) error { return memberReady(ctx, s.Addresses[at]) })
}
