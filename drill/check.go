package drill

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"dmalloc/message"
)

// Checks that a finding can come from.
const (
	NotLinear = "linearizable" // no single memory could have answered so
	Undecided = "undecided"    // the checker had no time to judge: not a pass
	Lost      = "lost"         // an acknowledged write or allocation is gone
	Stale     = "stale"        // a read went back in time
	Invented  = "invented"     // a value or an allocation that nobody asked for
	Tagged    = "tag"          // a tag of registers does not name one value, or a value not one tag
	Leases    = "lease"        // tokens of leases do not grow, or name two
	Twice     = "twice"        // one call happened more than once
	Overlap   = "overlap"      // two live allocations share bytes
	Reused    = "reused"       // bytes of a freed allocation were read
	Leak      = "leak"         // something is left after all was freed
	NotInject = "fault"        // a fault could not be injected or ended
	Stuck     = "stuck"        // the cluster did not become whole after the heal
	Defect    = "defect"       // an answer said internal
	Diverged  = "diverged"     // the owners of a company do not hold the same
	Idle      = "idle"         // nothing was done, or not all was recorded: the run proves nothing
)

// Finding is one thing that is wrong.
type Finding struct {
	Check string `json:"check"`
	Key   string `json:"key,omitempty"`
	Text  string `json:"text"`
	Ops   []Op   `json:"-"` // the shortest counter-example that was found, where calls show it
	space Space
}

func (f Finding) String() string {
	if f.Key == "" {
		return f.Check + ": " + f.Text
	}
	return f.Check + ": " + f.Key + ": " + f.Text
}

// Evidence is all that a run is judged by.
type Evidence struct {
	History
	Before     []message.Allocation // the table when the run began
	After      []message.Allocation // when the clients had stopped, before anything was freed for the end
	End        []message.Allocation // when all of the run was freed
	AfterStamp int64                // the recorder's time then; 0 means at the end of all calls
	UsedBefore uint64
	UsedEnd    uint64
	Tables     bool   // the tables above were read
	Losses     losses // of writes that holders had absorbed
}

const (
	mostFindings = 20 // listed; more are counted
	mostShrunk   = 3  // of which counter-examples are made short, the smallest histories first
	shrinkTime   = 500 * time.Millisecond
)

// Check judges a run within a time. It needs no other limit: what it had no time for is undecided.
func Check(e Evidence, limit time.Duration) []Finding {
	deadline := time.Now().Add(limit)
	keys, parts := split(e.Ops)
	e.lose(keys, parts)
	found := slices.Concat(whole(&e), tables(&e), tags(e.Ops), tokens(e.Grants))
	var illegal []Finding
	for _, k := range keys {
		ops := parts[k]
		plain := plainly(k, ops)
		said, shown, why := judge(k.Space, ops, deadline)
		switch said {
		case porcupine.Unknown:
			found = append(found, orUndecided(plain, k, ops, why)...)
		case porcupine.Illegal:
			f := Finding{Check: NotLinear, Key: k.String(), space: k.Space, Text: fmt.Sprintf("no single memory could have answered so, in any order of the %d calls", len(ops))}
			if plain != nil {
				f.Check, f.Text = plain.Check, plain.Text
			}
			f.Ops = shown
			illegal = append(illegal, f)
		case porcupine.Ok:
			if plain != nil { // it saw what the model allows: then one of the two is wrong, and that is a finding
				found = append(found, *plain)
			}
		}
	}
	slices.SortStableFunc(illegal, func(a, b Finding) int { return cmp.Compare(len(a.Ops), len(b.Ops)) })
	for i := range illegal[:min(len(illegal), mostShrunk)] {
		illegal[i].Ops = Shrink(illegal[i].space, illegal[i].Ops, deadline.Add(limit/2))
	}
	slices.SortStableFunc(illegal, func(a, b Finding) int { return cmp.Compare(len(a.Ops), len(b.Ops)) })
	return atMost(slices.Concat(illegal, found))
}

// judge asks the checker about a key's calls, and returns those that show what it says. Where it does not know, why says
// what was too much, if that was not time.
func judge(s Space, ops []Op, deadline time.Time) (said porcupine.CheckResult, shown []Op, why string) {
	parts := [][]Op{ops}
	if s == Table {
		parts = pieces(ops)
	}
	said = porcupine.Ok
	for _, part := range parts {
		left := time.Until(deadline)
		if left <= 0 {
			return porcupine.Unknown, ops, ""
		}
		switch now, reason := judgeOne(s, part, max(left/2, time.Millisecond)); now {
		case porcupine.Illegal:
			return porcupine.Illegal, part, ""
		case porcupine.Unknown:
			said, why = porcupine.Unknown, reason
		}
	}
	return said, ops, why
}

// judgeOne asks about one history, the search that fits it.
func judgeOne(s Space, ops []Op, limit time.Duration) (said porcupine.CheckResult, why string) {
	if s == Cells && slices.ContainsFunc(ops, func(o Op) bool { return o.Back }) {
		return searchLosses(ops, time.Now().Add(limit))
	}
	return porcupine.CheckOperationsTimeout(modelOf(s, ops), operations(ops), limit), ""
}

// orUndecided is what is known of a history that the checker had no time for, or too little room.
func orUndecided(plain *Finding, k Key, ops []Op, why string) []Finding {
	if plain != nil {
		return []Finding{*plain}
	}
	text := "were too many to judge in time; use fewer clients or a shorter run, or give the checker more time"
	if why != "" {
		text = "were not judged: " + why + "; use fewer clients"
	}
	return []Finding{{Check: Undecided, Key: k.String(), Text: fmt.Sprintf("%d calls, %d of unknown outcome, %s", len(ops), unknowns(ops), text)}}
}

func unknowns(ops []Op) (n int) {
	for _, o := range ops {
		if o.Unknown {
			n++
		}
	}
	return n
}

func atMost(all []Finding) []Finding {
	if len(all) <= mostFindings {
		return all
	}
	more := map[string]int{}
	for _, f := range all[mostFindings:] {
		more[f.Check]++
	}
	var words []string
	for c, n := range more {
		words = append(words, fmt.Sprintf("%d %s", n, c))
	}
	slices.Sort(words)
	last := Finding{Check: all[mostFindings].Check, Text: "and more: " + strings.Join(words, ", ")}
	return append(slices.Clip(all[:mostFindings]), last)
}

// Picture writes a finding's calls as a page of HTML, with what was done to the cluster meanwhile.
func Picture(w io.Writer, f Finding, done []Done) error {
	model := modelOf(f.space, f.Ops)
	_, info := porcupine.CheckOperationsVerbose(model, operations(f.Ops), shrinkTime)
	var notes []porcupine.Annotation
	for _, d := range done {
		notes = append(notes, porcupine.Annotation{Tag: "faults", Start: d.At.Nanoseconds(), End: d.Until.Nanoseconds(),
			Description: d.Command.String(), Details: d.note(), BackgroundColor: "#f4d7a4"})
	}
	info.AddAnnotations(notes)
	return porcupine.Visualize(model, info, w)
}
