package repl

import (
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"dmalloc/message"
)

// Exit statuses of Run, as the shell's contract numbers them.
const (
	ExitOK     = 0 // every command succeeded, or the shell was interactive
	ExitFailed = 1 // at least one failed
	ExitUsage  = 2 // the options were wrong: nothing ran
)

// Options say what a shell works on and how. The zero value of everything but Heap is good.
type Options struct {
	Heap    Heap
	Control Control // nil: kill, revive, pause and resume answer unsupported
	Grapher Grapher // nil: graph answers unsupported
	Dialer  Dialer  // nil: drill answers unsupported

	In  io.Reader // nil: standard input
	Out io.Writer // results; nil: standard output
	Err io.Writer // everything said about them; nil: standard error

	Interactive bool     // edit lines on a terminal, with prompt, completion and history; In and Out must be terminals
	Commands    []string // run these and leave; each may hold several, separated by ';' outside quotes
	Script      string   // run this file after Commands and leave; "-" is In

	Output      string        // table, json or csv; "" means table
	Timeout     time.Duration // how long one command may take; 0 means 5 s
	StopOnError bool          // leave after the first command that failed
	Yes         bool          // never ask for a confirmation
	Color       string        // auto, on or off; "" means auto: a terminal without NO_COLOR
	Version     string        // of this program, for sysdump
	History     string        // file for the lines of an interactive shell; "" means DefaultHistory()

	now func() time.Time // the clock, which tests replace
}

const (
	defaultTimeout = 5 * time.Second
	maxTimeout     = 24 * time.Hour
)

// Formats that results can be printed in, and values of Options.Color.
var (
	outputs = []string{"table", "json", "csv"}
	colours = []string{"auto", "on", "off"}
)

// WithDefaults fills in what is zero and judges the rest.
func (o Options) WithDefaults() (Options, error) {
	if o.Heap == nil {
		return o, message.Errorf(message.InvalidArgument, "a shell needs a heap to work on")
	}
	if o.In == nil {
		o.In = os.Stdin
	}
	if o.Out == nil {
		o.Out = os.Stdout
	}
	if o.Err == nil {
		o.Err = os.Stderr
	}
	if o.Output == "" {
		o.Output = outputs[0]
	}
	if o.Color == "" {
		o.Color = colours[0]
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.History == "" {
		o.History = DefaultHistory()
	}
	if o.now == nil {
		o.now = time.Now
	}
	if err := oneOf("output", o.Output, outputs); err != nil {
		return o, err
	}
	if err := oneOf("color", o.Color, colours); err != nil {
		return o, err
	}
	if o.Timeout < time.Millisecond || o.Timeout > maxTimeout {
		return o, message.Errorf(message.InvalidArgument, "a timeout of %v; use 1ms to %v", o.Timeout, maxTimeout)
	}
	if o.Interactive && (!isTerminal(o.In) || !isTerminal(o.Out)) {
		return o, message.Errorf(message.InvalidArgument, "an interactive shell needs a terminal for input and output; use -c, -f or a pipe")
	}
	return o, nil
}

// oneOf refuses a value that is none of those allowed.
func oneOf(name, value string, allowed []string) error {
	for _, a := range allowed {
		if a == value {
			return nil
		}
	}
	return message.Errorf(message.InvalidArgument, "%s cannot be %s; use %s", name, message.Quote(value), strings.Join(allowed, ", "))
}

// isTerminal says whether a reader or writer is a terminal.
func isTerminal(x any) bool {
	f, ok := x.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}
