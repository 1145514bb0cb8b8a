package cache

import (
	"reflect"
	"testing"
	"time"

	"dmalloc/message"
)

func TestUntil(t *testing.T) {
	for _, x := range []struct {
		ms   uint64
		want time.Duration
	}{
		{10_000, 9880 * time.Millisecond},
		{message.MaxLease, 29_680 * time.Millisecond},
		{message.MaxLease * 100, 29_680 * time.Millisecond},
		{20, -200 * time.Microsecond},
	} {
		if got := Until(second, x.ms); got != second+x.want {
			t.Errorf("a lease of %d ms is used for %v; want %v", x.ms, got-second, x.want)
		}
	}
}

// Use is counted from when the LEASE was sent, and ends early (T1).
func TestUseEndsBeforeTheLease(t *testing.T) {
	r := newRig(t)
	sent := r.now
	r.now += 9 * second // the answer was slow
	if ok, _ := r.Granted(lease(5, "r", 0, 1), sent, r.now); !ok {
		t.Fatal("not granted")
	}
	r.fill(0, 1)
	r.now = sent + 9880*time.Millisecond - 1
	r.reads(0, 0, r.at(base, 16))
	r.now++
	r.misses(0)
	if ok, _ := r.Granted(lease(6, "r", 2, 1), sent, r.now); ok {
		t.Error("a lease that was over when it came is used")
	}
}

// A holder that is stopped between copying and answering must notice when it goes on: the clock is read when the
// bytes are there, not before (T2).
func TestPausedBetweenCheckAndAnswer(t *testing.T) {
	for _, size := range []int{16, ps + 16} {
		r := newRig(t)
		r.grant(5, "r", 0, 2)
		r.fill(0, 2)
		p := make([]byte, size)
		calls := 0
		ok := r.Read(base, none, p, func() time.Duration {
			if calls++; calls == 1 && p[1] == r.leader[1] && p[size-1] == r.leader[size-1] {
				return 10 * second // it slept here, with the bytes in its hands
			}
			return 0
		})
		if ok || calls == 0 {
			t.Errorf("%d bytes were answered after the lease, or the clock was read %d times before they were copied", size, calls)
		}
	}
}

func TestRefusedGrants(t *testing.T) {
	for _, x := range []struct {
		name string
		edit func(l *message.Lease)
	}{
		{"no token", func(l *message.Lease) { l.Token = 0 }},
		{"no mode", func(l *message.Lease) { l.Mode = "" }},
		{"unknown mode", func(l *message.Lease) { l.Mode = "x" }},
		{"another company", func(l *message.Lease) { l.Company = 2 }},
		{"no company", func(l *message.Lease) { l.Company, l.Address = 0, 0 }},
		{"half a page", func(l *message.Lease) { l.Address += 16 }},
		{"no size", func(l *message.Lease) { l.Size = 0 }},
		{"half a page more", func(l *message.Lease) { l.Size += 16 }},
		{"beyond the window", func(l *message.Lease) { l.Size = message.WindowSize }},
		{"beyond everything", func(l *message.Lease) { l.Size = 1<<64 - ps }},
		{"no length", func(l *message.Lease) { l.LengthMS = 0 }},
	} {
		r := newRig(t)
		l := lease(5, "r", 0, 1)
		x.edit(&l)
		if ok, _ := r.Granted(l, r.now, r.now); ok {
			t.Errorf("%s: the lease is used", x.name)
		}
		r.same("leases after "+x.name, r.Stats().Leases, uint64(0))
	}
}

// REVOKE can be faster than the answer that grants what it revokes (T5).
func TestRevokeBeforeTheGrant(t *testing.T) {
	for _, size := range []uint64{ps, 0} { // what REVOKE says of the range
		r := newRig(t)
		if pieces := r.Revoke(about(5, addr(0, 0), size)); pieces != nil || !r.Gone(about(5, addr(0, 0), 0)) {
			t.Fatal("what was never held cannot be answered at once")
		}
		for token := uint64(4); token <= 5; token++ {
			if ok, _ := r.Granted(lease(token, "r", 0, 1), r.now, r.now); ok {
				t.Errorf("lease %d is used after 5 was revoked", token)
			}
		}
		r.grant(6, "r", 0, 1)
	}
}

