package scale

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"dmalloc/bench/plot"
)

// PageFile is the page's name, in the directory where the pictures are, too.
const PageFile = "scaling.md"

// Picture is the name of a sweep's.
func (s *Sweep) Picture() string { return "scaling-" + s.Name + ".svg" }

const howMeasured = `
Why curves bend, and where it would end, is written in [design/scaling.md](design/scaling.md); this page has the numbers.

%s. Numbers are medians of the rounds; the spread is of the rates. Everything runs on one machine, all nodes and the client
process, so beyond a few nodes it is the processor that is divided among them: what grows is what they cost together, not what as
many machines could do. *Per second* is with %d operations in flight, over 8 connections, and p50 and p99 are of one operation in flight, apart
from it; in the sweep of clients all are of the same measurement. *Node CPU* is the processor time of all nodes, *frames* are those that all
nodes sent, heartbeats and gossip included, both for one operation; *per entry* is how many operations shared an entry of a company's log.
Writes and reads are of 16 B; writes are synced by a majority before they are acknowledged, reads are linearizable. *Malloc and free* is
both, one after the other, as one operation of two entries.
`

// Page writes docs/scaling.md.
func (r *Report) Page(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "# How the cost grows\n\nWritten by `%s`, which anyone can run.\n\n", r.Command)
	r.Machine.Rows(b)
	fmt.Fprintf(b, "| program | dmalloc %s, %s |\n| date | %s |\n| took | %v |\n", r.Version, r.Machine.Go, r.Date.UTC().Format(time.DateOnly), r.Took.Round(time.Second))
	if busy := r.Machine.Busy(); busy != "" {
		fmt.Fprintf(b, "| warning | %s |\n", busy)
	}
	fmt.Fprintf(b, howMeasured, r.how(), many)
	r.sweeps(func(s *Sweep, results []Result) {
		fmt.Fprintf(b, "\n## %s\n\n![%s](%s)\n\n", strings.ToUpper(s.Title[:1])+s.Title[1:], s.Title, s.Picture())
		markdown(b, table(s, results))
		if rows := rest(s, results); rows != nil {
			fmt.Fprintf(b, "\n%s:\n\n", restTitle(results))
			markdown(b, rows)
		}
	})
	return b.Flush()
}

// markdown writes rows as a table.
func markdown(b *bufio.Writer, rows [][]string) {
	for i, row := range rows {
		cells := make([]string, len(row))
		for j, c := range row {
			cells[j] = strings.ReplaceAll(c, "|", "\\|")
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
		if i == 0 {
			fmt.Fprintf(b, "|%s\n", strings.Repeat(" --- |", len(row)))
		}
	}
}

// Pictures draws each sweep.
func (r *Report) Pictures(f func(name string, svg []byte) error) (err error) {
	r.sweeps(func(s *Sweep, results []Result) {
		if err == nil {
			err = f(s.Picture(), plot.SVG(s.Name+": "+s.Title, panels(s, results)...))
		}
	})
	return err
}

// panels are throughput, latency, and what else a sweep is about.
func panels(s *Sweep, results []Result) []plot.Panel {
	busy, lone := fmt.Sprintf(", %d in flight", many), ", 1 in flight"
	if s.Points[0].Loads[0].Lone == (Task{}) {
		busy, lone = "", ""
	}
	through := plot.Panel{Title: "throughput" + busy, X: s.Axis, Y: "operations per second"}
	late := plot.Panel{Title: "latency" + lone, X: s.Axis, Y: "µs"}
	for i, l := range s.Points[0].Loads {
		rates := plot.Series{Name: l.Name, Colour: i}
		half := plot.Series{Name: l.Name + ", p50", Colour: i}
		most := plot.Series{Name: l.Name + ", p99", Colour: i, Dashed: true}
		for j := range results {
			if i >= len(results[j].Rows) {
				continue
			}
			row, x := &results[j].Rows[i], float64(results[j].Point.Value)
			add(&rates, x, of(row.Many, rate))
			add(&half, x, of(row.alone(), p50))
			add(&most, x, of(row.alone(), p99))
		}
		through.Series = append(through.Series, rates)
		late.Series = append(late.Series, half, most)
	}
	all := []plot.Panel{through, late}
	cpu, counted, resident := plot.Series{Name: "all nodes", Colour: 2}, plot.Series{Name: "counted", Colour: 2}, plot.Series{Name: "resident", Colour: 2, Dashed: true}
	for i := range results {
		x := float64(results[i].Point.Value)
		if rest := results[i].Rest; rest != nil {
			add(&cpu, x, rest.CPU)
		}
		if m := results[i].Memory; m != nil {
			add(&counted, x, m.Counted)
			add(&resident, x, m.Resident)
		}
	}
	if len(cpu.X) > 0 {
		all = append(all, plot.Panel{Title: "nobody uses it", X: s.Axis, Y: "CPU, % of a core", Series: []plot.Series{cpu}})
	}
	if len(counted.X) > 0 {
		all = append(all, plot.Panel{Title: "memory of an allocation in a replica", X: s.Axis, Y: "bytes", Series: []plot.Series{counted, resident}})
	}
	return all
}

func add(s *plot.Series, x, y float64) { s.X, s.Y = append(s.X, x), append(s.Y, y) }
