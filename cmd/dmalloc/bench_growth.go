package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/bench"
	"dmalloc/message"
)

const (
	growthPiece = 4 << 20                 // bytes of each allocation that is moved
	settledFor  = 1500 * time.Millisecond // without a change of owners: it is over
	growthLimit = 10 * time.Minute        // for each phase
)

// runGrowth lets a cluster grow, shrink and heal: first with nobody using it, to count what is moved, then under load,
// to see what its users notice.
func (f *benchFlags) runGrowth(ctx context.Context, t *target, _ bench.Mix) error {
	if t.cluster == nil {
		return message.Errorf(message.Unsupported, "growth adds, removes and kills nodes; let bench start the cluster")
	}
	l := t.cluster.launcher
	var data []message.Addr
	bytes := make([]byte, growthPiece)
	rng := rand.NewChaCha8([32]byte{1})
	for at := uint64(0); at < uint64(f.transfer); at += growthPiece {
		a, err := t.heap.Malloc(ctx, growthPiece)
		if err != nil {
			return fmt.Errorf("allocate what is moved: %w", err)
		}
		_, _ = rng.Read(bytes)
		if _, err := t.heap.WriteAt(ctx, bytes, a.Address); err != nil {
			return err
		}
		data = append(data, a.Address)
	}
	w := &growthWatch{f: f, t: t, data: data}
	if f.output != "json" {
		fmt.Printf("# %s in allocations of %s, %d owners each\n", message.FormatSize(uint64(len(data))*growthPiece), message.FormatSize(growthPiece), l.Settings().Replicas)
	}
	if err := w.settle(ctx, time.Time{}); err != nil {
		return err
	}
	if err := w.moved(ctx); err != nil {
		return err
	}
	clients := f.clients[0]
	if f.output != "json" {
		fmt.Printf("%-28s %8s %10s %10s %8s %12s %12s\n", "under load", "clients", "seconds", "operations", "errors", "p50 us", "longest ms")
	}
	var id message.NodeID
	for _, phase := range []struct {
		name string
		do   func() error
	}{
		{"nothing", func() error { time.Sleep(5 * time.Second); return nil }},
		{"node add", func() error { n, err := l.AddNode(ctx, "", nil); id = n.ID; return err }},
		{"node remove", func() error { _, err := l.RemoveNode(ctx, id, nil); return err }},
		{"kill and replace", func() error { return l.Kill(ctx, message.NodeID(f.up.nodes-1)) }},
	} {
		if err := w.loaded(ctx, phase.name, clients, phase.do); err != nil {
			return fmt.Errorf("%s: %w", phase.name, err)
		}
	}
	return nil
}

// growthWatch looks on while nodes come and go.
type growthWatch struct {
	f    *benchFlags
	t    *target
	data []message.Addr
}

// received is how many bytes all nodes have got from others.
func (w *growthWatch) received(ctx context.Context) (sum uint64, err error) {
	all, err := w.t.heap.Stats(ctx)
	for _, n := range all {
		for _, c := range n.Counters {
			if c.Name == "transport_bytes_in" {
				sum += c.Value
			}
		}
	}
	return sum, err
}

// settle waits until every company has all its owners and none moves, and says how long that was after since.
func (w *growthWatch) settle(ctx context.Context, since time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, growthLimit)
	defer cancel()
	quiet := time.Now()
	for last := ""; time.Since(quiet) < settledFor; time.Sleep(20 * time.Millisecond) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("companies still change: %w", err)
		}
		now, whole := "", true
		all, err := w.t.heap.Companies(ctx)
		for _, c := range all {
			now += fmt.Sprint(c.ID, c.Owners, len(c.Moves), c.Missing, ";")
			whole = whole && len(c.Moves) == 0 && c.Missing == 0
		}
		if err != nil || !whole || now != last {
			last, quiet = now, time.Now()
		}
	}
	if !since.IsZero() && w.f.output != "json" {
		fmt.Printf("  every company is whole and nothing moves after %.2f s\n", quiet.Sub(since).Seconds())
	}
	return nil
}

// moved adds a node with nobody using the heap, and counts the bytes.
func (w *growthWatch) moved(ctx context.Context) error {
	const look = 3 * time.Second
	idle, err := w.received(ctx)
	if err != nil {
		return err
	}
	time.Sleep(look)
	before, err := w.received(ctx)
	if err != nil {
		return err
	}
	usual := float64(before-idle) / look.Seconds()
	start := time.Now()
	if _, err := w.t.cluster.launcher.AddNode(ctx, "", nil); err != nil {
		return err
	}
	if err := w.settle(ctx, start); err != nil {
		return err
	}
	after, err := w.received(ctx)
	if err != nil {
		return err
	}
	s := w.t.cluster.launcher.Settings()
	copies := uint64(len(w.data)) * growthPiece * uint64(s.Replicas)
	least := float64(copies) / float64(w.f.up.nodes+1) // an even share
	moved := float64(after-before) - usual*time.Since(start).Seconds()
	row := map[string]any{"operation": "node add, idle", "seconds": time.Since(start).Seconds() - settledFor.Seconds(), "bytes": moved, "share": least, "ratio": moved / least}
	if w.f.output == "json" {
		return json.NewEncoder(os.Stdout).Encode(row)
	}
	fmt.Printf("  node add, nobody using it: %.0f MiB were sent, an even share of the new node is %.0f MiB: %.2f times\n", moved/(1<<20), least/(1<<20), moved/least)
	return nil
}

// loaded has clients write and read while something is done and until all is settled, and says what they noticed.
func (w *growthWatch) loaded(ctx context.Context, name string, clients int, do func() error) error {
	load, stop := context.WithCancel(ctx)
	defer stop()
	var (
		all    sync.WaitGroup
		mu     sync.Mutex
		took   []time.Duration
		failed atomic.Int64
	)
	for i := range clients {
		all.Go(func() {
			h, rng, p := w.t.heaps[i%len(w.t.heaps)], rand.New(rand.NewPCG(uint64(i), 2)), make([]byte, w.f.size)
			var own []time.Duration
			for load.Err() == nil {
				a := w.data[rng.IntN(len(w.data))] + message.Addr(rng.IntN(growthPiece-len(p)))
				begin := time.Now()
				var err error
				if rng.IntN(2) == 0 {
					_, err = h.WriteAt(load, p, a)
				} else {
					err = h.ReadAt(load, p, a)
				}
				if load.Err() != nil {
					break
				}
				if err != nil {
					failed.Add(1)
					fmt.Fprintf(os.Stderr, "dmalloc: during %s: %v\n", name, err)
				}
				own = append(own, time.Since(begin))
			}
			mu.Lock()
			took = append(took, own...)
			mu.Unlock()
		})
	}
	time.Sleep(w.f.warmup)
	begin := time.Now()
	err := do()
	if err == nil {
		err = w.settle(ctx, begin)
	}
	seconds := time.Since(begin).Seconds()
	stop()
	all.Wait()
	if err != nil {
		return err
	}
	r := bench.Sum(name, took, int(failed.Load()), 0, time.Since(begin))
	if w.f.output == "json" {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"operation": name, "clients": clients, "seconds": seconds - settledFor.Seconds(), "count": r.Count, "errors": r.Errors, "p50_us": r.P50, "max_us": r.Max})
	}
	fmt.Printf("%-28s %8d %10.2f %10d %8d %12.0f %12.1f\n", name, clients, seconds-settledFor.Seconds(), r.Count, r.Errors, r.P50, r.Max/1e3)
	return nil
}
