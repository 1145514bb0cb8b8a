package owner

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lni/dragonboat/v4"
	"github.com/lni/dragonboat/v4/client"

	"dmalloc/company"
	"dmalloc/message"
)

const (
	proposeLanes = 4 // entries of a company in flight
	readLanes    = 1 // ReadIndex rounds of a company in flight: a second one halves the batches and gains nothing

	// How long an entry may be under way before its messages are answered Retry. Clients try again
	// much sooner; this only bounds what a lane waits for.
	entryTimeout = 3 * time.Second
)

// leadership is who leads, as this node last heard. A new value replaces it and closes over.
type leadership struct {
	node  message.NodeID
	term  uint64
	known bool // somebody leads
	mine  bool // this replica does
	over  chan struct{}
	since time.Time
}

// Replica is one owner of a company on this node.
type Replica struct {
	ID         message.CompanyID
	Generation uint64 // of the company
	Replica    uint64

	host    *Host
	session *client.Session // Dragonboat's that stands for none: what repeats a request is known to the company
	machine *machine
	lead    atomic.Pointer[leadership]
	writes  *queue
	reads   *queue
	number  atomic.Uint64
	copies  copies
	flying  atomic.Int64 // bytes of entries that were proposed and have no outcome yet
	lanes   sync.WaitGroup
	ended   chan struct{} // closed by stop

	hold    atomic.Pointer[hold]
	barred  atomic.Uint64 // no lease in this term of Raft, nor before it
	renewal chan struct{} // has room for one

	elapsedMu sync.Mutex
	lastBatch time.Time // when this leader last proposed
}

func newReplica(h *Host, seat Seat, m *machine) *Replica {
	r := &Replica{ID: seat.Company, Generation: seat.Generation, Replica: seat.Replica, host: h, machine: m, writes: newGathering(&h.queued), reads: newQueue(&h.queued), ended: make(chan struct{}), renewal: make(chan struct{}, 1)}
	r.lead.Store(&leadership{node: message.NoNode, over: make(chan struct{}), since: time.Now()})
	return r
}

// shard is the number of the Raft group.
func (r *Replica) shard() uint64 { return shardOf(r.ID, r.Generation) }

func (r *Replica) start() {
	r.session = r.host.nh.GetNoOPSession(r.shard())
	for range proposeLanes {
		r.lanes.Go(func() { r.lane(r.writes, r.propose) })
	}
	r.lanes.Go(r.renewals)
	for range readLanes {
		r.lanes.Go(func() { r.lane(r.reads, r.readTogether) })
	}
}

func (r *Replica) stop() {
	close(r.ended)
	left := append(r.writes.close(), r.reads.close()...)
	for _, q := range left {
		q.reply(q.m.Answer(message.Retry, "node is stopping"))
	}
	r.setLeader(message.NoNode, 0, false)
	r.lanes.Wait()
}

func (r *Replica) lane(q *queue, work func([]request)) {
	var batch []request
	for {
		batch = q.take(batch)
		if len(batch) == 0 {
			return
		}
		begin := time.Now()
		work(batch)
		q.done(len(batch), time.Since(begin))
		clear(batch)
	}
}

// Do has a logged message done and replies once. It does not wait.
func (r *Replica) Do(m *message.Message, reply func(*message.Message)) {
	if reply = r.copies.join(m, reply); reply != nil {
		r.enqueue(r.writes, m, reply)
	}
}

// Read has a message answered that changes nothing: linearizable, and once. It does not wait.
func (r *Replica) Read(m *message.Message, reply func(*message.Message)) {
	if a := r.readAtOnce(m); a != nil {
		reply(a)
		return
	}
	r.enqueue(r.reads, m, reply)
}

func (r *Replica) enqueue(q *queue, m *message.Message, reply func(*message.Message)) {
	if l := r.lead.Load(); !l.mine && !(plantedStale && q == r.reads) {
		reply(r.notLeader(m, l))
		return
	}
	if !q.put(request{m, reply, now()}) {
		reply(m.Answer(message.Busy, fmt.Sprintf("as much waits for company %s, or for all companies on this node, as may; nothing was done, try again", r.ID)))
	}
}

// began is a moment before all others.
var began = time.Now()

