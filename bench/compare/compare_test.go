package compare

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"dmalloc/bench/peer"
	"dmalloc/message"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// golden is a report with each kind of verdict.
func golden() *Report {
	rows := Rows(1 << 30)
	samples := func(values ...float64) (all []Sample) {
		for _, v := range values {
			all = append(all, Sample{Value: v})
		}
		return all
	}
	r := &Report{Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Version: "v1.2.3", Replicas: 3, Rounds: 3, Length: 2 * time.Second, Warmup: 300 * time.Millisecond,
		Machine: Machine{CPU: "Example CPU", Cores: 2, Memory: 24 << 30, Kernel: "Linux 6.1.0", Files: "ext4", Sync: 512.4, Go: "go1.26.8", Others: 0.212}}
	for i, row := range rows {
		o := Outcome{Row: row}
		switch i {
		case 0: // met
			o.Version, o.Us, o.Them = "3.4.23", samples(90000, 100000, 80000), samples(10000, 10000, 9000)
		case 1: // met at the median only
			o.Version, o.Us, o.Them = "3.4.23", samples(90000, 81000, 70000), samples(10000, 10000, 10000)
		case 2: // missed
			o.Version, o.Us, o.Them = "3.4.23", samples(9000, 9100, 11000), samples(10000, 10000, 10000)
			o.Us[1].Errors = 2
		case 3: // ended early
			o.Version, o.Us, o.Them, o.Skipped = "3.4.23", samples(9000), samples(10000), "etcd in round 2: gone"
		case len(rows) - 1: // less is better
			o.Version, o.Us, o.Them = "3.4.23", samples(0.45, 0.5, 0.6), samples(1.5, 1.4, 1.3)
		case 4: // missed in all but one round
			o.Us, o.Them = samples(1.2, 1.1, 1.5), samples(1, 1, 1)
		case 6: // without an aim
			o.Us, o.Them = samples(1.2), samples(1)
		case 8:
			o.Skipped = (&peer.Missing{Peer: "redis", Program: "redis-server", Package: "redis-server"}).Error()
		default:
			o.Skipped = "something with a | in it"
		}
		r.Outcomes = append(r.Outcomes, o)
	}
	return r
}

// The page, the table and the rest are what the numbers say.
func TestReport(t *testing.T) {
	r := golden()
	for name, write := range map[string]func(io.Writer) error{"page.md": r.Page, "table.txt": r.Table, "rows.csv": r.CSV, "rows.json": r.JSON} {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			if err := write(&got); err != nil {
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
				t.Errorf("%s is not what is written (%v); go test ./bench/compare -rewrite, and read the difference\n%s", file, err, &got)
			}
		})
	}
}

// script is a Bench of numbers.
type script struct {
	said   []string
	give   map[string][]float64 // of a peer, in order
	absent string
	cancel func()
}

func (s *script) Open(_ context.Context, server string) (string, error) {
	s.said = append(s.said, "open "+server)
	if server == s.absent {
		return "", &peer.Missing{Peer: server, Program: "p", Package: "q"}
	}
	return "v-" + server, nil
}

func (s *script) Close(server string) { s.said = append(s.said, "close "+server) }

func (s *script) Measure(_ context.Context, t Task, _ Unit) (Sample, error) {
	s.said = append(s.said, t.Peer)
	if s.cancel != nil {
		s.cancel()
	}
	if len(s.give[t.Peer]) == 0 {
		return Sample{}, errors.New("no more")
	}
	v := s.give[t.Peer][0]
	s.give[t.Peer] = s.give[t.Peer][1:]
	return Sample{Value: v}, nil
}

