package sim

import (
	"bytes"

	"dmalloc/company"
	"dmalloc/directory"
	"dmalloc/lease"
	"dmalloc/message"
)

const entryTimeout = 90 // after which an owner says that it does not know what became of an entry

// owner is a company's replica on a node: what package owner does around company.Apply.
//
//	handle ─▶ queue ─▶ batch ─▶ group ─▶ apply ─▶ answer        (O1: after it was applied here)
//	   └────▶ ReadIndex: how long is the log now? ─▶ applied so far? ─▶ read ─▶ answer
type owner struct {
	g       *group
	n       *node
	replica uint64
	voting  bool
	lost    bool // with its disk, for ever
	removed bool // from its company, which it may not know

	// On disk.
	snapshot      *company.Snapshot
	dirSnapshot   *directory.Snapshot
	snapshotIndex uint64
	cutAt         uint64 // its log begins behind this entry: who needs earlier ones loads a snapshot

	// In memory.
	boot    int
	heap    *company.Company // nil while the node is down, and in the directory's group
	dir     *directory.State
	applied uint64
	known   uint64 // how long the log is, as this owner knows
	term    uint64 // that it knows of
	leader  *owner
	mine    bool // it believes to lead
	queue   []waiting
	flying  []*flight
	busy    bool   // the next batch is on its way to the log
	origin  uint64 // of this run's batches: no other run has it
	number  uint64
	last    int64 // when the last batch was made
	readers []reader
	seen    []seen // transactions that are not at their end
	watch   *lease.Watch
	alarmAt int64 // when leases are looked at next
}

// waiting is a message and where its answer goes.
type waiting struct {
	m     *message.Message
	reply func(*message.Message)
}

// flight is a batch that was proposed, and whose answers are owed.
type flight struct {
	batch *message.Batch
	owed  []waiting
}

// reader waits until the owner has applied so much.
type reader struct {
	index uint64
	waiting
}

func newOwner(g *group, n *node, replica uint64) *owner {
	o := &owner{g: g, n: n, replica: replica}
	n.owners = append(n.owners, o)
	return o
}

// up says whether the owner runs.
func (o *owner) up() bool { return o.n.up && !o.lost }

// start loads what is on disk.
func (o *owner) start() {
	o.stop()
	o.applied, o.known, o.term = o.snapshotIndex, 0, 0
	o.g.w.origins++
	o.origin = o.g.w.origins
	if o.boot > 2 {
		o.g.w.did(restarted)
	}
	o.watch, o.alarmAt = lease.NewWatch(), 0
	o.load(o.snapshot, o.dirSnapshot)
}

// stop loses what is in memory.
func (o *owner) stop() {
	o.boot++
	o.heap, o.dir, o.leader, o.mine, o.busy = nil, nil, nil, false, false
	o.queue, o.flying, o.readers, o.seen = nil, nil, nil, nil
}

// load makes the state of a snapshot, or that of the beginning.
func (o *owner) load(s *company.Snapshot, d *directory.Snapshot) {
	var err error
	switch {
	case o.g.id == 0 && d == nil:
		o.dir = directory.New(o.g.w.plan)
	case o.g.id == 0:
		b := &o.g.w.buffer
		b.Reset()
		_, _ = d.WriteTo(b) // a bytes.Buffer does not fail
		o.dir, err = directory.Load(bytes.NewReader(b.Bytes()))
	case s == nil:
		o.heap = company.New(o.g.cfg)
	default:
		b := &o.g.w.buffer
		b.Reset()
		_, _ = s.WriteTo(b)
		o.heap, err = company.Load(bytes.NewReader(b.Bytes()), o.g.cfg)
	}
	if o.heap != nil {
		o.watch.Found(o.heap.AllLeases(), o.n.clock())
	}
	if err != nil {
		o.g.w.fail("S4", "", "company %s: node %s cannot load its snapshot: %v", o.g.id, o.n.id, err)
		o.heap, o.dir = company.New(o.g.cfg), directory.New(o.g.w.plan)
	}
}

// later does something after a time if the owner has not stopped meanwhile; a frozen one does it when it thaws.
func (o *owner) later(after int64, do func()) {
	boot := o.boot
	o.g.w.in(after, func() {
		o.n.awake(func() {
			if o.boot == boot && o.up() {
				do()
			}
		})
	})
}

