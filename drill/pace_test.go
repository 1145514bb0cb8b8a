package drill

import (
	"testing"
	"time"

	"dmalloc/message"
)

// A pace is kept whatever the kinds are and however many nodes may be out at once, and faults stay irregular.
func TestPlanKeepsItsPace(t *testing.T) {
	for _, c := range []struct {
		nodes, replicas int
		pace            time.Duration
		kinds           string
	}{
		{3, 3, 900 * time.Millisecond, "kill,pause,partition"},
		{5, 5, 700 * time.Millisecond, "kill:4,pause:4,partition:2,oneway:2,slow,drop"},
		{5, 3, 10 * time.Second, "kill,slow"},
		{3, 3, 400 * time.Millisecond, "slow,drop"},
	} {
		kinds, err := ParseKinds(c.kinds)
		if err != nil {
			t.Fatal(err)
		}
		p := Plan{Seed: 3, Length: 45 * time.Minute, Nodes: c.nodes, Replicas: c.replicas, Companies: 3, Kinds: kinds, Pace: c.pace}
		steps, err := p.Steps()
		if err != nil {
			t.Fatal(err)
		}
		faults, short, long := 0, time.Duration(0), time.Duration(0)
		at, down := time.Duration(0), map[int]time.Duration{}
		for _, s := range steps {
			at += s.After
			lasted := s.Command.For
			switch v := s.Command.victim(); s.Command.Verb {
			case "kill", "pause":
				down[v] = at
			case "revive", "resume":
				lasted = at - down[v]
			}
			if s.Command.Kind() != "" {
				faults++
			}
			if lasted > 0 && (short == 0 || lasted < short) {
				short = lasted
			}
			long = max(long, lasted)
		}
		if want := int(p.Length / c.pace); faults < want*95/100 || faults > want*105/100 {
			t.Errorf("%d nodes, %s: %d faults, want about %d", c.nodes, c.kinds, faults, want)
		}
		if long < 5*short || c.pace >= 700*time.Millisecond && long < 500*time.Millisecond {
			t.Errorf("%d nodes, %s: faults last %v to %v", c.nodes, c.kinds, short, long)
		}
		t.Logf("%d nodes, %s: %d faults of %v to %v", c.nodes, c.kinds, faults, short, long)
	}
}

// Weights are kept.
func TestPlanKeepsItsWeights(t *testing.T) {
	kinds, _ := ParseKinds("kill:6,slow:2")
	p := Plan{Seed: 3, Length: time.Hour, Nodes: 3, Replicas: 3, Companies: 3, Kinds: kinds, Pace: time.Second}
	steps, err := p.Steps()
	if err != nil {
		t.Fatal(err)
	}
	if n := planned(steps, 0); n["kill"] < 2*n["slow"] || n["kill"] > 4*n["slow"] {
		t.Errorf("%v, though kill comes three times as often", n)
	}
}

// Steps that are late do not make the rest late, faults keep their lengths, and wait for those that end before.
func TestTimetable(t *testing.T) {
	const ms = time.Millisecond
	tt := &timetable{spare: 100 * ms, began: map[int]moment{}}
	who := func(v int) []Who { return []Who{{Victim: v}} }
	for i, c := range []struct {
		after   time.Duration
		command Command
		due     time.Duration
		done    time.Duration
	}{
		{1000 * ms, Command{Verb: "kill", Who: who(1)}, 1000 * ms, 1300 * ms},
		{500 * ms, Command{Verb: "revive", Who: who(1)}, 1800 * ms, 2200 * ms},                                 // down as long as planned
		{200 * ms, Command{Verb: "partition", Groups: [][]Who{who(2)}, For: 500 * ms}, 2300 * ms, 2300 * ms},   // after the revive
		{100 * ms, Command{Verb: "slow", Who: append(who(3), who(4)...), For: 100 * ms}, 2300 * ms, 2300 * ms}, // the cut goes on
		{500 * ms, Command{Verb: "pause", Who: who(5)}, 2900 * ms, 2900 * ms},                                  // when the cut is over
		{2000 * ms, Command{Verb: "resume", Who: who(5)}, 4900 * ms, 4900 * ms},
		{1000 * ms, Command{Verb: "kill", Who: who(6)}, 5300 * ms, 5300 * ms}, // on time again
		{1 * ms, Command{Verb: "heal"}, 5301 * ms, 5301 * ms},
		{1000 * ms, Command{Verb: "disk full", Who: who(7), For: 400 * ms}, 6301 * ms, 6501 * ms},
		{600 * ms, Command{Verb: "revive", Who: who(7)}, 7101 * ms, 7101 * ms}, // not before there is room
	} {
		if due := tt.due(Step{After: c.after, Command: c.command}); due != c.due {
			t.Errorf("step %d is due at %v, want %v", i, due, c.due)
		}
		tt.done(c.command, c.done)
	}
}

// A cluster that takes long for its faults gets fewer of them, and the result says which are missing.
func TestSlowFaultsAreCounted(t *testing.T) {
	w := newWorld(5, correct)
	w.slow = 700 * time.Millisecond
	cfg := testConfig()
	cfg.Kinds, cfg.Pace = []Kind{Kill, Pause}, 200*time.Millisecond
	res := drillWorld(t, w, cfg)
	done, planned := res.Faults["kill"]+res.Faults["pause"], res.Planned["kill"]+res.Planned["pause"]
	if !res.OK() || planned < 40 || done > 10 || res.missing() == "" {
		t.Errorf("%d of %d\n%s", done, planned, res.Story())
	}
	w = newWorld(5, correct)
	w.refuse["heal"] = message.Errorf(message.Unavailable, "no launcher") // what could not be done is not missing too
	if res := drillWorld(t, w, testConfig()); res.OK() || res.missing() != "" {
		t.Error(res.Story())
	}
}
