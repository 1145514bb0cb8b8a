package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"dmalloc/bench"
	"dmalloc/client"
	"dmalloc/cluster"
	"dmalloc/message"
	"dmalloc/node"
	"dmalloc/ring"
)

const (
	leasedBytes = 1 << 20 // that are read
	renewEvery  = message.MaxLease * time.Millisecond / 3
	readers     = 4 // whose leases a write has revoked
)

// runLeases measures reads of leased pages: by a process that is a node, over a connection, and over HTTP, against
// copying memory and against reads that a quorum confirms; and what it costs a write to have readers give back.
func (f *benchFlags) runLeases(ctx context.Context, t *target, _ bench.Mix) error {
	if f.size == 0 || f.size > leasedBytes {
		return message.Errorf(message.InvalidArgument, "--size %d: reads of leased pages have 1 to %d bytes", uint64(f.size), leasedBytes)
	}
	f.head()
	for _, n := range []int{1, runtime.NumCPU()} {
		from := make([]byte, leasedBytes)
		if err := f.spin(ctx, "memory", "copy", n, func(p []byte, at int) error { copy(p, from[at:]); return nil }); err != nil {
			return err
		}
	}
	if err := f.inProcess(ctx); err != nil {
		return err
	}
	if err := f.overConnections(ctx, t); err != nil {
		return err
	}
	return f.revoking(ctx, t)
}

// spin measures reads of random places.
func (f *benchFlags) spin(ctx context.Context, system, name string, n int, read func(p []byte, at int) error) error {
	type state struct {
		rng *rand.Rand
		p   []byte
		_   [128]byte
	}
	all := make([]state, n)
	for i := range all {
		all[i].rng, all[i].p = rand.New(rand.NewPCG(1, uint64(i))), make([]byte, f.size)
	}
	row, err := bench.Spin(ctx, name, n, int(f.size), f.warmup, f.length, func(who, _ int) error {
		s := &all[who]
		return read(s.p, s.rng.IntN(leasedBytes-len(s.p)+1))
	})
	f.row(system, n, row)
	return err
}

// inProcess measures a program that has a node in it.
func (f *benchFlags) inProcess(ctx context.Context) error {
	n, end, err := nodeInside(ctx, "")
	if err != nil {
		return err
	}
	defer end()
	a, err := n.Heap().Malloc(ctx, leasedBytes)
	if err != nil {
		return err
	}
	defer f.renew(ctx, n.Heap(), a.Address)()
	for _, count := range []int{1, runtime.NumCPU()} {
		if err := f.spin(ctx, "in the node", "read, leased", count, func(p []byte, at int) error {
			return n.Heap().ReadAt(ctx, p, a.Address+message.Addr(at))
		}); err != nil {
			return err
		}
	}
	return nil
}

// nodeInside starts a cluster of one node in this process, with temporary files in a directory, which end removes.
func nodeInside(ctx context.Context, in string) (_ *node.Node, end func(), err error) {
	dir, err := os.MkdirTemp(in, "dmalloc-bench-")
	if err != nil {
		return nil, nil, err
	}
	var started *node.Node
	stop := func() {
		if started != nil {
			started.Close()
		}
		_ = os.RemoveAll(dir)
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	pages, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		_ = listener.Close()
		return nil, nil, err
	}
	s := message.Settings{Version: cluster.DataVersion, Nodes: 1, Replicas: 1, RegisterReplicas: 1, Memory: cluster.DefaultMemory, Acks: cluster.DefaultAcks,
		Tick: cluster.DefaultTick, Election: cluster.DefaultElection, Heartbeat: cluster.DefaultHeartbeat, LogShards: cluster.DefaultLogShards,
		Executors: cluster.DefaultExecutors, Cluster: "00000000000000b1"}
	s.Companies = ring.Companies(s.Nodes, s.Memory)
	if started, err = node.Start(node.Config{Settings: s, Hosts: []string{"localhost"}, Dir: filepath.Join(dir, "0"), Listener: listener, HTTP: pages,
		Version: version(), Log: slog.New(slog.DiscardHandler)}); err != nil {
		return nil, nil, err
	}
	if err := started.Ready(ctx); err != nil {
		return nil, nil, err
	}
	return started, stop, nil
}

