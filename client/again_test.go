package client

import (
	"testing"

	"dmalloc/message"
)

// What is believed of where bytes lie may be of an allocation that is no more. A request that was sent there is sent again as
// one that never was.
func TestPartsThatAreNoMore(t *testing.T) {
	c := newCompanies(0, false)
	owner, other := c.heap(t), c.heap(t)
	at := func(x message.Allocation) message.Addr { return x.Address + 12*message.PageSize }
	p := make([]byte, 5)
	old, err := owner.Malloc(t.Context(), spanSize)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"first", "again"} {
		if _, err := owner.WriteAt(t.Context(), []byte(word), at(old)); err != nil {
			t.Fatal(err)
		}
		if err := other.ReadAt(t.Context(), p, at(old)); err != nil || string(p) != word {
			t.Fatalf("%q, %v; want %q", p, err, word)
		}
		if err := owner.Free(t.Context(), old.Address); err != nil {
			t.Fatal(err)
		}
		next, err := owner.Malloc(t.Context(), spanSize)
		if err != nil || next.Address != old.Address {
			t.Fatalf("%+v, %v; want the same addresses", next, err)
		}
		old = next
	}
}

// What is known of the other allocations is known also when one of them is no more: also where they end.
func TestFreeingLeavesTheOthers(t *testing.T) {
	h := newCompanies(0, false).heap(t)
	var all []message.Allocation
	for range 2 {
		a, err := h.Malloc(t.Context(), 9*message.PageSize)
		if err != nil || len(a.Blocks) < 2 {
			t.Fatalf("%+v, %v; want one over two companies", a, err)
		}
		if err := h.ReadAt(t.Context(), make([]byte, 1), a.Address+8*message.PageSize); err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	if err := h.Free(t.Context(), all[0].Address); err != nil {
		t.Fatal(err)
	}
	for i, a := range all {
		if p, err := h.locate(a.Address); err != nil || p.left > 0 != (i == 1) {
			t.Errorf("allocation %d: %+v, %v", i, p, err)
		}
	}
}
