package drill

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	Pass = "pass"
	Fail = "fail"
)

// Result is what a drill showed.
type Result struct {
	Verdict    string           `json:"verdict"`
	Seed       uint64           `json:"seed"`
	Operations int              `json:"operations"` // calls of all clients
	Unknown    int              `json:"unknown"`    // of them, writes of which nobody knows whether they happened
	Faults     map[string]int   `json:"faults"`     // that were injected, by kind
	Planned    map[string]int   `json:"planned"`    // that the script has; what there was no time for was not done
	LongestMS  int64            `json:"longest_unavailable_ms"`
	Where      string           `json:"unavailable,omitempty"` // what was unavailable that long
	BackMS     map[string]int64 `json:"back_ms"`               // how long each company, registers and malloc took until they worked after the heal
	Leases     int              `json:"leases"`                // that clients were given
	Absorbed   *Absorbed        `json:"absorbed,omitempty"`    // writes that holders kept to themselves; nil where none may
	Findings   []Finding        `json:"findings,omitempty"`

	History History `json:"-"`
	Done    []Done  `json:"-"` // what was done to the cluster
	Steps   []Step  `json:"-"` // the same as a script
	heading []string
}

// OK says whether the drill passed.
func (r *Result) OK() bool { return r.Verdict == Pass }

// JSON is the result as the shell prints it, without the fields that all commands have.
func (r *Result) JSON() ([]byte, error) { return json.Marshal(r) }

// Script is what was done to the cluster, to be done again by drill --replay or by the shell.
func (r *Result) Script() string { return Script(r.Steps, r.heading...) }

func (r *run) result(e *Evidence) *Result {
	out := &Result{Verdict: Pass, Seed: r.cfg.Seed, Operations: e.Tries, Unknown: e.unknown(), Faults: map[string]int{}, Planned: r.planned, BackMS: map[string]int64{},
		LongestMS: e.Longest.Milliseconds(), Where: e.Where, Findings: r.found, History: e.History,
		Done: r.player.spans(), Steps: r.player.steps}
	for _, d := range out.Done {
		if k := d.kind(r.cfg.ReplaceAfter); k != "" && d.Err == nil {
			out.Faults[string(k)]++
		}
	}
	for name, took := range e.Back {
		out.BackMS[name] = took.Milliseconds()
	}
	out.Leases = len(e.Grants)
	if r.cfg.WriteBack && r.cfg.Leases != NoLeases {
		out.Absorbed = e.absorbed()
	}
	if len(out.Findings) > 0 {
		out.Verdict = Fail
	}
	// What a reader should see first: broken promises with the shortest proof, then what could not be judged.
	slices.SortStableFunc(out.Findings, func(a, b Finding) int { return cmp.Compare(rank(a), rank(b)) })
	out.heading = []string{fmt.Sprintf("dmalloc drill --seed %d --for %v --clients %d: %s", r.cfg.Seed, r.cfg.Length, r.cfg.Clients, out.Verdict),
		fmt.Sprintf("%d nodes, %d replicas, %d companies", r.cfg.Nodes, r.cfg.Replicas, r.cfg.Companies)}
	if r.cfg.plan().replaces() {
		out.heading = append(out.heading, fmt.Sprintf("--replace-after %v", r.cfg.ReplaceAfter))
	}
	return out
}

func rank(f Finding) int {
	switch {
	case f.Check == Undecided || f.Check == Idle || f.Check == NotInject:
		return 2
	case len(f.Ops) == 0:
		return 1
	}
	return 0
}

// Example is the finding whose calls show best what is wrong, nil if none has any.
func (r *Result) Example() *Finding {
	for i := range r.Findings {
		if len(r.Findings[i].Ops) > 0 {
			return &r.Findings[i]
		}
	}
	return nil
}

// WriteHTML draws the counter-example with the faults around it, or the calls to the first key of a
// drill that passed.
func (r *Result) WriteHTML(w io.Writer) error {
	if f := r.Example(); f != nil {
		return Picture(w, *f, r.Done)
	}
	keys, parts := split(r.History.Ops)
	if len(keys) == 0 {
		return Picture(w, Finding{}, r.Done)
	}
	return Picture(w, Finding{Ops: parts[keys[0]], space: keys[0].Space}, r.Done)
}

const mostShown = 40 // calls of a counter-example in the story; the picture has them all

// Story says what happened, for people.
func (r *Result) Story() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  seed %d\n", strings.ToUpper(r.Verdict), r.Seed)
	fmt.Fprintf(&b, "  %d operations, %d of unknown outcome, %d refused, %d reads without an answer\n", r.Operations, r.Unknown, r.History.Refused, r.History.Unread)
	if r.Leases > 0 {
		fmt.Fprintf(&b, "  %s taken, %d of them given back\n", count(r.Leases, "lease"), r.History.Given)
	}
	if r.Absorbed != nil {
		fmt.Fprintf(&b, "  %s\n", r.Absorbed)
	}
	fmt.Fprintf(&b, "  faults: %s\n", r.faultList())
	if missing := r.missing(); missing != "" {
		fmt.Fprintf(&b, "  planned, but there was no time for it: %s\n", missing)
	}
	fmt.Fprintf(&b, "  longest unavailability: %v", time.Duration(r.LongestMS)*time.Millisecond)
	if r.Where != "" {
		fmt.Fprintf(&b, " (%s)", r.Where)
	}
	b.WriteString("\n")
	if name, took := r.History.slowest(); name != "" && len(r.History.Never) == 0 {
		fmt.Fprintf(&b, "  all worked within %v after the heal (%s was last)\n", took.Round(time.Millisecond), name)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "  %s\n", f)
	}
	if f := r.Example(); f != nil {
		fmt.Fprintf(&b, "the shortest example, by %s:\n", count(len(f.Ops), "call"))
		for _, o := range f.Ops[:min(len(f.Ops), mostShown)] {
			fmt.Fprintf(&b, "  %s\n", o.line())
		}
		if more := len(f.Ops) - mostShown; more > 0 {
			fmt.Fprintf(&b, "  and %d more\n", more)
		}
	}
	return b.String()
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (r *Result) faultList() string { return kindCounts(r.Faults) }

// missing is what was planned and neither done nor refused.
func (r *Result) missing() string {
	left := maps.Clone(r.Planned)
	if n := left[string(Replace)]; n > 0 {
		left[string(Kill)] += n // how long a node is dead in the end depends on the machine
		delete(left, string(Replace))
	}
	for _, d := range r.Done {
		if k := string(d.Command.Kind()); left[k] > 0 {
			left[k]--
		}
	}
	maps.DeleteFunc(left, func(_ string, n int) bool { return n <= 0 })
	if len(left) == 0 {
		return ""
	}
	return kindCounts(left)
}

func kindCounts(faults map[string]int) string {
	if len(faults) == 0 {
		return "none"
	}
	var words []string
	for k, n := range faults {
		words = append(words, fmt.Sprintf("%d %s", n, k))
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}
