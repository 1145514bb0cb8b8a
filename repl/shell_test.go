package repl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dmalloc/message"
)

// runOn runs a shell over options and gives its status, output and errors.
func runOn(t *testing.T, f *fake, o Options) (status int, out, err string) {
	t.Helper()
	var a, b bytes.Buffer
	o.Heap, o.Control, o.Grapher, o.Out, o.Err = f, f, draw, &a, &b
	if o.In == nil {
		o.In = strings.NewReader("")
	}
	status = Run(t.Context(), o)
	return status, a.String(), b.String()
}

// P2 and P3, and the numbers that scripts rely on.
func TestExitStatus(t *testing.T) {
	for _, tt := range []struct {
		name     string
		o        Options
		want     int
		out, err string // parts of what is printed and said
		no       string // no part of either
	}{
		{name: "all well", o: Options{Commands: []string{"m 100; echo done"}}, want: ExitOK, out: "done\n"},
		{name: "nothing to do", o: Options{Commands: []string{""}}, want: ExitOK},
		{name: "one fails, the rest runs", o: Options{Commands: []string{"m 0; echo done"}}, want: ExitFailed, out: "done\n", err: "error: an allocation of 0 bytes"},
		{name: "stop at the first", o: Options{Commands: []string{"m 0; echo done"}, StopOnError: true}, want: ExitFailed, no: "done"},
		{name: "stop inside a script", o: Options{Commands: []string{"set errors stop", "m 0", "echo done"}}, want: ExitFailed, no: "done"},
		{name: "a warning counts", o: Options{Commands: []string{"m 1; f _; f _"}}, want: ExitFailed, err: "warning: 0x500000001000 is already free"},
		{name: "exit leaves", o: Options{Commands: []string{"exit; m 0"}}, want: ExitOK},
		{name: "wrong output", o: Options{Output: "xml"}, want: ExitUsage, err: "use table, json, csv"},
		{name: "wrong timeout", o: Options{Timeout: -1}, want: ExitUsage, err: "timeout"},
		{name: "wrong colour", o: Options{Color: "red"}, want: ExitUsage, err: "use auto, on, off"},
		{name: "no terminal", o: Options{Interactive: true}, want: ExitUsage, err: "terminal"},
		{name: "no script", o: Options{Script: "/does/not/exist"}, want: ExitUsage, err: "cannot read"},
		{name: "script is a directory", o: Options{Script: "/"}, want: ExitUsage, err: "directory"},
		{name: "script on the input", o: Options{Script: "-", In: strings.NewReader("echo hi"), Commands: []string{"echo first"}}, want: ExitOK, out: "first\nhi\n"},
		{name: "piped", o: Options{In: strings.NewReader("m 100\r\n\r\n# no\necho last")}, want: ExitOK, out: "0x500000001000\nlast\n"},
		{name: "bad bytes do not end it", o: Options{In: strings.NewReader("m\x00 1\n\xff\nm 1\n")}, want: ExitFailed, out: "0x500000001000\n", err: "NUL"},
		{name: "a timeout", o: Options{Commands: []string{"sleep 0; m 1"}, Timeout: time.Millisecond}, want: ExitOK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, out, err := runOn(t, newFake(), tt.o)
			if status != tt.want || !strings.Contains(out, tt.out) || !strings.Contains(err, tt.err) || tt.no != "" && strings.Contains(out+err, tt.no) {
				t.Errorf("status %d, out %q, err %q", status, out, err)
			}
		})
	}
}

func TestScriptFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(path, []byte("echo from; the file\nm 3"), 0o644); err != nil {
		t.Fatal(err)
	}
	status, out, err := runOn(t, newFake(), Options{Commands: []string{"echo first"}, Script: path})
	if status != ExitOK || out != "first\nfrom; the file\n0x500000001000\n" || err != "" {
		t.Errorf("status %d, out %q, err %q", status, out, err)
	}
}

func TestTimeoutAndNotice(t *testing.T) {
	f := newFake()
	f.hang = true
	status, out, err := runOn(t, f, Options{Commands: []string{"m 1"}, Timeout: 20 * time.Millisecond, Output: "json"})
	if status != ExitFailed || !strings.Contains(out, `"code":"timeout"`) || !strings.Contains(err, "note: company 1 has no leader; waiting") {
		t.Errorf("status %d, out %q, err %q", status, out, err)
	}
	checkJSON(t, "m 1", []byte(out))
	if f.notice != nil || f.trace != nil {
		t.Error("a callback outlives its command")
	}
}

