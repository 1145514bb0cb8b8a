package election

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"dmalloc/message"
)

// maxTenures is how many tenures of a company are kept.
const maxTenures = 256

// History is what one node saw of elections.
type History struct {
	companies map[message.CompanyID]*watch
}

// watch is the history of one company.
type watch struct {
	term    uint64 // greatest seen; at least the last tenure's
	last    int64  // time of the last event
	vacant  int64  // since when nobody leads; 0 while somebody does or nothing is known
	tenures []message.Tenure
}

// New makes an empty history.
func New() *History { return &History{companies: map[message.CompanyID]*watch{}} }

// Observe takes in that in this term the company is led by leader, or by nobody (NoNode), as seen at this
// time in Unix milliseconds. It says whether that was news.
func (h *History) Observe(company message.CompanyID, term uint64, leader message.NodeID, at int64) bool {
	if company > message.MaxCompany || term == 0 && leader != message.NoNode {
		return false // no term 0 has a leader
	}
	w := h.companies[company]
	if w == nil {
		w = &watch{}
		h.companies[company] = w
	}
	if term < w.term { // E1
		return false
	}
	at = max(at, w.last, 1) // E4
	var news bool
	if leader == message.NoNode {
		news = w.nobody(at)
	} else {
		news = w.led(company, term, leader, at)
	}
	if news || term > w.term {
		w.last = at
	}
	w.term = term
	return news
}

// present is the tenure that lasts, nil while nobody leads.
func (w *watch) present() *message.Tenure {
	if n := len(w.tenures); n > 0 && w.tenures[n-1].ToMS == 0 {
		return &w.tenures[n-1]
	}
	return nil
}

func (w *watch) nobody(at int64) bool {
	if t := w.present(); t != nil {
		t.ToMS, w.vacant = at, at
		return true
	}
	if w.vacant == 0 {
		w.vacant = at
		return true
	}
	return false
}

func (w *watch) led(company message.CompanyID, term uint64, leader message.NodeID, at int64) bool {
	if n := len(w.tenures); n > 0 && w.tenures[n-1].Term == term {
		t := &w.tenures[n-1]
		if t.Leader != leader || t.ToMS == 0 {
			return false // E2, or nothing new
		}
		t.ToMS, w.vacant = 0, 0
		return true
	}
	if t := w.present(); t != nil {
		t.ToMS, w.vacant = at, at
	}
	next := message.Tenure{Company: company, Term: term, Leader: leader, FromMS: at}
	if w.vacant != 0 {
		next.GapMS = at - w.vacant
	}
	w.vacant = 0
	if len(w.tenures) >= maxTenures { // E5
		w.tenures = slices.Delete(w.tenures, 0, 1)
	}
	w.tenures = append(w.tenures, next)
	return true
}

// WhoIs says who leads a company as far as this node knows.
func (h *History) WhoIs(company message.CompanyID) (leader message.NodeID, term uint64, ok bool) {
	if w := h.companies[company]; w != nil {
		if t := w.present(); t != nil {
			return t.Leader, t.Term, true
		}
		return message.NoNode, w.term, false
	}
	return message.NoNode, 0, false
}

// Leaders lists the tenures that last, by company.
func (h *History) Leaders() []message.Tenure {
	out := []message.Tenure{}
	for _, id := range slices.Sorted(maps.Keys(h.companies)) {
		if t := h.companies[id].present(); t != nil {
			out = append(out, *t)
		}
	}
	return out
}

// History lists the tenures of the companies named, of all if none is; by company and term.
func (h *History) History(companies ...message.CompanyID) []message.Tenure {
	if len(companies) == 0 {
		companies = slices.Collect(maps.Keys(h.companies))
	}
	companies = slices.Clone(companies)
	slices.Sort(companies)
	out := []message.Tenure{}
	for _, id := range slices.Compact(companies) {
		if w := h.companies[id]; w != nil {
			out = append(out, w.tenures...)
		}
	}
	return out
}

// String prints a line a tenure.
func (h *History) String() string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(h.companies)) {
		w := h.companies[id]
		fmt.Fprintf(&b, "company %s: term %d", id, w.term)
		if w.present() == nil {
			fmt.Fprintf(&b, ", nobody leads since %d", w.vacant)
		}
		b.WriteByte('\n')
		for _, t := range w.tenures {
			b.WriteString("  " + line(t) + "\n")
		}
	}
	return b.String()
}

func line(t message.Tenure) string {
	s := fmt.Sprintf("term %d node %s from %d", t.Term, t.Leader, t.FromMS)
	if t.ToMS != 0 {
		s += fmt.Sprintf(" to %d", t.ToMS)
	}
	if t.GapMS != 0 {
		s += fmt.Sprintf(" after a gap of %d", t.GapMS)
	}
	return s
}

// Check says which promise the history breaks; nil is what it always returns.
func (h *History) Check() error {
	for _, id := range slices.Sorted(maps.Keys(h.companies)) {
		w := h.companies[id]
		if err := check(id, w.tenures); err != nil {
			return err
		}
		if n := len(w.tenures); n > 0 && w.tenures[n-1].Term > w.term {
			return broken("E1", id, "term %d is below that of the last tenure", w.term)
		}
		if w.present() != nil && w.vacant != 0 {
			return broken("E3", id, "somebody leads and nobody does since %d", w.vacant)
		}
	}
	return nil
}

// check looks at the tenures of one company.
func check(id message.CompanyID, tenures []message.Tenure) error {
	if len(tenures) > maxTenures {
		return broken("E5", id, "%d tenures", len(tenures))
	}
	for i, t := range tenures {
		switch {
		case t.Company != id || t.Leader == message.NoNode || t.Term == 0:
			return broken("E2", id, "%s", line(t))
		case t.FromMS < 1 || t.GapMS < 0 || t.ToMS != 0 && t.ToMS < t.FromMS:
			return broken("E4", id, "%s", line(t))
		}
		if i == 0 {
			continue
		}
		before := tenures[i-1]
		if before.Term >= t.Term || before.ToMS == 0 || before.ToMS > t.FromMS || t.GapMS != t.FromMS-before.ToMS {
			return broken("E3", id, "%s, then %s", line(before), line(t))
		}
	}
	return nil
}

func broken(promise string, id message.CompanyID, format string, args ...any) error {
	return &message.Error{Op: "election.Check", Code: message.Internal, Text: fmt.Sprintf("%s is broken in company %s: ", promise, id) + fmt.Sprintf(format, args...)}
}
