package client

import (
	"testing"
	"time"

	"dmalloc/message"
)

// kept is a page that this process can read itself.
type kept struct {
	from, to message.Addr
	txn      message.Txn
}

func (k kept) Read(a message.Addr, txn message.Txn, p []byte) bool {
	if a < k.from || a+message.Addr(len(p)) > k.to || txn != k.txn {
		return false
	}
	for i := range p {
		p[i] = byte(a) + byte(i)
	}
	return true
}

// What this process keeps is read without a message and without allocating; the rest is asked for as ever.
func TestLocal(t *testing.T) {
	ctx := ending(t, 10*time.Second)
	r := &room3{leader: bytesOf, home: leadBy(0)}
	h := r.open(t)
	h.cfg.Local = kept{from: leasedPage, to: leasedPage + message.PageSize}
	p := make([]byte, 16)
	if err := h.ReadAt(ctx, p, leasedPage+3); err != nil || p[0] != 3 || p[15] != 18 || r.took() != "" {
		t.Errorf("%v %v", p, err)
	}
	if n := testing.AllocsPerRun(100, func() { _ = h.ReadAt(ctx, p, leasedPage) }); n != 0 {
		t.Errorf("%v allocations a read", n)
	}
	if err := h.ReadAt(ctx, p, leasedPage+message.PageSize-8); err != nil || p[15] != 0 || r.took() != "0 READ" {
		t.Errorf("%v %v", p, err)
	}
}

// The part of an allocation is read where it lies, in the name of its transaction.
func TestLocalPart(t *testing.T) {
	c := newCompanies(0, false)
	h := c.heap(t)
	a, err := h.Malloc(t.Context(), spanSize)
	if err != nil || len(a.Blocks) != 3 {
		t.Fatalf("%+v %v", a, err)
	}
	b := a.Blocks[1]
	p := make([]byte, 4)
	if err := h.ReadAt(t.Context(), p, b.Address); err != nil { // which tells the client where the parts are
		t.Fatal(err)
	}
	at, err := h.locate(b.Address)
	if err != nil || !at.part {
		t.Fatalf("%+v %v", at, err)
	}
	h.cfg.Local = kept{from: b.Behind, to: b.Behind + message.PageSize, txn: at.txn}
	if err := h.ReadAt(t.Context(), p, b.Address+5); err != nil || p[0] != byte(b.Behind+5) {
		t.Errorf("%v %v", p, err)
	}
}
