package register

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"

	"dmalloc/message"
)

// world is a simulation: replicas, clients, a directory and a mover of registers, one thread, one heap of
// what is to happen, one generator of dice. Its seed is all that a run depends on.
//
//	client ── request ─▶ [delay, loss, twice] ─▶ replica ─▶ disk ─▶ reply ─▶ [the same] ─▶ client
//	                                               ▲
//	directory ─▶ mover ── configuration, list, copy┘
type world struct {
	seed    uint64
	planted variants
	swarm   swarm
	dice    *rand.Rand
	now     int64
	seq     uint64
	queue   timetable
	nodes   []*node
	config  message.Registers // of the directory
	clients []*client
	mover   *mover
	history []event
	values  uint64 // last value written
	calm    bool   // no faults from here on
	hash    uint64 // of all that was delivered
	telling bool
	story   []string
}

// swarm is which faults a seed has, so that each gets histories in which others do not hide it.
type swarm struct {
	replicas, clients, registers, ops                   int
	drop, twice, tail, crash, power, pause, lose, move  bool
	pipeline, writeAll, hedge, large, slowDisk, restart bool
}

func (w *world) cast() {
	coin := func() bool { return w.dice.IntN(2) == 0 }
	w.swarm = swarm{
		replicas: []int{2, 3, 3, 3, 4, 5, 5}[w.dice.IntN(7)], clients: 2 + w.dice.IntN(3), registers: 1 + w.dice.IntN(2), ops: 6 + w.dice.IntN(8),
		drop: coin(), twice: coin(), tail: coin(), crash: coin(), power: coin(), pause: coin(), lose: coin(), move: coin(),
		pipeline: coin(), writeAll: w.dice.IntN(6) == 0, hedge: coin(), large: coin(), slowDisk: coin(), restart: coin(),
	}
}

// happening is one thing that is to happen.
type happening struct {
	at  int64
	seq uint64
	do  func()
}

type timetable []happening

func (q timetable) Len() int { return len(q) }
func (q timetable) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q timetable) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *timetable) Push(x any)   { *q = append(*q, x.(happening)) }
func (q *timetable) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// in has something happen after a time. Every happening has a moment of its own in the histories.
func (w *world) in(after int64, do func()) {
	w.seq++
	heap.Push(&w.queue, happening{w.now + after, w.seq, do})
}

func (w *world) say(format string, args ...any) {
	if w.telling {
		w.story = append(w.story, fmt.Sprintf("%6d ", w.now)+fmt.Sprintf(format, args...))
	}
}

func (w *world) mix(n ...uint64) {
	for _, x := range n {
		w.hash = (w.hash ^ x) * 0x100000001b3
		w.hash ^= w.hash >> 29
	}
}

// carry is the network.
func (w *world) carry(do func()) {
	if w.swarm.drop && !w.calm && w.dice.IntN(12) == 0 {
		return
	}
	w.in(w.delay(), do)
	if w.swarm.twice && w.dice.IntN(8) == 0 {
		w.in(w.delay(), do)
	}
}

func (w *world) delay() int64 {
	if w.swarm.tail && w.dice.IntN(10) == 0 {
		return 1 + w.dice.Int64N(400)
	}
	return 1 + w.dice.Int64N(20)
}

// node is a replica with its power switch.
type node struct {
	w       *world
	mem     *Memory
	down    bool
	frozen  bool
	held    []func() // what came while it was frozen
	boot    int
	syncing bool
}

func (w *world) join(id int) *node {
	n := &node{w: w, mem: NewMemory(message.Member{Node: message.NodeID(id)}, message.Registers{})}
	n.mem.planted = w.planted
	w.nodes = append(w.nodes, n)
	return n
}

// reach has something happen at a node, if it lives when it comes there.
func (w *world) reach(id message.NodeID, do func(n *node)) {
	n := w.nodes[id]
	w.carry(func() {
		switch {
		case n.down:
		case n.frozen:
			n.held = append(n.held, func() { do(n) })
		default:
			do(n)
		}
	})
}

