package company

import (
	"bytes"
	"testing"

	"dmalloc/message"
)

func sumsOf(c *Company, level uint64) message.Sums { return c.Snapshot().Tree().Sums(1, level) }

// Equal states have equal sums, also when one of them was kept and loaded; what differs shows in its place.
func TestTree(t *testing.T) {
	make2 := func(value byte, at message.Addr) *Company {
		c := New(Config{ID: 1, Capacity: 64 << 20})
		batch := &message.Batch{Node: 1, Term: 1}
		m := message.New(message.MALLOC)
		m.Size, m.Company = 8<<20, 1
		batch.Messages = append(batch.Messages, m)
		for _, a := range []message.Addr{0, 4 << 20} {
			w := message.New(message.WRITE)
			w.Company, w.Address, w.Size, w.Data = 1, message.CompanyID(1).Base()+message.PageSize+a, 1, []byte{7}
			if a == at {
				w.Data = []byte{value}
			}
			batch.Messages = append(batch.Messages, w)
		}
		for i, r := range c.Apply(5, batch).Results {
			if r.Code != message.Done {
				t.Fatalf("%d: %s", i, r.Text)
			}
		}
		return c
	}
	a, b, other := make2(7, 0), make2(7, 0), make2(9, 4<<20)
	if x, y := sumsOf(a, 0), sumsOf(b, 0); x.Root != y.Root || x.Index != 5 {
		t.Errorf("equal states have %+v and %+v", x, y)
	}
	var kept bytes.Buffer
	if _, err := a.Snapshot().WriteTo(&kept); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(&kept, Config{ID: 1, Capacity: 64 << 20})
	if err != nil || sumsOf(loaded, 0).Root != sumsOf(a, 0).Root {
		t.Errorf("a loaded state has other sums: %v", err)
	}
	x, y := sumsOf(a, 1), sumsOf(other, 1)
	if x.Root == y.Root || x.State != y.State || len(x.Parts) != 2 || len(y.Parts) != 2 || x.Parts[0] != y.Parts[0] || x.Parts[1] == y.Parts[1] {
		t.Fatalf("a byte differs, and the sums are %+v and %+v", x, y)
	}
	part := 2 + x.Parts[1].Number
	if p, q := sumsOf(a, part).Parts, sumsOf(other, part).Parts; len(p) != 1 || len(q) != 1 || p[0].Number != (4<<20)/message.PageSize+1 || p[0] == q[0] {
		t.Errorf("the page that differs: %+v and %+v", p, q)
	}
	other.Apply(6, &message.Batch{Node: 1})
	if sumsOf(other, 0).State == y.State {
		t.Error("another index has the same sum")
	}
}