// Long commands have a bound for each piece: without a majority they end, too.
func TestLongCommandsEnd(t *testing.T) {
	f := newFake()
	f.hang = true
	t.Chdir(t.TempDir())
	prepareFiles(t)
	for _, line := range []string{"t", "d net", "d 0x500000001000", "w 0x500000001000 hello.txt", "r 0x500000001000 out", "kill 1",
		"reg r 7", "reg r 7 out", "reg w 7 x", "reg load 7 hello.txt", "reg ls", "reg at 0 7", "reg who 7", "reg members", "reg spread 0 1", "job sum 7", "job add x hello.txt", "job rm x", "job ls"} {
		want := ExitFailed
		if line == "kill 1" { // it needs nobody's answer
			want = ExitOK
		}
		if status, out, err := runOn(t, f, Options{Commands: []string{line}, Timeout: 10 * time.Millisecond}); status != want {
			t.Errorf("%s: status %d, out %q, err %q", line, status, out, err)
		}
	}
	if _, err := os.Stat("out"); err == nil {
		t.Error("P5: out was made")
	}
}

func TestCancel(t *testing.T) {
	f := newFake()
	f.hang = true
	var out, errs bytes.Buffer
	o, err := Options{Heap: f, Out: &out, Err: &errs, Timeout: time.Minute}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	s := newShell(o, newConsole(&out, &errs, nil, nil))
	s.interrupts = &interrupts{}
	done := make(chan struct{})
	f.notice = nil
	go func() {
		defer close(done)
		s.runLine(context.Background(), "m 1")
	}()
	for cancelled := false; !cancelled; {
		s.interrupts.mu.Lock()
		if s.interrupts.cancel != nil {
			s.interrupts.cancel(errCanceled)
			cancelled = true
		}
		s.interrupts.mu.Unlock()
	}
	<-done
	if !strings.HasSuffix(errs.String(), "canceled\n") || s.interrupts.cancel != nil {
		t.Errorf("said %q", errs.String())
	}
}

// A long line is a command like any other; one over the limit is refused, and the next one runs.
func TestLongLines(t *testing.T) {
	data := strings.Repeat("x", 1<<20)
	in := "m 1MiB\nw _ 1048576 " + data + "\nr _+1048570 6\n" + strings.Repeat("y", maxLine+1) + "\necho still here\n"
	status, out, err := runOn(t, newFake(), Options{In: strings.NewReader(in)})
	if status != ExitFailed || !strings.HasSuffix(out, "xxxxxx\nstill here\n") || !strings.Contains(err, "longer than") {
		t.Errorf("status %d, out %q, err %q", status, out, err)
	}
}

// What is too long is not even kept, and the line behind it is whole.
func TestLinesAreBounded(t *testing.T) {
	l := newLines(io.MultiReader(io.LimitReader(endless{}, 10*maxLine), strings.NewReader("\nnext")))
	if line, err := l.next(); message.CodeOf(err) != message.InvalidArgument {
		t.Errorf("%d bytes, %v", len(line), err)
	}
	if line, err := l.next(); line != "next" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	if _, err := l.next(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'z'
	}
	return len(p), nil
}

func TestUnreadableFile(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root reads everything")
	}
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	if status, _, err := runOn(t, newFake(), Options{Commands: []string{"m 1; w _ " + name}}); status != ExitFailed || !strings.Contains(err, "permission denied") {
		t.Errorf("status %d, %q", status, err)
	}
}

// Each line is answered before the next is written.
func TestAnswersAsItComes(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	back, out := io.Pipe()
	done := make(chan int)
	go func() {
		done <- Run(t.Context(), Options{Heap: newFake(), In: r, Out: out, Err: io.Discard, Output: "json"})
		out.Close()
	}()
	d := json.NewDecoder(back)
	for range 3 {
		if _, err := io.WriteString(w, "m 16\n"); err != nil {
			t.Fatal(err)
		}
		var v struct{ Cmd string }
		if err := d.Decode(&v); err != nil || v.Cmd != "m" {
			t.Fatalf("%+v, %v", v, err)
		}
	}
	w.Close()
	if status := <-done; status != ExitOK {
		t.Errorf("status %d", status)
	}
}

// The end of the context ends a shell that waits for a line.
func TestStopsWhileItWaits(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int)
	go func() { done <- Run(ctx, Options{Heap: newFake(), In: r, Out: io.Discard, Err: io.Discard}) }()
	cancel()
	if status := <-done; status != ExitFailed {
		t.Errorf("status %d: the rest of the script did not run", status)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("nobody reads") }

