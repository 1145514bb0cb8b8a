package fault

import (
	"encoding/json"
	"math"
	"math/rand"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmalloc/message"
)

// set makes a Set of commands.
func set(t *testing.T, commands ...string) *Set {
	t.Helper()
	s := new(Set)
	for _, c := range commands {
		f, err := Parse(strings.Fields(c), 5)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Add(f); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// names lists faults as commands.
func names(all []Fault) (words []string) {
	for _, f := range all {
		words = append(words, f.String())
	}
	return words
}

func TestHeal(t *testing.T) {
	commands := []string{"partition 0|1", "partition 0>2", "slow 0 1 5ms", "drop 0 1 5%", "disk full 2", "disk slow 2 1s", "clock 1 +2s", "slow 0 1 7ms"}
	for choice, want := range map[string][]int{
		"":          {0, 1, 2, 3, 4, 5, 6, 7},
		"partition": {0, 1},
		"slow":      {2, 7},
		"drop":      {3},
		"disk":      {4, 5},
		"disk full": {4},
		"disk slow": {5},
		"clock":     {6},
		"3":         {2},
		"8":         {7},
		"9":         nil,
	} {
		s := set(t, commands...)
		c, err := ParseChoice(strings.Fields(choice))
		if err != nil {
			t.Errorf("%q: %v", choice, err)
			continue
		}
		var healed []string
		for _, i := range want {
			healed = append(healed, commands[i])
		}
		if got := names(s.Heal(c)); !reflect.DeepEqual(got, healed) {
			t.Errorf("heal %s: %q, want %q", choice, got, healed)
		}
		if len(s.List()) != len(commands)-len(want) {
			t.Errorf("heal %s leaves %q", choice, names(s.List()))
		}
	}
	for _, bad := range []string{"0", "-1", "all", "disk burnt", "1 2", "99999999999999999999"} {
		if c, err := ParseChoice(strings.Fields(bad)); message.CodeOf(err) != message.InvalidArgument || !strings.Contains(err.Error(), "`faults` lists them, or one of partition, slow") {
			t.Errorf("heal %s: %+v, %v", bad, c, err)
		}
	}
}

func TestExpire(t *testing.T) {
	s := set(t, "disk full 1", "disk full 2", "disk full 3")
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s.faults[0].Until, s.faults[2].Until = at.Add(2*time.Second), at.Add(time.Second)
	if next, ok := s.Next(); !ok || !next.Equal(at.Add(time.Second)) {
		t.Errorf("next is %v, %v", next, ok)
	}
	for _, step := range []struct {
		after time.Duration
		ended []string
	}{{0, nil}, {time.Second, []string{"disk full 3"}}, {time.Hour, []string{"disk full 1"}}, {time.Hour, nil}} {
		if got := names(s.Expire(at.Add(step.after))); !reflect.DeepEqual(got, step.ended) {
			t.Errorf("after %s: %q ended, want %q", step.after, got, step.ended)
		}
	}
	if next, ok := s.Next(); ok {
		t.Errorf("next is %v for a fault that stays", next)
	}
}

func TestBound(t *testing.T) {
	var s Set
	f := Fault{Kind: DiskFull}
	for range MaxFaults {
		if _, err := s.Add(f); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Add(f); message.CodeOf(err) != message.Busy {
		t.Errorf("one more: %v", err)
	}
	s.Heal(Choice{ID: 1})
	if got, err := s.Add(f); err != nil || got.ID != MaxFaults+1 {
		t.Errorf("after healing one: %v, %v", got.ID, err) // F4
	}
}

func TestFor(t *testing.T) {
	ms := time.Millisecond
	for _, c := range []struct {
		story  string
		faults []string
		views  map[message.NodeID]View
	}{
		{"no fault", nil, map[message.NodeID]View{0: {}}},
		{"both sides are cut from each other, who is on none from nobody (F3)", []string{"partition 0,1|2,3"}, map[message.NodeID]View{
			0: {Links: map[message.NodeID]Link{2: {Cut: true}, 3: {Cut: true}}},
			3: {Links: map[message.NodeID]Link{0: {Cut: true}, 1: {Cut: true}}},
			4: {},
		}},
		{"one way: only the sender knows (F3)", []string{"partition 0>1"}, map[message.NodeID]View{
			0: {Links: map[message.NodeID]Link{1: {Cut: true}}}, 1: {}, 2: {},
		}},
		{"a cut wins, delays add up", []string{"slow 0 1 5ms", "partition 0>1", "slow 1 0 7ms"}, map[message.NodeID]View{
			0: {Links: map[message.NodeID]Link{1: {Cut: true, Delay: 12 * ms}}},
			1: {Links: map[message.NodeID]Link{0: {Delay: 12 * ms}}},
		}},
		{"losses combine", []string{"drop 0 1 50%", "drop 0 1 50%", "drop 1 2 100%"}, map[message.NodeID]View{
			0: {Links: map[message.NodeID]Link{1: {Drop: 0.75}}},
			1: {Links: map[message.NodeID]Link{0: {Drop: 0.75}, 2: {Drop: 1}}},
		}},
		{"disk and clock are their node's alone", []string{"disk full 2", "disk slow 2 1ms", "disk slow 2 2ms", "clock 2 +2s", "clock 2 -3s"}, map[message.NodeID]View{
			2: {DiskFull: true, DiskSlow: 3 * ms, Clock: -time.Second}, 1: {},
		}},
		{"limits", []string{"slow 0 1 1m", "slow 0 1 1m", "disk slow 0 1m", "disk slow 0 1m", "clock 0 +24h", "clock 0 +24h", "clock 1 -24h", "clock 1 -24h"}, map[message.NodeID]View{
			0: {Links: map[message.NodeID]Link{1: {Delay: MaxDelay}}, DiskSlow: MaxDelay, Clock: MaxClock},
			1: {Links: map[message.NodeID]Link{0: {Delay: MaxDelay}}, Clock: -MaxClock},
		}},
	} {
		s := set(t, c.faults...)
		for node, want := range c.views {
			if want.Links == nil {
				want.Links = map[message.NodeID]Link{}
			}
			if got := s.For(node, 5); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: node %s sees %+v, want %+v", c.story, node, got, want)
			}
		}
	}
	if v := set(t, "partition 0|4", "slow 0 3 5ms").For(0, 3); len(v.Links) != 0 {
		t.Errorf("a cluster of 3 has links %+v", v.Links)
	}
}

// F2, F3: the Views are what each fault says by itself, whatever the order, also after a turn through JSON.
func TestFaultsCompose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const nodes = 5
		var s, shuffled, read Set
		for range rapid.IntRange(0, 8).Draw(t, "faults") {
			if _, err := s.Add(anyFault(t, nodes)); err != nil {
				t.Fatal(err)
			}
		}
		all := s.List()
		rand.New(rand.NewSource(rapid.Int64().Draw(t, "order"))).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, f := range all {
			if _, err := shuffled.Add(f); err != nil {
				t.Fatal(err)
			}
		}
		b, err := json.Marshal(s)
		if err == nil {
			err = json.Unmarshal(b, &read)
		}
		if err != nil || !reflect.DeepEqual(read.List(), s.List()) || read.last != s.last {
			t.Fatalf("%s is read as %v, %v", b, read, err)
		}
		for from := range message.NodeID(nodes) {
			v := s.For(from, nodes)
			if w := shuffled.For(from, nodes); !reflect.DeepEqual(v, w) {
				t.Fatalf("node %s sees %+v, and %+v in another order", from, v, w)
			}
			for to := range message.NodeID(nodes) {
				want, arrives := Link{}, 1.0
				for _, f := range all {
					switch f.Kind {
					case Partition, OneWay:
						want.Cut = want.Cut || cuts(f, from, to)
					case Slow, Drop:
						if f.Node == from && f.Other == to || f.Node == to && f.Other == from {
							want.Delay += f.By
							arrives *= 1 - f.Loss/100
						}
					}
				}
				got := v.Links[to]
				if got.Cut != want.Cut || got.Delay != min(want.Delay, MaxDelay) || math.Abs(1-arrives-got.Drop) > 1e-9 {
					t.Fatalf("%s to %s is %+v, want %+v with %v arriving", from, to, got, want, arrives)
				}
			}
		}
	})
}

