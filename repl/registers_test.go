package repl

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"dmalloc/message"
)

// 2500 registers, the last with the largest number: page by page, each once, in each format (P6).
func TestLongListOfRegisters(t *testing.T) {
	f := newFake()
	const n = 2500
	for i := range uint64(n - 1) {
		f.registers[i*i] = nil
	}
	f.registers[math.MaxUint64] = nil
	for _, output := range outputs {
		f.lists = 0
		status, out, err := runOn(t, f, Options{Commands: []string{"reg ls"}, Output: output})
		if status != ExitOK || f.lists != n/tablePage+1 {
			t.Errorf("%s: status %d, %d pages, %s", output, status, f.lists, err)
		}
		if output == "json" {
			var v struct{ Registers []struct{ Addr uint64 } }
			if err := json.Unmarshal([]byte(out), &v); err != nil || len(v.Registers) != n || v.Registers[n-1].Addr != math.MaxUint64 {
				t.Errorf("%d registers, %v", len(v.Registers), err)
			}
		} else if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != n+1 {
			t.Errorf("%s: %d lines", output, len(lines))
		}
	}
	// A page that ends with the largest number is the last one.
	f = newFake()
	for i := range uint64(tablePage) {
		f.registers[math.MaxUint64-i] = nil
	}
	if status, _, err := runOn(t, f, Options{Commands: []string{"reg ls"}}); status != ExitOK || f.lists != 1 {
		t.Errorf("status %d, %d pages, %s", status, f.lists, err)
	}
}

// Whatever a register holds comes back: as JSON, into a file, and as text if it is text.
func TestRegisterRoundTrip(t *testing.T) {
	t.Chdir(t.TempDir())
	rapid.Check(t, func(r *rapid.T) {
		value := rapid.OneOf(rapid.SliceOf(rapid.Byte()), rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) })).Draw(r, "value")
		number := rapid.Uint64().Draw(r, "number")
		if err := os.WriteFile("in", value, 0o600); err != nil {
			r.Fatal(err)
		}
		word := strconv.FormatUint(number, 10)
		f := newFake()
		status, out, errs := runOn(t, f, Options{Commands: []string{"reg load " + word + " in", "reg r " + word + " out", "reg r " + word}, Output: "json"})
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if status != ExitOK || len(lines) != 3 || !printable(lines[2], false) {
			r.Fatalf("status %d: %q %q", status, out, errs)
		}
		var v struct {
			Addr  uint64
			Value *string
			Data  []byte
		}
		if err := json.Unmarshal([]byte(lines[2]), &v); err != nil || v.Addr != number || (v.Value != nil) != utf8.Valid(value) {
			r.Fatalf("%s: %v", lines[2], err)
		}
		if v.Value != nil {
			v.Data = []byte(*v.Value)
		}
		if file, err := os.ReadFile("out"); err != nil || !bytes.Equal(file, value) || !bytes.Equal(v.Data, value) {
			r.Fatalf("%q came back as %q, and in the file %q, %v", value, v.Data, file, err)
		}
		for _, output := range []string{"table", "csv"} { // P4
			if _, out, _ := runOn(t, f, Options{Commands: []string{"reg r " + word}, Output: output}); !printable(out, true) {
				r.Fatalf("%s: %q", output, out)
			}
		}
	})
}

// What a job is asked for arrives as it was typed.
func TestJobRequest(t *testing.T) {
	f := newFake()
	big := `{"x":"` + strings.Repeat("y", message.MaxJobArgs) + `"}`
	for line, want := range map[string]string{
		`job sum 1 reg:0x2 heap:0x500000001000`:           `{"job":"sum","addresses":[1,2,"0x500000001000"]}`,
		`job sum 18446744073709551615 reg:87960930226176`: `{"job":"sum","addresses":["18446744073709551615","reg:87960930226176"]}`,
		`job grep 1 --args  {"a": "b --args  c"} `:        `{"job":"grep","addresses":[1],"args":{"a":"b --args  c"}}`,
		`job grep 1 --args '{"a":"it''s"}'`:               `{"job":"grep","addresses":[1],"args":{"a":"it''s"}}`,
		`job sum 1 --args 'x'`:                            ``,
		`job grep 1 --args ` + big:                        ``,
		`job sum` + strings.Repeat(" 1", 1025):            ``,
		`job grep 1 --args "text"`:                        `{"job":"grep","addresses":[1],"args":"text"}`,
	} {
		f.asked = message.JobRequest{}
		status, _, errs := runOn(t, f, Options{In: strings.NewReader(line + "\n")})
		got := string(message.JSON(f.asked))
		if want == "" {
			want = string(message.JSON(message.JobRequest{}))
		} else if status != ExitOK {
			t.Errorf("%.80s: %s", line, errs)
		}
		if got != want {
			t.Errorf("%.80s: asked for %s, want %s", line, got, want)
		}
	}
}

