package sim

import (
	"context"
	"flag"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

var (
	histories = flag.Uint64("sim.n", 2000, "how many histories to play")
	fromSeed  = flag.Uint64("sim.from", 0, "the first seed")
	oneSeed   = flag.Int64("sim.seed", -1, "tell the story of this seed; the flags that follow are for it")
	salt      = flag.Uint64("sim.salt", 0, "other dice")
	clients   = flag.Int("sim.clients", 0, "how many clients")
	ops       = flag.Int("sim.ops", 0, "how many operations each")
	without   = flag.String("sim.without", "", "classes of faults to leave out")
)

// Histories make much garbage and keep nothing: collecting it less often makes them half as fast again.
func TestMain(m *testing.M) {
	debug.SetGCPercent(800)
	os.Exit(m.Run())
}

// Every history passes, whatever its seed.
func TestHistories(t *testing.T) {
	if *oneSeed >= 0 {
		f, err := ParseFaults(*without)
		if err != nil {
			t.Fatal(err)
		}
		r := Run(Config{Seed: uint64(*oneSeed), Salt: *salt, Clients: *clients, Ops: *ops, Without: f, Tell: true})
		if r.Failed() {
			t.Fatal(r)
		}
		t.Logf("%s\n%s", r, strings.Join(r.Story, "\n"))
		return
	}
	total, err := Many(context.Background(), *fromSeed, *histories, runtime.GOMAXPROCS(0), nil)
	if err != nil {
		t.Fatal(err)
	}
	if total.Failed != nil {
		t.Fatal(total.Failed)
	}
	t.Logf("%d histories, %d operations, %d of unknown outcome, %d events, trace %016x", total.Histories, total.Operations, total.Unknown,
		total.Events, total.Hash)
	t.Log(total.Deeds)
	for d, n := range total.Deeds {
		if n == 0 && total.Histories >= 500 {
			t.Errorf("no history had this: %s", deedNames[d])
		}
	}
}

// A seed is all that a history depends on.
func TestSameSeedSameHistory(t *testing.T) {
	for seed := range uint64(50) {
		a, b := Run(Config{Seed: seed}), Run(Config{Seed: seed, Tell: true})
		if a.Hash != b.Hash || a.Operations != b.Operations || a.Events != b.Events {
			t.Errorf("seed %d: %s\n%s", seed, a, b)
		}
	}
}

func BenchmarkHistory(b *testing.B) {
	seed, ops, events := uint64(0), 0, 0
	for b.Loop() {
		r := play(Config{Seed: seed})
		seed, ops, events = seed+1, ops+r.Operations, events+r.Events
	}
	b.ReportMetric(float64(seed)/b.Elapsed().Seconds(), "histories/s")
	b.ReportMetric(float64(ops)/float64(seed), "operations/history")
	b.ReportMetric(float64(events)/float64(seed), "events/history")
}
