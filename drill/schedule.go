package drill

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"dmalloc/message"
)

// Kind is a sort of fault that a plan may hold, by the name that --faults takes.
type Kind string

const (
	Kill      Kind = "kill"
	Wipe      Kind = "wipe" // killed, and revived without its files
	Pause     Kind = "pause"
	Partition Kind = "partition"
	OneWay    Kind = "oneway" // a partition in one direction
	Slow      Kind = "slow"
	Drop      Kind = "drop"
	DiskFull  Kind = "disk-full"
	DiskSlow  Kind = "disk-slow"
	Corrupt   Kind = "corrupt" // killed, and bits of its files flipped
	Clock     Kind = "clock"
	Majority  Kind = "majority" // so many killed at once that no majority is left
	Join      Kind = "join"     // a node is added
	Leave     Kind = "leave"    // a node is removed
	Replace   Kind = "replace"  // killed for so long that others take its place
)

// kindRow says what a kind costs.
type kindRow struct {
	kind  Kind
	out   int  // nodes that it takes out
	links bool // needs two nodes
	alone bool // only while everybody else is whole (S3)
	back  bool // ends with a revive, which takes time
	plan  func(p *planner, hold time.Duration)
}

func kindRows() []kindRow {
	return []kindRow{
		{kind: Kill, out: 1, back: true, plan: (*planner).kill},
		{kind: Wipe, out: 1, alone: true, back: true, plan: (*planner).wipe},
		{kind: Pause, out: 1, plan: (*planner).pause},
		{kind: Partition, out: 1, links: true, plan: (*planner).partition},
		{kind: OneWay, out: 1, links: true, plan: (*planner).oneWay},
		{kind: Slow, links: true, plan: (*planner).slow},
		{kind: Drop, links: true, plan: (*planner).drop},
		{kind: DiskFull, out: 1, back: true, plan: (*planner).diskFull},
		{kind: DiskSlow, plan: (*planner).diskSlow},
		{kind: Corrupt, out: 1, alone: true, back: true, plan: (*planner).corrupt},
		{kind: Clock, plan: (*planner).clock},
		{kind: Majority, alone: true, back: true, plan: (*planner).majority},
		{kind: Join, plan: (*planner).join},
		{kind: Leave, alone: true, plan: (*planner).leave},
		{kind: Replace, out: 1, alone: true, back: true, plan: (*planner).replace},
	}
}

// Kinds lists all kinds.
func Kinds() []Kind {
	var all []Kind
	for _, r := range kindRows() {
		all = append(all, r.kind)
	}
	return all
}

// DefaultKinds are those that any cluster whose companies have three owners must bear without a wish of its user.
func DefaultKinds() []Kind { return []Kind{Kill, Pause, Partition, OneWay, Slow, Drop} }

const mostWeight = 100 // of a kind in a list

// ParseKinds reads a list such as "kill,pause,slow" or "kill:3,slow". A kind of weight 3 stands there three
// times, and is drawn three times as often.
func ParseKinds(list string) ([]Kind, error) {
	var kinds []Kind
	for _, word := range strings.Split(list, ",") {
		name, number, weighed := strings.Cut(strings.TrimSpace(word), ":")
		k, weight := Kind(name), 1
		if !slices.Contains(Kinds(), k) {
			return nil, message.Errorf(message.InvalidArgument, "%s is not a kind of fault; use some of %s", message.Quote(word), kindList(Kinds()))
		}
		if weighed {
			var err error
			if weight, err = strconv.Atoi(number); err != nil || weight < 1 || weight > mostWeight {
				return nil, message.Errorf(message.InvalidArgument, "%s is not how often a kind is drawn; use a weight of 1 to %d, such as kill:3", message.Quote(word), mostWeight)
			}
		}
		if slices.Contains(kinds, k) {
			if weighed {
				return nil, message.Errorf(message.InvalidArgument, "%s stands twice in %s; give it one weight", k, message.Quote(list))
			}
			continue
		}
		kinds = append(kinds, slices.Repeat([]Kind{k}, weight)...)
	}
	return kinds, nil
}

