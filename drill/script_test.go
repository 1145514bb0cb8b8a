package drill

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmalloc/message"
)

func TestParseCommand(t *testing.T) {
	for _, line := range []string{
		"kill 2", "kill 2 --for 5s", "revive 2", "revive 2 --wipe", "pause 0 --for 1.5s", "resume 0",
		"partition 0,1|2,3,4", "partition 0|1|2", "partition 0>1 --for 3s", "partition 0>1,2", "slow 0 1 50ms",
		"drop 3 4 10%", "disk full 1", "disk slow 1 100ms --for 2s", "corrupt 4", "clock 1 +2s", "clock 1 -1.5s", "heal", "reg spread 0,2", "reg spread 1",
		"kill @leader:2#5", "revive @#5", "slow @backup:1#3 @any#4 20ms", "partition @leader:1#1|@rest", "partition @leader:1#1>@rest",
	} {
		c, err := ParseCommand(line)
		if err != nil || c.String() != line {
			t.Errorf("%q is read as %q: %v", line, c, err)
		}
	}
}

func TestParseCommandRefuses(t *testing.T) {
	for _, line := range []string{
		"", "kil 2", "kill", "kill x", "kill 1 2", "kill -1", "kill 99999", "kill 1 --wipe", "kill 1 --for", "kill 1 --for 0s", "kill 1 --for 1h1s",
		"revive 1 --for 5s", "revive 1 --wipe --wipe", "partition 0", "partition 0|0", "partition 0>1>2", "partition 0|1>2", "partition |1", "partition @rest|1",
		"slow 0 0 5ms", "slow 0 1", "slow 0 1 -5ms", "drop 0 1 0%", "drop 0 1 101%", "drop 0 1 10", "disk 1", "disk full", "disk broken 1",
		"clock 1 2s", "clock 1 +0s", "clock 1", "heal 1", "reg", "reg spread", "reg spread 0,0", "reg spread 0 1", "reg spread x", "reg r 1", "kill @leader#1", "kill @leader:1", "kill @boss:1#1", "kill @#0", "kill @any:1#1", "sleep 1",
	} {
		if c, err := ParseCommand(line); err == nil || message.CodeOf(err) != message.InvalidArgument {
			t.Errorf("%q is read as %q: %v", line, c, err)
		}
	}
}

func TestParseScript(t *testing.T) {
	steps, err := ParseScript("# a drill\n\n  sleep 1.25\nsleep 0.5\nkill 1 \nrevive 1\nsleep 2\n")
	want := []Step{{1750 * time.Millisecond, Command{Verb: "kill", Who: []Who{nodeWho(1)}}},
		{0, Command{Verb: "revive", Who: []Who{nodeWho(1)}}}, {After: 2 * time.Second}}
	if err != nil || !reflect.DeepEqual(steps, want) {
		t.Errorf("%v %v", steps, err)
	}
	for text, says := range map[string]string{
		"kill 1\nsleep x\n": "line 2", "sleep -1": "line 1", "sleep 3601": "line 1", "heal\n\nm 100": "line 3", "sleep NaN": "line 1", "sleep 1 2": "line 1",
	} {
		if _, err := ParseScript(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func drawWho(t *rapid.T, used map[Who]bool) Who {
	for {
		w := Who{Node: message.NodeID(rapid.IntRange(0, 9).Draw(t, "node"))}
		if rapid.IntRange(0, 3).Draw(t, "victim") == 0 {
			w = Who{Victim: rapid.IntRange(1, 20).Draw(t, "number"), Role: rapid.SampledFrom([]Role{Leader, Backup, Any, Same}).Draw(t, "role")}
			if w.Role == Leader || w.Role == Backup {
				w.Company = message.CompanyID(rapid.IntRange(1, 64).Draw(t, "company"))
			}
		}
		if !used[w] {
			used[w] = true
			return w
		}
	}
}

func drawCommand(t *rapid.T) Command {
	f := rapid.SampledFrom(forms()).Draw(t, "form")
	c := Command{Verb: f.verb}
	used := map[Who]bool{}
	span := func() time.Duration {
		return time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "time"))
	}
	for _, o := range f.operands {
		switch o {
		case aNode:
			c.Who = append(c.Who, drawWho(t, used))
		case aTime:
			c.Amount = span()
		case aShift:
			c.Amount = span() * time.Duration(rapid.SampledFrom([]int{-1, 1}).Draw(t, "sign"))
		case aPercent:
			c.Lose = rapid.IntRange(1, 100).Draw(t, "lose")
		case theNodes:
			c.Groups = [][]Who{{drawWho(t, used), drawWho(t, used)}}
		case theGroups:
			c.OneWay = rapid.Bool().Draw(t, "one way")
			c.Rest = rapid.Bool().Draw(t, "rest")
			n := 2
			if !c.OneWay {
				n = rapid.IntRange(2, 4).Draw(t, "groups")
			}
			if c.Rest {
				n--
			}
			for range n {
				var g []Who
				for range rapid.IntRange(1, 3).Draw(t, "members") {
					g = append(g, drawWho(t, used))
				}
				c.Groups = append(c.Groups, g)
			}
		}
	}
	if f.timed && rapid.Bool().Draw(t, "timed") {
		c.For = span()
	}
	c.Wipe = f.verb == "revive" && rapid.Bool().Draw(t, "wipe")
	return c
}

// What Script writes, ParseScript reads.
func TestScriptRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Step {
			return Step{After: time.Duration(rapid.IntRange(0, 8_000_000).Draw(t, "ms")) * time.Millisecond, Command: drawCommand(t)}
		}), 1, 20).Draw(t, "steps")
		got, err := ParseScript(Script(steps, "a heading\nof two lines"))
		if err != nil || !reflect.DeepEqual(got, steps) {
			t.Fatalf("%v\nis read as\n%v\n%v", Script(steps), Script(got), err)
		}
	})
}

func FuzzParseScript(f *testing.F) {
	f.Add("sleep 1.5\nkill 2 --for 3s\npartition @leader:1#1|@rest\n")
	f.Add("disk slow 1 100ms\nclock 0 -2s\ndrop 0 1 5%\nreg spread 0,1\n")
	f.Fuzz(func(t *testing.T, text string) {
		steps, err := ParseScript(text)
		if err != nil {
			return
		}
		again, err := ParseScript(Script(steps))
		if err != nil || Script(again) != Script(steps) {
			t.Fatalf("%q is written as %q, which is read as %q: %v", text, Script(steps), Script(again), err)
		}
	})
}
