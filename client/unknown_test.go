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