func kindList(kinds []Kind) string {
	var words []string
	for i, k := range kinds {
		if slices.Index(kinds, k) < i {
			continue
		}
		word := string(k)
		if n := weight(kinds, k); n > 1 {
			word += ":" + strconv.Itoa(n)
		}
		words = append(words, word)
	}
	return strings.Join(words, ",")
}

// weight is how often a kind stands in a list.
func weight(kinds []Kind, k Kind) (n int) {
	for _, other := range kinds {
		if other == k {
			n++
		}
	}
	return n
}

// Plan is what a script is made from.
type Plan struct {
	Seed      uint64
	Length    time.Duration
	Nodes     int
	Replicas  int // of a company and of a register: the smaller of the two
	Companies int // besides the directory
	// ReplaceAfter is for how long a node may be dead before others take its place; 0 means that nobody does.
	ReplaceAfter time.Duration
	Kinds        []Kind        // one that stands there twice is drawn twice as often
	Pace         time.Duration // the mean time between the beginnings of faults; 0 means about 0.85 s, or as seldom as their lengths allow
}

const (
	spare     = 250 * time.Millisecond // between the end of a fault by itself and what relies on it
	shortest  = 400 * time.Millisecond // that a fault lasts
	longest   = 4 * time.Second
	mostLinks = 3 // faults of links and disks that slow things down, at once
)

// Minority is how many nodes may be out at once (S2): any two may own the same company.
func (p Plan) Minority() int { return (min(p.Nodes, p.Replicas) - 1) / 2 }

// planner makes the steps of a plan.
type planner struct {
	Plan
	dice    *rand.Rand
	pace    pace
	at      time.Duration
	due     time.Duration // when the next fault would begin if others left room for it
	events  []event
	going   []going
	victims int
	nodes   int // that there will be
}

type event struct {
	at time.Duration
	c  Command
}

// going is a fault whose end lies ahead.
type going struct {
	ends  time.Duration
	out   int
	alone bool
}

