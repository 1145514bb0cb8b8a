package drill

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// back is how long after a moment each group that was tried then took until a call succeeded: since the moment, or since
// somebody tried. A group in which nothing succeeded any more has the time until its last call, and is in never.
func back(tries []try, since int64) (took map[string]time.Duration, never []string) {
	type group struct{ begin, ok, last int64 }
	groups := map[string]*group{}
	for _, t := range tries {
		if t.end <= since {
			continue
		}
		g := groups[t.group]
		if g == nil {
			g = &group{begin: Forever, ok: Forever}
			groups[t.group] = g
		}
		g.begin, g.last = min(g.begin, max(t.call, since)), max(g.last, t.end)
		if t.ok {
			g.ok = min(g.ok, t.end)
		}
	}
	took = map[string]time.Duration{}
	for name, g := range groups {
		// What was tried only after a success does not make the success late.
		took[name] = time.Duration(max(0, min(g.ok, g.last)-g.begin))
		if g.ok == Forever {
			never = append(never, name)
		}
	}
	slices.Sort(never)
	return took, never
}

// used waits until the clients have allocated and used registers after the heal, and names what they could not
// use in time.
func (r *Recorder) used(ctx context.Context, limit time.Duration) (missing string) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		missing = ""
		for _, g := range []string{groupMalloc, groupRegisters} {
			if _, some := r.seen.Load(g); !some {
				missing = g
			}
		}
		if missing == "" || !wait(ctx, lookAgain) {
			return missing
		}
	}
}

// slowToReturn finds what did not work again in time after everything was healed.
func (h *History) slowToReturn(limit time.Duration) []Finding {
	var out []Finding
	for _, name := range slices.Sorted(maps.Keys(h.Back)) {
		switch took := h.Back[name].Round(time.Millisecond); {
		case took > limit && slices.Contains(h.Never, name):
			out = append(out, Finding{Check: Stuck, Text: fmt.Sprintf("%s: no call succeeded after everything was healed; the last one ended after %v", name, took)})
		case took > limit:
			out = append(out, Finding{Check: Stuck, Text: fmt.Sprintf("%s: the first call succeeded %v after everything was healed; %v are allowed", name, took, limit)})
		}
	}
	return out
}

// slowest is the group that took longest to be back.
func (h *History) slowest() (name string, took time.Duration) {
	for _, n := range slices.Sorted(maps.Keys(h.Back)) {
		if slices.Contains(h.Never, n) {
			continue // somebody gave up soon, which tells little
		}
		if d := h.Back[n]; name == "" || d > took {
			name, took = n, d
		}
	}
	return name, took
}
