package repl

import (
	"bufio"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// console is where everything that is printed passes: results to out, everything else to err. It keeps
// the spinner, notices and trace, which come from other goroutines, from writing into each other's lines.
type console struct {
	mu      sync.Mutex // guards what follows
	out     *bufio.Writer
	err     io.Writer
	spun    bool  // a spinner stands on the terminal's last line
	failure error // why out takes no more

	outTerm bool
	errTerm bool
	width   func() int // columns of the terminal, 0 where there is none

	colour atomic.Bool // of out. No lock: the line reader asks while it is being written to
	dye    atomic.Bool // of err
}

// newConsole prints to out and err, which may be a line reader's; the terminals behind them decide
// about colour and width.
func newConsole(out, err io.Writer, outTerminal, errTerminal any) *console {
	c := &console{out: bufio.NewWriterSize(out, 1<<16), err: err, outTerm: isTerminal(outTerminal), errTerm: isTerminal(errTerminal)}
	c.width = func() int { return terminalWidth(outTerminal) }
	return c
}

// terminalWidth is how many columns a terminal has, 0 for anything else.
func terminalWidth(x any) int {
	f, ok := x.(interface{ Fd() uintptr })
	if !ok {
		return 0
	}
	w, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return w
}

// setColour decides whether colour is used: on, off, or auto: a terminal, and NO_COLOR is not set.
func (c *console) setColour(mode string) {
	allowed := os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	c.colour.Store(mode == "on" || mode == "auto" && c.outTerm && allowed)
	c.dye.Store(mode == "on" || mode == "auto" && c.errTerm && allowed)
}

// colours says whether results may carry colour.
func (c *console) colours() bool { return c.colour.Load() }

// Write adds to the result of the command that runs.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wipe()
	n, err := c.out.Write(p)
	c.note(err)
	return n, err
}

// flush makes the result visible.
func (c *console) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out.Buffered() > 0 {
		c.wipe()
		c.note(c.out.Flush())
	}
}

func (c *console) note(err error) {
	if err != nil && c.failure == nil {
		c.failure = err
	}
}

// broken is why results can no longer be printed, nil if they can.
func (c *console) broken() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}

// say prints a line about the command to err, after what is already in out.
func (c *console) say(colour, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wipe()
	if c.outTerm {
		c.note(c.out.Flush()) // on a terminal the order of the two is seen
	}
	text = escape(text, true)
	if c.dye.Load() && colour != "" {
		text = colour + text + reset
	}
	_, _ = io.WriteString(c.err, text+"\n") // nobody is left to be told
}

// spin shows progress on the last line of a terminal; the next thing printed takes its place.
func (c *console) spin(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = io.WriteString(c.err, "\r\x1b[K"+escape(text, false))
	c.spun = true
}

// unspin removes the spinner.
func (c *console) unspin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wipe()
}

func (c *console) wipe() {
	if c.spun {
		_, _ = io.WriteString(c.err, "\r\x1b[K")
		c.spun = false
	}
}

// Colours, as escape sequences of a terminal.
const (
	reset  = "\x1b[0m"
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	grey   = "\x1b[90m"
)

// escape makes text harmless to a terminal: what is not printable becomes \n, \t or \x1b and the like.
// Newlines and tabs stay if asked (P4).
func escape(s string, lines bool) string {
	if printable(s, lines) {
		return s
	}
	var b strings.Builder
	for i, w := 0, 0; i < len(s); i += w {
		r, n := utf8.DecodeRuneInString(s[i:])
		w = n
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteString(hexEscape(s[i : i+1]))
		case harmless(r, lines):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		default:
			b.WriteString(hexEscape(s[i : i+n]))
		}
	}
	return b.String()
}

func hexEscape(s string) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for i := range len(s) {
		b.WriteString(`\x`)
		b.WriteByte(digits[s[i]>>4])
		b.WriteByte(digits[s[i]&15])
	}
	return b.String()
}

// harmless says whether a rune may go to a terminal as it is.
func harmless(r rune, lines bool) bool {
	return unicode.IsPrint(r) || lines && (r == '\n' || r == '\t')
}

// printable says whether s is valid UTF-8 of harmless runes only.
func printable(s string, lines bool) bool {
	for i, r := range s {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return false
			}
		}
		if !harmless(r, lines) {
			return false
		}
	}
	return true
}

// plainText is text without its colours.
func plainText(s string) string {
	for {
		i := strings.Index(s, "\x1b[")
		if i < 0 {
			return s
		}
		end := strings.IndexByte(s[i:], 'm')
		if end < 0 {
			return s
		}
		s = s[:i] + s[i+end+1:]
	}
}