// Steps makes the script (S1). Its last step is a heal at the plan's length.
func (p Plan) Steps() ([]Step, error) {
	rows, err := p.rows()
	if err != nil {
		return nil, err
	}
	g := &planner{Plan: p, nodes: p.Nodes, pace: p.pace(rows), dice: rand.New(rand.NewPCG(p.Seed, 0x6472696c6c))}
	g.at = g.between(200*time.Millisecond, min(time.Second, p.Length/4+200*time.Millisecond))
	g.due = g.at
	for again := (*kindRow)(nil); ; {
		hold := g.between(shortest, longest)
		if g.dice.IntN(4) == 0 {
			hold = g.between(shortest, 2*shortest)
		}
		hold = min(g.pace.scaled(hold), (p.Length - g.at - 2*g.pace.spare).Truncate(time.Millisecond))
		if hold < g.pace.scaled(shortest) {
			break
		}
		row := rows[g.dice.IntN(len(rows))]
		if again != nil {
			row = *again
		}
		if row = g.instead(row); !g.possible(row) {
			g.at += g.pace.pause(g.between(10*time.Millisecond, 200*time.Millisecond))
			again = nil
			continue
		}
		if when, fits := g.fits(row); !fits {
			g.at = max(when, g.at) + g.pace.pause(g.between(10*time.Millisecond, 200*time.Millisecond))
			if p.Pace > 0 {
				again = &row // its turn, or those that are always possible would come more often than their weight
			}
			continue
		}
		again = nil
		row.plan(g, hold)
		if row.back {
			g.going[len(g.going)-1].ends += g.pace.back
		}
		g.next()
	}
	slices.SortStableFunc(g.events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	g.event(p.Length.Truncate(time.Millisecond), Command{Verb: "heal"})
	steps := make([]Step, len(g.events))
	last := time.Duration(0)
	for i, e := range g.events {
		steps[i] = Step{After: e.at - last, Command: e.c}
		last = e.at
	}
	return steps, nil
}

// rows are the kinds that the plan allows, or why one of them cannot be had.
func (p Plan) rows() ([]kindRow, error) {
	switch {
	case p.Nodes < 1 || p.Nodes > message.MaxNodes:
		return nil, message.Errorf(message.InvalidArgument, "a drill of %d nodes cannot be planned; there are 1 to %d", p.Nodes, message.MaxNodes)
	case p.Length < time.Second:
		return nil, message.Errorf(message.InvalidArgument, "a drill of %v is too short; give it at least 1s", p.Length)
	case p.Pace != 0 && (p.Pace < fastest || p.Pace > slowest):
		return nil, message.Errorf(message.InvalidArgument, "a fault every %v cannot be planned; use a pace of %v to %v", p.Pace, fastest, slowest)
	case len(p.Kinds) == 0:
		return nil, message.Errorf(message.InvalidArgument, "no fault is named; use some of %s", kindList(Kinds()))
	}
	var rows []kindRow
	for _, r := range kindRows() {
		n := weight(p.Kinds, r.kind)
		if n == 0 {
			continue
		}
		if r.links && p.Nodes < 2 {
			return nil, message.Errorf(message.InvalidArgument, "%s needs a link, and the only node has none; leave it out", r.kind)
		}
		if r.out > p.Minority() {
			return nil, message.Errorf(message.InvalidArgument, "%s would stop the majority: with %d nodes and %d replicas not one node may be out; use the kind majority if that is meant, or more replicas",
				r.kind, p.Nodes, p.Replicas)
		}
		if err := p.mayMove(r.kind); err != nil {
			return nil, err
		}
		rows = append(rows, slices.Repeat([]kindRow{r}, n)...)
	}
	if len(rows) != len(p.Kinds) {
		return nil, message.Errorf(message.InvalidArgument, "%s holds what is not a kind; use some of %s", message.Quote(kindList(p.Kinds)), kindList(Kinds()))
	}
	return rows, nil
}

// fits says whether the fault may begin now, or when to look again.
func (g *planner) fits(row kindRow) (when time.Duration, fits bool) {
	g.going = slices.DeleteFunc(g.going, func(f going) bool { return f.ends+g.pace.spare <= g.at })
	out, slow, next := 0, 0, time.Duration(0)
	for _, f := range g.going {
		out += f.out
		if f.out == 0 {
			slow++
		}
		if next == 0 || f.ends+g.pace.spare < next {
			next = f.ends + g.pace.spare
		}
		if f.alone && (row.out > 0 || row.alone) {
			return f.ends + g.pace.spare, false
		}
	}
	switch {
	case row.alone && len(g.going) > slow, row.out > 0 && out+row.out > g.Minority(), row.out == 0 && !row.alone && slow >= mostLinks:
		return next, false
	}
	return 0, true
}

// gap is irregular: often a second or two, at times hardly anything.
func (g *planner) gap() time.Duration {
	if g.dice.IntN(4) == 0 {
		return g.between(20*time.Millisecond, 200*time.Millisecond)
	}
	return g.between(200*time.Millisecond, 2*time.Second)
}

// between is a time in whole milliseconds.
func (g *planner) between(low, high time.Duration) time.Duration {
	return low.Truncate(time.Millisecond) + time.Duration(g.dice.Int64N(int64(high-low)/1e6+1))*time.Millisecond
}

func (g *planner) event(at time.Duration, c Command) { g.events = append(g.events, event{at, c}) }

// begins notes a fault that takes out some nodes until hold is over.
func (g *planner) begins(hold time.Duration, out int, alone bool) {
	g.going = append(g.going, going{g.at + hold, out, alone})
}

// victim is a node that will be chosen when the fault comes: leaders are preferred.
func (g *planner) victim() Who {
	g.victims++
	w := Who{Victim: g.victims, Role: Any}
	if g.Companies > 0 {
		w.Company = message.CompanyID(1 + g.dice.IntN(g.Companies))
		switch d := g.dice.IntN(20); {
		case d < 11:
			w.Role = Leader
		case d < 17:
			w.Role = Backup
		}
	}
	if w.Role == Any {
		w.Company = 0
	}
	return w
}

// link is two victims, most often of one company.
func (g *planner) link() []Who {
	a := g.victim()
	g.victims++
	b := Who{Victim: g.victims, Role: Any}
	if a.Role != Any {
		b.Role, b.Company = Backup, a.Company
	}
	return []Who{a, b}
}

// again is a victim in a later command.
func again(w Who) Who { return Who{Victim: w.Victim} }
