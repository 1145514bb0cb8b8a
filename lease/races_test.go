package lease

import (
	"testing"

	"dmalloc/message"
)

// script plays one order of events of the model's cluster (model_test.go), with leader 0 until next is called.
type script struct {
	*cluster
	t  *testing.T
	by int // the leader
}

func newScript(t *testing.T) *script {
	return &script{newCluster(none, &scene{}), t, 0}
}

// sends is a LEASE that is on its way.
func (s *script) sends(i int, l Lease) flight {
	l.Node, l.Session = message.NodeID(i), 1
	f := flight{kind: asked, holder: int8(i), lease: l, sent: s.now}
	s.fly(f)
	return f
}

// logs has the log do a LEASE, and returns its answer if it was granted.
func (s *script) logs(f flight) (answer flight, ok bool) {
	before := s.table.Last()
	s.grant(f, s.by)
	s.holds()
	if s.table.Last() == before {
		return flight{}, false
	}
	return s.flights[len(s.flights)-1], true
}

// comes has a message under way arrive.
func (s *script) comes(f flight) {
	s.t.Helper()
	s.land(f)
	s.arrive(f)
	s.holds()
}

// has gives a holder a lease at once.
func (s *script) has(i int, l Lease) Lease {
	s.t.Helper()
	answer, ok := s.logs(s.sends(i, l))
	if !ok {
		s.t.Fatalf("holder %d does not get %+v", i, l)
	}
	s.comes(answer)
	return answer.lease
}

// revokes are the REVOKEs under way.
func (s *script) revokes() (all []flight) {
	for _, f := range s.flights {
		if f.kind == revoke {
			all = append(all, f)
		}
	}
	return all
}

// holds checks the promises of the model.
func (s *script) holds() {
	s.t.Helper()
	if s.check(); s.wrong != "" {
		s.t.Fatal(s.wrong)
	}
}

func (s *script) later(milliseconds int64) {
	s.now += milliseconds
	s.holds()
}

// looks has the leader expire what is over, and says how many leases are left.
func (s *script) looks() int {
	s.t.Helper()
	s.expire(s.by)
	s.holds()
	return s.table.Len()
}

// next is a new leader, which found the state in a snapshot.
func (s *script) next() {
	s.change()
	s.by = len(s.leaders) - 1
}

// writes has the log do a WRITE under a token and says whether it was done.
func (s *script) writes(i int, token uint64) bool {
	s.version++
	f := flight{kind: put, holder: int8(i), value: s.version, lease: Lease{Token: token}}
	s.fly(f)
	s.write(f, s.by)
	s.holds()
	return s.truth[0] == f.value
}

// each tries a race with no leader lost, and with one lost before each of its steps.
func each(t *testing.T, steps int, race func(s *script, lose func(step int))) {
	for lost := range steps + 1 {
		s := newScript(t)
		race(s, func(step int) {
			if step == lost-1 {
				s.next()
				s.holds()
			}
		})
	}
}

// ends brings a lease to its end whatever was lost: its leader waits for it.
func (s *script) ends(token uint64) {
	s.t.Helper()
	for range 3 {
		s.later(long)
		s.looks()
	}
	if _, ok := s.table.Get(token); ok {
		s.t.Fatalf("the lease with token %d never ends", token)
	}
}

// The holder gives back what it is being asked for.
func TestRevokeCrossesRelease(t *testing.T) {
	each(t, 4, func(s *script, lose func(int)) {
		old := s.has(0, toRead)
		want := s.sends(1, toWrite)
		lose(0)
		s.logs(want)
		lose(1)
		s.holders[0].giveUp()
		s.fly(flight{kind: released, lease: old})
		release := s.flights[len(s.flights)-1]
		for _, f := range s.revokes() {
			s.comes(f)
		}
		lose(2)
		s.comes(release)
		lose(3)
		if _, ok := s.logs(want); !ok {
			t.Error("what was given back is not free")
		}
		s.comes(release) // again
		if s.looks() != 1 {
			t.Error("a late RELEASE ended another lease")
		}
	})
}

// T5: who is asked for a lease that it does not know of does not take it when the answer comes.
func TestRevokeComesBeforeTheGrant(t *testing.T) {
	each(t, 2, func(s *script, lose func(int)) {
		answer, _ := s.logs(s.sends(0, toRead))
		want := s.sends(1, toWrite)
		lose(0)
		s.logs(want)
		for _, f := range s.revokes() {
			s.comes(f)
		}
		lose(1)
		s.looks()
		s.comes(answer)
		if s.holders[0].has {
			t.Error("the holder took a lease that it had agreed to give up")
		}
		s.ends(answer.lease.Token)
		if _, ok := s.logs(want); !ok {
			t.Error("the next one does not get it")
		}
	})
}