func TestNobodyReadsTheOutput(t *testing.T) {
	status := Run(t.Context(), Options{Heap: newFake(), In: strings.NewReader("m 1\nm 1\n"), Out: brokenWriter{}, Err: io.Discard})
	if status != ExitFailed {
		t.Errorf("status %d", status)
	}
}

// 25,000 allocations: page by page, never all at once, in each format (P6).
func TestLongTable(t *testing.T) {
	f := newFake()
	const n = 25_000
	for range n {
		f.allocs[f.next] = make([]byte, 1)
		f.next += 16
	}
	for _, output := range outputs {
		f.tables = 0
		status, out, err := runOn(t, f, Options{Commands: []string{"t"}, Output: output})
		if status != ExitOK {
			t.Fatal(err)
		}
		if f.tables != n/tablePage+1 {
			t.Errorf("%s: %d pages", output, f.tables)
		}
		switch lines := strings.Split(strings.TrimSpace(out), "\n"); output {
		case "json":
			var v struct{ Allocations []message.Allocation }
			if err := json.Unmarshal([]byte(out), &v); err != nil || len(v.Allocations) != n {
				t.Errorf("%d allocations, %v", len(v.Allocations), err)
			}
		case "table":
			for i, l := range lines { // columns stay where they are
				if len(l) != len(lines[1]) && i > 0 {
					t.Fatalf("line %d: %q, but %q", i, l, lines[1])
				}
			}
			fallthrough
		default:
			if len(lines) != n+1 {
				t.Errorf("%s: %d lines", output, len(lines))
			}
		}
	}
}

// A write that would not fit changes nothing, and a large one goes in bounded pieces.
func TestFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	f := newFake()
	data := bytes.Repeat([]byte("0123456789abcdef"), (9<<20)/16)
	if err := os.WriteFile("in", data, 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, err := runOn(t, f, Options{Commands: []string{"m 9MiB; w _ in; r _ out; w _+1 in"}})
	got, _ := os.ReadFile("out")
	if status != ExitFailed || !bytes.Equal(got, data) || f.largest > relayed || !strings.Contains(err, "ends past its allocation") {
		t.Fatalf("status %d, out %q, err %q, %d bytes, at most %d at once", status, out, err, len(got), f.largest)
	}
	if p := f.allocs[message.HeapBase+message.PageSize]; !bytes.Equal(p, data) {
		t.Error("a write that did not fit changed something")
	}
	f.failAt = 0x500000001000 + relayed
	status, _, err = runOn(t, f, Options{Commands: []string{"w 0x500000001000 in"}})
	if status != ExitFailed || !strings.Contains(err, "the first 8388608 of 9437184 bytes are written") {
		t.Errorf("a write that failed on its way: %q", err)
	}
	if err := os.WriteFile("old", []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	status, _, err = runOn(t, f, Options{Commands: []string{"r 0x500000001000 old"}})
	if got, _ := os.ReadFile("old"); status != ExitFailed || string(got) != "old" {
		t.Errorf("P5: the file holds %d bytes after %q", len(got), err)
	}
	f.failAt = 0
	if err := os.Symlink("old", "link"); err != nil {
		t.Fatal(err)
	}
	runOn(t, f, Options{Commands: []string{"r 0x500000001000 link 3; graph g.dot; d 0x500000001000 dump"}})
	info, _ := os.Stat("old")
	if got, _ := os.ReadFile("old"); string(got) != "012" || info.Mode().Perm() != 0o640 {
		t.Errorf("through a link: %q, mode %v", got, info.Mode())
	}
	if dump, _ := os.ReadFile("dump"); !bytes.HasPrefix(dump, []byte("0x500000001000: 9437184 bytes")) {
		t.Errorf("the dump begins %.80q", dump)
	}
	names, _ := filepath.Glob(".*")
	if len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
}

// Over a piece, everything is streamed: hex dump, base64 through a spool, rows.
func TestLargeRead(t *testing.T) {
	f := newFake()
	runOn(t, f, Options{Commands: []string{"m 10MiB; w _+9999990 3 end"}})
	_, out, _ := runOn(t, f, Options{Commands: []string{"r 0x500000001000 10000000"}})
	if want := "0x500000001000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n*\n"; !strings.HasPrefix(out, want) || !strings.Contains(out, "end") {
		t.Errorf("%q", out)
	}
	_, out, _ = runOn(t, f, Options{Commands: []string{"r 0x500000001000 10000000"}, Output: "json"})
	var v struct{ Data []byte }
	if err := json.Unmarshal([]byte(out), &v); err != nil || len(v.Data) != 10_000_000 || string(v.Data[9999990:9999993]) != "end" {
		t.Errorf("%d bytes, %v", len(v.Data), err)
	}
	if f.largest > relayed {
		t.Errorf("P6: %d bytes at once", f.largest)
	}
}

func TestUnsupported(t *testing.T) {
	var out bytes.Buffer
	status := Run(t.Context(), Options{Heap: newFake(), Out: &out, Err: io.Discard, Output: "json", Commands: []string{"kill 1;revive 1;pause 1;resume 1;graph x"}})
	if status != ExitFailed || strings.Count(out.String(), `"code":"unsupported"`) != 5 {
		t.Errorf("%s", out.String())
	}
}

// A script leaves no history, wherever one would be kept.
func TestScriptsKeepNoHistory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "h")
	t.Setenv("DMALLOC_HISTORY", file)
	runOn(t, newFake(), Options{In: strings.NewReader("m 1\nhistory\n")})
	runOn(t, newFake(), Options{Commands: []string{"m 1"}, History: file})
	if _, err := os.Stat(file); err == nil {
		t.Error("a history was written")
	}
}

