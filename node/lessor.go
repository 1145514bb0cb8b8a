package node

import (
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/company"
	"dmalloc/lease"
	"dmalloc/message"
	"dmalloc/owner"
)

// lessor is the leaders' side of leases: for each company with an owner here it keeps the watch over their time,
// has holders give back what others ask for, and expires what is over. What meets a lease waits here for a moment,
// first come first served, and is then proposed again.
//
//	Do ──Leased──▶ park ──REVOKE──▶ holder ──its answer──▶ EXPIRE ──applied──▶ Do again
//	                 └──patience over──▶ Leased, with who holds it and for how long
type lessor struct {
	n    *Node
	wake chan struct{} // has room for one

	granted, revoked, expired atomic.Uint64

	mu    sync.Mutex // guards what follows
	of    map[message.CompanyID]*tenancy
	asked []revocation
}

// tenancy is what a lessor knows of one company.
type tenancy struct {
	watch   *lease.Watch
	term    uint64 // in which this node came to lead, 0 while another does
	queue   lease.Queue
	waiting []*waiter
}

// waiter is a request that meets leases.
type waiter struct {
	r      *owner.Replica
	m      *message.Message
	reply  func(*message.Message)
	answer *message.Message // the last one, that it is leased
	tokens []uint64         // of the leases that it waits for
	until  time.Duration    // then it is answered that
	place  uint64           // in the queue
}

// revocation is a REVOKE under way.
type revocation struct {
	cancel func()
	until  time.Duration
}

const (
	lessorPatience = 200 * time.Millisecond // for which a request waits here; its client asks again
	revokeTime     = 2 * time.Second        // for which the answer to a REVOKE is listened for
	lessorIdle     = time.Minute
)

func newLessor(n *Node) *lessor {
	return &lessor{n: n, wake: make(chan struct{}, 1), of: map[message.CompanyID]*tenancy{}}
}

// now is this node's time for leases: it never goes back. That it stands still while the machine is suspended only
// makes the leader more patient.
func (s *lessor) now() time.Duration { return time.Since(s.n.started) }

func (s *lessor) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// tenancy is the company's, made where there is none. s.mu is held.
func (s *lessor) tenancy(id message.CompanyID) *tenancy {
	t := s.of[id]
	if t == nil {
		t = &tenancy{watch: lease.NewWatch()}
		s.of[id] = t
	}
	return t
}

