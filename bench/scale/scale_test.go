package scale

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"dmalloc/bench"
	"dmalloc/bench/compare"
	"dmalloc/message"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// play is a Bench of numbers, which says what it was asked.
type play struct {
	said   []string
	open   bool
	shape  Shape
	broken string // what it fails at
	after  func()
}

func (p *play) say(t *testing.T, words string) error {
	if !p.open {
		t.Errorf("%s without a cluster", words)
	}
	p.said = append(p.said, words)
	if p.after != nil {
		p.after()
	}
	if p.broken != "" && strings.Contains(fmt.Sprint(p.shape)+" "+words, p.broken) {
		return errors.New("it\nbroke")
	}
	return nil
}

// under is a play under a test.
type under struct {
	*testing.T
	*play
}

func (u under) Open(_ context.Context, s Shape) error {
	if u.open {
		u.Error("S1: two clusters at once")
	}
	u.open, u.shape = true, s
	err := u.say(u.T, "open")
	u.open = err == nil
	return err
}

func (u under) Close() {
	_ = u.say(u.T, "close")
	u.open = false
}

func (u under) Rest(context.Context) (Rest, error) {
	return Rest{CPU: float64(u.shape.Nodes) * 1.5, Frames: 100, Bytes: 4096, Resident: 40 << 20}, u.say(u.T, "rest")
}

func (u under) Fill(_ context.Context, live int) (Memory, error) {
	return Memory{Counted: 50, Resident: 100 + 1e6/float64(live)}, u.say(u.T, fmt.Sprintf("fill %d", live))
}

func (u under) Measure(_ context.Context, t Task) (Sample, error) {
	n := float64(t.InFlight * (1 + u.shape.Companies + u.shape.Nodes))
	return Sample{PerSecond: 100 * n, P50: 1000 + n, P99: 5000 + n, CPU: 50, Frames: 1.25, PerEntry: n / 2}, u.say(u.T, fmt.Sprintf("%s %d", t.Work, t.InFlight))
}

func some(t *testing.T, most int, names ...string) []Sweep {
	t.Helper()
	all, err := Select(Sweeps(), names, most)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func quietly(rounds int) Plan { return Plan{Rounds: rounds, Told: func(*Result) {}} }

// S1: a cluster for each shape, one at a time, and what is asked of it.
func TestRunOpensClusters(t *testing.T) {
	p := &play{}
	got, err := Run(t.Context(), under{t, p}, some(t, 10000, "clients", "nodes", "allocations")[:3], quietly(1))
	if err != nil {
		t.Fatal(err)
	}
	each := "open rest write 256 write 1 read 256 read 1 close"
	churned := " pair 256 pair 1"
	want := "open write 1 read 1 write 4 read 4 write 16 read 16 write 64 read 64 write 256 read 256 write 1024 read 1024 close " +
		strings.Repeat(each+" ", 6) + "open fill 1000" + churned + " fill 10000" + churned + " close"
	if s := strings.Join(p.said, " "); s != want {
		t.Errorf("%s\nwant %s", s, want)
	}
	for i := range got {
		if f := got[i].Failures(); len(f) > 0 {
			t.Error(f)
		}
	}
}

// S2: what fails says why, and the next point has a cluster of its own.
func TestRunGoesOn(t *testing.T) {
	for broken, want := range map[string]string{
		"{3 2 3} open":      "companies 2: it broke",
		"{3 2 3} rest":      "companies 2: at rest: it broke",
		"{3 2 3} read 256":  "companies 2, read: round 1: it broke",
		"{3 2 3} read 1":    "companies 2, read: round 1: it broke",
		"{3 0 3} fill 1000": "allocations 1000: make 1000 allocations: it broke",
		"{3 0 3} write 4":   "clients 4, write: round 1: it broke",
	} {
		p := &play{broken: broken}
		sweep := "companies"
		for _, s := range []string{"allocations", "clients"} {
			if strings.HasPrefix(want, s) {
				sweep = s
			}
		}
		most := 1024
		got, err := Run(t.Context(), under{t, p}, some(t, most, sweep), quietly(2))
		if err != nil {
			t.Fatal(err)
		}
		var failed []string
		for i := range got {
			failed = append(failed, got[i].Failures()...)
		}
		if len(failed) != 1 || failed[0] != want {
			t.Errorf("%s: %q", broken, failed)
		}
		if last := got[len(got)-1]; len(got) > 1 && (len(last.Rows) != 2 || len(last.Rows[1].Many) != 2) {
			t.Errorf("%s: the last point was not measured: %+v", broken, last)
		}
		if sweep == "clients" && strings.Count(strings.Join(p.said, " "), "open") != 2 {
			t.Errorf("%s: a cluster in trouble was used again: %v", broken, p.said)
		}
	}
}

func TestRunEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := &play{}
	p.after = func() {
		if len(p.said) == 3 {
			cancel()
		}
	}
	got, err := Run(ctx, under{t, p}, some(t, 100, "companies"), quietly(2))
	if !errors.Is(err, context.Canceled) || strings.Join(p.said, " ") != "open rest write 256 write 1 close" && strings.Join(p.said, " ") != "open rest write 256 close" {
		t.Errorf("%v, %v", p.said, err)
	}
	if f := got[len(got)-1].Failures(); len(f) != 1 || !strings.Contains(f[0], "not reached") {
		t.Error(f)
	}
	p = &play{}
	plan := quietly(1)
	plan.Until = time.Now().Add(-time.Second)
	if got, err = Run(t.Context(), under{t, p}, some(t, 1, "companies"), plan); err != nil || len(p.said) > 0 || !strings.Contains(got[0].Failed, "time was over") {
		t.Errorf("%v, %v, %q", p.said, err, got[0].Failed)
	}
}

