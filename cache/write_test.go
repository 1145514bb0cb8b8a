package cache

import (
	"reflect"
	"testing"
	"time"

	"dmalloc/message"
)

// A page with a write under way is not read: somebody may have seen the new bytes already (T6).
func TestWriteThrough(t *testing.T) {
	for _, x := range []struct {
		outcome Outcome
		bytes   string
		after   string // what page 0 holds then, "" for not known
	}{
		{Written, "new!", "new!"},
		{Refused, "", "old!"},
		{Unknown, "", ""},
		{Fenced, "", ""},
		{Written, "", ""}, // nobody says what
	} {
		r := newRig(t)
		copy(r.leader, "old!")
		r.grant(5, "w", 0, 2)
		r.fill(0, 2)
		w := r.begin(0, 0, 4)
		r.same("token", w.Token, uint64(5))
		r.misses(0)
		r.reads(1, 0, r.at(addr(1, 0), 8))
		if _, ok := r.Want(addr(0, 0), 8); ok {
			t.Error("a page with a write under way is wanted")
		}
		if lost := r.End(w, x.outcome, []byte(x.bytes)); lost != nil {
			t.Errorf("%v is lost", lost)
		}
		r.End(w, Written, []byte("more")) // once is enough
		if x.after == "" {
			r.misses(0)
		} else {
			r.reads(0, 0, []byte(x.after))
		}
		_, wanted := r.Want(addr(0, 0), 8)
		r.same("wanted", wanted, x.bytes != "" || x.outcome == Refused) // what is unknown may still be done
		r.same("gone", r.Gone(about(5, addr(0, 0), 0)), x.outcome == Fenced)
		if x.outcome != Fenced {
			r.grant(6, "w", 0, 2) // from now on it is fenced
			r.fill(0, 1)
		}
	}
}

// Two writes of the same bytes at once: nobody here knows which is the later one.
func TestWritesCross(t *testing.T) {
	r := newRig(t)
	r.grant(5, "w", 0, 2)
	r.fill(0, 2)
	a, b := r.begin(0, 0, 4), r.begin(0, 8, 4) // beside each other
	r.End(b, Written, []byte("bbbb"))
	r.misses(0)
	r.End(a, Written, []byte("aaaa"))
	want := append([]byte("aaaa"), r.at(addr(0, 4), 4)...)
	r.reads(0, 0, append(want, "bbbb"...))
	a, b = r.begin(0, 0, 4), r.begin(0, 3, 4)
	r.End(a, Written, []byte("AAAA"))
	r.misses(0)
	r.End(b, Written, []byte("BBBB"))
	r.misses(0)
	r.fill(0, 1)
}

func TestBeginWithoutALease(t *testing.T) {
	r := newRig(t)
	r.grant(5, "r", 0, 1)
	r.grant(6, "w", 1, 1)
	r.grant(7, "w", 2, 1)
	for _, x := range []struct{ page, off, size int }{{0, 0, 8}, {0, ps - 4, 8}, {1, ps - 4, 8}, {3, 0, 8}} {
		if w, _, wait := r.Begin(addr(x.page, x.off), uint64(x.size), r.now); w != nil || wait {
			t.Errorf("%v begins", x)
		}
	}
	r.now = 10 * second
	if w, _, _ := r.Begin(addr(1, 0), 8, r.now); w != nil {
		t.Error("a write begins after the lease")
	}
}

func TestTooManyWrites(t *testing.T) {
	r := newRig(t)
	r.grant(5, "w", 0, 1)
	var all []*Write
	for range MaxWrites {
		all = append(all, r.begin(0, 0, 4))
	}
	w, _, wait := r.Begin(base, 4, r.now)
	r.same("begins", w != nil, false)
	r.same("waits", wait, true)
	for _, w := range all {
		r.End(w, Refused, nil)
	}
	r.End(r.begin(0, 0, 4), Refused, nil)
	r.same("pages", len(r.companies[1].leases[0].pages), 0)
}

