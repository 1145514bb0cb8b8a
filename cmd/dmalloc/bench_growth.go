package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/bench"
	"dmalloc/client"
	"dmalloc/message"
)

const (
	growthPiece = 4 << 20                 // bytes of each allocation that is moved
	settledFor  = 1500 * time.Millisecond // without a change of owners: it is over
	growthLimit = 10 * time.Minute        // for each phase
	settledSeen = 20                      // looks at least at which nothing changed: the machine may have been asleep
	growthStall = 300 * time.Millisecond  // longer ones are counted
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
		fmt.Printf("%-28s %8s %10s %10s %8s %12s %12s %12s\n", "under load", "clients", "seconds", "operations", "errors", "p50 us", "longest ms", "over 300 ms")
	}
	var id message.NodeID
	for _, phase := range []struct {
		name string
		do   func() error
	}{
		{"node add", func() error { n, err := l.AddNode(ctx, "", nil); id = n.ID; return err }},
		{"node remove", func() error { _, err := l.RemoveNode(ctx, id, nil); return err }},
		{"kill and replace", func() error { return l.Kill(ctx, message.NodeID(f.up.nodes-1)) }},
	} {
		took, err := w.loaded(ctx, phase.name, clients, phase.do)
		if err == nil { // what the same clients see on this machine now, for as long
			_, err = w.loaded(ctx, "nothing", clients, func() error { return pause(ctx, took) })
		}
		if err != nil {
			return fmt.Errorf("%s: %w", phase.name, err)
		}
	}
	return nil
}

// pause waits, or ends with ctx.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// growthWatch looks on while nodes come and go.
type growthWatch struct {
	f    *benchFlags
	t    *target
	data []message.Addr
}

// The counters that say what was sent: all that nodes have got from others, and what Raft sent of it, by kind.
const (
	gotBytes      = "transport_bytes_in"
	logBytes      = "raft_log_bytes_out"
	againBytes    = "raft_log_again_bytes_out"
	snapshotBytes = "raft_snapshot_bytes_out"
)

// counters are those of all nodes together.
func (w *growthWatch) counters(ctx context.Context) (map[string]float64, error) {
	all, err := w.t.heap.Stats(ctx)
	sum := map[string]float64{}
	for _, n := range all {
		for _, c := range n.Counters {
			sum[c.Name] += float64(c.Value)
		}
	}
	return sum, err
}

// held is what each node's replicas of each company hold.
func (w *growthWatch) held(ctx context.Context) (map[message.CompanyID]client.Company, error) {
	all, err := w.t.heap.Companies(ctx)
	held := map[message.CompanyID]client.Company{}
	for _, c := range all {
		held[c.ID] = c
	}
	return held, err
}

// settle waits until every company has all its owners and none moves, and says how long that was after since.
func (w *growthWatch) settle(ctx context.Context, since time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, growthLimit)
	defer cancel()
	quiet := time.Now()
	seen := 0 // looks since then
	for last := ""; time.Since(quiet) < settledFor || seen < settledSeen; time.Sleep(20 * time.Millisecond) {
		seen++
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
			last, quiet, seen = now, time.Now(), 0
		}
	}
	if !since.IsZero() && w.f.output != "json" {
		fmt.Printf("  every company is whole and nothing moves after %.2f s\n", quiet.Sub(since).Seconds())
	}
	return nil
}

// moved adds a node with nobody using the heap, and counts the bytes. The least that can be sent is what the replicas
// hold that came to other nodes; the fair share is what the new node would hold if bytes, not replicas, were dealt out.
func (w *growthWatch) moved(ctx context.Context) error {
	const look = 3 * time.Second
	idle, err := w.counters(ctx)
	if err != nil {
		return err
	}
	if err := pause(ctx, look); err != nil {
		return err
	}
	before, err := w.counters(ctx)
	if err != nil {
		return err
	}
	owned, err := w.held(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	if _, err := w.t.cluster.launcher.AddNode(ctx, "", nil); err != nil {
		return err
	}
	if err := w.settle(ctx, start); err != nil {
		return err
	}
	after, err := w.counters(ctx)
	if err != nil {
		return err
	}
	seconds := time.Since(start).Seconds()
	owns, err := w.held(ctx)
	if err != nil {
		return err
	}
	sent := func(name string) float64 { // beyond what goes on all the time
		usual := (before[name] - idle[name]) / look.Seconds()
		return max(0, after[name]-before[name]-usual*seconds)
	}
	replicas, least := 0, 0.0
	for id, c := range owns {
		for _, n := range c.Owners {
			if old, was := owned[id]; was && id != 0 && !slices.Contains(old.Owners, n) {
				replicas++
				least += float64(c.Used)
			}
		}
	}
	s := w.t.cluster.launcher.Settings()
	share := float64(len(w.data)) * growthPiece * float64(s.Replicas) / float64(w.f.up.nodes+1)
	got, log, again, snapshots := sent(gotBytes), sent(logBytes), sent(againBytes), sent(snapshotBytes)
	row := map[string]any{"operation": "node add, idle", "seconds": seconds - settledFor.Seconds(), "bytes": got, "log": log, "log_again": again,
		"snapshots": snapshots, "replicas": replicas, "least": least, "share": share, "ratio": times(got, least), "ratio_of_share": times(got, share)}
	if w.f.output == "json" {
		return json.NewEncoder(os.Stdout).Encode(row)
	}
	const mib = 1 << 20
	fmt.Printf("  node add, nobody using it: %.0f MiB were sent: snapshots %.0f, entries %.0f (again %.0f), all else %.1f\n", got/mib, snapshots/mib, log/mib, again/mib, (got-snapshots-log)/mib)
	fmt.Printf("  the %d replicas that moved hold %.0f MiB, the least that can be sent: %.2f times; an even share of the new node is %.0f MiB: %.2f times\n",
		replicas, least/mib, got/least, share/mib, got/share)
	return nil
}

// times is how many times something another is; nil of nothing, which JSON has no number for. Replicas that hold nothing
// may be all that move.
func times(something, of float64) any {
	if of <= 0 {
		return nil
	}
	return something / of
}

// loaded has clients write and read while something is done and until all is settled, and says what they noticed. It
// returns how long the something took.
func (w *growthWatch) loaded(ctx context.Context, name string, clients int, do func() error) (time.Duration, error) {
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
	busy := time.Since(begin) - settledFor
	stop()
	all.Wait()
	if err != nil {
		return 0, err
	}
	stalls := 0
	for _, d := range took {
		if d > growthStall {
			stalls++
		}
	}
	r := bench.Sum(name, took, int(failed.Load()), 0, time.Since(begin))
	if w.f.output == "json" {
		return busy, json.NewEncoder(os.Stdout).Encode(map[string]any{"operation": name, "clients": clients, "seconds": busy.Seconds(), "count": r.Count, "errors": r.Errors, "p50_us": r.P50, "max_us": r.Max, "over_300_ms": stalls})
	}
	fmt.Printf("%-28s %8d %10.2f %10d %8d %12.0f %12.1f %12d\n", name, clients, busy.Seconds(), r.Count, r.Errors, r.P50, r.Max/1e3, stalls)
	return busy, nil
}
