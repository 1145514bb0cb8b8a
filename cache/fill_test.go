package cache

import (
	"testing"

	"dmalloc/message"
)

// A fill and a write cross: which of the two came first, the fill cannot tell (T7).
func TestFillCrossesWrite(t *testing.T) {
	for _, x := range []struct {
		name string
		meet func(r *rig)
		kept bool
	}{
		{"nothing happened", func(r *rig) {}, true},
		{"a write elsewhere", func(r *rig) { r.End(r.begin(1, 0, 4), Written, []byte("much")) }, true},
		{"a write that was under way and over", func(r *rig) { r.End(r.begin(0, 0, 4), Written, []byte("much")) }, false},
		{"a write that is under way", func(r *rig) { r.begin(0, 0, 4) }, false},
		{"a write that nobody knows of", func(r *rig) { r.End(r.begin(0, 0, 4), Unknown, nil) }, false},
		{"revoked", func(r *rig) { r.Revoke(about(5, addr(0, 0), 0)) }, false},
		{"revoked and granted again", func(r *rig) { r.Revoke(about(5, addr(0, 0), 0)); r.grant(6, "w", 0, 3) }, false},
		{"granted again", func(r *rig) { r.grant(6, "w", 0, 3) }, false},
		{"given back", func(r *rig) { r.Release(about(5, addr(0, 0), 0)) }, false},
	} {
		r := newRig(t)
		r.grant(5, "w", 0, 3)
		f := r.want(0, 1)
		r.same(f.Address.String(), f.Token, uint64(5))
		x.meet(r)
		r.same(x.name, r.Filled(f, f.Address, r.at(f.Address, ps), block()), x.kept)
		if !x.kept {
			r.misses(0)
		}
	}
}

// What was absorbed, written back and evicted while a fill was on its way is newer than the fill.
func TestFillCrossesFlush(t *testing.T) {
	for _, wantBefore := range []string{"absorb", "flush", "flushed"} {
		r := newRig(t)
		r.grant(5, "wb", 0, 4)
		r.fill(0, 1)
		var f Fill
		var old []byte
		ask := func(moment string) {
			if moment == wantBefore {
				f, old = r.want(0, 1), append(old, r.at(base, ps)...)
			}
		}
		ask("absorb")
		r.absorb(0, 0, "mine")
		ask("flush")
		pieces := r.FlushAll()
		ask("flushed")
		r.land(pieces...)
		r.SetBudget(0) // evicts all
		r.SetBudget(1 << 20)
		r.same("kept, asked before "+wantBefore, r.Filled(f, f.Address, old, block()), false)
		r.misses(0)
	}
}

// A page is evicted while a fill of it is under way: nothing has changed, so the fill is good.
func TestFillCrossesEviction(t *testing.T) {
	r := newRig(t)
	r.grant(5, "r", 0, 4)
	r.fill(0, 1)
	f := r.want(0, 1)
	r.SetBudget(0)
	r.misses(0)
	r.SetBudget(1 << 20)
	r.same("kept", r.Filled(f, f.Address, r.at(f.Address, ps), block()), true)
	r.reads(0, 5, r.at(addr(0, 5), 11))
}

// A fill never replaces what was absorbed since: the leader does not know that yet.
func TestFillAroundDirtyBytes(t *testing.T) {
	r := newRig(t)
	r.grant(5, "wb", 0, 1)
	f := r.want(0, 1)
	r.Filled(f, addr(0, 0), r.at(addr(0, 0), 100), block())
	r.absorb(0, 0, "mine")
	r.fill(0, 1)
	r.reads(0, 0, append([]byte("mine"), r.at(addr(0, 4), ps-4)...))
	r.same("dirty", r.Stats().Dirty, uint64(4))
}

