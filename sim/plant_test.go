package sim

import "testing"

// hunt is where a planted bug is looked for: with these classes of faults and no others, or, where none are named,
// with those that each seed chooses. seeds is how many are tried: five times as many as it takes, or more.
type hunt struct {
	faults Faults
	seeds  uint64
}

var hunts = map[bug]hunt{
	noWriteBack:      {Loss | Tail | SlowSync | Death, 600},
	termOnce:         {Leases | Proposals | Elections, 300},
	skipFence:        {Members | Loss | Tail | Crash, 300},
	removedCounts:    {Join | Leave | Replace | Crash | Near | Cut, 600},
	deposedExpires:   {Leases | Deposed | Elections | Loss | Lag, 600},
	olderToken:       {Leases | Back | Pause | Twice, 600},
	outlives:         {Leases | Pause | Drift, 600},
	hastyLeader:      {Leases | Deposed | Elections | Loss | Lag, 300},
	noLook:           {Leases | Pause, 600},
	flushAfterRevoke: {Leases | Back | Tail | Loss | Pause, 300},
	readUnderWrite:   {Leases | Tail, 1000},
	eagerSync:        {Leases | Back, 600},
	unfencedFlush:    {Leases | Back | Pause | Twice, 1000},
	revokeDrops:      {Leases | Back, 300},
}

// find looks for a history that a planted bug breaks, and that without it is sound.
func find(b bug) (Result, bool) {
	h, ok := hunts[b]
	if !ok {
		h.seeds = 600
	}
	for seed := range h.seeds {
		c := Config{Seed: seed, planted: b}
		if h.faults != 0 {
			c.with, c.Without = h.faults, allFaults&^h.faults
		}
		if r := play(c); r.Failed() {
			c.planted = noBug
			return r, !play(c).Failed()
		}
	}
	return Result{}, false
}

// Each bug that is planted in what stands around the core is found by some seed.
func TestPlantedBugsAreFound(t *testing.T) {
	for b := noBug + 1; b < bugEnd; b++ {
		t.Run(b.String(), func(t *testing.T) {
			r, ok := find(b)
			if !ok {
				t.Fatal("no seed finds it")
			}
			t.Logf("seed %d: %s", r.Config.Seed, r.Err.Text)
		})
	}
}
