package fault

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmalloc/message"
)

func TestParse(t *testing.T) {
	for words, want := range map[string]Fault{
		"partition 0,1|2,3,4":   {Kind: Partition, Groups: [][]message.NodeID{{0, 1}, {2, 3, 4}}},
		"partition 3,1|2|0":     {Kind: Partition, Groups: [][]message.NodeID{{1, 3}, {2}, {0}}},
		"partition 0>1":         {Kind: OneWay, Groups: [][]message.NodeID{{0}, {1}}},
		"partition 4,0>1":       {Kind: OneWay, Groups: [][]message.NodeID{{0, 4}, {1}}},
		"slow 0 1 50ms":         {Kind: Slow, Node: 0, Other: 1, By: 50 * time.Millisecond},
		"slow  4\t1 1m":         {Kind: Slow, Node: 4, Other: 1, By: time.Minute},
		"drop 0 1 10%":          {Kind: Drop, Node: 0, Other: 1, Loss: 10},
		"drop 0 1 0.5%":         {Kind: Drop, Node: 0, Other: 1, Loss: 0.5},
		"drop 0 1 100%":         {Kind: Drop, Node: 0, Other: 1, Loss: 100},
		"disk full 2":           {Kind: DiskFull, Node: 2},
		"disk slow 2 100ms":     {Kind: DiskSlow, Node: 2, By: 100 * time.Millisecond},
		"clock 2 +2s":           {Kind: Clock, Node: 2, By: 2 * time.Second},
		"clock 2 -1500ms":       {Kind: Clock, Node: 2, By: -1500 * time.Millisecond},
		"clock 2 24h":           {Kind: Clock, Node: 2, By: MaxClock},
		"slow 0 1 1.5s":         {Kind: Slow, Other: 1, By: 1500 * time.Millisecond},
		"disk slow 0 1ns":       {Kind: DiskSlow, By: 1},
		"drop 0 1 0.000000001%": {Kind: Drop, Other: 1, Loss: 1e-9},
	} {
		got, err := Parse(strings.Fields(words), 5)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v; want %+v", words, got, err, want)
		}
	}
}

// Each refusal is one line that names what is wrong and what to do.
func TestParseRefuses(t *testing.T) {
	for _, bad := range []struct {
		words string
		code  message.Code
		says  string
	}{
		{"", message.InvalidArgument, "no fault is named: use one of partition A,B|C,D; slow A B DURATION"},
		{"burn 1", message.InvalidArgument, `"burn" is no fault: use one of partition`},
		{"partition", message.InvalidArgument, "partition takes 1 more words, not 0: partition A,B|C,D, as in partition 0,1|2,3,4 or partition 0>1"},
		{"partition 0 | 1", message.InvalidArgument, "takes 1 more words, not 3"},
		{"partition 0,1", message.InvalidArgument, `"0,1" is one group and parts nothing: name two or more`},
		{"partition 0|", message.InvalidArgument, `"0|" has a group or a place in one that is empty`},
		{"partition 0,,1|2", message.InvalidArgument, "is empty"},
		{"partition >", message.InvalidArgument, "is empty"},
		{"partition 0|0", message.InvalidArgument, "node 0 is named twice: a node is on one side"},
		{"partition 0,1|1", message.InvalidArgument, "node 1 is named twice"},
		{"partition 0>1>2", message.InvalidArgument, "mixes directions: use A>B for one way, A|B for both ways"},
		{"partition 0>1|2", message.InvalidArgument, "mixes directions"},
		{"partition 0|5", message.NoSuchNode, `there is no node "5": this cluster has 5 nodes, counted from 0`},
		{"partition 0|a", message.InvalidArgument, `"a" is not a node: use the number of one`},
		{"partition 0|-1", message.InvalidArgument, `"-1" is not a node`},
		{"slow 0 1", message.InvalidArgument, "slow takes 3 more words, not 2: slow A B DURATION, as in slow 0 1 50ms"},
		{"slow 0 0 5ms", message.InvalidArgument, "both ends are node 0: name two nodes"},
		{"slow 0 1 50", message.InvalidArgument, `"50" is not a duration: use a number with its unit, such as 50ms`},
		{"slow 0 1 0s", message.InvalidArgument, "a delay of 0s slows nothing"},
		{"slow 0 1 -1s", message.InvalidArgument, "a delay of -1s slows nothing"},
		{"slow 0 1 61s", message.InvalidArgument, "a delay of 1m1s is more than 1m0s"},
		{"slow 99999999999999999999 1 1s", message.NoSuchNode, "there is no node"},
		{"drop 0 1 10", message.InvalidArgument, `"10" is not a share of frames: use a percentage such as 10%`},
		{"drop 0 1 x%", message.InvalidArgument, "is not a share of frames"},
		{"drop 0 1 NaN%", message.InvalidArgument, "is not a share of frames"},
		{"drop 0 1 Inf%", message.InvalidArgument, "cannot be lost"},
		{"drop 0 1 0%", message.InvalidArgument, "more than 0% and at most 100%"},
		{"drop 0 1 101%", message.InvalidArgument, "at most 100%"},
		{"drop 1 1 10%", message.InvalidArgument, "both ends are node 1"},
		{"disk", message.InvalidArgument, "a disk can be full or slow, not nothing: use disk full NODE or disk slow NODE DURATION"},
		{"disk burnt 1", message.InvalidArgument, `a disk can be full or slow, not "burnt"`},
		{"disk full", message.InvalidArgument, "disk full takes 1 more words, not 0: disk full NODE, as in disk full 2"},
		{"disk full 5", message.NoSuchNode, "there is no node"},
		{"disk slow 1", message.InvalidArgument, "disk slow takes 2 more words, not 1"},
		{"disk slow 1 0ms", message.InvalidArgument, "slows nothing"},
		{"clock 1", message.InvalidArgument, "clock takes 2 more words, not 1"},
		{"clock 1 0s", message.InvalidArgument, "an offset of 0 leaves the clock right"},
		{"clock 1 25h", message.InvalidArgument, "an offset of 25h0m0s is more than 24h0m0s"},
		{"clock 1 -25h", message.InvalidArgument, "an offset of -25h0m0s is more than"},
		{"clock 1 soon", message.InvalidArgument, `"soon" is not an offset: use a signed number`},
		{"clock 1 +2s \x1b[2J", message.InvalidArgument, "takes 2 more words, not 3"},
		{"\x1b[2J", message.InvalidArgument, `"\x1b[2J" is no fault`},
	} {
		f, err := Parse(strings.Fields(bad.words), 5)
		var e *message.Error
		switch {
		case !errors.As(err, &e) || e.Code != bad.code || !strings.Contains(err.Error(), bad.says):
			t.Errorf("%q: %+v, %v; want %s: %s", bad.words, f, err, bad.code, bad.says)
		case strings.ContainsAny(err.Error(), "\n\x1b"):
			t.Errorf("%q: %q is more than a line of text", bad.words, err)
		}
	}
	if _, err := Parse([]string{"disk", "full", "0"}, 0); message.CodeOf(err) != message.NoSuchNode {
		t.Errorf("a node of an empty cluster: %v", err)
	}
}

