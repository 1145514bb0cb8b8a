package cache

import (
	"bytes"
	"testing"
	"time"

	"dmalloc/message"
)

const (
	base   = message.HeapBase + message.PageSize // the first page that is ever allocated
	ps     = message.PageSize
	second = time.Second
)

var none message.Txn

// rig is a cache, a clock that the test moves, and the bytes at the leader.
type rig struct {
	*testing.T
	*Cache
	now    time.Duration
	leader []byte // from base on
}

func newRig(t *testing.T) *rig {
	r := &rig{T: t, Cache: New(1 << 20), leader: make([]byte, 64*ps)}
	for i := range r.leader {
		r.leader[i] = byte(i/ps + i)
	}
	t.Cleanup(func() {
		if err := r.Check(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) clock() time.Duration { return r.now }

func addr(page, off int) message.Addr { return base + message.Addr(page*ps+off) }

// lease is one of 10 s on pages; mode is r, w, or wb for write-back.
func lease(token uint64, mode string, page, pages int) message.Lease {
	return message.Lease{Company: 1, Address: addr(page, 0), Size: uint64(pages * ps), Mode: mode[:1], Token: token, LengthMS: 10_000, WriteBack: mode == "wb"}
}

// about is what a message says of a lease; without a size it says no pages.
func about(token uint64, a message.Addr, size uint64) message.Lease {
	return message.Lease{Company: 1, Token: token, Address: a, Size: size}
}

func (r *rig) grant(token uint64, mode string, page, pages int) {
	r.Helper()
	if ok, lost := r.Granted(lease(token, mode, page, pages), r.now, r.now); !ok || lost != nil {
		r.Fatalf("lease %d was not taken into use, or lost %v", token, lost)
	}
}

// block is one allocation over the first 64 pages.
func block() []Extent { return []Extent{{Address: base, Size: 64 * ps}} }

func (r *rig) at(a message.Addr, size int) []byte { return r.leader[a-base:][:size] }

func (r *rig) want(page, pages int) Fill {
	r.Helper()
	f, ok := r.Want(addr(page, 0), uint64(pages*ps))
	if !ok {
		r.Fatalf("page %d is not wanted", page)
	}
	return f
}

func (r *rig) fill(page, pages int) {
	r.Helper()
	f := r.want(page, pages)
	if !r.Filled(f, f.Address, r.at(f.Address, int(f.Size)), block()) {
		r.Fatalf("page %d was not kept", page)
	}
}

func (r *rig) read(page, off, size int) ([]byte, bool) {
	p := make([]byte, size)
	ok := r.Read(addr(page, off), none, p, r.clock)
	return p, ok
}

func (r *rig) reads(page, off int, want []byte) {
	r.Helper()
	if got, ok := r.read(page, off, len(want)); !ok || !bytes.Equal(got, want) {
		r.Errorf("%d bytes at %d of page %d read as %.20q, %v; want %.20q", len(want), off, page, got, ok, want)
	}
}

func (r *rig) misses(page int) {
	r.Helper()
	if got, ok := r.read(page, 0, 8); ok {
		r.Errorf("page %d was answered with %q", page, got)
	}
}

func (r *rig) absorb(page, off int, text string) {
	r.Helper()
	if got := r.Absorb(addr(page, off), none, []byte(text), r.clock); got != Absorbed {
		r.Fatalf("%q at %d of page %d: %d, not absorbed", text, off, page, got)
	}
}

// land writes a piece at the leader and says so.
func (r *rig) land(pieces ...Piece) {
	r.Helper()
	for _, x := range pieces {
		copy(r.at(x.Address, len(x.Data)), x.Data)
		if lost := r.Flushed(x, Written); lost != nil {
			r.Errorf("%v was lost by being written", lost)
		}
	}
}

func (r *rig) begin(page, off, size int) *Write {
	r.Helper()
	w, pieces, wait := r.Begin(addr(page, off), uint64(size), r.now)
	if w == nil || pieces != nil || wait {
		r.Fatalf("a write of page %d did not begin: %v, wait %v", page, pieces, wait)
	}
	return w
}

func (r *rig) same(what string, got, want any) {
	r.Helper()
	if got != want {
		r.Errorf("%s is %v; want %v", what, got, want)
	}
}
