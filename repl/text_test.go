package repl

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
	"pgregory.net/rapid"

	"dmalloc/message"
)

// A hex dump can be read back, whatever pieces it was written in.
func TestHexdumpRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.SliceOfN(rapid.ByteRange(0, 2), perLine, perLine), 0, 8).Draw(t, "lines")
		data := append(bytes.Join(lines, nil), rapid.SliceOfN(rapid.Byte(), 0, perLine).Draw(t, "rest")...)
		var b bytes.Buffer
		h := newHexdump(&b, 0x500000001000)
		for rest := data; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			_, _ = h.Write(rest[:n])
			rest = rest[n:]
		}
		if err := h.end(); err != nil {
			t.Fatal(err)
		}
		if got := undump(t, b.String(), 0x500000001000); !bytes.Equal(got, data) {
			t.Fatalf("%x came back as %x:\n%s", data, got, b.String())
		}
	})
}

// undump reads a hex dump.
func undump(t *rapid.T, dump string, base message.Addr) []byte {
	var out, last []byte
	starred := false
	for line := range strings.Lines(dump) {
		if line == "*\n" {
			starred = true
			continue
		}
		text, body, _ := strings.Cut(strings.TrimSpace(line), " ")
		at, err := message.ParseAddr(text)
		if err != nil {
			t.Fatal(err)
		}
		for starred && len(out) < int(at-base) {
			out = append(out, last...)
		}
		starred = false
		if len(out) != int(at-base) {
			t.Fatalf("%s follows %d bytes", at, len(out))
		}
		body, _, _ = strings.Cut(body, "|")
		last, err = hex.DecodeString(strings.ReplaceAll(body, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, last...)
	}
	return out
}

// P4: what passed escape holds nothing that a terminal acts on.
func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"plain é 日本": "plain é 日本", "a\x1b[31mb": `a\x1b[31mb`, "a\nb\tc\r": `a\nb\tc\r`, "\xff\xfe": `\xff\xfe`,
		"\u202e": `\xe2\x80\xae`, "\u009b": `\xc2\x9b`, "\x00\x7f": `\x00\x7f`, "\ufffd": "\ufffd"} {
		if got := escape(in, false); got != want {
			t.Errorf("escape(%q) = %q", in, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "s"))
		lines := rapid.Bool().Draw(t, "lines")
		got := escape(s, lines)
		if !utf8.ValidString(got) || !printable(got, lines) || strings.ContainsAny(got, "\x1b\x07\x00\r") {
			t.Fatalf("escape(%q) = %q", s, got)
		}
		if escape(got, lines) != got {
			t.Fatalf("escape(%q) changes again", got)
		}
	})
}

// No line of a table is wider than the terminal, unless there are more columns than fit.
func TestTableFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(60, 120).Draw(t, "width")
		cell := rapid.StringMatching(`[a-z, ]{0,150}|日{0,60}`)
		rows := rapid.SliceOfN(rapid.SliceOfN(cell, 3, 3), 1, 4).Draw(t, "rows")
		var b bytes.Buffer
		if err := writeTable(&b, []string{"a", "b", "c"}, rows, nil, width, func(_, s string) string { return s }); err != nil {
			t.Fatal(err)
		}
		letters := func(s string) int { return len(strings.Join(strings.Fields(s), "")) }
		in := letters("a b c")
		for _, r := range rows {
			in += letters(strings.Join(r, " "))
		}
		if out := letters(b.String()); out != in {
			t.Fatalf("%d letters became %d:\n%s", in, out, b.String())
		}
		for line := range strings.Lines(b.String()) {
			if w := runewidth.StringWidth(strings.TrimSuffix(line, "\n")); w > width {
				t.Fatalf("%d columns, %d are there: %q", w, width, line)
			}
		}
	})
}

