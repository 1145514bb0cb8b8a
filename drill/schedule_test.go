package drill

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmalloc/client"
	"dmalloc/message"
)

func drawPlan(t *rapid.T) Plan {
	p := Plan{
		Seed:      rapid.Uint64().Draw(t, "seed"),
		Length:    time.Duration(rapid.IntRange(1000, 60_000).Draw(t, "length")) * time.Millisecond,
		Nodes:     rapid.IntRange(3, 9).Draw(t, "nodes"),
		Replicas:  rapid.SampledFrom([]int{3, 5, 7}).Draw(t, "replicas"),
		Companies: rapid.IntRange(0, 4).Draw(t, "companies"),
	}
	p.Replicas = min(p.Replicas, (p.Nodes-1)|1)
	if rapid.Bool().Draw(t, "paced") {
		p.Pace = time.Duration(rapid.IntRange(50, 5000).Draw(t, "pace")) * time.Millisecond
	}
	for p.Kinds == nil {
		for _, k := range Kinds() {
			p.Kinds = append(p.Kinds, slices.Repeat([]Kind{k}, rapid.IntRange(0, 2).Draw(t, string(k)))...)
		}
	}
	// Some kinds want more nodes than replicas, and a cluster that replaces the dead.
	if slices.ContainsFunc(p.Kinds, func(k Kind) bool { return k == Leave || k == Replace }) {
		p.Nodes, p.ReplaceAfter, p.Length = p.Nodes+1, time.Second, max(p.Length, 4*time.Second)
	}
	return p
}

// view shows leaders as the test moves them.
type view struct {
	t         *rapid.T
	nodes     int
	companies int
}

func (v view) Companies(context.Context) ([]client.Company, error) {
	all := []client.Company{{ID: 0}}
	for id := range v.companies {
		c := client.Company{ID: message.CompanyID(id + 1), Owners: []message.NodeID{0, 1, message.NodeID(v.nodes - 1)}}
		if leader := message.NodeID(rapid.IntRange(-1, v.nodes-1).Draw(v.t, "leader")); int(leader) < v.nodes {
			c.Leader = &leader
		}
		all = append(all, c)
	}
	return all, nil
}

// concrete plays a plan without doing anything and without time, and returns the commands with their nodes.
func concrete(t *rapid.T, p Plan, steps []Step) []Step {
	state := NewState(p.Nodes)
	at := time.Duration(0)
	pl := &player{cluster: Cluster{View: view{t, p.Nodes, p.Companies}}, now: func() time.Duration { return at },
		state: state, victims: map[int]message.NodeID{}, failed: map[message.NodeID]bool{}}
	out := slices.Clone(steps)
	for i, s := range steps {
		at += s.After
		out[i].Command = pl.concrete(t.Context(), s.Command)
		state.Do(at, out[i].Command)
	}
	return out
}

// S1: a seed makes the same steps; another one other steps.
func TestSameSeedSameScript(t *testing.T) {
	p := Plan{Seed: 7, Length: 30 * time.Second, Nodes: 5, Replicas: 3, Companies: 4, Kinds: DefaultKinds()}
	a, err := p.Steps()
	if err != nil {
		t.Fatal(err)
	}
	b, _ := p.Steps()
	if Script(a) != Script(b) {
		t.Error("two scripts of one seed")
	}
	p.Seed++
	if c, _ := p.Steps(); Script(a) == Script(c) {
		t.Error("one script of two seeds")
	}
	if len(a) < 15 {
		t.Errorf("few faults in 30 s:\n%s", Script(a))
	}
	back, err := ParseScript(Script(a))
	if err != nil || Script(back) != Script(a) {
		t.Errorf("the plan is not read back: %v", err)
	}
}