// now is time.Now for who wants to know later how long it took: it reads one clock instead of two.
func now() time.Time { return began.Add(time.Since(began)) }

// NotLeader answers who leads instead of this replica.
func (r *Replica) NotLeader(m *message.Message) *message.Message {
	return r.notLeader(m, r.lead.Load())
}

// notLeader names the one to ask.
func (r *Replica) notLeader(m *message.Message, l *leadership) *message.Message {
	a := m.Answer(message.NotLeader, fmt.Sprintf("company %s has no leader", r.ID))
	a.Term = l.term
	if l.known && !l.mine {
		a.Final, a.Text = l.node, fmt.Sprintf("company %s is led by node %s", r.ID, l.node)
	}
	return a
}

// propose sends a batch through the log and answers its messages (O1, O3).
func (r *Replica) propose(batch []request) {
	l := r.lead.Load()
	if !l.mine {
		for _, q := range batch {
			q.reply(r.notLeader(q.m, l))
		}
		return
	}
	begin := time.Now()
	b := message.Batch{Origin: r.host.origin, Number: r.number.Add(1), Term: l.term, Node: r.host.cfg.Node, Elapsed: r.elapsed(r.host.cfg.Now())}
	entry, err := encode(&b, batch)
	if err != nil { // a message that came in decoded cannot fail to encode
		for _, q := range batch {
			q.reply(q.m.Answer(message.Internal, err.Error()))
		}
		return
	}
	if plantedEarly {
		acknowledge(batch)
	}
	r.flying.Add(int64(len(entry)))
	defer r.flying.Add(-int64(len(entry)))
	done := r.machine.await(b.Number)
	defer r.machine.forget(b.Number)
	state, err := r.host.nh.Propose(r.session, entry, entryTimeout)
	lend(entry) // Dragonboat has copied it
	if err != nil {
		for _, q := range batch {
			q.reply(q.m.Answer(message.Busy, fmt.Sprintf("company %s cannot take an entry now (%v); nothing was done", r.ID, err)))
		}
		return
	}
	var results []company.Result
	select {
	case results = <-done:
		defer func() {
			select { // the notice follows the results at once; without it the state is left to the collector
			case <-state.ResultC():
				state.Release()
			case <-l.over:
			}
		}()
	case res := <-state.ResultC():
		if res.Completed() { // Update delivered before Dragonboat told
			select {
			case results = <-done:
			case <-l.over:
			}
		}
		defer state.Release()
	case <-l.over:
	}
	end := time.Now()
	r.host.cfg.Together(func() {
		var answers []message.Message // room for the next ones
		for i, q := range batch {
			if results == nil {
				q.reply(q.m.Answer(message.Retry, fmt.Sprintf("company %s lost its leader while the request was under way", r.ID)))
				continue
			}
			if len(answers) == 0 {
				answers = make([]message.Message, min(answersAtOnce, len(batch)-i))
			}
			a := &answers[0]
			answers = answers[1:]
			results[i].AnswerTo(a, q.m)
			a.Term = l.term
			q.reply(a)
			r.host.observe(q.at, begin, end)
		}
	})
	answered(results)
}

// answersAtOnce is how many answers are made in one piece of memory. Who keeps one of them keeps all: 4 KiB.
const answersAtOnce = 16

// acknowledge is a planted bug: it answers what has only been asked.
func acknowledge(batch []request) {
	for i, q := range batch {
		if q.m.Op == message.WRITE {
			a := q.m.Answer(message.Done, "")
			a.Address, a.Size = q.m.Address, q.m.Size
			q.reply(a)
			batch[i].reply = func(*message.Message) {}
		}
	}
}

// elapsed is how many milliseconds the company's clock goes on by. A node's clock that was set back does not move
// it, and counts from where it is then.
func (r *Replica) elapsed(now time.Time) uint64 {
	r.elapsedMu.Lock()
	defer r.elapsedMu.Unlock()
	var ms uint64
	if !r.lastBatch.IsZero() {
		ms = uint64(max(0, min(now.Sub(r.lastBatch).Milliseconds(), 60_000)))
	}
	// Kept while it is 0, so that many batches within a millisecond still add up.
	if ms > 0 || r.lastBatch.IsZero() || now.Before(r.lastBatch) {
		r.lastBatch = now
	}
	return ms
}

