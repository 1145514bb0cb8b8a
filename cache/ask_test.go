package cache

import "testing"

// K9: a piece under way before a CAS would be fenced by the grant of the node's own next lease. So what is dirty is
// written back before that is asked for, of leases whose time is over too, and nothing becomes dirty meanwhile.
func TestNothingIsDirtyWhileALeaseIsAskedFor(t *testing.T) {
	r := newRig(t)
	r.grant(5, "wb", 0, 2)
	r.grant(6, "wb", 4, 1)
	r.fill(0, 2)
	r.fill(4, 1)
	r.absorb(0, 0, "12345678")
	r.absorb(4, 0, "over")
	w, flying, _ := r.Begin(base, 8, r.now)
	r.Expire(r.now)
	q := r.Ask(addr(0, 0), 0)
	pieces, ready := r.Asked(q)
	if ready || len(pieces) != 1 || pieces[0].Token != 6 { // of a later page, which may be of the same block
		t.Fatalf("ready %v, and %v to be written back", ready, pieces)
	}
	r.land(pieces...)
	_, ready = r.Asked(q)
	r.same("ready while a piece flies", ready, false)
	r.land(flying...)
	_, ready = r.Asked(q)
	r.same("ready", ready, true)
	r.End(w, Written, []byte("87654321"))
	r.same("absorbed", r.Absorb(addr(1, 0), none, []byte("x"), r.clock), NotAbsorbed)
	r.same("asking", r.Asking(addr(1, 0), 1), true)
	r.grant(7, "wb", 0, 2)
	r.same("absorbed before the question is over", r.Absorb(addr(1, 0), none, []byte("x"), r.clock), NotAbsorbed)
	r.Answered(q, true)
	r.absorb(1, 0, "x")
	r.same("asking", r.Asking(addr(1, 0), 1), false)
}

// K9: a LEASE of which nobody heard may have been granted. What is held meanwhile absorbs no more; what is granted
// later does, and so does what lies beside it.
func TestALeaseThatMayHaveBeenGranted(t *testing.T) {
	r := newRig(t)
	r.grant(5, "wb", 0, 2)
	r.grant(6, "wb", 2, 1)
	r.fill(0, 2)
	r.fill(2, 1)
	q := r.Ask(addr(0, 0), 2*ps)
	_, ready := r.Asked(q)
	r.same("ready", ready, true)
	r.Answered(q, false)
	r.same("absorbed", r.Absorb(addr(0, 0), none, []byte("x"), r.clock), NotAbsorbed)
	r.absorb(2, 0, "beside")
	r.reads(0, 0, r.at(addr(0, 0), 8))
	r.grant(8, "wb", 0, 2)
	r.absorb(0, 0, "new")
	q = r.Ask(addr(0, 0), 2*ps)
	pieces, _ := r.Asked(q)
	r.land(pieces...)
	r.Answered(q, true) // refused: what is held stays as it is
	r.absorb(0, 0, "newer")
	r.Answered(r.Ask(0, 0), true) // no place for a lease
}