// anyFault draws a fault that Parse could have made.
func anyFault(t *rapid.T, nodes int) Fault {
	node := func(name string) message.NodeID {
		return message.NodeID(rapid.IntRange(0, nodes-1).Draw(t, name))
	}
	f := Fault{Kind: Kind(rapid.IntRange(1, int(kindEnd)-1).Draw(t, "kind"))}
	switch f.Kind {
	case Partition, OneWay:
		groups := 2
		if f.Kind == Partition {
			groups = rapid.IntRange(2, min(4, nodes)).Draw(t, "groups")
		}
		f.Groups = make([][]message.NodeID, groups)
		for n := range nodes { // the first ones in order, so that no group is empty
			g := n
			if n >= groups {
				g = rapid.IntRange(0, groups).Draw(t, "group")
			}
			if g < groups {
				f.Groups[g] = append(f.Groups[g], message.NodeID(n))
			}
		}
	case Slow, Drop:
		f.Node = node("node")
		f.Other = (f.Node + 1 + message.NodeID(rapid.IntRange(0, nodes-2).Draw(t, "other"))) % message.NodeID(nodes)
	default:
		f.Node = node("node")
	}
	switch f.Kind {
	case Slow, DiskSlow:
		f.By = time.Duration(rapid.Int64Range(1, int64(MaxDelay)).Draw(t, "by"))
	case Clock:
		f.By = time.Duration(rapid.Int64Range(1, int64(MaxClock)).Draw(t, "by"))
		if rapid.Bool().Draw(t, "slow") {
			f.By = -f.By
		}
	case Drop:
		f.Loss = rapid.Float64Range(1e-6, 100).Draw(t, "loss")
	}
	return f
}

// F1
func TestStringIsWhatParseReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.IntRange(2, 9).Draw(t, "nodes")
		f := anyFault(t, nodes)
		got, err := Parse(strings.Fields(f.String()), nodes)
		if err != nil || !reflect.DeepEqual(got, f) {
			t.Fatalf("%s: %+v, %v; want %+v", f, got, err, f)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, form := range forms() {
		f.Add(form.example, 5)
	}
	f.Add("partition 0>1|2,,", 3)
	f.Fuzz(func(t *testing.T, line string, nodes int) {
		fault, err := Parse(strings.Fields(line), nodes)
		if err != nil {
			if message.CodeOf(err) == message.Internal || strings.ContainsRune(err.Error(), '\n') {
				t.Fatalf("%q: %v", line, err)
			}
			return
		}
		again, err := Parse(strings.Fields(fault.String()), nodes)
		if err != nil || !reflect.DeepEqual(again, fault) {
			t.Fatalf("%q is %s, which is %+v, %v", line, fault, again, err)
		}
	})
}

// Every kind has its word and its form.
func TestEveryKindIsWritten(t *testing.T) {
	made := map[Kind]bool{}
	for _, form := range forms() {
		for _, example := range strings.Split(form.example, " or ") {
			f, err := Parse(strings.Fields(example), 5)
			if err != nil {
				t.Errorf("the example %q: %v", example, err)
			}
			made[f.Kind] = true
		}
	}
	for k := Kind(1); k < kindEnd; k++ {
		if !made[k] || strings.HasPrefix(k.String(), "kind_") {
			t.Errorf("no form makes %s", k)
		}
	}
	if s := (Fault{Kind: kindEnd}).String(); s != "kind_8" {
		t.Errorf("an unknown kind prints as %q", s)
	}
}
