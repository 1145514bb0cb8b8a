package owner

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dmalloc/message"
)

const entryTakes = 3 * time.Millisecond

// crowd lets clients work on a queue whose entries take a while: each asks again when it was answered, after a pause.
// It returns how many entries there were, and how long all took, by the clock of a bubble.
func crowd(t *testing.T, clients, each int, pause func() time.Duration) (entries int, took time.Duration) {
	t.Helper()
	q := newGathering(new(atomic.Int64))
	taken := atomic.Int64{}
	var lanes, all sync.WaitGroup
	for range proposeLanes {
		lanes.Go(func() {
			for {
				batch := q.take(nil)
				if len(batch) == 0 {
					return
				}
				taken.Add(1)
				time.Sleep(entryTakes)
				for _, r := range batch {
					r.reply(nil)
				}
				q.done(len(batch), entryTakes)
			}
		})
	}
	begin := time.Now()
	for range clients {
		all.Go(func() {
			answered := make(chan struct{}, 1)
			for range each {
				if !q.put(request{m: message.New(message.WRITE), reply: func(*message.Message) { answered <- struct{}{} }}) {
					t.Error("refused")
				}
				<-answered
				time.Sleep(pause())
			}
		})
	}
	all.Wait()
	took = time.Since(begin)
	q.close()
	lanes.Wait()
	return int(taken.Load()), took
}

// Many clients that come back soon nearly all have their requests in the same entry.
func TestACrowdIsGathered(t *testing.T) {
	for _, clients := range []int{16, 85, 300} {
		synctest.Test(t, func(t *testing.T) {
			const each = 100
			entries, _ := crowd(t, clients, each, func() time.Duration { return time.Duration(rand.IntN(1000)) * time.Microsecond })
			if got := float64(clients*each) / float64(entries); got < 0.6*float64(clients) {
				t.Errorf("%d clients had %.1f requests an entry", clients, got)
			}
		})
	}
}

// Who comes alone, or with few others, waits for nobody; not much longer does one who stays when many have gone.
func TestFewAreNotHeldUp(t *testing.T) {
	at := func() time.Duration { return 0 }
	synctest.Test(t, func(t *testing.T) {
		if entries, took := crowd(t, 1, 50, at); entries != 50 || took != 50*entryTakes {
			t.Errorf("one client took %v and %d entries for 50 requests", took, entries)
		}
		if _, took := crowd(t, fewClients, 50, at); took > 100*entryTakes {
			t.Errorf("%d clients took %v for 50 requests each", fewClients, took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var late atomic.Int64
		_, took := crowd(t, 64, 101, func() time.Duration {
			if late.Add(1) > 6400 {
				return 0
			}
			return time.Duration(rand.IntN(1000)) * time.Microsecond
		})
		if most := 101 * 2 * (entryTakes + longestLag); took > most {
			t.Errorf("64 clients took %v for 101 requests each, more than %v", took, most)
		}
	})
}

// Requests at random moments, by many who do not wait for answers, wait for an entry and the lag at most.
func TestStrangersWaitForALag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newGathering(new(atomic.Int64))
		var lanes sync.WaitGroup
		for range proposeLanes {
			lanes.Go(func() {
				for batch := q.take(nil); len(batch) > 0; batch = q.take(nil) {
					time.Sleep(entryTakes)
					for _, r := range batch {
						r.reply(nil)
					}
					q.done(len(batch), entryTakes)
				}
			})
		}
		var longest, n atomic.Int64
		for range 5000 {
			begin := time.Now()
			q.put(request{m: message.New(message.WRITE), reply: func(*message.Message) {
				n.Add(1)
				if w := int64(time.Since(begin)); w > longest.Load() {
					longest.Store(w)
				}
			}})
			time.Sleep(time.Duration(rand.IntN(500)) * time.Microsecond)
		}
		time.Sleep(time.Second)
		q.close()
		lanes.Wait()
		if most := 2*entryTakes + longestLag; n.Load() != 5000 || time.Duration(longest.Load()) > most {
			t.Errorf("%d were answered, the last after %v; none may wait for longer than %v", n.Load(), time.Duration(longest.Load()), most)
		}
	})
}

// Long writes are not held back: they follow each other through the log.
func TestLongWritesAreNotGathered(t *testing.T) {
	g := gather{crowd: 64}
	for _, c := range []struct {
		waiting, bytes, under int
		rested, want          bool
	}{
		{40, 40 << 10, 24, true, false}, {48, 48 << 10, 16, false, true}, {40, 40 << 10, 0, false, false}, {1, 1 << 10, 0, true, true},
		{32, longWrites, 32, false, true}, {8, longWrites, 0, false, true}, {8, longWrites, 9, false, false}, {0, 0, 0, true, false},
	} {
		if got := g.due(c.waiting, c.bytes, c.under, c.rested); got != c.want {
			t.Errorf("%s: %v", fmt.Sprintf("%d requests of %d bytes, %d under way, rested %v", c.waiting, c.bytes, c.under, c.rested), got)
		}
	}
}

// Each entry that leaves nothing under way has those who were answered waited for anew.
func TestEachEntryIsFollowedByARest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newGathering(new(atomic.Int64))
		defer q.close()
		put := func(n int) {
			for range n {
				q.put(request{m: message.New(message.WRITE)})
			}
		}
		due := func() bool {
			q.mu.Lock()
			defer q.mu.Unlock()
			return q.due()
		}
		put(2 * fewClients)
		for entry := range 3 {
			q.done(len(q.take(nil)), entryTakes)
			put(1)
			if due() {
				t.Errorf("entry %d: one of %d who were answered is back, and not waited with for the others", entry, q.gather.crowd)
			}
			time.Sleep(longestLag + 1)
			synctest.Wait()
			if !due() {
				t.Errorf("entry %d: the others had their time, and are still waited for", entry)
			}
		}
	})
}