// S2, S3 and S4, whoever leads when the faults come.
func TestPlanKeepsItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		steps, err := p.Steps()
		if err != nil {
			t.Fatal(err)
		}
		played := concrete(t, p, steps)
		state, at := NewState(p.Nodes), time.Duration(0)
		damaged := map[message.NodeID]bool{}
		for _, s := range played {
			if s.After < 0 || s.After%time.Millisecond != 0 {
				t.Fatalf("a pause of %v", s.After)
			}
			at += s.After
			c := s.Command
			if _, err := ParseCommand(c.String()); err != nil || strings.Contains(c.String(), "@") {
				t.Fatalf("%s cannot be done: %v", c, err)
			}
			if c.Verb == "corrupt" || c.Wipe {
				if out := state.Out(at); !slices.Equal(out, []message.NodeID{c.Who[0].Node}) {
					t.Fatalf("S3: %s while %v are out", c, out)
				}
				damaged[c.Who[0].Node] = true
			}
			if c.Verb == "revive" {
				delete(damaged, c.Who[0].Node)
			}
			if before := state.Out(at); c.Verb == "kill" && slices.Contains(before, c.Who[0].Node) {
				t.Fatalf("%s, and it is out already", c)
			}
			state.Do(at, c)
			out := state.Out(at)
			most := p.Minority()
			if slices.Contains(p.Kinds, Majority) {
				most++
			}
			if len(out) > most {
				t.Fatalf("S2: %v are out at %v after %s; at most %d may be\n%s", out, at, c, most, Script(played))
			}
			if len(damaged) > 0 && len(out) > 1 {
				t.Fatalf("S3: %v are out while %v is damaged", out, damaged)
			}
		}
		if at > p.Length || len(state.active) != 0 {
			t.Fatalf("S4: at %v of %v there is %v\n%s", at, p.Length, state.active, Script(played))
		}
	})
}

func TestPlanRefuses(t *testing.T) {
	good := Plan{Length: 10 * time.Second, Nodes: 5, Replicas: 3, Kinds: []Kind{Kill}}
	for name, change := range map[string]func(*Plan){
		"no kinds":     func(p *Plan) { p.Kinds = nil },
		"no such kind": func(p *Plan) { p.Kinds = []Kind{"fire"} },
		"one replica":  func(p *Plan) { p.Replicas = 1 },
		"two replicas": func(p *Plan) { p.Replicas = 2 },
		"one node":     func(p *Plan) { p.Nodes, p.Kinds = 1, []Kind{Slow} },
		"no time":      func(p *Plan) { p.Length = time.Millisecond },
		"no pace":      func(p *Plan) { p.Pace = time.Microsecond },
		"no nodes":     func(p *Plan) { p.Nodes = 0 },
	} {
		p := good
		change(&p)
		if s, err := p.Steps(); message.CodeOf(err) != message.InvalidArgument {
			t.Errorf("%s: %v %v", name, s, err)
		}
	}
	alone := Plan{Length: 10 * time.Second, Nodes: 1, Replicas: 1, Kinds: []Kind{Majority}}
	if s, err := alone.Steps(); err != nil || len(s) < 3 {
		t.Errorf("one node with majority: %v %v", s, err)
	}
}

func TestParseKinds(t *testing.T) {
	if k, err := ParseKinds("kill, pause,kill"); err != nil || kindList(k) != "kill,pause" {
		t.Errorf("%v %v", k, err)
	}
	if k, err := ParseKinds("kill:3,pause"); err != nil || len(k) != 4 || kindList(k) != "kill:3,pause" {
		t.Errorf("%v %v", k, err)
	}
	for _, bad := range []string{"kill,fire", "kill:0", "kill:101", "kill:x", "kill:", "kill,kill:3"} {
		if _, err := ParseKinds(bad); message.CodeOf(err) != message.InvalidArgument {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// Closing ends what lasts, in an order in which each can work.
func TestClosing(t *testing.T) {
	s := NewState(5)
	for _, line := range []string{"kill 3", "pause 1", "slow 0 1 5ms", "kill 0 --for 1s", "disk full 4 --for 1s", "pause 2 --for 1s"} {
		c, err := ParseCommand(line)
		if err != nil {
			t.Fatal(err)
		}
		s.Do(0, c)
	}
	s.expire(2 * time.Second)
	got := ""
	for _, c := range s.Closing() {
		got += c.String() + "; "
	}
	if want := "resume 1; heal; revive 3; revive 4; "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
