package sim

import (
	"bytes"
	"fmt"
	"math/rand/v2"

	"dmalloc/message"
	"dmalloc/ring"
)

// Times of the simulation are milliseconds of nobody's clock.
const (
	calmUntil    = 120     // the shared allocations are made before the faults begin
	troubleUntil = 2600    // and this is when they end
	patience     = 60_000  // for everything to come to an end after that
	maxEvents    = 400_000 // of one history
)

// world is a whole cluster and its users: one goroutine, one queue of what is to happen, one generator of
// dice.
type world struct {
	cfg    Config
	faults Faults
	dice   *rand.Rand
	now    int64
	seq    uint64
	queue  queue
	events int
	hash   uint64
	calm   bool // no faults, now

	plan    *message.Directory // that the cluster begins with
	nodes   []*node
	groups  []*group // by company; the first is the directory's
	clients []*client
	admin   *session // of the person who changes members and replaces disks
	places  map[place][][]message.Member
	shared  []*cell // 8 bytes that all clients use
	numbers uint64  // last value written: each is written once
	keys    uint64  // last key of a node that joins
	names   uint64  // last client id given
	origins uint64  // last origin of batches given

	ops, unknown int
	deeds        Deeds
	history      []record
	holdings     []*holding // allocations as their users know them
	lostMallocs  []*holding // asked for, outcome unknown
	// strays were written to allocations that are freed, by clients that never heard of the end: a late one
	// may still be done, to whatever has the address by then.
	strays     []uint64
	dismissing bool               // a node; one at a time, so that enough stay
	nextOf     *message.Directory // what next has answered last
	nextDead   uint64
	nextIs     ring.Change
	paused     []func() // reads that were stopped half-way
	failure    *failure // the first
	tale       []line
	buffer     bytes.Buffer // of snapshots on their way from disk to memory
}

// place is where a register lies in one epoch.
type place struct {
	epoch uint64
	id    message.RegisterID
}

// failure is an invariant that does not hold.
type failure struct {
	check, about, text string
}

// line is one line of the story.
type line struct {
	at    int64
	about string // what it concerns; "" concerns everything
	text  string
}

func newWorld(c Config) *world {
	w := &world{cfg: c, dice: rand.New(rand.NewPCG(c.Seed, c.Salt)), calm: true, hash: 0xcbf29ce484222325,
		places: map[place][][]message.Member{}}
	w.cast()
	return w
}

// cast has the seed choose who plays. Its dice do not depend on the salt.
func (w *world) cast() {
	d := rand.New(rand.NewPCG(w.cfg.Seed, 0xca57))
	w.faults = (Faults(d.Uint32())&allFaults | w.cfg.with) &^ w.cfg.Without
	nodes, companies := 3+d.IntN(3), 2+d.IntN(2)
	settings := message.Settings{Nodes: nodes, Replicas: []int{2, 3, 3, 3, 5}[d.IntN(5)], Companies: companies,
		RegisterReplicas: []int{2, 3, 3, 3, 4, 5}[d.IntN(6)], Memory: uint64(24+d.IntN(24)) * message.PageSize}
	if w.cfg.Clients == 0 {
		w.cfg.Clients = 2 + d.IntN(4)
	}
	if w.cfg.Ops == 0 {
		w.cfg.Ops = 150 / w.cfg.Clients
	}
	w.plan = ring.Plan(settings, nil)
	w.found()
	w.say("", "%d nodes, %d companies of %d owners, registers on %d; faults: %s", nodes, companies, len(w.plan.Companies[1].Owners),
		settings.RegisterReplicas, w.faults)
}

// found makes the nodes and the companies of the plan.
func (w *world) found() {
	for i := range w.plan.Nodes {
		w.nodes = append(w.nodes, newNode(w, message.NodeID(i)))
	}
	for i := range w.plan.Companies {
		w.groups = append(w.groups, newGroup(w, &w.plan.Companies[i]))
	}
	for _, n := range w.nodes {
		n.start()
	}
	w.admin = w.newSession("the admin")
}

// has says whether a class of faults is on, now.
func (w *world) has(f Faults) bool { return !w.calm && w.faults&f != 0 }

// odds is true once in n times.
func (w *world) odds(n int) bool { return w.dice.IntN(n) == 0 }

// in has something happen after a time.
func (w *world) in(after int64, do func()) {
	w.seq++
	w.queue.push(happening{w.now + after, w.seq, do})
}

// moment is a time of its own for each call and return: what ends before something begins has the smaller one.
func (w *world) moment() int64 {
	w.seq++
	return int64(w.seq)
}

// carry is the network: it may lose what it is given, keep it long, or bring it twice, which it says.
func (w *world) carry(do func()) (twice bool) {
	if w.has(Loss) && w.odds(16) {
		return false
	}
	w.in(w.delay(), do)
	if w.has(Twice) && w.odds(10) {
		w.in(w.delay(), do)
		return true
	}
	return false
}

func (w *world) delay() int64 {
	if w.has(Tail) && w.odds(12) {
		return 1 + w.dice.Int64N(400)
	}
	return 1 + w.dice.Int64N(8)
}

// run lets things happen until it is over.
func (w *world) run(over func() bool) bool {
	deadline := w.now + patience
	for !over() {
		if len(w.queue) == 0 || w.now > deadline || w.events > maxEvents {
			return false
		}
		h := w.queue.pop()
		w.now = h.at
		w.events++
		h.do()
		if w.failure != nil {
			return false
		}
	}
	return true
}

// until lets things happen up to a time.
func (w *world) until(t int64) bool {
	reached := false
	w.in(t-w.now, func() { reached = true })
	return w.run(func() bool { return reached })
}

// mix takes part of what happens into the trace.
func (w *world) mix(n ...uint64) {
	h := w.hash
	for _, x := range n {
		h = (h ^ x) * 0x100000001b3
		h ^= h >> 29
	}
	w.hash = h
}

// say writes a line of the story. Callers on the hot path ask for Tell first.
func (w *world) say(about, format string, args ...any) {
	if w.cfg.Tell {
		w.tale = append(w.tale, line{w.now, about, fmt.Sprintf(format, args...)})
	}
}

// fail notes the first invariant that does not hold.
func (w *world) fail(check, about, format string, args ...any) {
	if w.failure == nil {
		w.failure = &failure{check, about, fmt.Sprintf(format, args...)}
	}
}

// directory is what the directory's log says by now, whoever has applied it.
func (w *world) directory() *message.Directory { return w.groups[0].truth.Current() }

// where are the replicas of a register.
func (w *world) where(c message.Registers, id message.RegisterID) [][]message.Member {
	key := place{c.Epoch, id}
	g, ok := w.places[key]
	if !ok {
		g = ring.Groups(c, ring.Shard(id))
		w.places[key] = g
	}
	return g
}

// name gives a client id that was never given before.
func (w *world) name() (id message.ClientID) {
	w.names++
	id[0], id[1], id[15] = byte(w.names>>8), byte(w.names), 1
	return id
}

func (w *world) value() uint64 {
	w.numbers++
	return w.numbers
}
