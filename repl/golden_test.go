package repl

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dmalloc/message"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// transcript runs lines one by one and shows each, what it printed, and behind "!" what it said.
func transcript(t *testing.T, f *fake, output, script string) string {
	t.Helper()
	var out, err, all bytes.Buffer
	o, e := Options{Heap: f, Control: f, Grapher: draw, Out: &out, Err: &err, Output: output, Timeout: time.Minute, now: stepping()}.WithDefaults()
	if e != nil {
		t.Fatal(e)
	}
	s := newShell(o, newConsole(o.Out, o.Err, o.Out, o.Err))
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		out.Reset()
		err.Reset()
		s.runLine(context.Background(), line)
		s.con.flush()
		if s.output == "json" {
			checkJSON(t, line, out.Bytes())
		}
		all.WriteString("> " + line + "\n" + out.String())
		for l := range strings.Lines(err.String()) {
			all.WriteString("! " + l)
		}
	}
	return all.String()
}

// checkJSON holds P1: one object, one line, cmd and ok first, ms last, and nothing for a line that is no command.
func checkJSON(t *testing.T, line string, out []byte) {
	t.Helper()
	if trimmed := strings.TrimSpace(line); trimmed == "" || trimmed[0] == '#' {
		if len(out) != 0 {
			t.Errorf("%q is no command, but printed %s", line, out)
		}
		return
	}
	if bytes.Count(out, []byte("\n")) != 1 || !bytes.HasSuffix(out, []byte("}\n")) {
		t.Errorf("P1: %q printed %q", line, out)
		return
	}
	var v struct {
		Cmd   *string
		OK    *bool
		MS    *float64
		Error *struct{ Code, Message string }
	}
	d := json.NewDecoder(bytes.NewReader(out))
	if err := d.Decode(&v); err != nil || v.Cmd == nil || v.OK == nil || v.MS == nil || *v.OK == (v.Error != nil) {
		t.Errorf("P1: %q printed %s: %v", line, out, err)
	}
	if !bytes.HasPrefix(out, []byte(`{"cmd":`)) || !bytes.Contains(out, []byte(`,"ms":`)) {
		t.Errorf("%q printed %s: cmd is first and ms is last", line, out)
	}
}

func TestTranscripts(t *testing.T) {
	time.Local = time.UTC
	t.Setenv("NO_COLOR", "1")
	scripts, err := filepath.Glob("testdata/*.script")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range scripts {
		script, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, output := range outputs {
			name := strings.TrimSuffix(filepath.Base(path), ".script") + "." + output
			t.Run(name, func(t *testing.T) {
				t.Chdir(t.TempDir())
				prepareFiles(t)
				got := transcript(t, newFake(), output, string(script))
				golden := filepath.Join(here, "testdata", name)
				if *rewrite {
					if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if got != string(want) {
					t.Errorf("differs from %s (run with -rewrite, then read the diff):\n%s", name, firstDifference(string(want), got))
				}
			})
		}
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return "want: " + w[i] + "\ngot:  " + g[i]
		}
	}
	return "one is longer"
}

// prepareFiles makes the files that scripts name.
func prepareFiles(t *testing.T) {
	t.Helper()
	for name, data := range map[string]string{"hello.txt": "hello world\n", "empty": "", "a name": "blanks", "123": "digits", "9x.txt": "nine", "huge": "", "large": strings.Repeat("x", 5000),
		"binary": "\x00\xff binary", "escapes": "red \x1b[31m\u009b\u202e \U000e0001 ü"} {
		if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate("huge", message.MaxData+1); err != nil { // a hole
		t.Fatal(err)
	}
	if err := os.Mkdir("dir", 0o755); err != nil {
		t.Fatal(err)
	}
}