func (n *node) ask(q Request) {
	w := n.w
	w.mix(uint64(w.now), uint64(q.Kind), uint64(q.To.Node), q.ID.Seq, q.ID.Phase, q.Tag.TS)
	w.say("node %s gets of %s: %s", n.mem.Self, q.ID, q)
	n.answer(n.mem.Step(q))
	if n.mem.Dirty() && !n.syncing {
		n.syncing = true
		boot, long := n.boot, int64(10)
		if w.swarm.slowDisk {
			long = 150
		}
		w.in(1+w.dice.Int64N(long), func() { n.sync(boot) })
	}
}

func (n *node) sync(boot int) {
	if n.boot != boot {
		return
	}
	if n.frozen {
		n.held = append(n.held, func() { n.sync(boot) })
		return
	}
	n.syncing = false
	n.answer(n.mem.Sync())
}

func (n *node) answer(replies []Reply) {
	for _, r := range replies {
		n.w.carry(func() {
			n.w.mix(uint64(n.w.now), uint64(r.From.Node), r.ID.Seq, r.ID.Phase, r.Tag.TS, r.Epoch)
			for _, c := range n.w.clients {
				c.hear(r)
			}
			n.w.mover.hear(r)
		})
	}
}

// stop is a crash: what waits for the disk is gone.
func (n *node) stop(lost bool) {
	n.mem.Crash()
	n.boot++
	n.down, n.frozen, n.syncing, n.held = true, false, false, nil
	if lost {
		n.w.say("node %s loses its disk", n.mem.Self)
		n.mem.Lose()
		n.recover()
	} else {
		n.w.say("node %s crashes", n.mem.Self)
	}
}

// recover is what the variant of that name does: it reads from a quorum of the others.
func (n *node) recover() {
	if !n.mem.planted.has(recoverAndServe) {
		return
	}
	others := slices.DeleteFunc(slices.Clone(n.w.config.Members), func(m message.Member) bool { return m == n.mem.Self })
	n.w.dice.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	for _, m := range others[:min(len(others), Quorum(len(n.w.config.Members)))] {
		from := n.w.nodes[m.Node].mem
		rows, _ := from.List(message.RegisterID{}, 100)
		for _, row := range rows {
			n.mem.keep(row.Register, from.Cell(row.Register))
		}
	}
}

func (n *node) thaw() {
	n.frozen = false
	held := n.held
	n.held = nil
	for _, do := range held {
		do()
	}
}

// lives says whether a member still has its disk.
func (w *world) lives(m message.Member) bool { return w.nodes[m.Node].mem.Self == m }

func (w *world) survivors(group []message.Member) (n int) {
	for _, m := range group {
		if w.lives(m) {
			n++
		}
	}
	return n
}

// fault breaks something, and has it mended later.
func (w *world) fault() {
	if w.calm {
		return
	}
	n := w.nodes[w.dice.IntN(len(w.nodes))]
	long := 20 + w.dice.Int64N(300)
	switch k := w.dice.IntN(8); {
	case k < 2 && w.swarm.crash && !n.down:
		n.stop(false)
		w.in(long, func() { n.down = false })
	case k == 2 && w.swarm.power:
		w.say("the power fails")
		for _, n := range w.nodes {
			n.stop(false)
			w.in(long, func() { n.down = false })
		}
	case k < 5 && w.swarm.pause && !n.down && !n.frozen:
		w.say("node %s freezes", n.mem.Self)
		n.frozen = true
		w.in(long, func() { n.thaw() })
	case k < 7 && w.swarm.lose && w.mayLose(n.mem.Self):
		n.stop(true)
		w.in(1+w.dice.Int64N(40), func() { n.down = false })
	case k == 7 && w.swarm.restart:
		w.clients[w.dice.IntN(len(w.clients))].restart()
	}
	w.in(10+w.dice.Int64N(200), w.fault)
}

// mayLose: no more disks than the promise allows. Of the old replicas as many must stay as meet every quorum,
// of the new ones a quorum.
func (w *world) mayLose(m message.Member) bool {
	left := func(group []message.Member) int {
		if n := w.survivors(group); slices.Contains(group, m) {
			return n - 1
		} else {
			return n
		}
	}
	if !slices.Contains(w.config.Members, m) && !slices.Contains(w.config.Next, m) {
		return false
	}
	return left(w.config.Members) >= Meets(len(w.config.Members)) && (w.config.Next == nil || left(w.config.Next) >= Quorum(len(w.config.Next)))
}
