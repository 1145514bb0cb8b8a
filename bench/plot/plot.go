package plot

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Series is one line. X and Y have the same length; points that are not above zero, which no logarithm has, are left
// out, and so is the line to them.
type Series struct {
	Name   string
	X, Y   []float64
	Colour int  // of palette; series of one colour belong together
	Dashed bool // tells apart those of one colour
}

// Panel is one pair of axes.
type Panel struct {
	Title  string
	X, Y   string // what the axes are, with their units
	Series []Series
}

const (
	panelWidth = 420
	height     = 340
	left       = 64 // from a panel's edge to its axis
	right      = 16
	top        = 64
	bottom     = 84
	legendStep = 18 // height of a line of the legend
)

// style has the colours, for light and for dark.
const style = `
text { font: 12px system-ui, sans-serif; fill: #24292f; }
.title { font-weight: 600; font-size: 14px; }
.back { fill: #ffffff; }
.axis { stroke: #57606a; stroke-width: 1; fill: none; }
.grid { stroke: #d0d7de; stroke-width: 1; fill: none; }
.line { fill: none; stroke-width: 2; }
.dash { stroke-dasharray: 6 4; }
.c0 { stroke: #0550ae; } .p0 { fill: #0550ae; }
.c1 { stroke: #bc4c00; } .p1 { fill: #bc4c00; }
.c2 { stroke: #116329; } .p2 { fill: #116329; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.back { fill: #0d1117; }
.axis { stroke: #8b949e; }
.grid { stroke: #30363d; }
.c0 { stroke: #79c0ff; } .p0 { fill: #79c0ff; }
.c1 { stroke: #ffa657; } .p1 { fill: #ffa657; }
.c2 { stroke: #7ee787; } .p2 { fill: #7ee787; }
}
`

// colours is how many the style has.
const colours = 3

// SVG draws panels side by side under a title.
func SVG(title string, panels ...Panel) []byte {
	var b bytes.Buffer
	width := panelWidth * max(1, len(panels))
	tall := height
	for i := range panels {
		tall = max(tall, height+legendStep*((len(panels[i].Series)+1)/2-1))
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="%s">`, width, tall, width, tall, escape(title))
	fmt.Fprintf(&b, "\n<style>%s</style>\n", style)
	fmt.Fprintf(&b, `<rect class="back" width="%d" height="%d"/>`+"\n", width, tall)
	fmt.Fprintf(&b, `<text class="title" x="%d" y="24">%s</text>`+"\n", left, escape(title))
	for i := range panels {
		panels[i].draw(&b, float64(i*panelWidth))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// axis places values between two ends.
type axis struct {
	from, to float64 // decimal logarithms
	at, end  float64 // where these are in the picture
}

func (a axis) place(v float64) float64 {
	return a.at + (math.Log10(v)-a.from)/(a.to-a.from)*(a.end-a.at)
}

// drawn says whether a point can be: a logarithm needs something above zero.
func drawn(x, y float64) bool {
	return x > 0 && y > 0 && !math.IsInf(x, 0) && !math.IsInf(y, 0)
}

// draw draws a panel whose left edge is at x.
func (p *Panel) draw(b *bytes.Buffer, x float64) {
	var xs, ys []float64
	for _, s := range p.Series {
		for i := range s.X {
			if drawn(s.X[i], s.Y[i]) {
				xs, ys = append(xs, s.X[i]), append(ys, s.Y[i])
			}
		}
	}
	l, r, t, d := x+left, x+panelWidth-right, float64(top), float64(height-bottom)
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f">%s</text>`+"\n", l, t-14, escape(p.Title))
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", (l+r)/2, d+36, escape(p.X))
	fmt.Fprintf(b, `<text transform="translate(%.1f %.1f) rotate(-90)" text-anchor="middle">%s</text>`+"\n", x+16, (t+d)/2, escape(p.Y))
	if len(xs) == 0 {
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">nothing was measured</text>`+"\n", (l+r)/2, (t+d)/2)
		fmt.Fprintf(b, `<path class="axis" d="M%.1f %.1fV%.1fH%.1f"/>`+"\n", l, t, d, r)
		return
	}
	slices.Sort(xs)
	xs = slices.Compact(xs)
	across := axis{math.Log10(xs[0]), math.Log10(xs[len(xs)-1]), l + 12, r - 12}
	if len(xs) == 1 {
		across.from, across.to = across.from-1, across.to+1
	}
	up := axis{math.Floor(math.Log10(slices.Min(ys))), math.Ceil(math.Log10(slices.Max(ys))), d, t}
	if up.from == up.to {
		up.to++
	}
	p.grid(b, xs, across, up, l, r)
	for i := range p.Series {
		p.Series[i].draw(b, across, up)
	}
	for i := range p.Series {
		s := &p.Series[i]
		lx, ly := l+float64(i%2)*170, d+56+float64(i/2*legendStep)
		fmt.Fprintf(b, `<path class="%s" d="M%.1f %.1fH%.1f"/>`, s.class(), lx, ly-4, lx+26)
		s.mark(b, lx+13, ly-4)
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f">%s</text>`+"\n", lx+32, ly, escape(s.Name))
	}
}