// In -c a ';' ends the JSON, unless it stands in single quotes.
func TestJobArgsInCommands(t *testing.T) {
	f := newFake()
	status, out, errs := runOn(t, f, Options{Commands: []string{`job grep 1 --args '{"a":"b;c"}'; echo on`}})
	if status != ExitOK || string(f.asked.Args) != `{"a":"b;c"}` || !strings.HasSuffix(out, "on\n") {
		t.Errorf("status %d, args %s, %s %s", status, f.asked.Args, out, errs)
	}
}

// A file that may not be is refused before anything is sent.
func TestLargeFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, size := range map[string]int64{"value": message.MaxData, "value+1": message.MaxData + 1, "module": message.MaxJobModule, "module+1": message.MaxJobModule + 1} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(name, size); err != nil {
			t.Fatal(err)
		}
	}
	f := newFake()
	status, _, errs := runOn(t, f, Options{Commands: []string{"reg load 1 value; job add a module"}})
	if status != ExitOK || len(f.registers[1]) != message.MaxData || len(f.modules) != 1 {
		t.Errorf("the largest that may be: %s", errs)
	}
	text := strings.Repeat("x", message.MaxData)
	_, _, errs = runOn(t, f, Options{In: strings.NewReader("reg load 2 value+1\njob add b module+1\nreg w 3 " + text + "y\nreg w 4 " + text + "\n")})
	if len(f.registers) != 2 || len(f.registers[4]) != message.MaxData || len(f.modules) != 1 || strings.Count(errs, "nothing was written") != 3 {
		t.Errorf("%d registers, %d modules, said %s", len(f.registers), len(f.modules), errs)
	}
}

// A node that lists registers out of order does not keep the shell busy for ever.
func TestListOutOfOrder(t *testing.T) {
	f := &stuck{fake: newFake()}
	for i := range uint64(tablePage) {
		f.registers[i] = nil
	}
	var out, errs bytes.Buffer
	status := Run(t.Context(), Options{Heap: f, Out: &out, Err: &errs, Commands: []string{"reg ls"}, Timeout: time.Minute})
	if status != ExitFailed || !strings.Contains(errs.String(), "listed register 0 behind register 1000") {
		t.Errorf("status %d, %s", status, errs.String())
	}
}

func TestOneRound(t *testing.T) {
	for _, tt := range []struct {
		reads, fast uint64
		want        string
	}{{0, 0, ""}, {1, 1, "100.0"}, {3, 1, "33.3"}, {5, 0, "0.0"}} {
		got, ok := oneRound([]message.Counter{{Name: "register_reads_one_round", Value: tt.fast}, {Name: "register_reads", Value: tt.reads}})
		if got != tt.want || ok != (tt.want != "") {
			t.Errorf("%d of %d: %q", tt.fast, tt.reads, got)
		}
	}
}

// A move has a command's time to begin, and then what it needs.
func TestSpreadTakesItsTime(t *testing.T) {
	for _, begins := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			f := &slow{fake: newFake(), begins: begins}
			var out, errs bytes.Buffer
			status := Run(t.Context(), Options{Heap: f, In: strings.NewReader(""), Out: &out, Err: &errs, Commands: []string{"reg spread 0 1"}})
			switch {
			case begins && (status != ExitOK || out.String() != "registers are kept on nodes 0,1\n" || !strings.Contains(errs.String(), "reg: moving")):
				t.Errorf("status %d: %s %s", status, out.String(), errs.String())
			case !begins && (status != ExitFailed || !strings.Contains(errs.String(), "did not begin within 5s")):
				t.Errorf("status %d: %s %s", status, out.String(), errs.String())
			}
		})
	}
}
