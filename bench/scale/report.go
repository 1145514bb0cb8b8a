package scale

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"dmalloc/bench/compare"
)

// Report is all of a measurement.
type Report struct {
	Date    time.Time
	Version string // of dmalloc
	Command string // that measured
	Machine compare.Machine
	Rounds  int
	Length  time.Duration // of a measurement
	Warmup  time.Duration
	Took    time.Duration // all of it
	Results []Result
}

// of is the median of one number of several rounds; 0 without any.
func of(samples []Sample, number func(*Sample) float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	all := make([]float64, len(samples))
	for i := range samples {
		all[i] = number(&samples[i])
	}
	return compare.Median(all)
}

func rate(s *Sample) float64     { return s.PerSecond }
func p50(s *Sample) float64      { return s.P50 }
func p99(s *Sample) float64      { return s.P99 }
func cpu(s *Sample) float64      { return s.CPU }
func frames(s *Sample) float64   { return s.Frames }
func perEntry(s *Sample) float64 { return s.PerEntry }

// alone are the samples whose latency counts (S3).
func (row *Row) alone() []Sample {
	if row.Lone == (Task{}) {
		return row.Many
	}
	return row.Few
}

// remark is what is to be said of a row.
func (row *Row) remark() string {
	errors, first := 0, ""
	for _, all := range [][]Sample{row.Many, row.Few} {
		for i := range all {
			errors += all[i].Errors
			if first == "" {
				first = all[i].Error
			}
		}
	}
	var words []string
	if errors > 0 {
		words = append(words, compare.Plural(errors, "operation")+" failed: "+first)
	}
	if row.Failed != "" {
		words = append(words, "failed in "+row.Failed)
	}
	return strings.Join(words, "; ")
}

// columns of a sweep's table, behind its value.
var columns = []string{"work", "per second", "spread", "p50 µs", "p99 µs", "node CPU µs", "frames", "per entry", "remarks"}

func (row *Row) cells() []string {
	if len(row.Many) == 0 {
		return []string{row.Name, "-", "-", "-", "-", "-", "-", "-", row.remark()}
	}
	least, most := row.Many[0].PerSecond, row.Many[0].PerSecond
	for _, s := range row.Many {
		least, most = min(least, s.PerSecond), max(most, s.PerSecond)
	}
	entry := "-"
	if n := of(row.Many, perEntry); n > 0 {
		entry = compare.Number(n)
	}
	return []string{row.Name, compare.Number(of(row.Many, rate)), compare.Number(least) + " … " + compare.Number(most),
		compare.Number(of(row.alone(), p50)), compare.Number(of(row.alone(), p99)), compare.Number(of(row.Many, cpu)), compare.Number(of(row.Many, frames)), entry, row.remark()}
}

// table is a sweep's, with its head.
func table(s *Sweep, results []Result) [][]string {
	rows := [][]string{append([]string{s.Axis}, columns...)}
	for i := range results {
		r := &results[i]
		value := fmt.Sprint(r.Point.Value)
		if r.Failed != "" {
			rows = append(rows, []string{value, "-", "-", "-", "-", "-", "-", "-", "-", "failed: " + r.Failed})
		}
		for j := range r.Rows {
			rows = append(rows, append([]string{value}, r.Rows[j].cells()...))
		}
	}
	return rows
}

// rest is a sweep's table of what is taken by clusters that do nothing, and of memory. It is nil without any.
func rest(s *Sweep, results []Result) [][]string {
	var rows [][]string
	for i := range results {
		r := &results[i]
		value := fmt.Sprint(r.Point.Value)
		switch {
		case r.Rest != nil:
			if rows == nil {
				rows = [][]string{{s.Axis, "start s", "CPU % of a core", "frames/s", "KiB/s", "MiB a node"}}
			}
			rows = append(rows, []string{value, compare.Number(r.Start.Seconds()), compare.Number(r.Rest.CPU), compare.Number(r.Rest.Frames),
				compare.Number(r.Rest.Bytes / (1 << 10)), compare.Number(r.Rest.Resident / (1 << 20))})
		case r.Memory != nil:
			if rows == nil {
				rows = [][]string{{s.Axis, "bytes counted", "bytes resident"}}
			}
			rows = append(rows, []string{value, compare.Number(r.Memory.Counted), compare.Number(r.Memory.Resident)})
		}
	}
	return rows
}

