package drill

import "time"

// One function a kind: each writes the fault's commands and notes when it is over.

func (g *planner) kill(hold time.Duration) {
	v := g.victim()
	g.event(g.at, Command{Verb: "kill", Who: []Who{v}})
	g.event(g.at+hold, Command{Verb: "revive", Who: []Who{again(v)}})
	g.begins(hold, 1, false)
}

func (g *planner) wipe(hold time.Duration) {
	v := g.victim()
	g.event(g.at, Command{Verb: "kill", Who: []Who{v}})
	g.event(g.at+hold, Command{Verb: "revive", Who: []Who{again(v)}, Wipe: true})
	g.begins(hold, 1, true)
}

func (g *planner) corrupt(hold time.Duration) {
	v := g.victim()
	g.event(g.at, Command{Verb: "kill", Who: []Who{v}})
	g.event(g.at+(hold/2).Truncate(time.Millisecond), Command{Verb: "corrupt", Who: []Who{again(v)}})
	g.event(g.at+hold, Command{Verb: "revive", Who: []Who{again(v)}})
	g.begins(hold, 1, true)
}

func (g *planner) pause(hold time.Duration) {
	v := g.victim()
	g.event(g.at, Command{Verb: "pause", Who: []Who{v}})
	g.event(g.at+hold, Command{Verb: "resume", Who: []Who{again(v)}})
	g.begins(hold, 1, false)
}

func (g *planner) partition(hold time.Duration) {
	g.event(g.at, Command{Verb: "partition", Groups: [][]Who{{g.victim()}}, Rest: true, For: hold})
	g.begins(hold, 1, false)
}

func (g *planner) oneWay(hold time.Duration) {
	l := g.link()
	c := Command{Verb: "partition", Groups: [][]Who{{l[0]}, {l[1]}}, OneWay: true, For: hold}
	if g.dice.IntN(2) == 0 {
		c.Groups, c.Rest = c.Groups[:1], true
	}
	g.event(g.at, c)
	g.begins(hold, 1, false)
}

func (g *planner) slow(hold time.Duration) {
	late := g.between(5*time.Millisecond, 200*time.Millisecond)
	g.event(g.at, Command{Verb: "slow", Who: g.link(), Amount: late, For: hold})
	g.begins(hold, 0, false)
}

func (g *planner) drop(hold time.Duration) {
	g.event(g.at, Command{Verb: "drop", Who: g.link(), Lose: 5 + g.dice.IntN(46), For: hold})
	g.begins(hold, 0, false)
}

// diskFull ends with a revive: a node may stop when its disk is full.
func (g *planner) diskFull(hold time.Duration) {
	v := g.victim()
	spare := g.pace.spare
	full := max(hold-spare, g.pace.scaled(shortest)/2).Truncate(time.Millisecond)
	g.event(g.at, Command{Verb: "disk full", Who: []Who{v}, For: full})
	g.event(g.at+full+spare, Command{Verb: "revive", Who: []Who{again(v)}})
	g.begins(full+spare, 1, false)
}

func (g *planner) diskSlow(hold time.Duration) {
	late := g.between(20*time.Millisecond, 300*time.Millisecond)
	g.event(g.at, Command{Verb: "disk slow", Who: []Who{g.victim()}, Amount: late, For: hold})
	g.begins(hold, 0, false)
}

func (g *planner) clock(hold time.Duration) {
	shift := g.between(500*time.Millisecond, 5*time.Second)
	if g.dice.IntN(2) == 0 {
		shift = -shift
	}
	g.event(g.at, Command{Verb: "clock", Who: []Who{g.victim()}, Amount: shift, For: hold})
	g.begins(hold, 0, false)
}

// majority kills just one node more than a minority, so that the first revive has somebody to catch up with.
func (g *planner) majority(hold time.Duration) {
	var all []Who
	for range g.Minority() + 1 {
		v := g.victim()
		all = append(all, v)
		g.event(g.at, Command{Verb: "kill", Who: []Who{v}})
	}
	for i := range all {
		g.event(g.at+hold, Command{Verb: "revive", Who: []Who{again(all[i])}})
	}
	g.begins(hold, len(all), true)
}