func some(t *testing.T, names ...string) []Row {
	t.Helper()
	rows, err := Select(Rows(1<<20), names, nil)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// Sides alternate, pairs stay together (C1), and the ratio is theirs.
func TestRunAlternates(t *testing.T) {
	s := &script{give: map[string][]float64{peer.Heap: {10, 30, 12}, peer.Etcd: {1, 2, 3}}}
	rounds := 0
	got, err := Run(t.Context(), s, some(t, "writes-etcd"), 3, func(*Outcome, int) { rounds++ })
	if err != nil {
		t.Fatal(err)
	}
	if want := "open dmalloc open etcd dmalloc etcd etcd dmalloc dmalloc etcd close etcd close dmalloc"; strings.Join(s.said, " ") != want {
		t.Errorf("%s\nwant %s", strings.Join(s.said, " "), want)
	}
	if r := got[0].Ratio(); r != (Ratio{10, 4, 15}) || rounds != 3 || got[0].Version != "v-etcd" {
		t.Errorf("%+v after %d rounds, %q", r, rounds, got[0].Version)
	}
	if v := got[0].Verdict(); v != "met, not in every round" {
		t.Error(v)
	}
}

// What cannot be measured says why, and does not keep the rest from being measured (C3).
func TestRunGoesOn(t *testing.T) {
	s := &script{absent: peer.Etcd, give: map[string][]float64{peer.Heap: {1, 1.2, 0}, peer.Raw: {1, 1}, peer.RedisVolatile: {1}}}
	got, err := Run(t.Context(), s, some(t, "writes-etcd", "writes-raw", "reads-redis"), 5, func(*Outcome, int) {})
	if err != nil {
		t.Fatal(err)
	}
	var verdicts []string
	for i := range got {
		verdicts = append(verdicts, got[i].Verdict())
	}
	want := []string{
		"not measured: etcd is not installed: there is no p in PATH; on Debian: apt-get install q",
		"not met; ended after 2 rounds: dmalloc in round 3 did nothing: ",
		"not measured: dmalloc in round 1: no more",
	}
	if !slices.Equal(verdicts, want) {
		t.Errorf("%s", strings.Join(verdicts, "\n"))
	}
	if !got[0].Missing || got[0].Failed() || !got[1].Failed() {
		t.Errorf("%+v", got)
	}
	if all := strings.Join(s.said, " "); strings.Contains(all, "close etcd") || !strings.Contains(all, "close raw") {
		t.Error(all)
	}
}

// Few rounds are enough for what takes long.
func TestRunBoundsRounds(t *testing.T) {
	s := &script{give: map[string][]float64{peer.Heap: {1, 1, 1, 1, 1}, peer.Disk: {1, 1, 1, 1, 1}}}
	got, err := Run(t.Context(), s, some(t, "file-write"), 5, func(*Outcome, int) {})
	if err != nil || len(got[0].Us) != fewRounds || got[0].Verdict() != "met" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &script{give: map[string][]float64{peer.Heap: {1, 1}, peer.Etcd: {1, 1}}, cancel: cancel}
	got, err := Run(ctx, s, some(t, "writes-etcd", "writes-raw"), 5, func(*Outcome, int) {})
	if !errors.Is(err, context.Canceled) || len(got[0].Us) != 1 || got[1].Verdict() != "not measured: it was not reached" {
		t.Errorf("%+v, %v", got, err)
	}
	if want := "open dmalloc open etcd dmalloc etcd close etcd close dmalloc"; strings.Join(s.said, " ") != want {
		t.Errorf("%v", s.said)
	}
}

func TestSelect(t *testing.T) {
	all := Rows(1 << 30)
	seen := map[string]bool{}
	for _, r := range all {
		if seen[r.Name] || !slices.Contains(Groups, r.Group) {
			t.Errorf("row %s, group %s", r.Name, r.Group)
		}
		seen[r.Name] = true
	}
	for _, c := range []struct {
		names, groups string
		want          int
	}{{"", "", len(all)}, {"writes-etcd,writes-raw", "", 2}, {"writes-etcd,writes-raw", "raw", 1}, {"", "dmalloc", 3}, {"x", "", -1}, {"", "x", -1}, {"writes-etcd", "raw", -1}} {
		got, err := Select(all, words(c.names), words(c.groups))
		if c.want < 0 && message.CodeOf(err) != message.InvalidArgument || c.want >= 0 && (err != nil || len(got) != c.want) {
			t.Errorf("%q of %q: %d rows, %v", c.names, c.groups, len(got), err)
		}
	}
}

func words(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// A machine that has nothing else to do gets no warning.
func TestBusy(t *testing.T) {
	if m := (Machine{Cores: 2, Others: 0.1}); m.Busy() != "" {
		t.Error(m.Busy())
	}
	if m := (Machine{Others: 0.5}); !strings.Contains(m.Busy(), "others used 50 % of") {
		t.Error(m.Busy())
	}
}

// The machine is seen, whatever it is.
func TestLook(t *testing.T) {
	m, err := Look(t.TempDir())
	if err != nil || m.CPU == "" || m.Cores < 1 || m.Sync <= 0 || m.Files == "" {
		t.Errorf("%s, %v", fmt.Sprintf("%+v", m), err)
	}
	if _, err := Look("/nowhere/at/all"); err == nil {
		t.Error("a directory that is not there can be written to")
	}
}

// Waiting for a disk is no use of a processor; what a guest is given is counted as its user's already.
func TestTicks(t *testing.T) {
	for stat, want := range map[string][2]uint64{
		"cpu  10 1 20 60 5 2 1 1 7 0\ncpu0 5 1 10 30 2 1 1 0 3 0\n": {65, 100},
		"cpu 1 2 3 4": {4, 10}, "": {0, 0}, "intr 1": {0, 0},
	} {
		if idle, all := ticks(stat); idle != want[0] || all != want[1] {
			t.Errorf("%q: %d of %d, want %v", stat, idle, all, want)
		}
	}
}