// catchUpTry is how long the first ReadIndex of CatchUp may take. Dragonboat forgets one that was asked while
// there was no leader, or of a leader that is gone, and only its own timeout tells. The next has longer, for it
// takes two round trips, and owners may be far apart.
const catchUpTry = 300 * time.Millisecond

// CatchUp waits until this owner has applied all that was committed when it was called.
func (r *Replica) CatchUp(ctx context.Context) error {
	for try := catchUpTry; ; {
		if r.lead.Load().known {
			if r.confirm(ctx, try) {
				return nil
			}
			try = min(2*try, entryTimeout)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-r.ended:
			return message.Errorf(message.Unavailable, "this replica of company %s has ended", r.ID)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// confirm says whether one ReadIndex succeeded.
func (r *Replica) confirm(ctx context.Context, most time.Duration) bool {
	state, err := r.host.nh.ReadIndex(r.shard(), most)
	if err != nil {
		return false
	}
	select {
	case res := <-state.ResultC():
		state.Release()
		return res.Completed()
	case <-ctx.Done():
		return false
	}
}

// setLeader takes in who leads. A leader that is this node begins its term with an entry that says so,
// for an entry of Raft does not carry its term.
func (r *Replica) setLeader(node message.NodeID, term uint64, mine bool) {
	old := r.lead.Load()
	if old.node == node && old.term == term && old.mine == mine {
		return
	}
	if term != 0 && term < old.term { // an old report that was held back until its node was known
		return
	}
	l := &leadership{node: node, term: term, known: node != message.NoNode, mine: mine, over: make(chan struct{}), since: time.Now()}
	close(r.lead.Swap(l).over) // each value is swapped out, and so closed, once
	if mine {
		r.elapsedMu.Lock()
		r.lastBatch = r.host.cfg.Now()
		r.elapsedMu.Unlock()
		r.beginTerm(l)
	}
}

// termAgain is after how long a leader repeats its first entry.
const termAgain = 50 * time.Millisecond

// beginTerm has the log tell of a leader's term. Raft may drop the entry, as it may any; it is repeated then, for
// leases wait for it: without it this leader would never end one.
func (r *Replica) beginTerm(l *leadership) {
	m := message.New(message.TERM)
	m.Term, m.Final, m.Company = l.term, l.node, r.ID
	r.writes.putFirst(request{m, func(a *message.Message) {
		if a.Status != message.Done && r.lead.Load() == l {
			time.AfterFunc(termAgain, func() {
				if r.lead.Load() == l {
					r.beginTerm(l)
				}
			})
		}
	}, time.Now()})
}

// Leader is who leads, as this node last heard.
func (r *Replica) Leader() (node message.NodeID, term uint64, known bool) {
	l := r.lead.Load()
	return l.node, l.term, l.known
}

// Leads says whether this replica believes to lead.
func (r *Replica) Leads() bool { return r.lead.Load().mine }

// Status is what this owner knows of its company.
func (r *Replica) Status() message.ReplicaStatus {
	l := r.lead.Load()
	s := message.ReplicaStatus{Company: r.ID, Replica: r.Replica, Term: l.term, Applied: indexIn(r.Generation, r.machine.applied.Load())}
	if l.known {
		node := l.node
		s.Leader = &node
	}
	r.View(func(m Machine) {
		if h, ok := m.(*Heap); ok {
			c := h.Company.Status()
			s.Used, s.Capacity, s.Room, s.Count, s.Bytes = c.Used, c.Capacity, c.Room, c.Count, c.Resident
		}
	})
	return s
}

// View shows the state to f, which may only read and must not wait.
func (r *Replica) View(f func(Machine)) {
	r.machine.mu.RLock()
	defer r.machine.mu.RUnlock()
	f(r.machine.state)
}

// Transfer asks the leader's role to go to another replica.
func (r *Replica) Transfer(to uint64) error {
	if err := r.host.nh.RequestLeaderTransfer(r.shard(), to); err != nil && err != dragonboat.ErrSystemBusy {
		return message.Errorf(message.Unavailable, "company %s cannot move its leader now: %v", r.ID, err)
	}
	return nil
}