// L2: what a holder writes back too late is refused, also when it has a newer lease, or nobody else has one.
func TestFlushAfterExpiry(t *testing.T) {
	each(t, 2, func(s *script, lose func(int)) {
		old := s.has(0, toWrite)
		if !s.writes(0, old.Token) {
			t.Error("the holder cannot write")
		}
		lose(0)
		s.ends(old.Token)
		if s.writes(0, old.Token) {
			t.Error("a write under a lease that has ended was done")
		}
		lose(1)
		now := s.has(1, toWrite)
		if s.writes(0, old.Token) || !s.writes(1, now.Token) {
			t.Error("the older token goes, or the newer does not")
		}
		s.ends(now.Token)
		again := s.has(0, toWrite)
		if s.writes(0, old.Token) || !s.writes(0, again.Token) {
			t.Error("the older token goes, or the newer does not")
		}
	})
}

// Two holders of shared leases want to write: one has to give up first, then each gets its turn.
func TestTwoUpgrades(t *testing.T) {
	each(t, 3, func(s *script, lose func(int)) {
		s.has(0, toRead)
		s.has(1, toRead)
		a, b := s.sends(0, toWrite), s.sends(1, toWrite)
		s.logs(a)
		s.logs(b)
		lose(0)
		for _, f := range s.revokes() { // to both
			s.comes(f)
		}
		lose(1)
		s.looks()
		for token := range uint64(2) {
			if _, ok := s.table.Get(token + 1); ok {
				s.ends(token + 1) // the consent went to the leader before
			}
		}
		answer, ok := s.logs(a)
		if !ok {
			t.Fatal("nobody gets it")
		}
		s.comes(answer)
		if _, ok := s.logs(b); ok {
			t.Fatal("both got it")
		}
		lose(2)
		s.ends(answer.lease.Token)
		if _, ok := s.logs(b); !ok {
			t.Error("the second never gets its turn")
		}
	})
}

// T2: the holder stands still between its look at the clock and its answer, for longer than its lease.
func TestPausedBeforeTheAnswer(t *testing.T) {
	each(t, 1, func(s *script, lose func(int)) {
		old := s.has(0, toRead)
		h := &s.holders[0]
		h.cached[0], h.reading, h.token = s.truth[0], true, old.Token
		lose(0)
		s.ends(old.Token)
		now := s.has(1, toWrite)
		if !s.writes(1, now.Token) {
			t.Error("the new holder cannot write")
		}
		s.answer(0) // fails if it shows what it copied
		s.holds()
	})
}

// A page is thrown out while its lease is being asked for: what is filled again belongs to no lease.
func TestEvictedUnderRevoke(t *testing.T) {
	each(t, 2, func(s *script, lose func(int)) {
		old := s.has(0, toRead)
		want := s.sends(1, toWrite)
		s.logs(want)
		h := &s.holders[0]
		h.cached[0] = s.truth[0]
		lose(0)
		h.cached[0] = -1 // evicted; a fill is asked, and comes back after REVOKE
		for _, f := range s.revokes() {
			s.comes(f)
		}
		if s.usable(h) || h.cached[0] != -1 {
			t.Error("a holder that was asked goes on")
		}
		lose(1)
		s.looks()
		if _, stands := s.table.Get(old.Token); stands {
			s.ends(old.Token)
		}
		if _, ok := s.logs(want); !ok {
			t.Error("the next one does not get it")
		}
	})
}

// T3: a leader that found a lease waits for its length from its own beginning, though the one before had nearly
// waited long enough; and what that one still decides is refused (L4).
func TestNewLeaderWaits(t *testing.T) {
	s := newScript(t)
	old := s.has(0, toRead)
	s.later(long - 100)
	s.next()
	want := s.sends(1, toWrite)
	s.later(100)
	s.arrive(flight{kind: expired, leader: 0, lease: old})
	s.grant(want, 0)
	if s.looks() != 1 || s.table.Last() != old.Token {
		t.Error("the leader before goes on, or the new one does not wait")
	}
	s.later(long - 200)
	if s.looks() != 1 {
		t.Error("the new leader does not wait for long enough")
	}
	s.later(100)
	if s.looks() != 0 {
		t.Error("the new leader waits for too long")
	}
}

// A process that starts again ends what the one before had, at once.
func TestNewerSession(t *testing.T) {
	s := newScript(t)
	l := toWriteBoth
	l.Session = 3
	if out := s.table.Grant(0, l); out.Code != message.Done {
		t.Fatal(out)
	}
	l.First, l.Pages, l.Session = 1, 1, 4
	out := s.table.Grant(0, l)
	if out.Code != message.Done || len(out.Ended) != 1 || s.table.Writes(1, 0, 1) || !s.table.Writes(2, 1, 1) {
		t.Errorf("%+v", out)
	}
	l.Session = 3
	if out := s.table.Grant(0, l); out.Code != message.Fenced {
		t.Errorf("the dead process asks: %+v", out)
	}
}
