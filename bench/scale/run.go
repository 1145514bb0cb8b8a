package scale

import (
	"context"
	"fmt"
	"strings"
	"time"

	"dmalloc/message"
)

// Bench measures. Its caller makes it of processes, a test of numbers.
type Bench interface {
	// Open starts a cluster, after the one before has been closed.
	Open(ctx context.Context, s Shape) error
	Close()
	// Rest looks at a cluster that nobody uses.
	Rest(ctx context.Context) (Rest, error)
	// Fill allocates until so many allocations are live, and says what memory each takes in each replica.
	Fill(ctx context.Context, live int) (Memory, error)
	Measure(ctx context.Context, t Task) (Sample, error)
}

// Rest is what a cluster takes that does nothing.
type Rest struct {
	CPU      float64 `json:"cpu_percent"` // of a core, all nodes together
	Frames   float64 `json:"frames_per_second"`
	Bytes    float64 `json:"bytes_per_second"`
	Resident float64 `json:"resident_bytes_per_node"`
}

// Memory is what one allocation takes in one replica.
type Memory struct {
	Counted  float64 `json:"counted_bytes"`  // by the node itself: tables and pages
	Resident float64 `json:"resident_bytes"` // by which processes grew: garbage and room to grow, too
}

// Sample is one measurement. What nodes spent is divided by what they were asked for, warm-up and preparation included.
type Sample struct {
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
	CPU       float64 `json:"node_cpu_us"`      // of all nodes, for an operation
	Frames    float64 `json:"frames"`           // sent by all nodes, for an operation
	PerEntry  float64 `json:"per_entry"`        // operations in one entry of a log
	Errors    int     `json:"errors,omitempty"` // operations that failed; they do not count
	Error     string  `json:"first_error,omitempty"`
}

// Row is what came of a load.
type Row struct {
	Load
	Many   []Sample // of Busy
	Few    []Sample // of Lone
	Failed string   // why nothing was measured, or no more
}

// Result is what came of a point.
type Result struct {
	Sweep  *Sweep
	Point  Point
	Start  time.Duration // from nothing to a leader of every company; 0 where a cluster was up
	Rest   *Rest
	Memory *Memory
	Rows   []Row
	Failed string // why there is nothing at all
}

// Plan has how often and how long.
type Plan struct {
	Rounds int
	Until  time.Time // no point is begun later; zero: no limit
	Told   func(r *Result)
}

// Run measures all points. What fails is in the results; an error is the end of ctx, with the results until then.
func Run(ctx context.Context, b Bench, sweeps []Sweep, plan Plan) ([]Result, error) {
	var all []Result
	for i := range sweeps {
		for _, p := range sweeps[i].Points {
			all = append(all, Result{Sweep: &sweeps[i], Point: p, Failed: "it was not reached"})
		}
	}
	open := false
	shut := func() {
		if open {
			b.Close()
			open = false
		}
	}
	defer shut()
	for i := range all {
		r := &all[i]
		r.Failed = ""
		if !plan.Until.IsZero() && time.Now().After(plan.Until) {
			r.Failed = "the time was over before it began"
			plan.Told(r)
			continue
		}
		if i == 0 || !open || all[i-1].Sweep != r.Sweep || all[i-1].Point.Shape != r.Point.Shape || all[i-1].troubled() {
			shut() // S1; and who troubled one point is not to trouble the next
			begin := time.Now()
			if err := b.Open(ctx, r.Point.Shape); err != nil {
				r.Failed = words(err)
			} else {
				open, r.Start = true, time.Since(begin)
			}
		}
		if r.Failed == "" {
			r.measure(ctx, b, plan.Rounds)
		}
		if err := context.Cause(ctx); err != nil {
			return all, err
		}
		plan.Told(r)
	}
	return all, nil
}

// measure does all of a point in a cluster that is up.
func (r *Result) measure(ctx context.Context, b Bench, rounds int) {
	if r.Sweep.Rest {
		rest, err := b.Rest(ctx)
		if err != nil {
			r.Failed = "at rest: " + words(err)
			return
		}
		r.Rest = &rest
	}
	if r.Point.Live > 0 {
		m, err := b.Fill(ctx, r.Point.Live)
		if err != nil {
			r.Failed = fmt.Sprintf("make %d allocations: %s", r.Point.Live, words(err))
			return
		}
		r.Memory = &m
	}
	r.Rows = make([]Row, len(r.Point.Loads))
	for i, l := range r.Point.Loads {
		r.Rows[i].Load = l
	}
	for round := range rounds {
		for i := range r.Rows {
			if row := &r.Rows[i]; row.Failed == "" {
				if err := row.measure(ctx, b); err != nil {
					row.Failed = fmt.Sprintf("round %d: %s", round+1, words(err))
				}
			}
			if ctx.Err() != nil {
				return
			}
		}
	}
}

func (row *Row) measure(ctx context.Context, b Bench) error {
	one := func(t Task) (Sample, error) {
		s, err := b.Measure(ctx, t)
		if err == nil && s.PerSecond <= 0 {
			err = message.Errorf(message.Unavailable, "no %s succeeded: %s", t.Work, s.Error)
		}
		return s, err
	}
	s, err := one(row.Busy)
	if err != nil {
		return err
	}
	if row.Lone != (Task{}) {
		few, err := one(row.Lone)
		if err != nil {
			return err
		}
		row.Few = append(row.Few, few)
	}
	row.Many = append(row.Many, s)
	return nil
}

// words are an error in one line: what a process said may have several.
func words(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// troubled says whether something of the point failed.
func (r *Result) troubled() bool {
	for i := range r.Rows {
		if r.Rows[i].Failed != "" {
			return true
		}
	}
	return r.Failed != ""
}

// Failures says what failed, in words.
func (r *Result) Failures() (all []string) {
	if r.Failed != "" {
		all = append(all, fmt.Sprintf("%s %d: %s", r.Sweep.Name, r.Point.Value, r.Failed))
	}
	for i := range r.Rows {
		if row := &r.Rows[i]; row.Failed != "" {
			all = append(all, fmt.Sprintf("%s %d, %s: %s", r.Sweep.Name, r.Point.Value, row.Name, row.Failed))
		}
	}
	return all
}