// A write that was under way when its lease was revoked has no page to come back to.
func TestRevokeWhileWriting(t *testing.T) {
	r := newRig(t)
	r.grant(5, "w", 0, 1)
	r.fill(0, 1)
	w := r.begin(0, 0, 4)
	if pieces := r.Revoke(about(5, addr(0, 0), ps)); pieces != nil || !r.Gone(about(5, addr(0, 0), 0)) {
		t.Errorf("%v must be sent first", pieces)
	}
	r.grant(6, "w", 0, 1)
	r.fill(0, 1)
	r.End(w, Written, []byte("late"))
	r.reads(0, 0, r.at(base, 4))
}

func TestAbsorb(t *testing.T) {
	r := newRig(t)
	r.grant(5, "wb", 0, 8)
	r.same("without its bytes", r.Absorb(base, none, []byte("x"), r.clock), NotAbsorbed)
	r.fill(0, 4)
	r.absorb(0, 10, "mine")
	r.absorb(1, ps-2, "over") // two pages
	r.reads(0, 8, append(append([]byte{}, r.at(addr(0, 8), 2)...), "mine"...))
	r.reads(1, ps-2, []byte("over"))
	r.same("dirty", r.Stats().Dirty, uint64(8))
	pieces := r.Flush(addr(1, 0), 2*ps)
	if len(pieces) != 1 || string(pieces[0].Data) != "over" || pieces[0].Address != addr(1, ps-2) || pieces[0].Token != 5 {
		t.Fatalf("%v", pieces)
	}
	r.same("pieces while they fly (K8)", len(r.Flush(addr(1, 0), ps)), 0)
	r.absorb(1, ps-1, "n") // again, while the old byte flies
	r.same("newer pieces while they fly (K8)", len(r.Flush(addr(1, 0), ps)), 0)
	r.land(pieces...)
	r.reads(1, ps-2, []byte("oner"))
	r.same("unwritten", r.Unwritten(addr(1, 0), 2*ps), uint64(1))
	r.land(r.FlushAll()...)
	r.same("unwritten in all", r.Unwritten(base, 8*ps), uint64(0))
	r.same("at the leader", string(r.at(addr(1, ps-2), 4)), "oner")
	w := r.begin(0, 0, 1)
	r.same("beside a write", r.Absorb(addr(0, 8), none, []byte("x"), r.clock), NotAbsorbed)
	r.End(w, Refused, nil)
	r.now = 10 * second
	r.same("after the lease", r.Absorb(base, none, []byte("x"), r.clock), NotAbsorbed)
}

func TestAbsorbNeedsWriteBack(t *testing.T) {
	for _, mode := range []string{"r", "w"} {
		r := newRig(t)
		r.grant(5, mode, 0, 1)
		r.fill(0, 1)
		r.same("absorbed under "+mode, r.Absorb(base, none, []byte("x"), r.clock), NotAbsorbed)
		r.reads(0, 0, r.at(base, 8))
	}
}

func TestAbsorbedLate(t *testing.T) {
	r := newRig(t)
	r.grant(5, "wb", 0, 1)
	r.fill(0, 1)
	got := r.Absorb(base, none, []byte("late"), func() (now time.Duration) { now, r.now = r.now, 10*second; return now })
	r.same("absorbed", got, Late)
	r.misses(0)
	r.land(r.Expire(r.now)...)
	r.same("gone", r.Gone(about(5, addr(0, 0), 0)), true)
	r.same("at the leader", string(r.leader[:4]), "late")
}

// CAS and ADD look at the bytes at the leader: the dirty ones must be there first.
func TestExchangeOfDirtyBytes(t *testing.T) {
	r := newRig(t)
	r.grant(5, "wb", 0, 2)
	r.fill(0, 2)
	r.absorb(0, 0, "12345678")
	r.absorb(1, 0, "elsewhere")
	w, pieces, wait := r.Begin(base, 8, r.now)
	if w == nil || wait || len(pieces) != 1 || string(pieces[0].Data) != "12345678" {
		t.Fatalf("%v %v", pieces, wait)
	}
	if _, _, wait = r.Begin(base, 8, r.now); !wait {
		t.Error("a second write does not wait for the bytes that fly")
	}
	r.land(pieces...)
	r.End(w, Written, []byte("87654321"))
	r.reads(0, 0, []byte("87654321"))
	r.same("dirty", r.Stats().Dirty, uint64(9))
	// One that could not be written back is dirty again, and does not fly past the write that is under way.
	r.absorb(0, 0, "abc")
	w, pieces, _ = r.Begin(base, 8, r.now)
	r.Flushed(pieces[0], Refused)
	r.same("pieces beside a write", len(r.Flush(base, 8)), 0)
	_, _, wait = r.Begin(base, 8, r.now)
	r.same("wait", wait, true)
	r.End(w, Refused, nil)
	r.reads(0, 0, []byte("abc54321"))
}

