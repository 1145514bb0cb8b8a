package sim

import (
	"context"
	"sync"
)

// Totals are of many histories.
type Totals struct {
	Histories  int
	Operations int
	Unknown    int
	Events     int
	Deeds      Deeds
	Hash       uint64  // of all traces, in whatever order they were played
	Failed     *Result // the failure with the smallest seed among those played, shrunk; nil if all pass
}

// Many plays n histories from a seed on, on so many goroutines, which it waits for. It ends at the first
// failure, and at the context's end with its error. progress, if there is one, is told the totals so far,
// now and then and one call at a time.
func Many(ctx context.Context, from, n uint64, workers int, progress func(Totals)) (Totals, error) {
	return many(ctx, Config{}, from, n, workers, progress)
}

const progressEvery = 256 // histories

func many(ctx context.Context, base Config, from, n uint64, workers int, progress func(Totals)) (Totals, error) {
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		total Totals
		next  uint64 // how many were begun
	)
	take := func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		if next >= n || total.Failed != nil || ctx.Err() != nil {
			return 0, false
		}
		next++
		return from + next - 1, true
	}
	for range max(workers, 1) {
		wg.Go(func() {
			for {
				seed, ok := take()
				if !ok {
					return
				}
				c := base
				c.Seed = seed
				r := play(c)
				mu.Lock()
				total.add(r)
				if progress != nil && total.Histories%progressEvery == 0 {
					progress(total)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if total.Failed != nil {
		shrunk := Shrink(ctx, total.Failed.Config)
		total.Failed = &shrunk
	}
	return total, context.Cause(ctx)
}

func (t *Totals) add(r Result) {
	t.Histories++
	t.Operations += r.Operations
	t.Unknown += r.Unknown
	t.Events += r.Events
	t.Hash ^= r.Hash
	for i, n := range r.Deeds {
		t.Deeds[i] += n
	}
	if r.Failed() && (t.Failed == nil || r.Config.Seed < t.Failed.Config.Seed) {
		t.Failed = &r
	}
}