// Only bytes of one live allocation are answered together (K3).
func TestExtents(t *testing.T) {
	txn := message.Txn{Seq: 7}
	r := newRig(t)
	r.grant(5, "wb", 0, 3)
	live := []Extent{
		{addr(0, 100), 50, none}, {addr(0, 150), 50, none}, {addr(0, 300), 20, txn},
		{addr(0, ps-100), 200, none}, {addr(1, 100), 2 * ps, none}, {base - 4096, 10, none},
	}
	f := r.want(0, 2)
	r.same("kept", r.Filled(f, f.Address, r.at(f.Address, 2*ps), live), true)
	for _, x := range []struct {
		page, off, size int
		txn             message.Txn
		ok              bool
	}{
		{0, 100, 50, none, true}, {0, 99, 2, none, false}, {0, 120, 31, none, false}, {0, 150, 50, none, true},
		{0, 100, 100, none, false}, {0, 200, 1, none, false}, {0, 0, 16, none, false},
		{0, 300, 20, txn, true}, {0, 300, 20, none, false}, {0, 100, 50, txn, false},
		{0, ps - 100, 200, none, true}, {0, ps - 100, 201, none, false}, {1, 0, 100, none, true}, {1, 100, ps - 100, none, true},
		{1, 100, ps - 99, none, false}, {1, 50, 100, none, false},
	} {
		p := make([]byte, x.size)
		ok := r.Read(addr(x.page, x.off), x.txn, p, r.clock)
		if ok != x.ok || ok && string(p) != string(r.at(addr(x.page, x.off), x.size)) {
			t.Errorf("%+v: %v, %.10q", x, ok, p)
		}
		if ok := r.Absorb(addr(x.page, x.off), x.txn, p, r.clock) == Absorbed; ok != x.ok {
			t.Errorf("%+v is absorbed: %v", x, ok)
		}
	}
	for _, x := range r.FlushAll() { // each is a WRITE that its company can do
		part := Extent{}
		for _, e := range live {
			if e.Address <= x.Address && uint64(x.Address-e.Address)+uint64(len(x.Data)) <= e.Size {
				part = e
			}
		}
		if part.Size == 0 || part.Txn != x.Txn {
			t.Errorf("the piece of %d bytes at %s lies in no block, or has the wrong transaction", len(x.Data), x.Address)
		}
		r.land(x)
	}
}

// Two allocations that meet where their pages do are two still.
func TestBlocksMeetBetweenPages(t *testing.T) {
	r := newRig(t)
	r.grant(5, "wb", 0, 3)
	f := r.want(0, 3)
	r.Filled(f, f.Address, r.at(base, 3*ps), []Extent{{base, ps, none}, {addr(1, 0), 2 * ps, none}})
	_, ok := r.read(0, ps-8, 16)
	r.same("answered over two", ok, false)
	r.same("absorbed over two", r.Absorb(addr(0, ps-8), none, make([]byte, 16), r.clock), NotAbsorbed)
	r.reads(1, ps-8, r.at(addr(1, ps-8), 16))
}

// A fill that contradicts what is there, or itself, is not kept; nothing panics.
func TestContradictingFills(t *testing.T) {
	r := newRig(t)
	r.grant(5, "w", 0, 2)
	f := r.want(0, 1)
	bytes := r.at(base, ps)
	r.same("blocks that overlap", r.Filled(f, base, bytes, []Extent{{base, 100, none}, {base + 50, 100, none}}), false)
	r.same("kept", r.Filled(f, base, bytes[:100], []Extent{{base, 200, none}}), true)
	r.same("another block", r.Filled(f, base, bytes, []Extent{{base, 300, message.Txn{Seq: 1}}}), false)
	r.same("outside", r.Filled(f, base+1, bytes, block()), false)
	r.same("before", r.Filled(f, base-1, bytes[:10], block()), false)
	r.same("nothing", r.Filled(f, base, nil, block()), false)
	r.same("the rest", r.Filled(f, addr(0, 100), bytes[100:], []Extent{{base, 200, none}, {base + 200, 1<<64 - 1, none}}), true)
	r.reads(0, 0, bytes[:200])
	if _, ok := r.Want(addr(1, 0), 2*ps); ok {
		t.Error("a page without a lease is wanted")
	}
}

// The least recently used page goes first, also where reads were the last use.
func TestEviction(t *testing.T) {
	r := newRig(t)
	r.SetBudget(4*(ps+400) + 4*nodeBytes)
	r.grant(5, "r", 0, 32)
	for i := range 4 {
		r.fill(i, 1)
	}
	r.reads(0, 0, r.at(addr(0, 0), 16))
	r.fill(4, 1)
	r.misses(1)
	r.reads(0, 0, r.at(addr(0, 0), 16))
	r.reads(2, 0, r.at(addr(2, 0), 16))
	r.fill(5, 1)
	r.misses(3)
	for _, i := range []int{0, 2, 4, 5} {
		r.reads(i, 0, r.at(addr(i, 0), 16))
	}
	r.same("evictions", r.Stats().Evictions, uint64(2))
	if s := r.Stats(); s.Bytes > s.Budget || s.Evictions == 0 {
		t.Errorf("%+v", s)
	}
}