func TestPast(t *testing.T) {
	file := filepath.Join(t.TempDir(), "deep", "er", "h")
	p, err := loadPast(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []string{"m 1", "m 1", "", "  t ", strings.Repeat("x", pastLength+1), "m 1"} {
		p.add(l)
	}
	if q, err := loadPast(file); err != nil || strings.Join(q.lines, "|") != "m 1|t|m 1" {
		t.Errorf("%q, %v", q.lines, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	for range 3 * pastLines {
		p.add("a")
		p.add("b")
	}
	if q, err := loadPast(file); err != nil || len(q.lines) != pastLines {
		t.Errorf("%d lines, %v", len(q.lines), err)
	}
	if data, _ := os.ReadFile(file); bytes.Count(data, []byte("\n")) != pastLines {
		t.Errorf("the file was not shortened: %d lines", bytes.Count(data, []byte("\n")))
	}
	if _, err := loadPast(filepath.Dir(file)); err == nil {
		t.Error("a directory cannot keep lines")
	}
	for env, want := range map[string]string{"DMALLOC_HISTORY": "/x/y", "XDG_STATE_HOME": "/x/dmalloc/history"} {
		t.Setenv("DMALLOC_HISTORY", "")
		t.Setenv(env, strings.TrimSuffix(want, "/dmalloc/history"))
		if got := DefaultHistory(); got != want {
			t.Errorf("%s: %s", env, got)
		}
	}
}

func TestMajoritiesLost(t *testing.T) {
	f := newFake()
	for _, tt := range []struct {
		dead []message.NodeID
		want int
	}{{nil, 0}, {[]message.NodeID{2}, 3}, {[]message.NodeID{1, 2}, 0}} {
		for _, n := range tt.dead {
			f.states[n] = "dead"
		}
		companies, _ := f.Companies(t.Context())
		if got := majoritiesLost(companies, 0); len(got) != tt.want {
			t.Errorf("with %v dead: %v", tt.dead, got)
		}
	}
}

// Only what can be asked is asked, and only yes goes on.
func TestConfirm(t *testing.T) {
	for _, tt := range []struct {
		line, answer string
		asked        bool
		killed       bool
	}{
		{"kill 0", "yes", true, true},
		{"kill 0", "y", true, false},
		{"kill 0 --yes", "", false, true},
		{"kill 2", "", false, false}, // dead already
	} {
		f := newFake()
		f.states[2] = "dead"
		var out, errs bytes.Buffer
		o, err := Options{Heap: f, Control: f, Out: &out, Err: &errs}.WithDefaults()
		if err != nil {
			t.Fatal(err)
		}
		s := newShell(o, newConsole(&out, &errs, nil, nil))
		asked := ""
		s.ask = func(q string) (string, error) { asked = q; return tt.answer, nil }
		s.runLine(t.Context(), tt.line)
		if (asked != "") != tt.asked || (f.states[0] == "dead") != tt.killed {
			t.Errorf("%s, %s: asked %q, node 0 is %s; said %s", tt.line, tt.answer, asked, f.states[0], errs.String())
		}
		if tt.asked && !strings.Contains(asked, "company 0,1,2 loses its majority") {
			t.Errorf("asked %q", asked)
		}
	}
}
