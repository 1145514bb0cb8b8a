package cache

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// shared is bytes over three pages, of which every 8 hold the same number, and who says what everybody may know.
type shared struct {
	*Cache
	log       sync.Mutex // the leader's order
	committed [sharedSize]byte
	begun     atomic.Uint64 // the greatest number that anybody has begun to write
	known     atomic.Uint64 // the greatest that has been acknowledged, or answered to a reader
	token     atomic.Uint64
	answers   atomic.Uint64
	done      atomic.Bool
}

const sharedSize = ps + 64

func numbers(v uint64) []byte {
	b := make([]byte, sharedSize)
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], v)
	}
	return b
}

// learn raises what is known.
func (s *shared) learn(v uint64) {
	for {
		old := s.known.Load()
		if v <= old || s.known.CompareAndSwap(old, v) {
			return
		}
	}
}

// reader reads one piece, or all, and finds one number in it, none that is older than what was known before.
func (s *shared) reader(t *testing.T, seed uint64) {
	dice := rand.New(rand.NewPCG(seed, 1))
	p := make([]byte, sharedSize)
	for !s.done.Load() {
		from, size := 0, sharedSize
		if dice.IntN(2) == 0 {
			from, size = 8*dice.IntN(sharedSize/8-2), 16
		}
		before := s.known.Load()
		if !s.Read(addr(1, ps-32+from), none, p[:size], stopped) {
			runtime.Gosched()
			continue
		}
		s.answers.Add(1)
		got := binary.LittleEndian.Uint64(p)
		for i := 8; i < size; i += 8 {
			if x := binary.LittleEndian.Uint64(p[i:]); x != got {
				t.Errorf("a read shows %d and %d at once", got, x)
				return
			}
		}
		if after := s.begun.Load(); got < before || got > after {
			t.Errorf("a read shows %d; %d was known before it, and %d begun after it", got, before, after)
			return
		}
		s.learn(got)
	}
}

// writer is the only one, so that its numbers grow at the leader too. It writes through the log or into the copy.
func (s *shared) writer(back bool, rounds int) {
	for i := range rounds {
		v := s.begun.Add(1)
		if back && i%4 != 0 {
			if s.Absorb(addr(1, ps-32), none, numbers(v), stopped) == Absorbed {
				s.learn(v)
				continue
			}
		}
		w, pieces, wait := s.Begin(addr(1, ps-32), sharedSize, 0)
		if w == nil {
			if !wait {
				s.begunAtLeader(v)
			}
			continue
		}
		s.land(pieces)
		s.log.Lock()
		outcome := Fenced
		if s.withToken(w.Token) {
			outcome = Written
			copy(s.committed[:], numbers(v))
		}
		s.log.Unlock()
		s.End(w, outcome, numbers(v))
		if outcome == Written {
			s.learn(v)
		}
	}
}

// begunAtLeader writes without a lease, if none stands.
func (s *shared) begunAtLeader(v uint64) {
	s.log.Lock()
	defer s.log.Unlock()
	if s.token.Load()%2 == 0 { // even: none
		copy(s.committed[:], numbers(v))
		s.learn(v)
	}
}

func (s *shared) withToken(token uint64) bool { return s.token.Load() == token }

func (s *shared) land(pieces []Piece) {
	for _, x := range pieces {
		s.log.Lock()
		outcome := Fenced
		if s.withToken(x.Token) {
			outcome = Written
			copy(s.committed[x.Address-addr(1, ps-32):], x.Data)
		}
		s.log.Unlock()
		s.Flushed(x, outcome)
	}
}

// leases come, are filled, revoked, and come back.
func (s *shared) revoker(mode string, seed uint64, rounds int) {
	dice := rand.New(rand.NewPCG(seed, 2))
	for i := 0; i < rounds || s.answers.Load() == 0; i++ { // no reader may have had its turn yet
		token := s.token.Add(1) // odd: it stands
		s.Granted(lease(token, mode, 1, 3), 0, 0)
		for range 1 + dice.IntN(20) {
			if f, ok := s.Want(addr(1, 0), 3*ps); ok {
				s.log.Lock()
				b := s.committed
				s.log.Unlock()
				s.Filled(f, addr(1, ps-32), b[:], []Extent{{Address: addr(1, ps-32), Size: sharedSize}})
				if s.answers.Load() == 0 {
					runtime.Gosched()
				}
			}
			if dice.IntN(4) == 0 {
				s.land(s.SetBudget(uint64(dice.IntN(2) * 6 * ps)))
				s.SetBudget(1 << 20)
			}
		}
		s.land(s.Revoke(about(token, addr(1, 0), 3*ps)))
		for !s.Gone(about(token, addr(1, 0), 3*ps)) {
			s.land(s.NextFlush(0))
		}
		s.log.Lock()
		s.token.Add(1)
		s.log.Unlock()
		runtime.Gosched() // now the writer may meet no lease
	}
}

// Readers run beside writes, fills, evictions and revocations, and never see half of one, or an old one.
func TestReadersBesideEverything(t *testing.T) {
	for _, mode := range []string{"r", "w", "wb"} {
		s := &shared{Cache: New(1 << 20)}
		var readers, others sync.WaitGroup
		for i := range 3 {
			readers.Go(func() { s.reader(t, uint64(i)) })
		}
		others.Go(func() { s.revoker(mode, 7, 50) })
		others.Go(func() { s.writer(mode == "wb", 500) })
		others.Wait()
		s.done.Store(true)
		readers.Wait()
		if err := s.Check(); err != nil {
			t.Error(err)
		}
	}
}
