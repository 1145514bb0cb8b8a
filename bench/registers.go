package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"dmalloc/message"
)

// register draws one of those that the measurement is about.
func (w *worker) register() uint64 { return FirstRegister + uint64(w.rng.IntN(w.cfg.Blocks)) }

// fillRegisters writes what is read later.
func fillRegisters(ctx context.Context, cfg Config) error {
	value := make([]byte, cfg.Size)
	var wg sync.WaitGroup
	failures := make([]error, min(cfg.Clients, cfg.Blocks))
	for c := range failures {
		wg.Go(func() {
			for i := c; i < cfg.Blocks && failures[c] == nil; i += len(failures) {
				_, failures[c] = cfg.Heaps[c%len(cfg.Heaps)].WriteRegister(ctx, FirstRegister+uint64(i), value)
			}
		})
	}
	wg.Wait()
	for _, err := range failures {
		if err != nil {
			return fmt.Errorf("write the registers that are read: %w", err)
		}
	}
	return nil
}

// Breaker takes a node away from a client for a while, and gives it back.
type Breaker struct {
	Name  string
	Break func(ctx context.Context, id message.NodeID) error
	Mend  func(ctx context.Context, id message.NodeID) error
}

// Lost measures what a client loses when a replica goes: one client reads and writes a register without
// a pause, the node goes and comes back, rounds times, and each round gives the longest operation.
func Lost(ctx context.Context, h Heap, address uint64, replicas []message.NodeID, b Breaker, rounds int, away time.Duration) (Row, error) {
	var worst []time.Duration
	begin := time.Now()
	for i := range rounds {
		node := replicas[i%len(replicas)]
		if err := b.Break(ctx, node); err != nil {
			return Row{}, fmt.Errorf("%s node %s: %w", b.Name, node, err)
		}
		longest := time.Duration(0)
		for end, n := time.Now().Add(away), 0; time.Now().Before(end); n++ {
			want := fmt.Sprintf("round %d write %d", i, n)
			start := time.Now()
			if _, err := h.WriteRegister(ctx, address, []byte(want)); err != nil {
				return Row{}, fmt.Errorf("write while node %s is away: %w", node, err)
			}
			wrote := time.Now()
			got, err := h.ReadRegister(ctx, address)
			if err != nil || string(got.Value) != want {
				return Row{}, fmt.Errorf("read %q (%v) while node %s is away; %q was written", got.Value, err, node, want)
			}
			longest = max(longest, wrote.Sub(start), time.Since(wrote))
		}
		worst = append(worst, longest)
		if err := b.Mend(ctx, node); err != nil {
			return Row{}, fmt.Errorf("bring node %s back: %w", node, err)
		}
	}
	return Sum("longest operation of a client when a replica is "+b.Name, worst, 0, 0, time.Since(begin)), nil
}
