package drill

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmalloc/message"
)

// However nodes come and go, a company keeps its owners, and a node leaves or is replaced only while no other is out.
func TestPlanMovesAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		p.Kinds = append(p.Kinds, rapid.SampledFrom([]Kind{Join, Leave, Replace}).Draw(t, "kind"))
		p.Length = max(p.Length, 8*time.Second)
		p.Nodes, p.ReplaceAfter = max(p.Nodes, p.Replicas+1), time.Duration(rapid.IntRange(1000, 5000).Draw(t, "patience"))*time.Millisecond
		steps, err := p.Steps()
		if err != nil {
			t.Fatal(err)
		}
		state, at := NewState(p.Nodes), time.Duration(0)
		alone := map[message.NodeID]bool{} // dead until others take its place
		played := concrete(t, p, steps)
		for i, s := range played {
			at += s.After
			c := s.Command
			for _, w := range c.nodes() {
				if !state.has(w.Node) {
					t.Fatalf("%s, and there are %v\n%s", c, state.nodes, Script(played))
				}
			}
			if c.Verb == "node remove" {
				if out := state.Out(at); len(out) > 0 {
					t.Fatalf("%s while %v are out\n%s", c, out, Script(played))
				}
			}
			if c.Verb == "kill" && slices.Contains(p.Kinds, Replace) && deadFor(played[i:]) > p.ReplaceAfter+shortestGone && len(alone) == 0 && !slices.ContainsFunc(p.Kinds, longer5) {
				alone[c.Who[0].Node] = true
				if out := state.Out(at); len(out) > 0 {
					t.Fatalf("%s for long while %v are out\n%s", c, out, Script(played))
				}
			}
			if c.Verb == "revive" {
				delete(alone, c.Who[0].Node)
			}
			state.Do(at, c)
			if len(state.nodes) < p.floor() || len(state.nodes) > p.Nodes+mostJoined {
				t.Fatalf("after %s there are %v; the plan began with %d\n%s", c, state.nodes, p.Nodes, Script(played))
			}
		}
	})
}

// longer5 are kinds whose nodes may be dead for as long as those that are replaced.
func longer5(k Kind) bool {
	return k == Kill || k == Wipe || k == Corrupt || k == Majority || k == DiskFull
}

func TestPlanOfEachMove(t *testing.T) {
	p := Plan{Seed: 1, Length: time.Minute, Nodes: 5, Replicas: 3, Companies: 3, ReplaceAfter: time.Second}
	for _, c := range []struct {
		kinds []Kind
		most  map[string]int // 0 means any number
	}{
		{[]Kind{Join}, map[string]int{"join": mostJoined}},
		{[]Kind{Leave}, map[string]int{"leave": 2}},
		{[]Kind{Join, Leave}, map[string]int{"join": 0, "leave": 0}},
		{[]Kind{Replace}, map[string]int{"replace": 0}},
		{[]Kind{Join, Leave, Replace, Kill, Wipe}, map[string]int{"join": 0, "leave": 0, "replace": 0, "kill": 0, "wipe": 0}},
	} {
		for _, pace := range []time.Duration{0, time.Second} {
			p.Kinds, p.Pace = c.kinds, pace
			steps, err := p.Steps()
			if err != nil {
				t.Fatal(err)
			}
			got := planned(steps, p.ReplaceAfter)
			for k, most := range c.most {
				if got[k] == 0 && k != "kill" || most > 0 && got[k] > most {
					t.Errorf("%v: %v\n%s", c.kinds, got, Script(steps))
				}
			}
		}
	}
}