func TestSelect(t *testing.T) {
	for _, s := range Sweeps() {
		for _, p := range s.Points {
			for _, l := range p.Loads {
				for _, task := range []Task{l.Busy, l.Lone} {
					if _, err := bench.ParseMix(task.Work); err != nil && task != (Task{}) {
						t.Errorf("%s %d: %v", s.Name, p.Value, err)
					}
				}
			}
		}
	}
	for _, c := range []struct {
		names string
		most  int
		want  int // points
	}{{"", 1 << 30, 26}, {"nodes", 20, 6}, {"nodes,replicas", 5, 5}, {"", 1, 3}, {"nodes", 2, -1}, {"x", 5, -1}} {
		var names []string
		if c.names != "" {
			names = strings.Split(c.names, ",")
		}
		got, err := Select(Sweeps(), names, c.most)
		points := 0
		for _, s := range got {
			points += len(s.Points)
		}
		if c.want < 0 && message.CodeOf(err) != message.InvalidArgument || c.want >= 0 && (err != nil || points != c.want) {
			t.Errorf("%q up to %d: %d points, %v", c.names, c.most, points, err)
		}
	}
}

// golden is a report with what there can be.
func golden(t *testing.T) *Report {
	p := &play{}
	u := under{t, p}
	results, err := Run(t.Context(), u, some(t, 16, "clients", "companies"), quietly(2))
	if err != nil {
		t.Fatal(err)
	}
	more, err := Run(t.Context(), u, some(t, 100000, "allocations"), quietly(1))
	if err != nil {
		t.Fatal(err)
	}
	results = append(results, more...)
	for i := range results {
		results[i].Start = min(results[i].Start, 1) * 1500 * time.Millisecond // what it took here says nothing
	}
	results[1].Rows[0].Many[0].Errors, results[1].Rows[0].Many[0].Error = 2, "a | in it"
	results[1].Rows[1] = Row{Load: results[1].Rows[1].Load, Failed: "round 1: it broke"}
	results[4] = Result{Sweep: results[4].Sweep, Point: results[4].Point, Failed: "it did not start"}
	results[5].Rows[0].Many[1].PerSecond = 12345
	return &Report{Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Version: "v1.2.3", Command: "dmalloc bench scale --write docs", Rounds: 2, Length: time.Second,
		Warmup: 300 * time.Millisecond, Took: 423 * time.Second, Results: results,
		Machine: compare.Machine{CPU: "Example CPU", Cores: 2, Memory: 24 << 30, Kernel: "Linux 6.1.0", Files: "ext4", Sync: 512.4, Go: "go1.26.8", Others: 0.7}}
}

func TestReport(t *testing.T) {
	r := golden(t)
	write := map[string]func(io.Writer) error{"page.md": r.Page, "table.txt": r.Table, "rows.json": r.JSON}
	if err := r.Pictures(func(name string, svg []byte) error {
		write[name] = func(w io.Writer) error { _, err := w.Write(svg); return err }
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(write) != 6 {
		t.Errorf("%d files", len(write))
	}
	for name, f := range write {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			if err := f(&got); err != nil {
				t.Fatal(err)
			}
			file := "testdata/" + name
			if *rewrite {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil || got.String() != string(want) {
				t.Errorf("%s is not what is written (%v); go test ./bench/scale -rewrite, and read the difference\n%s", file, err, &got)
			}
		})
	}
	bad := errors.New("bad")
	if err := r.Pictures(func(string, []byte) error { return bad }); err != bad {
		t.Error(err)
	}
}