// The lease's time is over, and another has written: what comes back fenced is lost, and said.
func TestFlushAfterExpiry(t *testing.T) {
	r := newRig(t)
	r.grant(5, "wb", 0, 4)
	r.fill(0, 4)
	r.absorb(0, 0, "mine")
	r.absorb(2, 8, "mine too")
	r.now = 10 * second
	pieces := r.Expire(r.now)
	r.same("pieces", len(pieces), 2)
	r.same("gone", r.Gone(about(5, addr(0, 0), 0)), false)
	if lost := r.Flushed(pieces[0], Fenced); !reflect.DeepEqual(lost, []Range{{base, 4}}) {
		t.Errorf("%v is lost", lost)
	}
	r.same("gone after it was fenced", r.Gone(about(5, addr(0, 0), 0)), true)
	if lost := r.Flushed(pieces[1], Fenced); !reflect.DeepEqual(lost, []Range{{addr(2, 8), 8}}) {
		t.Errorf("%v is lost", lost)
	}
	r.same("lost in all", r.Stats().Lost, uint64(12))
}

func TestLost(t *testing.T) {
	for name, end := range map[string]func(r *rig) []Range{
		"abandoned": func(r *rig) []Range { return r.Abandon(about(5, addr(0, 0), 0)) },
		"dropped":   func(r *rig) []Range { return r.Drop() },
		"fenced":    func(r *rig) []Range { return r.End(r.begin(3, 0, 8), Fenced, nil) },
		"unknown": func(r *rig) []Range {
			pieces := r.FlushAll()
			return r.Flushed(pieces[0], Unknown)
		},
	} {
		r := newRig(t)
		r.grant(5, "wb", 0, 4)
		r.fill(0, 4)
		r.absorb(0, ps-4, "mine")
		r.absorb(1, 0, "mine too")
		if lost := end(r); !reflect.DeepEqual(lost, []Range{{addr(0, ps-4), 12}}) {
			t.Errorf("%s: %v is lost", name, lost)
		}
		r.misses(0)
		r.same(name, r.Gone(about(5, addr(0, 0), 0)), true)
		r.same("bytes", r.Stats().Bytes, uint64(0))
	}
}

func TestRevokeFlushesFirst(t *testing.T) {
	r := newRig(t)
	r.grant(5, "wb", 0, 4)
	r.fill(0, 4)
	r.absorb(0, 0, "mine")
	early := r.FlushAll() // somebody had begun already
	r.absorb(1, 0, "mine")
	pieces := r.Revoke(about(5, addr(0, 0), 4*ps))
	r.same("pieces", len(pieces), 1)
	r.misses(0)
	r.misses(2)
	r.same("absorbed", r.Absorb(addr(1, 0), none, []byte("x"), r.clock), NotAbsorbed)
	w, _, wait := r.Begin(addr(3, 0), 8, r.now)
	r.same("begun", w != nil || wait, false)
	r.land(pieces...)
	r.same("gone while a piece flies", r.Gone(about(5, addr(0, 0), 0)), false)
	r.same("again", len(r.Revoke(about(5, addr(0, 0), 4*ps))), 0)
	r.Flushed(early[0], Refused)
	pieces = r.NextFlush(r.now)
	r.same("pieces that were refused", len(pieces), 1)
	r.land(pieces...)
	r.same("gone", r.Gone(about(5, addr(0, 0), 0)), true)
}