// hears of how long the log is, in its own time.
func (o *owner) hears(length uint64) {
	w := o.g.w
	if o.n.cutOff {
		return
	}
	after := 1 + w.dice.Int64N(6)
	if w.has(Lag) && (uint64(o.n.id)+uint64(o.g.id)+uint64(w.now)/400)%3 == 0 {
		after += w.dice.Int64N(250)
	}
	o.later(after, func() {
		if !o.n.cutOff {
			o.known = max(o.known, length)
			o.catchUp()
		}
	})
}

func (o *owner) hearsLeader(leader *owner, term uint64) {
	if o.n.cutOff {
		return
	}
	o.later(1+o.g.w.dice.Int64N(12), func() {
		if term > o.term && !o.n.cutOff {
			o.setLeader(leader, term)
		}
	})
}

// setLeader takes in who leads. Who leads begins the term with an entry that says so; who led owes answers
// that it cannot give any more (O3).
func (o *owner) setLeader(leader *owner, term uint64) {
	if o.mine {
		o.strays(o.term)
	}
	o.term, o.leader, o.mine = term, leader, leader == o
	flying, queue := o.flying, o.queue
	o.flying, o.queue = nil, nil
	for _, f := range flying {
		unknown(f.owed)
	}
	for _, q := range queue {
		q.reply(o.notLeader(q.m))
	}
	if o.mine {
		o.last = o.g.w.now
		o.begin(term)
	}
}

// begin has the log tell of the term, again where that was lost: leases wait for it.
func (o *owner) begin(term uint64) {
	m := message.New(message.TERM)
	m.Term, m.Final, m.Company = term, o.n.id, o.g.id
	o.queue = append(o.queue, waiting{m, func(a *message.Message) {
		if a.Status != message.Done && o.g.w.cfg.planted != termOnce {
			o.later(10, func() {
				if o.mine && o.term == term {
					o.begin(term)
				}
			})
		}
	}})
	o.propose()
}

func unknown(owed []waiting) {
	for _, q := range owed {
		q.reply(q.m.Answer(message.Retry, ""))
	}
}

func (o *owner) notLeader(m *message.Message) *message.Message {
	a := m.Answer(message.NotLeader, "")
	a.Term = o.term
	if o.leader != nil {
		a.Final = o.leader.n.id
	}
	return a
}

// handle is a request that came to the owner.
func (o *owner) handle(q waiting) {
	w := o.g.w
	switch {
	case !q.m.Op.Logged():
		o.read(q)
	case !o.mine:
		q.reply(o.notLeader(q.m))
	case w.has(Proposals) && w.odds(30):
		q.reply(q.m.Answer(message.Busy, "")) // a queue is full: nothing was done
	default:
		if w.cfg.planted == acknowledgeEarly && q.m.Op == message.WRITE {
			a := q.m.Answer(message.Done, "")
			a.Address, a.Size = q.m.Address, q.m.Size
			q.reply(a)
			q.reply = func(*message.Message) {}
		}
		if q.m.Op == message.LEASE {
			m := *q.m
			m.Term = o.term
			q.m = &m
		}
		o.queue = append(o.queue, q)
		o.propose()
	}
}

// propose is group commit: all that wait while the lane is busy go together.
func (o *owner) propose() {
	if o.busy {
		return
	}
	o.busy = true
	o.later(1+o.g.w.dice.Int64N(3), func() {
		o.busy = false
		if !o.mine || len(o.queue) == 0 {
			return
		}
		o.number++
		b := &message.Batch{Origin: o.origin, Number: o.number, Term: o.term, Node: o.n.id,
			Elapsed: uint64(o.g.w.now - o.last), Messages: make([]*message.Message, len(o.queue))}
		for i, q := range o.queue {
			b.Messages[i] = q.m
		}
		o.last = o.g.w.now
		f := &flight{b, o.queue}
		o.queue = nil
		o.flying = append(o.flying, f)
		boot := o.boot
		o.g.w.in(1+o.g.w.dice.Int64N(4), func() { o.g.arrive(o, boot, b, 0) })
		o.later(entryTimeout, func() {
			if o.land(b) != nil {
				unknown(f.owed)
			}
		})
	})
}

