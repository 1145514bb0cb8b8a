package compare

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Report is all of a comparison.
type Report struct {
	Date     time.Time
	Version  string // of dmalloc
	Machine  Machine
	Replicas int
	Rounds   int
	Length   time.Duration // of a measurement
	Warmup   time.Duration
	Outcomes []Outcome
}

// line is a row of a report as machines read it.
type line struct {
	Row         string   `json:"row"`
	Work        string   `json:"work"`
	Against     string   `json:"against"`
	PeerVersion string   `json:"peer_version,omitempty"`
	Unit        Unit     `json:"unit"`
	Aim         float64  `json:"aim,omitempty"`
	AtMost      bool     `json:"at_most,omitempty"`
	Ratio       float64  `json:"ratio"`
	Min         float64  `json:"ratio_min"`
	Max         float64  `json:"ratio_max"`
	Rounds      int      `json:"rounds"`
	Ours        []Sample `json:"ours"`
	Theirs      []Sample `json:"theirs"`
	Verdict     string   `json:"verdict"`
}

func (r *Report) lines() []line {
	var all []line
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		x := o.Ratio()
		all = append(all, line{o.Name, o.Work, o.Against, o.Version, o.Unit, o.Aim, o.Most, x.Median, x.Min, x.Max, len(o.Us), o.Us, o.Them, o.Verdict()})
	}
	return all
}

// JSON writes the machine in one line and each row in one.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	if err := e.Encode(map[string]any{"date": r.Date.UTC().Format(time.RFC3339), "dmalloc": r.Version, "machine": r.Machine, "replicas": r.Replicas,
		"rounds": r.Rounds, "seconds": r.Length.Seconds()}); err != nil {
		return err
	}
	for _, l := range r.lines() {
		if err := e.Encode(l); err != nil {
			return err
		}
	}
	return nil
}

// CSV writes a head and a line a row, with medians.
func (r *Report) CSV(w io.Writer) error {
	c := csv.NewWriter(w)
	_ = c.Write([]string{"row", "work", "against", "peer_version", "unit", "aim", "ratio", "ratio_min", "ratio_max", "rounds", "ours", "theirs", "verdict"})
	for i, l := range r.lines() {
		o := &r.Outcomes[i]
		_ = c.Write([]string{l.Row, l.Work, l.Against, l.PeerVersion, string(l.Unit), o.aim(), fmt.Sprintf("%.4g", l.Ratio), fmt.Sprintf("%.4g", l.Min),
			fmt.Sprintf("%.4g", l.Max), fmt.Sprint(l.Rounds), fmt.Sprintf("%.6g", medianOf(l.Ours)), fmt.Sprintf("%.6g", medianOf(l.Theirs)), l.Verdict})
	}
	c.Flush()
	return c.Error()
}

var columns = []string{"work", "against", "aim", "ratio", "spread", "dmalloc", "peer", "verdict"}

// cells are a row as people read it.
func (o *Outcome) cells() []string {
	against := o.Against
	if o.Version != "" {
		against += " (" + o.Version + ")"
	}
	if len(o.Us) == 0 {
		return []string{o.Work, against, o.aim(), "-", "-", "-", "-", o.Verdict()}
	}
	x := o.Ratio()
	return []string{o.Work, against, o.aim(), Number(x.Median), x.spread(), value(medianOf(o.Us), o.Unit), value(medianOf(o.Them), o.Unit), o.Verdict()}
}

// Table writes a table for a terminal.
func (r *Report) Table(w io.Writer) error {
	rows := [][]string{columns}
	for i := range r.Outcomes {
		rows = append(rows, r.Outcomes[i].cells())
	}
	width := make([]int, len(columns))
	for _, row := range rows {
		for i, c := range row {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	var b strings.Builder
	for _, l := range r.head() {
		b.WriteString("# " + l + "\n")
	}
	for _, row := range rows {
		for i, c := range row {
			if i == len(row)-1 {
				b.WriteString(c + "\n")
				break
			}
			b.WriteString(c + strings.Repeat(" ", width[i]-utf8.RuneCountInString(c)+2))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// head says what was measured on, and how often.
func (r *Report) head() []string {
	m := &r.Machine
	head := []string{
		m.String(),
		fmt.Sprintf("dmalloc %s, %s, %s", r.Version, m.Go, r.Date.UTC().Format(time.DateOnly)),
		fmt.Sprintf("%d replicas of everything, %s, %v a measurement after %v of warm-up", r.Replicas, Plural(r.Rounds, "round"), r.Length, r.Warmup),
	}
	if busy := m.Busy(); busy != "" {
		head = append(head, busy)
	}
	return head
}