// renew takes a lease and takes it again before it ends, until the function that it returns is called.
func (f *benchFlags) renew(ctx context.Context, h *client.Heap, a message.Addr) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	take := func() {
		if _, err := h.Lease(ctx, a, "r", message.MaxLease*time.Millisecond); err != nil && ctx.Err() == nil {
			fmt.Fprintf(os.Stderr, "dmalloc: no lease: %v\n", err)
		}
	}
	take()
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(renewEvery):
				take()
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

// overConnections measures clients of the cluster, with and without a lease of their node.
func (f *benchFlags) overConnections(ctx context.Context, t *target) error {
	a, err := t.heap.Malloc(ctx, leasedBytes)
	if err != nil {
		return err
	}
	defer func() { _ = t.heap.Free(context.WithoutCancel(ctx), a.Address) }()
	measure := func(name string) error {
		for _, clients := range f.clients {
			took, err := bench.Spin(ctx, name, clients, int(f.size), f.warmup, f.length, func(who, turn int) error {
				p := make([]byte, f.size)
				return t.heaps[who%len(t.heaps)].ReadAt(ctx, p, a.Address+message.Addr((turn*7919+who*104729)%(leasedBytes-len(p)+1)))
			})
			f.row("dmalloc", clients, took)
			if err != nil {
				fmt.Fprintf(os.Stderr, "dmalloc: the first of the errors: %v\n", err)
			}
		}
		return ctx.Err()
	}
	if err := measure("read, linearizable by a quorum"); err != nil {
		return err
	}
	for _, c := range t.conns {
		defer f.renew(ctx, c.Heap, a.Address)()
	}
	if err := measure("read, leased, over a connection"); err != nil {
		return err
	}
	if f.up.certs != "" {
		return nil
	}
	nodes, err := t.heap.Nodes(ctx)
	if err != nil {
		return err
	}
	url := ""
	for _, n := range nodes {
		if n.Address == f.address {
			url = "http://" + n.HTTP + "/v1/memory/" + a.Address.String() + fmt.Sprintf("?size=%d", uint64(f.size))
		}
	}
	if url == "" {
		return nil
	}
	web := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	defer web.CloseIdleConnections()
	clients := min(64, f.clients[len(f.clients)-1])
	row, err := bench.Spin(ctx, "read, leased, over HTTP", clients, int(f.size), f.warmup, f.length, func(int, int) error {
		got, err := web.Get(url)
		if err != nil {
			return err
		}
		defer got.Body.Close()
		if n, err := io.Copy(io.Discard, got.Body); err != nil || got.StatusCode != http.StatusOK || n != int64(f.size) {
			return fmt.Errorf("%s, %d bytes: %w", got.Status, n, err)
		}
		return nil
	})
	f.row("dmalloc", clients, row)
	return err
}

// revoking measures writes that nobody's lease meets, and those that four readers have to make room for.
func (f *benchFlags) revoking(ctx context.Context, t *target) error {
	nodes, err := t.heap.Nodes(ctx)
	if err != nil {
		return err
	}
	var others []*client.Heap
	own, err := f.options()
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if n.Address == f.address || n.State != "alive" || len(others) == readers {
			continue
		}
		c, err := client.DialWith(ctx, n.Address, own)
		if err != nil {
			return err
		}
		defer c.Close()
		others = append(others, c.Heap)
	}
	a, err := t.heap.Malloc(ctx, message.PageSize)
	if err != nil {
		return err
	}
	defer func() { _ = t.heap.Free(context.WithoutCancel(ctx), a.Address) }()
	p := make([]byte, min(uint64(f.size), message.PageSize))
	for _, holders := range [][]*client.Heap{nil, others[:min(1, len(others))], others} {
		var took []time.Duration
		var sum time.Duration // of the writes alone
		for range 10 * f.rounds {
			for _, h := range holders {
				if _, err := h.Lease(ctx, a.Address, "r", 0); err != nil {
					return err
				}
				if err := h.ReadAt(ctx, make([]byte, len(p)), a.Address); err != nil {
					return err
				}
			}
			start := time.Now()
			if _, err := t.heap.WriteAt(ctx, p, a.Address); err != nil {
				return err
			}
			took = append(took, time.Since(start))
			sum += took[len(took)-1]
		}
		f.row("dmalloc", 1, bench.Sum(fmt.Sprintf("write that %d readers make room for", len(holders)), took, 0, len(took)*len(p), sum))
	}
	return nil
}
