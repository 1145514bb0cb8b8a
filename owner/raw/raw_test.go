package raw

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"dmalloc/message"
	"dmalloc/transport"
)

var times = Config{Replicas: 3, Tick: 10, Election: 20, Heartbeat: 2}

// limit is what a test may take on a machine that is busy with something else.
func limit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// A group in one process writes and reads.
func TestGroup(t *testing.T) {
	ctx := limit(t)
	cfg := times
	cfg.Dir = t.TempDir()
	g, err := Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	count := func() uint64 {
		n, err := g.hosts[g.leader].StaleRead(shard, nil)
		if err != nil {
			t.Fatal(err)
		}
		return n.(uint64)
	}
	before := count()
	if err := g.Write(ctx, make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	if err := g.Confirm(ctx); err != nil {
		t.Fatal(err)
	}
	if after := count(); after != before+1 {
		t.Errorf("%d proposals after one more than %d", after, before)
	}
}

// Replicas that serve clients do what a group does, find their leader, and refuse what is none of their business.
func TestServe(t *testing.T) {
	for _, groups := range []int{1, 3} {
		t.Run(fmt.Sprint(groups), func(t *testing.T) { serve(t, groups) })
	}
}

func serve(t *testing.T, groups int) {
	ctx := limit(t)
	ports, err := freeAddresses(6)
	if err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	failures := make([]error, 3)
	for i := range failures {
		cfg := ServerConfig{Config: times, Index: i, Raft: ports[:3], Listen: ports[3+i]}
		cfg.Dir, cfg.Groups = t.TempDir(), groups
		wg.Go(func() { failures[i] = Serve(serving, cfg) })
	}
	defer func() {
		stop()
		wg.Wait()
		for i, err := range failures {
			if err != nil {
				t.Errorf("replica %d: %v", i, err)
			}
		}
	}()
	c, err := Dial(ctx, ports[3:], groups)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			if err := c.Write(ctx, make([]byte, 100)); err != nil {
				t.Error(err)
			}
			if err := c.Confirm(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	clients.Wait()
	for g, leader := range c.leaders {
		if groups > 1 && leader != message.NodeID(g) {
			t.Errorf("group %d is led by %d", g, leader)
		}
	}
	if _, err := c.ask(ctx, 0, groups, message.WRITE, nil); message.CodeOf(err) != message.InvalidArgument {
		t.Errorf("a group too many: %v", err)
	}
	if _, err := c.ask(ctx, c.leaders[0], 0, message.MALLOC, nil); message.CodeOf(err) != message.Unsupported {
		t.Errorf("MALLOC: %v", err)
	}
}

func TestServeRefusesAnIndexThatIsNone(t *testing.T) {
	for _, i := range []int{-1, 1} {
		if err := Serve(t.Context(), ServerConfig{Index: i, Raft: []string{"127.0.0.1:1"}}); message.CodeOf(err) != message.InvalidArgument {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// Who asks too much at once is told so (and nothing is queued).
func TestBusy(t *testing.T) {
	s := &server{groups: 1, slots: make(chan struct{}, 1)}
	s.slots <- struct{}{}
	var got *message.Message
	s.handle(t.Context(), transport.Peer{}, message.New(message.READ), func(a *message.Message) { got = a })
	if got == nil || got.Status != message.Busy {
		t.Error(fmt.Sprint(got))
	}
}

// Where nobody serves, a client ends with its context.
func TestDialEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Dial(ctx, []string{"127.0.0.1:1"}, 1); message.CodeOf(err) != message.Unavailable {
		t.Error(err)
	}
}