func TestNextFlush(t *testing.T) {
	r := newRig(t)
	if _, ok := r.Next(); ok {
		t.Error("something will be to do without a lease")
	}
	r.grant(5, "wb", 0, 1)
	r.fill(0, 1)
	at, _ := r.Next()
	r.same("end", at, 9880*time.Millisecond)
	r.absorb(0, 0, "mine")
	at, ok := r.Next()
	if !ok || at != (9880-2500)*time.Millisecond {
		t.Errorf("next is %v, %v", at, ok)
	}
	r.same("pieces too early", len(r.NextFlush(at-1)), 0)
	pieces := r.NextFlush(at)
	r.same("pieces", len(pieces), 1)
	r.land(pieces...)
	at, _ = r.Next()
	r.same("end again", at, 9880*time.Millisecond)
}

// Clean pages go before dirty ones, which go only when they are written back (K6).
func TestDirtyPagesStay(t *testing.T) {
	r := newRig(t)
	r.grant(5, "wb", 0, 32)
	for i := range 8 {
		r.fill(i, 1)
	}
	for i := range 4 {
		r.absorb(i, 0, "mine") // and they were used before the others
	}
	for i := 4; i < 8; i++ {
		r.reads(i, 0, r.at(addr(i, 0), 4))
	}
	pieces := r.SetBudget(4*(ps+400) + 2*nodeBytes)
	r.same("pages", r.Stats().Pages, uint64(4))
	r.same("pieces while they fit", len(pieces), 0)
	for i := range 4 {
		r.reads(i, 0, []byte("mine"))
	}
	f := r.want(9, 1)
	r.same("a page more", r.Filled(f, f.Address, r.at(f.Address, ps), block()), false)
	pieces = r.NextFlush(r.now)
	if len(pieces) == 0 || pieces[0].Address != base {
		t.Fatalf("%v is to be written back, more than half is dirty", pieces)
	}
	r.land(pieces...)
	r.same("the page then", r.Filled(f, f.Address, r.at(f.Address, ps), block()), true)
	pieces = r.SetBudget(0)
	r.land(pieces...)
	r.same("bytes", r.Stats().Bytes, uint64(0))
	r.same("lost", r.Stats().Lost, uint64(0))
}

// Pages beside each other go in one piece, within bounds.
func TestPieces(t *testing.T) {
	r := newRig(t)
	r.SetBudget(64 << 20)
	big := make([]byte, message.MaxData)
	r.leader = make([]byte, 2*message.MaxData)
	r.grant(5, "wb", 0, 300)
	f := r.want(0, 256)
	live := []Extent{{base, 2 * message.MaxData, none}}
	r.same("kept", r.Filled(f, base, big, live), true)
	f = r.want(256, 1)
	r.same("kept", r.Filled(f, f.Address, big[:ps], live), true)
	r.same("absorbed", r.Absorb(base+8, none, big, r.clock), Absorbed)
	pieces := r.FlushAll()
	sum := 0
	for _, x := range pieces {
		sum += len(x.Data)
		if len(x.Data) > MaxPiece {
			t.Errorf("a piece has %d bytes", len(x.Data))
		}
	}
	if sum != message.MaxData || len(pieces) > 5 {
		t.Errorf("%d pieces with %d bytes", len(pieces), sum)
	}
	r.land(pieces...)
}

// While the node asks for a lease nothing is absorbed, in that company alone, and what was absorbed before is written
// back first: under the tokens of older leases it would be fenced (K9).
func TestStill(t *testing.T) {
	r := newRig(t)
	r.grant(5, "wb", 0, 2)
	r.fill(0, 2)
	r.same("absorbed", r.Absorb(addr(0, 0), none, []byte("one"), r.clock), Absorbed)
	r.Still(2)
	r.same("beside another company's", r.Absorb(addr(1, 0), none, []byte("two"), r.clock), Absorbed)
	r.Still(1)
	r.Still(1)
	r.Move(1)
	r.same("while it is asked", r.Absorb(addr(0, 0), none, []byte("six"), r.clock), NotAbsorbed)
	r.same("of another", len(r.FlushOf(2)), 0)
	r.same("unwritten", r.UnwrittenOf(1), uint64(6))
	for _, p := range r.FlushOf(1) {
		r.Flushed(p, Written)
	}
	r.same("written", r.UnwrittenOf(1), uint64(0))
	r.Move(1)
	r.same("afterwards", r.Absorb(addr(0, 0), none, []byte("six"), r.clock), Absorbed)
}