// land takes back a batch that is owed answers.
func (o *owner) land(b *message.Batch) *flight {
	for i, f := range o.flying {
		if f.batch.Number == b.Number && f.batch.Origin == b.Origin {
			o.flying = append(o.flying[:i:i], o.flying[i+1:]...)
			return f
		}
	}
	return nil
}

// catchUp applies what is known to be in the log.
func (o *owner) catchUp() {
	g := o.g
	if from := g.leader; from != nil && from != o && from.cutAt > o.applied && o.applied < o.known {
		if !from.reaches() {
			return // the next heartbeat tries again
		}
		o.fetch(from)
	}
	for o.applied < o.known && g.w.failure == nil {
		o.apply(o.applied+1, g.entries[o.applied])
	}
	o.serve()
	if g.w.has(Snapshots) && o.applied > o.snapshotIndex+snapshotLong && g.w.odds(8) {
		o.keep()
	}
}

// keep takes a snapshot, and may cut the log behind it.
func (o *owner) keep() {
	if o.dir != nil {
		o.dirSnapshot = o.dir.Snapshot()
	} else {
		o.snapshot = o.heap.Snapshot()
	}
	o.snapshotIndex = o.applied
	if o.g.w.odds(2) {
		o.cutAt = o.applied
	}
}

// fetch loads a snapshot of the leader, whose log does not go back far enough.
func (o *owner) fetch(from *owner) {
	o.g.w.did(shipped)
	if o.g.w.cfg.Tell {
		o.g.w.say(aboutLeaders, "node %s takes the snapshot of node %s of company %s at entry %d", o.n.id, from.n.id, o.g.id, from.applied)
	}
	if o.g.id == 0 {
		o.dirSnapshot = from.dir.Snapshot()
	} else {
		o.snapshot = from.heap.Snapshot()
	}
	o.snapshotIndex, o.applied = from.applied, from.applied
	o.known = max(o.known, o.applied)
	o.load(o.snapshot, o.dirSnapshot)
}

func (o *owner) apply(index uint64, b *message.Batch) {
	var a company.Applied
	if o.dir != nil {
		a = o.dir.Apply(index, b)
		o.n.learn(o.dir.Current())
	} else {
		b = o.wrongly(index, b)
		a = o.heap.Apply(index, b)
	}
	o.applied = index
	o.g.sameAnswers(o, index, b, &a)
	if o.heap != nil {
		o.watches(&a)
	}
	if len(o.flying) == 0 || b.Node != o.n.id {
		return
	}
	if f := o.land(b); f != nil {
		for i, q := range f.owed {
			if a.Results[i].Index != index {
				o.g.w.did(repeated)
			}
			if a.Results[i].Code == message.Leased {
				var tokens []uint64
				for _, l := range a.Results[i].Leases {
					tokens = append(tokens, l.Token)
				}
				o.contend(tokens)
			}
			r := a.Results[i].Answer(q.m)
			r.Term = o.term
			q.reply(r)
		}
	}
}

// wrongly is what planted bugs make of an entry.
func (o *owner) wrongly(index uint64, b *message.Batch) *message.Batch {
	planted := o.g.w.cfg.planted
	switch planted {
	case forgetAnswers, applyDeposedTwice, deposedExpires, olderToken:
	default:
		return b
	}
	term, _, _ := o.heap.Lead()
	alias := uint8(0)
	switch {
	case planted == forgetAnswers:
		alias = uint8(index / aliasEvery)
	case planted == applyDeposedTwice && b.Term >= term:
		return b
	}
	c := *b
	c.Messages = make([]*message.Message, len(b.Messages))
	for i, m := range b.Messages {
		n := *m
		switch {
		case planted == applyDeposedTwice:
			n.Client = message.ClientID{}
		case planted == forgetAnswers:
			n.Client[14] = alias
		case planted == deposedExpires && m.Op == message.EXPIRE:
			n.Term = max(m.Term, term)
		case planted == olderToken && m.Token != 0 && m.Op == message.WRITE:
			n.Token = o.newerToken(m)
		}
		c.Messages[i] = &n
	}
	return &c
}

// newerToken is the token of the lease that stands where a message is to write.
func (o *owner) newerToken(m *message.Message) uint64 {
	page := uint64(m.Address-o.g.id.Base()) / message.PageSize
	for _, l := range o.heap.AllLeases() {
		if l.Exclusive && l.Touches(page, 1) {
			return l.Token
		}
	}
	return 0
}