// cuts says whether a fault alone keeps the one node's frames from the other.
func cuts(f Fault, from, to message.NodeID) bool {
	in := map[message.NodeID]int{}
	for i, g := range f.Groups {
		for _, n := range g {
			in[n] = i + 1
		}
	}
	return in[from] > 0 && in[to] > 0 && in[from] != in[to] && (f.Kind == Partition || in[from] == 1)
}

func TestJSON(t *testing.T) {
	s := set(t, "partition 0>1", "disk slow 2 100ms", "disk full 1")
	s.faults[1].Until = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	s.Heal(Choice{ID: 3})
	b, err := json.Marshal(s)
	want := `{"last":3,"faults":[{"id":1,"kind":"one-way","fault":"partition 0\u003e1"},{"id":2,"kind":"disk slow","fault":"disk slow 2 100ms","until":"2026-01-02T03:04:05.000000006Z"}]}`
	if err != nil || string(b) != want {
		t.Errorf("%s, %v; want %s", b, err, want)
	}
	var read Set
	if err := json.Unmarshal(b, &read); err != nil || !reflect.DeepEqual(read, *s) {
		t.Errorf("read %+v, %v; want %+v", read, err, *s)
	}
	for _, bad := range []string{
		`{"last":1,"faults":[{"id":2,"fault":"disk full 1"}]}`,
		`{"last":2,"faults":[{"id":2,"fault":"disk full 1"},{"id":1,"fault":"disk full 1"}]}`,
		`{"last":2,"faults":[{"id":0,"fault":"disk full 1"}]}`,
		`{"last":2,"faults":[{"id":1,"fault":"disk"}]}`,
		`{"last":2,"faults":[{"id":1,"fault":"disk full 1024"}]}`,
		`{"last":2,"faults":7}`,
		`{"last":300,"faults":[` + strings.Repeat(`{"id":1,"fault":"disk full 1"},`, MaxFaults) + `{"id":1,"fault":"disk full 1"}]}`,
	} {
		var read Set
		if err := json.Unmarshal([]byte(bad), &read); err == nil {
			t.Errorf("%.80s is read as %+v", bad, read)
		}
	}
}

// Nobody who holds a fault can change the Set by it.
func TestSetKeepsItsOwn(t *testing.T) {
	f := Fault{Kind: Partition, Groups: [][]message.NodeID{{0}, {1}}}
	var s Set
	got, err := s.Add(f)
	if err != nil {
		t.Fatal(err)
	}
	f.Groups[0][0], got.Groups[0][0] = 7, 8
	s.List()[0].Groups[1] = nil
	if got := s.List()[0].String(); got != "partition 0|1" {
		t.Errorf("the set holds %s", got)
	}
}
