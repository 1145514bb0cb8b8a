package client

import (
	"encoding/json"
	"testing"
	"time"

	"dmalloc/message"
)

// A company that came after this client last saw the directory is no reason to say that nothing is there.
func TestCompanyThatIsNew(t *testing.T) {
	d := three()
	d.Epoch, d.Companies = 2, append(d.Companies, message.Company{ID: 2, Base: message.CompanyID(2).Base(), Limit: message.CompanyID(2).Limit(), Capacity: 1 << 20,
		Owners: []message.Owner{{Node: 1, Replica: 1}}})
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var asked []message.Op
	knows := func(m *message.Message) *message.Message {
		a := m.Answer(message.Done, "")
		switch m.Op {
		case message.DIRECTORY:
			a.Data = text
		case message.READ:
			asked = append(asked, m.Op)
			a.Data = []byte("ab")
		case message.FREE:
			asked = append(asked, m.Op)
		}
		return a
	}
	late := func(m *message.Message) *message.Message { return m.Answer(message.Done, "") } // has seen nothing newer
	nodes := map[message.NodeID]func(m *message.Message) *message.Message{0: late, 1: knows, 2: silent}
	a := message.CompanyID(2).Base() + message.PageSize
	h, _ := open(t, nodes)
	p := make([]byte, 2)
	if err := h.ReadAt(ending(t, 5*time.Second), p, a); err != nil || string(p) != "ab" {
		t.Errorf("read %q: %v", p, err)
	}
	h, _ = open(t, nodes)
	if err := h.Free(ending(t, 5*time.Second), a); err != nil {
		t.Errorf("free: %v", err)
	}
	if len(asked) != 2 {
		t.Errorf("asked for %v", asked)
	}
	if err := h.ReadAt(ending(t, 5*time.Second), p, message.CompanyID(3).Base()); message.CodeOf(err) != message.NotAllocated {
		t.Errorf("a window of nobody: %v", err)
	}
}

// What lists all companies lists the new one, whether the directory's company answers or not; and what concerns one
// address of it finds it.
func TestViewsOfCompanyThatIsNew(t *testing.T) {
	d := three()
	d.Epoch, d.Companies = 2, append(d.Companies, message.Company{ID: 2, Base: message.CompanyID(2).Base(), Limit: message.CompanyID(2).Limit(), Capacity: 1 << 20,
		Owners: []message.Owner{{Node: 1, Replica: 1}}})
	a := message.CompanyID(2).Base() + message.PageSize
	row := message.Allocation{Address: a, Size: 8, Blocks: []message.Block{{Company: 2, Address: a, Size: 8}}}
	for _, majority := range []bool{true, false} {
		knows := func(m *message.Message) *message.Message {
			out := m.Answer(message.Done, "")
			switch {
			case m.Op == message.DIRECTORY && m.Value == 1 && !majority:
				return nil
			case m.Op == message.DIRECTORY:
				out.Data = message.JSON(d)
			case m.Op == message.TABLE && m.Company == 2:
				out.Data = message.JSON([]message.Allocation{row})
			case m.Op == message.TABLE:
				out.Data = message.JSON([]message.Allocation{})
			case m.Op == message.LEASES && m.Company == 2:
				out.Data = message.JSON([]message.Lease{{Company: 2, Address: a, Size: message.PageSize, Mode: "r", Token: 3}})
			case m.Op == message.SYNC && m.Company == 2:
				out.Value = 8
			}
			return out
		}
		late := func(m *message.Message) *message.Message { // has seen nothing newer
			if m.Op == message.DIRECTORY && m.Value == 1 {
				return leadBy(1)(m)
			}
			if m.Op == message.TABLE {
				return knows(m)
			}
			return m.Answer(message.Done, "")
		}
		nodes := map[message.NodeID]func(m *message.Message) *message.Message{0: late, 1: knows, 2: silent}
		h, _ := open(t, nodes)
		if all, err := h.Table(ending(t, 30*time.Second), 0, 10); err != nil || len(all) != 1 {
			t.Errorf("majority %v: the table is %v: %v", majority, all, err)
		}
		h, _ = open(t, nodes)
		if all, err := h.Leases(ending(t, 30*time.Second)); err != nil || len(all) != 1 {
			t.Errorf("majority %v: leases are %v: %v", majority, all, err)
		}
		h, _ = open(t, nodes)
		h.leases.took(held{Lease: message.Lease{Company: 2, Address: a, Size: message.PageSize, Mode: "w"}, node: 1, until: time.Now().Add(time.Hour)}, time.Now())
		h.cfg.Home = 1
		if n, err := h.Sync(ending(t, 30*time.Second), a); err != nil || n != 8 {
			t.Errorf("majority %v: sync of %d: %v", majority, n, err)
		}
	}
}
