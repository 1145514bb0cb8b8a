package repl

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"dmalloc/message"
)

func TestSplit(t *testing.T) {
	for in, want := range map[string][]string{
		"m 100; t":                {"m 100", " t"},
		"m 100":                   {"m 100"},
		"":                        {""},
		"a\nb;c":                  {"a", "b", "c"},
		`w _ "a;b" 5; t`:          {`w _ "a;b" 5`, " t"},
		`w _ 5 'a;b'; t`:          {`w _ 5 'a;b'`, " t"},
		`w _ 4 it's; r _ 4`:       {`w _ 4 it's`, " r _ 4"},
		`w _ 2 "x; t`:             {`w _ 2 "x`, " t"},
		`w _ 5 a"b;c"`:            {`w _ 5 a"b`, `c"`},
		`"\";" x;y`:               {`"\";" x`, "y"},
		"w _ 1 \"\n t; \"x":       {"w _ 1 \"", " t", " \"x"},
		`sql select ';' from t;t`: {`sql select ';' from t`, "t"},
	} {
		if got := Split(in); !slices.Equal(got, want) {
			t.Errorf("Split(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		line string
		verb string
		args string // joined with |
		tail string
		fail string
	}{
		{line: "", verb: ""},
		{line: "  \t", verb: ""},
		{line: "# m 100", verb: ""},
		{line: "m 100", verb: "m", args: "100"},
		{line: "\tm \t 100  ", verb: "m", args: "100"},
		{line: "w 1 5 hello world ", verb: "w", args: "1|5", tail: "hello world "},
		{line: "w  1  5   two", verb: "w", args: "1|5", tail: "  two"},
		{line: "w 1 5\ttab", verb: "w", args: "1|5", tail: "tab"},
		{line: "w 1 5", verb: "w", args: "1|5"},
		{line: `w 1 "5" 3`, verb: "w", args: "1|5|3"},
		{line: `w 1 ./5 3`, verb: "w", args: "1|./5|3"},
		{line: `w 1 5k "quoted"`, verb: "w", args: "1|5k", tail: `"quoted"`},
		{line: `w 1 "a \"b\" \\c"`, verb: "w", args: `1|a "b" \c`},
		{line: `w 1 'a "b" \'`, verb: "w", args: `1|a "b" \`},
		{line: "sql  select 1", verb: "sql", tail: " select 1"},
		{line: "quit", verb: "exit"},
		{line: "? m", verb: "h", args: "m"},
		{line: "comp", verb: "companies"},
		{line: "reviv 3", verb: "revive", args: "3"},
		{line: "lead 1 2", verb: "lead", args: "1|2"}, // leaders begins with it, too
		{line: "re 1", fail: "resume, revive"},
		{line: "kil1 1", fail: "did you mean kill?"},
		{line: "xyzzyplugh", fail: "`h` lists the commands"},
		{line: `w 1 "open`, fail: "not closed"},
		{line: `w 1 "a"b`, fail: "a blank is missing"},
	} {
		c, err := parse(tt.line)
		if tt.fail != "" {
			if err == nil || !strings.Contains(err.Error(), tt.fail) || message.CodeOf(err) != message.InvalidArgument {
				t.Errorf("parse(%q): error %v, want one with %q", tt.line, err, tt.fail)
			}
			continue
		}
		name := ""
		if c.verb != nil {
			name = c.verb.name
		}
		var words []string
		for _, w := range c.args {
			words = append(words, w.text)
		}
		if err != nil || name != tt.verb || strings.Join(words, "|") != tt.args || c.tail != tt.tail {
			t.Errorf("parse(%q) = %s %q tail %q, %v", tt.line, name, words, c.tail, err)
		}
	}
}

func TestNumberOrFile(t *testing.T) {
	for _, s := range []string{"5", "4k", "1MiB", "-1", "+3", "1e30", "0x10", "1.5", "99999999999999999999", "-4k", "0", "1e999"} {
		if !(word{text: s}).isNumber() {
			t.Errorf("%s is meant as a number", s)
		}
		if (word{text: s, quoted: true}).isNumber() {
			t.Errorf("%q in quotes is a file", s)
		}
	}
	for _, s := range []string{"", "x", "./123", "9x.txt", "12abc", "-", ".", "..", "inf", "nan", "k", "2026-11-21.log", "1.tar.gz", "_"} {
		if (word{text: s}).isNumber() {
			t.Errorf("%s is a file", s)
		}
	}
}

func TestAddresses(t *testing.T) {
	s := &Shell{}
	if _, err := s.parseAddress(word{text: "_"}); message.CodeOf(err) != message.InvalidArgument {
		t.Errorf("_ before anything was printed: %v", err)
	}
	s.printed(0x500000001000)
	for in, want := range map[string]message.Addr{"_": 0x500000001000, "_+16": 0x500000001010, "_+4k": 0x500000002000, "_+0x10": 0x500000001010, "0x10+1": 0x11, "16": 16, "0X1f": 31} {
		if got, err := s.parseAddress(word{text: in}); err != nil || got != want {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "+", "_+", "_+x", "_ +1", "__", "-1", "0xffffffffffffffff+1", "0x1ffffffffffffffff", "_-16", "1+1+1"} {
		if a, err := s.parseAddress(word{text: in}); message.CodeOf(err) != message.InvalidArgument {
			t.Errorf("%q: %v, %v", in, a, err)
		}
	}
}

// A line put together from words gives them back, whatever they hold.
func TestWordsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[ -~é]{1,12}`), 0, 5).Draw(t, "words")
		line := "who"
		for _, w := range words {
			line += rapid.StringMatching(`[ \t]{1,3}`).Draw(t, "blanks") + `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `"`
		}
		c, err := parse(line)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		var got []string
		for _, w := range c.args {
			got = append(got, w.text)
		}
		if !slices.Equal(got, words) && len(words) > 0 {
			t.Fatalf("%q gives %q, not %q", line, got, words)
		}
		if again := Split(line + ";t"); len(again) != 2 || again[0] != line {
			t.Fatalf("Split(%q) = %q", line+";t", again)
		}
	})
}

func TestDistance(t *testing.T) {
	word := rapid.StringMatching(`[a-d]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		d := distance(a, b)
		if d != distance(b, a) || (d == 0) != (a == b) || d > max(len(a), len(b)) {
			t.Fatalf("distance(%q, %q) = %d", a, b, d)
		}
	})
}

// Whatever the line, it is understood or refused with a class; and what is a command knows its usage.
func FuzzParse(f *testing.F) {
	for _, e := range Examples() {
		f.Add(e)
	}
	for _, s := range []string{"", "#", `w _ "`, "w 1 1", "t company", "\x00", "\xff", "w _ 5 \"a;b\"; t", "revive 1 --", "sql", "_+", "r '5' 5 5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if got := strings.Join(Split(line), ";"); got != strings.ReplaceAll(line, "\n", ";") {
			t.Fatalf("Split lost something of %q: %q", line, got)
		}
		if err := checkLine(line); err != nil {
			return
		}
		c, err := parse(line)
		if err == nil && c.verb != nil {
			_, err = c.check()
			s := &Shell{}
			for _, w := range c.args {
				_, _ = s.parseAddress(w)
				_ = w.isNumber()
			}
		}
		if err != nil && message.CodeOf(err) != message.InvalidArgument {
			t.Fatalf("%q: %v has code %v", line, err, message.CodeOf(err))
		}
		(&completer{live: newLive(t.Context(), newFake())}).Do([]rune(line), len([]rune(line)))
		hintFor(line)
	})
}