// grid draws the axes: a line for each decade of y with those between at 2 and 5, and each value of x.
func (p *Panel) grid(b *bytes.Buffer, xs []float64, across, up axis, l, r float64) {
	for e := up.from; e <= up.to; e++ {
		for _, m := range []float64{1, 2, 5} {
			if e == up.to && m > 1 {
				break
			}
			v := m * math.Pow(10, e)
			y := up.place(v)
			fmt.Fprintf(b, `<path class="grid" d="M%.1f %.1fH%.1f"/>`, l, y, r)
			if m == 1 || up.to-up.from <= 2 {
				fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="end">%s</text>`, l-6, y+4, Short(v))
			}
			b.WriteByte('\n')
		}
	}
	fmt.Fprintf(b, `<path class="axis" d="M%.1f %.1fV%.1fH%.1f"/>`+"\n", l, up.end, up.at, r)
	last := math.Inf(-1)
	for _, v := range xs {
		at := across.place(v)
		fmt.Fprintf(b, `<path class="axis" d="M%.1f %.1fv4"/>`, at, up.at)
		if at-last >= 24 { // else the numbers would run into each other
			fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, at, up.at+18, Short(v))
			last = at
		}
		b.WriteByte('\n')
	}
}

func (s *Series) class() string {
	c := fmt.Sprintf("line c%d", s.Colour%colours)
	if s.Dashed {
		c += " dash"
	}
	return c
}

// draw draws the line, which is broken where a point is missing, and the points.
func (s *Series) draw(b *bytes.Buffer, across, up axis) {
	order := make([]int, len(s.X))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(s.X[i], s.X[j]) })
	var path strings.Builder
	pen := "M"
	for _, i := range order {
		if !drawn(s.X[i], s.Y[i]) {
			pen = "M"
			continue
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", pen, across.place(s.X[i]), up.place(s.Y[i]))
		pen = "L"
	}
	if path.Len() == 0 {
		return
	}
	fmt.Fprintf(b, `<path class="%s" d="%s"/>`+"\n", s.class(), &path)
	for _, i := range order {
		if drawn(s.X[i], s.Y[i]) {
			s.mark(b, across.place(s.X[i]), up.place(s.Y[i]))
			b.WriteByte('\n')
		}
	}
}

// mark draws a point: a disc, a square or a triangle, so that colours need not be told apart.
func (s *Series) mark(b *bytes.Buffer, x, y float64) {
	switch c := s.Colour % colours; c {
	case 0:
		fmt.Fprintf(b, `<circle class="p0" cx="%.1f" cy="%.1f" r="3.5"/>`, x, y)
	case 1:
		fmt.Fprintf(b, `<rect class="p1" x="%.1f" y="%.1f" width="7" height="7"/>`, x-3.5, y-3.5)
	default:
		fmt.Fprintf(b, `<path class="p%d" d="M%.1f %.1fl4 7h-8z"/>`, c, x, y-4)
	}
}

// Short writes a number as an axis does: 10k for 10000, and 1024 as it is.
func Short(v float64) string {
	switch {
	case v >= 1e9:
		return trim(v/1e9) + "G"
	case v >= 1e6:
		return trim(v/1e6) + "M"
	case v >= 1e4:
		return trim(v/1e3) + "k"
	}
	return trim(v)
}

func trim(v float64) string { return fmt.Sprintf("%.4g", v) }

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer takes everything
	return b.String()
}
