package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"dmalloc/bench"
	"dmalloc/message"
)

// runRegisters measures registers beside the heap, in one run: each number of clients does the same with
// both before the next number comes.
func (f *benchFlags) runRegisters(ctx context.Context, t *target, _ bench.Mix) error {
	sizes := []size{16, 4096}
	if f.sizeGiven {
		sizes = []size{f.size}
	}
	for _, s := range sizes {
		f.size = s
		f.head()
		for _, clients := range f.clients {
			for _, what := range []struct{ system, kind string }{
				{"quorum", "regwrite"}, {"raft", "write"}, {"quorum", "regread"}, {"raft", "read"},
			} {
				heaps := t.heaps
				if clients == 1 {
					heaps = heaps[:1]
				}
				r, err := bench.Run(ctx, bench.Config{Mix: bench.Mix{what.kind: 1}, Size: uint64(s), Clients: clients, Warmup: f.warmup, Length: f.length, Heaps: heaps})
				if err != nil {
					return err
				}
				for _, row := range r.Rows {
					f.row(what.system, clients, row)
				}
				if r.Error != "" {
					fmt.Fprintf(os.Stderr, "dmalloc: the first of the errors: %s\n", r.Error)
				}
			}
		}
	}
	if err := f.share(ctx, t); err != nil {
		return err
	}
	return f.lost(ctx, t)
}

// share says how many of the reads took one round.
func (f *benchFlags) share(ctx context.Context, t *target) error {
	one, two := 0.0, 0.0
	for _, c := range t.conns { // each reports the reads of its own
		if _, err := c.Stats(ctx); err != nil {
			return err
		}
	}
	nodes, err := t.heap.Stats(ctx)
	for _, n := range nodes {
		for _, c := range n.Counters {
			switch c.Name {
			case "register_reads_one_round":
				one += float64(c.Value)
			case "register_reads_two_rounds":
				two += float64(c.Value)
			}
		}
	}
	if one+two > 0 {
		fmt.Fprintf(os.Stderr, "%.2f %% of %.0f reads of registers took one round\n", 100*one/(one+two), one+two)
	}
	return err
}

// lost measures the pause of a client whose register loses a replica.
func (f *benchFlags) lost(ctx context.Context, t *target) error {
	if t.control == nil || f.rounds == 0 {
		return nil
	}
	place, err := t.heap.RegisterPlace(ctx, bench.FirstRegister)
	if err != nil {
		return err
	}
	for _, b := range []bench.Breaker{
		{Name: "killed", Break: t.control.Kill, Mend: func(ctx context.Context, id message.NodeID) error {
			return t.control.Revive(ctx, id, false, func(string) {})
		}},
		{Name: "paused", Break: t.control.Pause, Mend: t.control.Resume},
	} {
		row, err := bench.Lost(ctx, t.heap, bench.FirstRegister, place.Nodes, b, f.rounds, 2*time.Second)
		if err != nil {
			return err
		}
		f.row("quorum", 1, row)
	}
	return nil
}