// restTitle says what the table of rest is about.
func restTitle(results []Result) string {
	for i := range results {
		if results[i].Memory != nil {
			return "What an allocation takes in each replica"
		}
	}
	return "All nodes together when nobody uses them"
}

// sweeps gives the results of each sweep.
func (r *Report) sweeps(f func(s *Sweep, results []Result)) {
	for i := 0; i < len(r.Results); {
		from := i
		for ; i < len(r.Results) && r.Results[i].Sweep == r.Results[from].Sweep; i++ {
		}
		f(r.Results[from].Sweep, r.Results[from:i])
	}
}

// Table writes tables for a terminal.
func (r *Report) Table(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n# dmalloc %s, %s, %s\n# %s\n", r.Machine.String(), r.Version, r.Machine.Go, r.Date.UTC().Format(time.DateOnly), r.how())
	if busy := r.Machine.Busy(); busy != "" {
		fmt.Fprintf(&b, "# %s\n", busy)
	}
	r.sweeps(func(s *Sweep, results []Result) {
		fmt.Fprintf(&b, "\n%s: %s\n", s.Name, s.Title)
		align(&b, table(s, results))
		if rows := rest(s, results); rows != nil {
			fmt.Fprintf(&b, "\n%s\n", restTitle(results))
			align(&b, rows)
		}
	})
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) how() string {
	return fmt.Sprintf("%s, %v a measurement after %v of warm-up", compare.Plural(r.Rounds, "round"), r.Length, r.Warmup)
}

// align writes rows with columns below each other.
func align(b *strings.Builder, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, c := range row {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	for _, row := range rows {
		line := ""
		for i, c := range row {
			line += c + strings.Repeat(" ", width[i]-utf8.RuneCountInString(c)+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// line is a load at a point, as machines read it.
type line struct {
	Row       string   `json:"row"`
	Value     int      `json:"value"`
	Shape     Shape    `json:"shape"`
	Work      string   `json:"work,omitempty"`
	PerSecond float64  `json:"per_second"`
	P50       float64  `json:"p50_us"`
	P99       float64  `json:"p99_us"`
	CPU       float64  `json:"node_cpu_us"`
	Frames    float64  `json:"frames"`
	PerEntry  float64  `json:"per_entry,omitempty"`
	Many      []Sample `json:"many,omitempty"`
	Few       []Sample `json:"few,omitempty"`
	Failed    string   `json:"failed,omitempty"`
}

// about is a point as a whole.
type about struct {
	Row    string  `json:"row"`
	Value  int     `json:"value"`
	Shape  Shape   `json:"shape"`
	Start  float64 `json:"start_seconds,omitempty"`
	Rest   *Rest   `json:"rest,omitempty"`
	Memory *Memory `json:"memory_per_allocation,omitempty"`
	Failed string  `json:"failed,omitempty"`
}

// JSON writes the machine in one line, each point in one, and each of its loads in one.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	if err := e.Encode(map[string]any{"date": r.Date.UTC().Format(time.RFC3339), "dmalloc": r.Version, "machine": r.Machine,
		"rounds": r.Rounds, "seconds": r.Length.Seconds()}); err != nil {
		return err
	}
	for i := range r.Results {
		x := &r.Results[i]
		if err := e.Encode(about{x.Sweep.Name, x.Point.Value, x.Point.Shape, x.Start.Seconds(), x.Rest, x.Memory, x.Failed}); err != nil {
			return err
		}
		for j := range x.Rows {
			row := &x.Rows[j]
			if err := e.Encode(line{x.Sweep.Name, x.Point.Value, x.Point.Shape, row.Name, of(row.Many, rate), of(row.alone(), p50), of(row.alone(), p99),
				of(row.Many, cpu), of(row.Many, frames), of(row.Many, perEntry), row.Many, row.Few, row.Failed}); err != nil {
				return err
			}
		}
	}
	return nil
}
