package bench

import (
	"context"
	"sync"
	"time"
)

// together is how many operations are timed at once where one takes less than looking at the clock.
const together = 64

// Spin has so many goroutines call f again and again, for operations that are too quick to be timed one by one. f is
// told who calls and for which time. A row's latencies are means of many calls.
func Spin(ctx context.Context, name string, goroutines, size int, warmup, length time.Duration, f func(who, turn int) error) (Row, error) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex // guards what follows
		all   []time.Duration
		first error
	)
	count, errors := 0, 0
	begin := time.Now().Add(warmup)
	end := begin.Add(length)
	for who := range goroutines {
		wg.Go(func() {
			var took []time.Duration
			var err error
			done, bad := 0, 0
			for turn := 0; ctx.Err() == nil; {
				start := time.Now()
				if !start.Before(end) {
					break
				}
				failed := 0
				for range together {
					if e := f(who, turn); e != nil {
						failed, err = failed+1, e
					}
					turn++
				}
				if start.Before(begin) {
					continue
				}
				done, bad = done+together-failed, bad+failed
				if len(took) < 1<<20 {
					took = append(took, time.Since(start)/together)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all, count, errors = append(all, took...), count+done, errors+bad
			if first == nil {
				first = err
			}
		})
	}
	wg.Wait()
	r := Sum(name, all, errors, count*size, length)
	r.Count, r.PerSecond = count, float64(count)/length.Seconds()
	return r, first
}