// The lease that is revoked had replaced an older one of ours, and nobody here has heard of that yet.
func TestRevokeOfWhatReplacedOurs(t *testing.T) {
	for _, size := range []uint64{ps, 0} {
		r := newRig(t)
		r.grant(5, "wb", 0, 1)
		r.grant(6, "r", 1, 1)
		r.fill(0, 1)
		r.fill(1, 1)
		r.absorb(0, 0, "mine")
		pieces := r.Revoke(about(7, addr(0, 0), size))
		r.misses(0)
		r.same("gone", r.Gone(about(7, addr(0, 0), size)), false)
		if lost := r.Flushed(pieces[0], Fenced); len(lost) != 1 {
			t.Errorf("%v is lost", lost)
		}
		r.same("gone when all is told", r.Gone(about(7, addr(0, 0), size)), true)
		if _, ok := r.read(1, 0, 8); ok != (size > 0) {
			t.Errorf("the page beside it is answered: %v", ok)
		}
	}
}

// RELEASE and REVOKE meet on their way; and the grant's answer is repeated, for its request was.
func TestRevokeCrossesRelease(t *testing.T) {
	r := newRig(t)
	r.grant(5, "r", 0, 1)
	r.fill(0, 1)
	r.Release(about(5, addr(0, 0), 0))
	r.misses(0)
	r.Revoke(about(5, addr(0, 0), ps))
	r.same("gone", r.Gone(about(5, addr(0, 0), 0)), true)
	if ok, _ := r.Granted(lease(5, "r", 0, 1), r.now, r.now); ok {
		t.Error("a lease that was given back is used again")
	}
}

func TestGrantTwice(t *testing.T) {
	r := newRig(t)
	r.grant(5, "r", 0, 1)
	if ok, _ := r.Granted(lease(5, "r", 0, 1), r.now+second, r.now+second); !ok {
		t.Error("the same answer again ends the lease")
	}
	r.same("time left", r.Held(0)[0].LeftMS, uint64(9880))
}

// Answers of two LEASEs come in the wrong order.
func TestOlderGrantComesLater(t *testing.T) {
	r := newRig(t)
	r.grant(9, "w", 0, 2)
	if ok, _ := r.Granted(lease(7, "r", 0, 1), r.now, r.now); ok {
		t.Error("an older lease takes the place of a newer one")
	}
	r.same("leases", r.Stats().Leases, uint64(1))
}

// Pages stay where a lease is asked for again while the old one stands, and only then.
func TestReplacedLease(t *testing.T) {
	r := newRig(t)
	r.grant(5, "wb", 1, 1)
	r.fill(1, 1)
	r.absorb(1, 0, "mine")
	late := r.want(1, 1)
	r.grant(7, "wb", 0, 3)
	r.reads(1, 0, []byte("mine"))
	if r.Filled(late, late.Address, r.at(late.Address, ps), block()) {
		t.Error("a fill of the old lease was kept")
	}
	pieces := r.FlushAll()
	if len(pieces) != 1 || pieces[0].Token != 7 {
		t.Fatalf("%v is to be written back", pieces)
	}
	r.same("the old lease is gone", r.Gone(about(5, addr(0, 0), 0)), true)
	r.now = 10 * second
	ok, lost := r.Granted(lease(8, "wb", 0, 3), r.now, r.now)
	r.misses(1)
	if !ok || lost != nil { // what flies tells itself
		t.Errorf("%v, lost %v", ok, lost)
	}
	if lost := r.Flushed(pieces[0], Fenced); !reflect.DeepEqual(lost, []Range{{addr(1, 0), 4}}) {
		t.Errorf("%v is lost", lost)
	}
}

func TestInheritedWhileFlying(t *testing.T) {
	for _, outcome := range []Outcome{Written, Refused, Fenced, Unknown} {
		r := newRig(t)
		r.grant(5, "wb", 0, 1)
		r.fill(0, 1)
		r.absorb(0, 0, "mine")
		old := r.FlushAll()
		r.grant(7, "wb", 0, 1)
		if lost := r.Flushed(old[0], outcome); lost != nil {
			t.Errorf("outcome %d: %v is lost, but the new lease has it", outcome, lost)
		}
		r.land(r.FlushAll()...)
		r.reads(0, 0, []byte("mine"))
		r.same("unwritten", r.Unwritten(base, ps), uint64(0))
		r.same("at the leader", string(r.leader[:4]), "mine")
	}
}

func TestDowngradeLosesWhatIsDirty(t *testing.T) {
	r := newRig(t)
	r.grant(5, "wb", 0, 1)
	r.fill(0, 1)
	r.absorb(0, 8, "mine")
	ok, lost := r.Granted(lease(7, "r", 0, 1), r.now, r.now)
	if !ok || !reflect.DeepEqual(lost, []Range{{addr(0, 8), 4}}) {
		t.Errorf("%v, lost %v", ok, lost)
	}
	r.misses(0)
	r.same("lost", r.Stats().Lost, uint64(4))
}

