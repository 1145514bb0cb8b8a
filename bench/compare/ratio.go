package compare

import (
	"fmt"
	"slices"
)

// Ratio is that of several rounds: ours by theirs.
type Ratio struct{ Median, Min, Max float64 }

// Ratio gives the zero Ratio where no round was measured.
func (o *Outcome) Ratio() Ratio {
	var all []float64
	for i := range o.Us {
		all = append(all, o.Us[i].Value/o.Them[i].Value)
	}
	if len(all) == 0 {
		return Ratio{}
	}
	return Ratio{Median(all), slices.Min(all), slices.Max(all)}
}

// Median of values that there are.
func Median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func medianOf(samples []Sample) float64 {
	if len(samples) == 0 {
		return 0
	}
	var all []float64
	for _, s := range samples {
		all = append(all, s.Value)
	}
	return Median(all)
}

// Verdict says whether the median is what was aimed at, and names what makes it doubtful.
func (o *Outcome) Verdict() string {
	r := o.Ratio()
	failed := 0
	for _, s := range slices.Concat(o.Us, o.Them) {
		failed += s.Errors
	}
	text := "no aim"
	switch {
	case r == (Ratio{}):
		return "not measured: " + o.Skipped
	case o.Aim == 0:
	case o.meets(r.Median):
		text = "met"
		if !o.meets(r.Min) || !o.meets(r.Max) {
			text = "met, not in every round"
		}
	default:
		text = "not met"
		if o.meets(r.Min) || o.meets(r.Max) {
			text = "not met, but in some rounds"
		}
	}
	if failed > 0 {
		text += fmt.Sprintf("; %d operations failed", failed)
	}
	if o.Skipped != "" {
		text += fmt.Sprintf("; ended after %s: %s", Plural(len(o.Us), "round"), o.Skipped)
	}
	return text
}

func (o *Outcome) meets(ratio float64) bool {
	if o.Most {
		return ratio <= o.Aim
	}
	return ratio >= o.Aim
}

// Number shows a value with three digits that matter.
func Number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func value(v float64, u Unit) string { return Number(v) + " " + string(u) }

func (r Ratio) spread() string { return Number(r.Min) + " … " + Number(r.Max) }
