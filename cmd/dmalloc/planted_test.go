//go:build planted

package main

import (
	"fmt"
	"slices"
	"testing"

	"dmalloc/drill"
)

// plant is a bug of the planted build, and a drill in which it shows.
type plant struct {
	bug     string
	cluster string // options of up
	before  string // commands
	options string // of drill
}

// A drill of real processes is a search by chance. So each of these asks for what the bug needs many times over:
// clients at work in each of several moments in which it matters. The bugs that a drill need not show are
// found by tests of their rooms, which leave nothing to chance: register, company, transport, quorum and sim. A sync that
// answers early and a flush that is not fenced show in sim at once, and in drills by luck.
func plants() []plant {
	const cuts = "--replay cuts.txt --clients 24 --leases off"
	return []plant{
		// A leader that is cut off goes on acknowledging until it notices. None of it is ever done.
		{"early-ack", "-n 3", "", cuts},
		// A leader that is cut off does not see what its successor writes, and goes on answering who has not noticed.
		{"stale-read", "-n 3", "", cuts},
		// What is written is on the fast disk long before it is on another: who reads there sees it, and who reads from
		// the other two afterwards does not. Heap writes wait for the slow disks, so it takes many clients.
		{"no-write-back", "-n 3", "", "--replay disks.txt --clients 64 --leases off"},
		// A frozen leader does not answer what its followers have; the client asks again.
		{"double-apply", "-n 3", "", "--replay pauses.txt --clients 12 --leases off"},
		// Whoever looks at what another has absorbed has it called back, and sees that it is gone.
		{"revoke-drops", "-n 4 --write-back", "", "--replay deaths.txt --clients 12"},
		// Whoever began before the move goes on with the nodes of before, and who comes later asks the others.
		{"no-fence", "-n 4 --register-replicas 2", "reg spread 0 1; ", "--replay spread.txt --clients 12 --leases off"},
	}
}

// tries is how many drills a bug may pass. Each finds it far more often than not.
const tries = 4

// broken says whether a drill has failed because a promise was broken, and not for what may happen on a machine that
// is too busy: a cluster that is not whole in time, a fault that could not be injected, or too little that was done.
func (v verdict) broken() bool {
	promises := []string{drill.NotLinear, drill.Lost, drill.Stale, drill.Invented, drill.Twice, drill.Overlap, drill.Reused, drill.Tagged}
	for _, f := range v.Findings {
		if slices.Contains(promises, f.Check) {
			return v.Verdict == drill.Fail
		}
	}
	return false
}

// Each planted bug fails its drill.
func TestPlantedBugsFail(t *testing.T) {
	for _, p := range plants() {
		t.Run(p.bug, func(t *testing.T) {
			for seed := 1; seed <= tries; seed++ {
				v, status := runDrill(t, binary, p.bug, p.cluster, p.before, fmt.Sprintf("--seed %d %s", seed, p.options))
				if v.broken() && status == exitFailed {
					t.Logf("found by drill %d", seed)
					return
				}
				t.Logf("drill %d of %d: %s, exit status %d, %v", seed, tries, v.Verdict, status, v.Findings)
			}
			t.Errorf("%d drills have not found it", tries)
		})
	}
	// The same drills of the same program without a bug break no promise, so that it is the bugs that are found.
	seen := map[string]bool{}
	for _, p := range plants() {
		if seen[p.options] {
			continue
		}
		seen[p.options] = true
		t.Run("none for "+p.bug, func(t *testing.T) {
			if v, _ := runDrill(t, binary, "", p.cluster, p.before, p.options); v.broken() {
				t.Errorf("%+v", v)
			}
		})
	}
}