func TestSpoolGoesToAFile(t *testing.T) {
	s := &spool{}
	defer s.close()
	part := bytes.Repeat([]byte("x"), 1<<20)
	for range 10 {
		if _, err := s.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := s.writeTo(&b); err != nil || b.Len() != 10<<20 || s.file == nil || s.buf.Len() > 0 {
		t.Errorf("%d bytes, %v, file %v", b.Len(), err, s.file)
	}
}

func TestCompletion(t *testing.T) {
	t.Chdir(t.TempDir())
	prepareFiles(t)
	f := newFake()
	f.allocs[0x500000001000] = make([]byte, 10)
	f.registers[7], f.registers[0x500000002000] = []byte("x"), nil
	f.modules = []message.Job{{Name: "words"}}
	c := &completer{live: newLive(t.Context(), f)}
	for line, want := range map[string]string{
		"":                   "h |t |m |f |w |r |d |cas |add |who |lease |release |leases |sync |reg |job |kill |revive |pause |resume |nodes |memory |status |companies |leaders |lead |graph |sql |log |trace |sysdump |stats |node |recover |partition |slow |drop |disk |clock |corrupt |faults |heal |drill |verify |set |history |sleep |echo |exit ",
		"re":                 "lease |g |vive |sume |cover ",
		"lease 0x":           "500000001000 ",
		"lease _ ":           "r |w ",
		"lease _ w ":         "",
		"release ":           "0x500000001000 ",
		"sync ":              "0x500000001000 ",
		"f 0x5":              "00000001000 ",
		"r ":                 "0x500000001000 ",
		"w _ he":             "llo.txt ",
		"w _ ":               "123 |9x.txt |binary |dir/|empty |escapes |hello.txt |huge |large ",
		`w _ "a`:             ` name" `,
		"w _ 5 he":           "",
		"kill ":              "0 |1 |2 ",
		"kill 1 --":          "for |yes ",
		"revive --w":         "ipe ",
		"lead 1 ":            "0 |1 |2 ",
		"log ":               "0 |1 |2 ",
		"trace ":             "on |off ",
		"graph x cl":         "uster ",
		"set o":              "utput ",
		"set output ":        "table|json|csv",
		"d n":                "et ",
		"t company ":         "0 |1 |2 ",
		"nodes ":             "",
		"h com":              "panies",
		"nosuch x":           "",
		"r _ 日":              "",
		"reg ":               "r |w |load |ls |at |who |members |spread ",
		"reg l":              "oad |s ",
		"reg r ":             "7 |87960930230272 ",
		"reg w 7 ":           "",
		"reg load 7 he":      "llo.txt ",
		"reg ls ":            "0 |1 |2 ",
		"reg at 1 7":         " ",
		"reg spread ":        "0 |1 |2 ",
		"reg spread 0 2 ":    "0 |1 |2 ",
		"reg x ":             "",
		"slow 0 ":            "0 |1 |2 ",
		"disk f":             "ull ",
		"disk full ":         "0 |1 |2 ",
		"drop 0 1 5% --":     "for ",
		"heal disk ":         "full |slow ",
		"job ":               "sum |count |grep |sha256 |words |add |rm |ls ",
		"job add ":           "words ",
		"job add x hel":      "lo.txt ",
		"job rm ":            "words ",
		"job ls ":            "",
		"job sum ":           "7 |reg:87960930230272 |0x500000001000 ",
		"job sum 7 0x":       "500000001000 ",
		"job sum 7 --":       "args ",
		"job sum 7 --args {": "",
	} {
		got, n := c.Do([]rune(line), len([]rune(line)))
		var words []string
		for _, g := range got {
			words = append(words, string(g))
		}
		if strings.Join(words, "|") != want {
			t.Errorf("%q + Tab: %q (of %d), want %q", line, words, n, want)
		}
	}
	f.hang = true
	c = &completer{live: newLive(t.Context(), f)}
	if got, _ := c.Do([]rune("f "), 2); len(got) != 0 {
		t.Errorf("%q from a cluster that does not answer", got)
	}
}

func TestHints(t *testing.T) {
	for line, want := range map[string]string{
		"": "", "w": "", "w ": "ADDRESS SIZE DATA | ADDRESS FILE [SIZE]", "w _ ": "SIZE DATA | FILE [SIZE]", "w _ f ": "[SIZE]", "w _ 5 ": "", "kill ": "ID [--for DURATION] [--yes]", "kill 1 ": "[--for DURATION] [--yes]", "kill 1 --for ": "DURATION",
		"sql ": "QUERY", "sql x ": "", "nodes ": "", "t company ": "COMPANY [COUNT]", "t 5 ": "[COUNT]",
		"reg ":   "r REGISTER [FILE] | w REGISTER TEXT | load REGISTER FILE | ls [NODE] | at NODE REGISTER | who REGISTER | members | spread NODE...",
		"reg r ": "REGISTER [FILE]", "reg w 7 ": "TEXT", "reg w 7 x ": "", "reg members ": "", "reg spread ": "NODE...", "reg spread 0 1 ": "[NODE...]", "reg x ": "",
		"job ": "JOB INPUT... [--args JSON] | add MODULE FILE | rm MODULE | ls", "job sum ": "INPUT... [--args JSON]", "job sum 1 2 ": "[INPUT...] [--args JSON]",
		"job sum 1 --args ": "JSON", "job sum 1 --args {} ": "", "job ls ": "", "job add x ": "FILE", "nosuch ": "", "echo ": "TEXT", "lease ": "ADDRESS r|w [LENGTH]", "lease _ w ": "[LENGTH]", "sync ": "[ADDRESS]",
	} {
		if got := hintFor(line); got != want {
			t.Errorf("%q: hint %q, want %q", line, got, want)
		}
	}
	h := &hinter{width: func() int { return 40 }, prompt: func() string { return "dmalloc \x1b[32mn0\x1b[0m> " }, shown: func() bool { return true }}
	if got := string(h.Paint([]rune("lead "), 5)); got != fmt.Sprintf("lead %sCOMPANY NODE%s\x1b[12D", grey, reset) {
		t.Errorf("%q", got)
	}
	if got := string(h.Paint([]rune("w "), 2)); got != "w " {
		t.Errorf("a hint that does not fit: %q", got)
	}
	if got := string(h.Paint([]rune("kill "), 2)); got != "kill " {
		t.Errorf("a hint while the cursor is elsewhere: %q", got)
	}
}
