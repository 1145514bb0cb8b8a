package fault

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"dmalloc/message"
)

// form is one way to write a fault.
type form struct {
	words   string // how it begins
	usage   string
	example string
	takes   int // words after the beginning
	read    func(p *parser, words []string) Fault
}

func forms() []form {
	return []form{
		{"partition", "partition A,B|C,D", "partition 0,1|2,3,4 or partition 0>1", 1, (*parser).partition},
		{"slow", "slow A B DURATION", "slow 0 1 50ms", 3, (*parser).slow},
		{"drop", "drop A B PERCENT", "drop 0 1 10%", 3, (*parser).drop},
		{"disk full", "disk full NODE", "disk full 2", 1, (*parser).diskFull},
		{"disk slow", "disk slow NODE DURATION", "disk slow 2 100ms", 2, (*parser).diskSlow},
		{"clock", "clock NODE OFFSET", "clock 2 +2s", 2, (*parser).clock},
	}
}

// Usages lists how faults are written, for help and completion.
func Usages() []string {
	var all []string
	for _, f := range forms() {
		all = append(all, f.usage)
	}
	return all
}

// Parse reads a fault from the words of a command, in a cluster with that many nodes. Errors are one line.
func Parse(words []string, nodes int) (Fault, error) {
	if len(words) == 0 {
		return Fault{}, message.Errorf(message.InvalidArgument, "no fault is named: use one of %s", strings.Join(Usages(), "; "))
	}
	p := &parser{nodes: nodes}
	for _, f := range forms() {
		begin := strings.Fields(f.words)
		if len(words) < len(begin) || !slices.Equal(words[:len(begin)], begin) {
			continue
		}
		rest := words[len(begin):]
		if len(rest) != f.takes {
			return Fault{}, message.Errorf(message.InvalidArgument, "%s takes %d more words, not %d: %s, as in %s", f.words, f.takes, len(rest), f.usage, f.example)
		}
		fault := f.read(p, rest)
		if p.err != nil {
			return Fault{}, p.err
		}
		return fault, nil
	}
	if words[0] == "disk" {
		what := "nothing"
		if len(words) > 1 {
			what = message.Quote(words[1])
		}
		return Fault{}, message.Errorf(message.InvalidArgument, "a disk can be full or slow, not %s: use disk full NODE or disk slow NODE DURATION", what)
	}
	return Fault{}, message.Errorf(message.InvalidArgument, "%s is no fault: use one of %s", message.Quote(words[0]), strings.Join(Usages(), "; "))
}

// parser keeps the first thing that is wrong.
type parser struct {
	nodes int
	err   error
}

func (p *parser) fail(code message.Code, format string, args ...any) {
	if p.err == nil {
		p.err = message.Errorf(code, format, args...)
	}
}

func (p *parser) node(word string) message.NodeID {
	n, err := strconv.ParseUint(word, 10, 64)
	switch {
	case err != nil && !isRange(err):
		p.fail(message.InvalidArgument, "%s is not a node: use the number of one, as `nodes` lists them", message.Quote(word))
	case err != nil || n >= uint64(max(p.nodes, 0)) || n >= message.MaxNodes:
		p.fail(message.NoSuchNode, "there is no node %s: this cluster has %d nodes, counted from 0", message.Quote(word), p.nodes)
	}
	return message.NodeID(n)
}

func isRange(err error) bool {
	e, ok := err.(*strconv.NumError)
	return ok && e.Err == strconv.ErrRange
}

func (p *parser) pair(a, b string) (message.NodeID, message.NodeID) {
	n, m := p.node(a), p.node(b)
	if n == m {
		p.fail(message.InvalidArgument, "both ends are node %s: name two nodes, the link between them is troubled", n)
	}
	return n, m
}

func (p *parser) delay(word string) time.Duration {
	d, err := time.ParseDuration(word)
	switch {
	case err != nil:
		p.fail(message.InvalidArgument, "%s is not a duration: use a number with its unit, such as 50ms or 1s", message.Quote(word))
	case d <= 0:
		p.fail(message.InvalidArgument, "a delay of %s slows nothing: use one above 0, or `heal` to end a fault", d)
	case d > MaxDelay:
		p.fail(message.InvalidArgument, "a delay of %s is more than %s: use a shorter one, or cut the link or kill the node", d, MaxDelay)
	}
	return d
}

func (p *parser) slow(w []string) Fault {
	a, b := p.pair(w[0], w[1])
	return Fault{Kind: Slow, Node: a, Other: b, By: p.delay(w[2])}
}

func (p *parser) drop(w []string) Fault {
	a, b := p.pair(w[0], w[1])
	f := Fault{Kind: Drop, Node: a, Other: b}
	number, ok := strings.CutSuffix(w[2], "%")
	loss, err := strconv.ParseFloat(number, 64)
	switch {
	case !ok || err != nil || math.IsNaN(loss):
		p.fail(message.InvalidArgument, "%s is not a share of frames: use a percentage such as 10%%", message.Quote(w[2]))
	case loss <= 0 || loss > 100:
		p.fail(message.InvalidArgument, "%s of the frames cannot be lost: use more than 0%% and at most 100%%", message.Quote(w[2]))
	}
	f.Loss = loss
	return f
}

func (p *parser) diskFull(w []string) Fault { return Fault{Kind: DiskFull, Node: p.node(w[0])} }

func (p *parser) diskSlow(w []string) Fault {
	return Fault{Kind: DiskSlow, Node: p.node(w[0]), By: p.delay(w[1])}
}

func (p *parser) clock(w []string) Fault {
	f := Fault{Kind: Clock, Node: p.node(w[0])}
	by, err := time.ParseDuration(w[1])
	switch {
	case err != nil:
		p.fail(message.InvalidArgument, "%s is not an offset: use a signed number with its unit, such as +2s or -500ms", message.Quote(w[1]))
	case by == 0:
		p.fail(message.InvalidArgument, "an offset of 0 leaves the clock right: use another one, or `heal` to end a fault")
	case by > MaxClock || by < -MaxClock:
		p.fail(message.InvalidArgument, "an offset of %s is more than %s: use a smaller one", by, MaxClock)
	}
	f.By = by
	return f
}

func (p *parser) partition(w []string) Fault {
	f := Fault{Kind: Partition}
	between := "|"
	if strings.Contains(w[0], ">") {
		f.Kind, between = OneWay, ">"
		if strings.Contains(w[0], "|") || strings.Count(w[0], ">") > 1 {
			p.fail(message.InvalidArgument, "%s mixes directions: use A>B for one way, A|B for both ways, one command each", message.Quote(w[0]))
		}
	}
	seen := map[message.NodeID]bool{}
	for _, words := range strings.Split(w[0], between) {
		var group []message.NodeID
		for _, word := range strings.Split(words, ",") {
			if word == "" {
				p.fail(message.InvalidArgument, "%s has a group or a place in one that is empty: write it as 0,1|2,3", message.Quote(w[0]))
			}
			n := p.node(word)
			if seen[n] {
				p.fail(message.InvalidArgument, "node %s is named twice: a node is on one side of a partition", n)
			}
			if p.err != nil {
				return f
			}
			seen[n] = true
			group = append(group, n)
		}
		slices.Sort(group)
		f.Groups = append(f.Groups, group)
	}
	if len(f.Groups) < 2 {
		p.fail(message.InvalidArgument, "%s is one group and parts nothing: name two or more, as in 0,1|2,3,4", message.Quote(w[0]))
	}
	return f
}
