package sim

import (
	"fmt"
	"strings"

	"dmalloc/message"
)

// What lines of the story are about, besides words, counters, registers, allocations and companies.
const (
	aboutRegisters = "registers" // all of them
	aboutLeaders   = "leaders"   // and logs, which registers do without
	aboutStarts    = "starts"    // of nodes, as the directory hears of them
)

func again(try int) string {
	if try == 1 {
		return ""
	}
	return fmt.Sprintf(", attempt %d", try)
}

// tell says what a message asks for.
func tell(m *message.Message) string {
	what := m.Op.String()
	if m.Address != 0 {
		what += " at " + m.Address.String()
	}
	switch m.Op {
	case message.ADD:
		what += fmt.Sprintf(" of %d", m.Value)
	case message.CAS:
		what += fmt.Sprintf(" from %d to %d", m.Size, m.Value)
	case message.WRITE:
		what += fmt.Sprintf(" of %d", number(m.Data))
	case message.MALLOC, message.RESERVE, message.COMMIT:
		what += fmt.Sprintf(" of %d bytes", m.Size)
	case message.TERM:
		return fmt.Sprintf("term %d begins", m.Term)
	}
	if !m.Txn.IsZero() {
		what += " for transaction " + m.Txn.String()
	}
	if m.Seq != 0 {
		what += fmt.Sprintf(" (request %x/%d)", m.Client[:2], m.Seq)
	}
	return what
}

func tellAnswer(a *message.Message) string {
	if a.Status != message.Done {
		return a.Status.String()
	}
	s := "done"
	if a.Value != 0 {
		s += fmt.Sprintf(", %d", a.Value)
	}
	if len(a.Data) > 0 {
		s += fmt.Sprintf(", %d", number(a.Data))
	}
	if a.Index != 0 {
		s += fmt.Sprintf(", entry %d", a.Index)
	}
	return s
}

func tellBlocks(blocks []message.Block) string {
	var parts []string
	for _, b := range blocks {
		parts = append(parts, fmt.Sprintf("%d bytes in company %s at %s", b.Size, b.Company, b.Behind))
	}
	return strings.Join(parts, ", ")
}

func (w *world) companyName(id message.CompanyID) string { return "company " + id.String() }

// subject names what a message is about: the shared cell or the holding at its address, or else its company.
func (w *world) subject(id message.CompanyID, m *message.Message) string {
	if id == 0 {
		switch m.Op {
		case message.BOOT:
			return aboutStarts
		case message.REGCHANGE, message.REGDONE:
			return aboutRegisters
		}
		return ""
	}
	if m.Address != 0 || !m.Txn.IsZero() {
		for i := len(w.holdings) - 1; i >= 0; i-- {
			h := w.holdings[i]
			if !m.Txn.IsZero() && h.txn == m.Txn {
				return w.cellAt(h, m)
			}
			for _, b := range h.blocks {
				if b.Company == id && m.Address >= b.Behind && m.Address < b.Behind+message.Addr(b.Size) {
					return w.cellAt(h, m)
				}
			}
		}
	}
	return w.companyName(id)
}

func (w *world) cellAt(h *holding, m *message.Message) string {
	for _, x := range w.shared {
		if x.h == h {
			if _, at := h.bytesAt(x.which, m.Op); at.Address == m.Address {
				return x.name
			}
		}
	}
	return h.name
}

// maxStory is how many lines a story has at most; what is left out is in its middle.
const maxStory = 400

// story numbers the lines that concern the failure, and all of them where it concerns everything.
func (w *world) story() []string {
	about := ""
	if w.failure != nil {
		about = w.failure.about
	}
	var out []string
	for _, l := range w.tale {
		switch {
		case about == "", l.about == "", l.about == about:
		case strings.HasPrefix(about, "register "):
			if l.about != aboutRegisters {
				continue
			}
		case l.about == aboutLeaders:
		case strings.HasPrefix(about, "company ") && !strings.HasPrefix(l.about, "register") && l.about != aboutStarts:
		default:
			continue
		}
		out = append(out, fmt.Sprintf("%4d  t=%-5d %s", len(out)+1, l.at, l.text))
	}
	if n := len(out); n > maxStory {
		out = append(out[:maxStory/2:maxStory/2], append([]string{fmt.Sprintf("      … %d lines …", n-maxStory)}, out[n-maxStory/2:]...)...)
	}
	if w.failure != nil {
		out = append(out, fmt.Sprintf("%s does not hold: %s", w.failure.check, w.failure.text))
	}
	return out
}