// What is forgotten of tokens makes more forbidden, never less (K7).
func TestManyRevoked(t *testing.T) {
	r := newRig(t)
	for i := range 3 * maxFloors {
		r.Revoke(about(uint64(i+1), addr(2*i, 0), ps))
	}
	for i := range 3 * maxFloors {
		if ok, _ := r.Granted(lease(uint64(i+1), "r", 2*i, 1), r.now, r.now); ok {
			t.Fatalf("lease %d is used", i+1)
		}
	}
	r.same("floors", len(r.companies[1].floors), maxFloors)
	r.grant(uint64(3*maxFloors+1), "r", 0, 1)
}

func TestTooManyLeases(t *testing.T) {
	r := newRig(t)
	for i := range MaxLeases {
		r.grant(uint64(i+1), "r", i, 1)
	}
	if ok, _ := r.Granted(lease(MaxLeases+1, "r", MaxLeases, 1), r.now, r.now); ok {
		t.Error("one lease too many is used")
	}
	r.Release(about(7, addr(6, 0), ps))
	r.grant(MaxLeases+2, "r", MaxLeases, 1)
	if lost := r.Drop(); lost != nil || r.Stats().Leases != 0 || r.Stats().Bytes != 0 {
		t.Errorf("%v lost, %+v", lost, r.Stats())
	}
}

func TestHeld(t *testing.T) {
	r := newRig(t)
	r.grant(9, "w", 4, 2)
	r.grant(5, "r", 0, 1)
	r.now = 2 * second
	got := r.Held(r.now)
	if len(got) != 2 || got[0].Token != 5 || got[1].Token != 9 || got[1].LeftMS != 7880 || got[1].Size != 2*ps {
		t.Errorf("%+v", got)
	}
	r.Release(about(5, addr(0, 0), 0))
	r.same("leases", len(r.Held(r.now)), 1)
	r.same("leases when all are over", len(r.Held(10*second)), 0)
}

func TestNonsense(t *testing.T) {
	r := newRig(t)
	r.Revoke(message.Lease{Company: 99, Token: 5})
	r.Release(message.Lease{Token: 5})
	r.Abandon(message.Lease{Company: message.MaxCompany + 1, Token: 1})
	r.same("gone", r.Gone(message.Lease{Company: 1 << 31, Token: 5}), true)
	r.same("filled", r.Filled(Fill{}, base, []byte("x"), block()), false)
	r.End(&Write{}, Written, nil)
	r.Flushed(Piece{}, Written)
	for _, a := range []message.Addr{0, base, message.HeapBase, message.HeapBase + message.WindowSize - 8, 1<<64 - 1} {
		for _, n := range []int{0, 1, 16, message.MaxData, 2 * message.MaxData} {
			r.same("read", r.Read(a, none, make([]byte, n), r.clock), false)
			r.same("absorbed", r.Absorb(a, none, make([]byte, n), r.clock), NotAbsorbed)
			_, ok := r.Want(a, uint64(n))
			r.same("wanted", ok, false)
			w, _, _ := r.Begin(a, uint64(n), 0)
			r.same("begun", w == nil, true)
			r.same("flush", len(r.Flush(a, 1<<64-1)), 0)
		}
	}
}

// At and Any say what is held, and nothing more once it is over.
func TestAt(t *testing.T) {
	c := New(1 << 20)
	l := message.Lease{Company: 1, Address: message.CompanyID(1).Base() + message.PageSize, Size: 2 * message.PageSize, Mode: "w", Token: 5, LengthMS: 1000}
	if _, ok := c.At(l.Address, 0); ok || c.Any() {
		t.Error("an empty cache holds something")
	}
	if ok, _ := c.Granted(l, 0, 0); !ok {
		t.Fatal("not granted")
	}
	for _, x := range []struct {
		at  message.Addr
		now time.Duration
		ok  bool
	}{
		{l.Address, 0, true},
		{l.Address + 2*message.PageSize - 1, 0, true},
		{l.Address - 1, 0, false},
		{l.Address + 2*message.PageSize, 0, false},
		{l.Address, Until(0, 1000), false},
		{0, 0, false},
	} {
		if got, ok := c.At(x.at, x.now); ok != x.ok || ok && (got.Token != 5 || got.LeftMS != 970) {
			t.Errorf("%+v: %+v %v", x, got, ok)
		}
	}
	c.Abandon(l)
	if _, ok := c.At(l.Address, 0); ok || c.Any() {
		t.Error("it is still there")
	}
}
