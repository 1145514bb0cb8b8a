package cache

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
)

// A page that changes between the two looks of a read makes it miss, whatever changed it; one that was hidden for a
// write that was not done does not.
func TestSecondLook(t *testing.T) {
	for _, x := range []struct {
		name string
		meet func(r *rig)
		same bool
	}{
		{"nothing", func(r *rig) {}, true},
		{"another page", func(r *rig) { r.absorb(3, 0, "mine") }, true},
		{"absorbed in the first", func(r *rig) { r.absorb(0, 0, "mine") }, false},
		{"absorbed in the last", func(r *rig) { r.absorb(2, 9, "mine") }, false},
		{"written", func(r *rig) { r.End(r.begin(1, 0, 4), Written, []byte("mine")) }, false},
		{"being written", func(r *rig) { r.begin(1, 0, 4) }, false},
		{"not written", func(r *rig) { r.End(r.begin(1, 0, 4), Refused, nil) }, true},
		{"evicted", func(r *rig) { r.SetBudget(0) }, false},
		{"revoked", func(r *rig) { r.Revoke(about(5, addr(0, 0), ps)) }, false},
		{"inherited", func(r *rig) { r.grant(6, "wb", 0, 4) }, false},
	} {
		r := newRig(t)
		r.grant(5, "wb", 0, 4)
		r.fill(0, 4)
		seen := make([]*image, 3)
		if !r.tables[1].collect(seen, 1, base, none, make([]byte, 3*ps)) {
			t.Fatal("not there")
		}
		x.meet(r)
		r.same(x.name, r.tables[1].stillHas(seen, 1), x.same)
	}
}

// A write over several pages is seen whole or not at all, while nothing else happens.
func TestTornReads(t *testing.T) {
	r := newRig(t)
	r.grant(5, "wb", 0, 8)
	r.fill(0, 8)
	number := func(v uint64) []byte {
		b := make([]byte, 7*ps)
		for i := 0; i < len(b); i += ps / 2 {
			binary.LittleEndian.PutUint64(b[i:], v)
		}
		return b
	}
	if r.Absorb(addr(0, 0), none, number(0), stopped) != Absorbed {
		t.Fatal("not absorbed")
	}
	var done atomic.Bool
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			p := make([]byte, 7*ps)
			for !done.Load() {
				if !r.Read(addr(0, 0), none, p, stopped) {
					continue
				}
				for i := 0; i < len(p); i += ps / 2 {
					if got, want := binary.LittleEndian.Uint64(p[i:]), binary.LittleEndian.Uint64(p); got != want {
						t.Errorf("a read shows %d and %d at once", want, got)
						return
					}
				}
			}
		})
	}
	for v := range uint64(3000) {
		r.Absorb(addr(0, 0), none, number(v), stopped)
	}
	done.Store(true)
	readers.Wait()
}