// applied hears of an entry, from the goroutine that applies the company's.
func (s *lessor) applied(id message.CompanyID, a *company.Applied) {
	if id == 0 || len(a.Leases) == 0 && a.Term == 0 {
		return
	}
	var all []lease.Lease
	if a.Term != 0 {
		all = s.standing(id) // of this moment: the next entry is applied after this call
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, now := s.tenancy(id), s.now()
	for _, e := range a.Leases {
		if e.Ended {
			t.watch.Ended(e.Lease.Token)
			continue
		}
		t.watch.Seen(e.Lease, now)
		if t.term != 0 {
			s.granted.Add(1)
		}
	}
	if a.Term != 0 {
		t.term = 0
		t.watch.Lost()
		if a.Leader == s.n.cfg.ID {
			t.term = a.Term
			t.watch.Led(all, now)
		}
	}
	s.kick()
}

// restored hears that the whole state was replaced.
func (s *lessor) restored(id message.CompanyID) {
	if id == 0 {
		return
	}
	all := s.standing(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tenancy(id).watch.Found(all, s.now())
	s.kick()
}

// standing lists a company's leases.
func (s *lessor) standing(id message.CompanyID) (all []lease.Lease) {
	if s.n.host == nil {
		return nil
	}
	if r := s.n.host.Replica(id); r != nil {
		source{r}.view(func(c *company.Company) { all = c.AllLeases() })
	}
	return all
}

// do has a request done that leases may forbid.
func (s *lessor) do(r *owner.Replica, m *message.Message, reply func(*message.Message)) {
	if m.Op == message.LEASE && r.Leads() && s.queues(r, m, reply) {
		return
	}
	s.propose(r, m, func(a *message.Message) {
		if a.Status == message.Leased && m.Token == 0 {
			s.park(&waiter{r: r, m: m, reply: reply}, a)
			return
		}
		reply(a)
	})
}

func (s *lessor) propose(r *owner.Replica, m *message.Message, reply func(*message.Message)) {
	if m.Op.Logged() {
		r.Do(m, reply)
	} else {
		r.Read(m, reply)
	}
}

// queues lines up a LEASE that would overtake who waits for its page.
func (s *lessor) queues(r *owner.Replica, m *message.Message, reply func(*message.Message)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.of[r.ID]
	if t == nil || t.queue.Len() == 0 {
		return false
	}
	first, pages, exclusive := wanted(m, m.Address, max(m.Size, 1))
	if t.queue.Free(first, pages, exclusive) {
		return false
	}
	w := &waiter{r: r, m: m, reply: reply, until: s.now() + lessorPatience}
	w.answer = m.Answer(message.Leased, "others wait for the page at "+m.Address.String()+"; nothing was done, try again")
	var ok bool
	if w.place, _, ok = t.queue.Enter(first, pages, exclusive); ok {
		t.waiting = append(t.waiting, w)
		s.kick()
	}
	return ok
}

// wanted is which pages a request is about, and whether it wants them for itself.
func wanted(m *message.Message, a message.Addr, size uint64) (first, pages uint64, exclusive bool) {
	id, ok := a.Company()
	if !ok {
		return 0, 1, true
	}
	off := uint64(a - id.Base())
	first = off / message.PageSize
	pages = (off+size-1)/message.PageSize + 1 - first
	return first, pages, m.Op != message.READ && (m.Op != message.LEASE || m.Flags&message.Exclusive != 0)
}

// park lets a request wait for the leases that its answer names, and asks their holders to give them back.
func (s *lessor) park(w *waiter, a *message.Message) {
	against := leasesOf(a)
	s.mu.Lock()
	t, now := s.tenancy(w.r.ID), s.now()
	ok := t.watch.Leads()
	if ok && w.place == 0 {
		first, pages, exclusive := wanted(w.m, a.Address, max(a.Size, 1))
		w.place, _, ok = t.queue.Enter(first, pages, exclusive)
		w.until = now + lessorPatience
	}
	if !ok {
		t.queue.Leave(w.place)
		s.mu.Unlock()
		s.refuse(w, a)
		return
	}
	w.answer, w.tokens = a, w.tokens[:0]
	for _, l := range against {
		w.tokens = append(w.tokens, l.Token)
	}
	t.waiting = append(t.waiting, w)
	send := t.watch.Ask(w.tokens, now)
	s.mu.Unlock()
	for _, l := range send {
		s.revoke(w.r.ID, l)
	}
	s.kick()
}

// refuse answers that a request is leased, and for how long at most.
func (s *lessor) refuse(w *waiter, a *message.Message) {
	s.withLeft(a)
	w.reply(a)
}

// withLeft fills in how long the leases last that an answer lists.
func (s *lessor) withLeft(a *message.Message) {
	all := leasesOf(a)
	if len(all) == 0 {
		return
	}
	s.mu.Lock()
	now := s.now()
	for i := range all {
		if t := s.of[all[i].Company]; t != nil {
			all[i].LeftMS = t.watch.Left(all[i].Token, now)
		}
	}
	s.mu.Unlock()
	a.Data = message.JSON(all)
}

func leasesOf(a *message.Message) (all []message.Lease) {
	if len(a.Data) == 0 || json.Unmarshal(a.Data, &all) != nil {
		return nil
	}
	return all
}

// revoke asks a holder to give a lease back.
func (s *lessor) revoke(id message.CompanyID, l lease.Lease) {
	s.revoked.Add(1)
	m := message.New(message.REVOKE)
	shown := l.Message(id, id.Base())
	m.Company, m.Final, m.Token, m.Value, m.Address, m.Size = id, l.Node, l.Token, l.Session, shown.Address, shown.Size
	cancel := carrier{s.n}.start(l.Node, m, func(a *message.Message, err error) {
		if err != nil || a.Status != message.Done {
			return // it is asked again, or waited for
		}
		s.mu.Lock()
		s.tenancy(id).watch.Consent(l.Token)
		s.mu.Unlock()
		s.kick()
	})
	s.mu.Lock()
	s.asked = append(s.asked, revocation{cancel, s.now() + revokeTime})
	s.mu.Unlock()
}

// run expires leases and lets waiting requests go on, until the node ends.
func (s *lessor) run() {
	timer := time.NewTimer(lessorIdle)
	defer timer.Stop()
	for {
		timer.Reset(s.step())
		select {
		case <-s.n.ctx.Done():
			s.end()
			return
		case <-s.wake:
		case <-timer.C:
		}
	}
}

// end answers all that wait.
func (s *lessor) end() {
	s.mu.Lock()
	var left []*waiter
	for _, t := range s.of {
		left = append(left, t.waiting...)
		t.waiting = nil
	}
	asked := s.asked
	s.asked = nil
	s.mu.Unlock()
	for _, w := range left {
		w.reply(w.answer)
	}
	for _, x := range asked {
		x.cancel()
	}
}

// step does what is due and says when to look again.
func (s *lessor) step() time.Duration {
	var again, refused []*waiter
	type expiry struct {
		r           *owner.Replica
		term, token uint64
	}
	var over []expiry
	wait := lessorIdle
	s.mu.Lock()
	now := s.now()
	for id, t := range s.of {
		r := s.n.host.Replica(id)
		leads := r != nil && r.Leads()
		if leads && t.term != 0 {
			for _, token := range t.watch.Ripe(now) {
				over = append(over, expiry{r, t.term, token})
			}
			if next, ok := t.watch.Next(now); ok {
				wait = min(wait, next)
			}
		}
		t.waiting = slices.DeleteFunc(t.waiting, func(w *waiter) bool {
			switch {
			case !leads || now >= w.until:
				t.queue.Leave(w.place)
				refused = append(refused, w)
			case !slices.ContainsFunc(w.tokens, t.watch.Knows) && t.queue.Turn(w.place):
				again = append(again, w)
			default:
				wait = min(wait, w.until-now)
				return false
			}
			return true
		})
	}
	late := s.late(now)
	s.mu.Unlock()
	for _, cancel := range late {
		cancel()
	}
	for _, x := range over {
		s.expire(x.r, x.term, x.token)
	}
	for _, w := range again {
		s.again(w)
	}
	for _, w := range refused {
		s.refuse(w, w.answer)
	}
	if len(refused) > 0 {
		return 0 // it may be the turn of those behind them
	}
	return max(wait, time.Millisecond)
}

// late takes out the revocations that nobody answers. s.mu is held.
func (s *lessor) late(now time.Duration) (cancel []func()) {
	i := 0
	for i < len(s.asked) && s.asked[i].until <= now {
		cancel = append(cancel, s.asked[i].cancel)
		i++
	}
	s.asked = slices.Delete(s.asked, 0, i)
	return cancel
}

// again proposes once more what has waited.
func (s *lessor) again(w *waiter) {
	s.propose(w.r, w.m, func(a *message.Message) {
		if a.Status == message.Leased {
			s.park(w, a) // somebody was faster; it keeps its place
			return
		}
		s.mu.Lock()
		s.tenancy(w.r.ID).queue.Leave(w.place)
		s.mu.Unlock()
		s.kick()
		w.reply(a)
	})
}

// expire ends a lease by the log, as the leader of a term.
func (s *lessor) expire(r *owner.Replica, term, token uint64) {
	m := message.New(message.EXPIRE)
	m.Company, m.Term, m.Token, m.Source = r.ID, term, token, s.n.cfg.ID
	r.Do(m, func(a *message.Message) {
		if a.Status == message.Done && a.Value == 1 {
			s.expired.Add(1)
		}
	})
}
