package node

import (
	"testing"

	"dmalloc/message"
)

// A company may be led here before this node's directory has it.
func TestLeadOfACompanyThatIsNotKnownYet(t *testing.T) {
	h := newHerd(t, 1, 60000)
	n := h.any()
	d := n.directory.Load().Clone()
	d.Companies = d.Companies[:1]
	m := message.New(message.LEADER)
	m.Company, m.Value = 1, 7
	n.directory.Store(d)
	n.Handle(m, func(a *message.Message) {
		if a.Status == message.Internal || a.Status == message.Done {
			t.Errorf("%v %s", a.Status, a.Text)
		}
	})
}
