package company

import (
	"bytes"
	"testing"

	"dmalloc/message"
)

// A holder brings whole pages, and is told which extents of them live; nobody else may read so.
func TestFill(t *testing.T) {
	d := &driver{Company: newTest(1)}
	small := d.do(malloc(100)).Address
	gone := d.do(malloc(100)).Address
	last := d.do(malloc(100)).Address
	d.do(msg(message.WRITE, func(m *message.Message) { m.Address, m.Data, m.Size = last, []byte("last"), 4 }))
	d.do(msg(message.FREE, func(m *message.Message) { m.Address = gone }))
	l := d.do(leaseOf(1, small, 0))
	if l.Code != message.Done || l.Size != message.PageSize {
		t.Fatal(l)
	}
	page := func(token uint64, a message.Addr, size uint64) *message.Message {
		return d.Read(msg(message.READ, func(m *message.Message) { m.Token, m.Address, m.Size = token, a, size }))
	}
	a := page(l.Token, l.Address, message.PageSize)
	if a.Status != message.Done || len(a.Data) != message.PageSize || !a.Txn.IsZero() {
		t.Fatalf("%+v", a)
	}
	var live []message.Addr
	for _, b := range a.Blocks {
		if b.Size != 100 || b.Behind != 0 {
			t.Errorf("%+v", b)
		}
		live = append(live, b.Address)
	}
	if len(live) != 2 || live[0] != small || live[1] != last {
		t.Errorf("alive are %v, want %v and %v", live, small, last)
	}
	if at := last - l.Address; !bytes.Equal(a.Data[at:at+4], []byte("last")) {
		t.Errorf("% x", a.Data[at:at+4])
	}
	for name, a := range map[string]*message.Message{
		"no such lease": page(l.Token+1, l.Address, message.PageSize),
		"more pages":    page(l.Token, l.Address, 2*message.PageSize),
	} {
		if a.Status != message.Fenced || len(a.Data) != 0 {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if a := page(0, l.Address, message.PageSize); a.Status == message.Done {
		t.Errorf("without a token: %+v", a)
	}
}

// What is brought of a part of an allocation is of its transaction.
func TestFillOfAPart(t *testing.T) {
	d := &driver{Company: newTest(2)}
	txn := message.Txn{Client: message.ClientID{1}, Seq: 7}
	r := d.do(msg(message.RESERVE, func(m *message.Message) { m.Txn, m.Size, m.Value = txn, 2*message.PageSize, 1 }))
	home := message.CompanyID(1).Base() + message.PageSize
	if c := d.do(msg(message.CONFIRM, func(m *message.Message) { m.Txn, m.Address, m.Value = txn, home, 1 })); r.Code != message.Done || c.Code != message.Done {
		t.Fatal(r, c)
	}
	ask := leaseOf(1, r.Address, 0)
	ask.Flags, ask.Txn = message.PartOf, txn
	l := d.do(ask)
	if l.Code != message.Done {
		t.Fatal(l)
	}
	a := d.Read(msg(message.READ, func(m *message.Message) {
		m.Token, m.Address, m.Size = l.Token, l.Address+message.PageSize, message.PageSize
	}))
	if a.Status != message.Done || a.Txn != txn || len(a.Blocks) != 1 || a.Blocks[0].Address != r.Address || a.Blocks[0].Behind == 0 || a.Blocks[0].Size != 2*message.PageSize {
		t.Errorf("%+v", a)
	}
}