func TestPlanRefusesMoves(t *testing.T) {
	good := Plan{Length: 10 * time.Second, Nodes: 5, Replicas: 3, ReplaceAfter: time.Second, Kinds: []Kind{Leave, Replace}}
	if _, err := good.Steps(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Plan){
		"nobody to leave":      func(p *Plan) { p.Nodes = 3 },
		"never replaced":       func(p *Plan) { p.ReplaceAfter = 0 },
		"replaced after long":  func(p *Plan) { p.ReplaceAfter = time.Minute },
		"no time to replace":   func(p *Plan) { p.Length = 3900 * time.Millisecond },
		"nobody to replace by": func(p *Plan) { p.Replicas = 5 },
	} {
		p := good
		change(&p)
		if s, err := p.Steps(); message.CodeOf(err) != message.InvalidArgument {
			t.Errorf("%s: %v %v", name, s, err)
		}
	}
}

func TestKnownNodes(t *testing.T) {
	for text, ok := range map[string]bool{
		"node add\nkill 5\nrevive 5":       true,
		"kill 5\nnode add":                 false,
		"node remove 2\nkill 2":            false,
		"node remove 2\nnode add\npause 5": true,
		"node remove 2\nnode add\npause 2": false,
		"kill @any#1\nrevive @#1":          true,
	} {
		steps, err := ParseScript(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := known(steps, NewState(5)); (err == nil) != ok || !ok && message.CodeOf(err) != message.NoSuchNode {
			t.Errorf("%q: %v", text, err)
		}
	}
	if got := nodeList([]message.NodeID{0, 1, 3}) + "; " + nodeList([]message.NodeID{2, 3, 4}); got != "0, 1, 3; 2 to 4" {
		t.Error(got)
	}
}

// A drill goes on with the nodes that there are: clients move to them, and all are read at the end.
func TestNodesComeAndGo(t *testing.T) {
	w, cfg := newWorld(5, correct), testConfig()
	cfg.IDs, cfg.Next = []message.NodeID{0, 1, 3, 4, 6}, 9
	w.slow = 3 * time.Second
	cfg.Replicas = 3
	cfg.Script, _ = ParseScript("sleep 1\nnode add\nkill 9\nsleep 1\nrevive 9\nnode remove 0\nsleep 2")
	cfg.Length = 0
	res := drillWorld(t, w, cfg)
	if !res.OK() || res.Faults["join"] != 1 || res.Faults["leave"] != 1 || res.Faults["kill"] != 1 {
		t.Fatal(res.Story())
	}
	if !slices.Contains(w.dialed, 9) || slices.Contains(w.dialed[len(w.dialed)-6:], 0) {
		t.Errorf("clients went to %v", w.dialed)
	}
	for _, d := range res.Done {
		if d.Command.Kind() == Leave && d.Until-d.At < 3*time.Second {
			t.Errorf("%s from %v to %v", d.Command, d.At, d.Until)
		}
	}
}

// What nodes that come and go take does not count: the rest of a plan is done all the same.
func TestPlanStandsStillForMoves(t *testing.T) {
	w, cfg := newWorld(5, correct), testConfig()
	w.long, cfg.Replicas, cfg.Kinds = 8*time.Second, 3, []Kind{Join, Leave, Pause}
	res := drillWorld(t, w, cfg)
	if !res.OK() || res.missing() != "" || res.Faults["join"]+res.Faults["leave"] == 0 {
		t.Error(res.Story())
	}
}

// A node's files are not thrown away while a company lacks an owner, and the drill says so.
func TestDamageWaitsForOwners(t *testing.T) {
	for _, lacks := range []bool{false, true} {
		w, cfg := newWorld(5, correct), testConfig()
		cfg.ReplaceAfter, cfg.Replicas, cfg.Length, w.lacks = time.Second, 3, 0, lacks
		cfg.Script, _ = ParseScript("sleep 1\nkill 2\nsleep 0.5\nrevive 2 --wipe\nsleep 1\npause 1\nsleep 0.1\nresume 1")
		res := drillWorld(t, w, cfg)
		if killed := slices.Contains(w.lines, "kill 2"); killed == lacks || !slices.Contains(w.lines, "pause 1") || res.OK() == lacks {
			t.Errorf("lacks %v: %v\n%s", lacks, w.lines, res.Story())
		}
	}
}
