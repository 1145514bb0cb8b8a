package election

import (
	"fmt"

	"dmalloc/message"
)

// Step takes a message about leadership in, at this time in Unix milliseconds, and makes the answer if it
// asks for one; nil otherwise.
//
//	WHOISLEADER   is answered LEADER_OK with Final and Term, or LEADER_AGAIN while nobody is known to lead
//	LEADER_OK     Final leads in Term
//	LEADER_AGAIN  Final, who led in Term, is dead; without a Final it says nothing
func (h *History) Step(m *message.Message, at int64) *message.Message {
	switch m.Op {
	case message.WHOISLEADER:
		return h.answer(m)
	case message.LEADEROK:
		if m.Final != message.NoNode {
			h.Observe(m.Company, m.Term, m.Final, at)
		}
	case message.LEADERAGAIN:
		if leader, term, ok := h.WhoIs(m.Company); ok && m.Final == leader && m.Term == term {
			h.Observe(m.Company, m.Term, message.NoNode, at)
		}
	}
	return nil
}

func (h *History) answer(m *message.Message) *message.Message {
	if m.Company > message.MaxCompany {
		return m.Answer(message.InvalidArgument, fmt.Sprintf("company %s cannot exist; the last is %d: ask for the companies there are", m.Company, message.MaxCompany))
	}
	a := m.Answer(message.Done, "")
	a.Op = message.LEADERAGAIN
	leader, term, ok := h.WhoIs(m.Company)
	if a.Term = term; ok {
		a.Op, a.Final = message.LEADEROK, leader
	}
	return a
}
