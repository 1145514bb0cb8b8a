package repl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"dmalloc/message"
)

// Shell runs commands one after another. One goroutine owns it.
type Shell struct {
	opt     Options
	heap    Heap
	con     *console
	ask     func(question string) (string, error) // nil: nobody can be asked
	past    *past
	tracing bool
	output  string
	timeout time.Duration
	colour  string
	stop    bool // leave after the first failure
	yes     bool // never ask
	last    message.Addr
	hasLast bool
	failed  bool // a command failed
	leaving bool

	interrupts *interrupts   // nil in a script
	rest       func() func() // keeps the background watch quiet while a command runs
}

// Run runs a shell until its input ends or ctx does, and returns the exit status.
func Run(ctx context.Context, o Options) int {
	o, err := o.WithDefaults()
	if err != nil {
		w := o.Err
		if w == nil {
			w = os.Stderr
		}
		fmt.Fprintln(w, "dmalloc: "+escape(err.Error(), true))
		return ExitUsage
	}
	if o.Interactive {
		return runTerminal(ctx, o)
	}
	in, done, err := openInput(ctx, o)
	if err != nil {
		fmt.Fprintln(o.Err, "dmalloc: "+escape(err.Error(), true))
		return ExitUsage
	}
	defer done()
	s := newShell(o, newConsole(o.Out, o.Err, o.Out, o.Err))
	for _, c := range o.Commands {
		for _, line := range Split(c) {
			if s.over(ctx) {
				return s.status(ctx)
			}
			s.runLine(ctx, line)
		}
	}
	if in != nil {
		s.runAll(ctx, newLines(in))
	}
	return s.status(ctx)
}

// openInput finds what lines are read from: the script, or the input if there is nothing else to run. nil: nothing.
func openInput(ctx context.Context, o Options) (in io.Reader, done func(), err error) {
	done = func() {}
	switch {
	case o.Script != "" && o.Script != "-":
		f, err := openScript(o.Script)
		if err != nil {
			return nil, nil, err
		}
		return f, func() { _ = f.Close() }, nil
	case o.Script == "" && len(o.Commands) > 0:
		return nil, done, nil
	}
	f, ok := o.In.(*os.File)
	if !ok {
		return o.In, done, nil
	}
	stoppable, err := newInput(ctx, f)
	if err != nil {
		return nil, nil, err
	}
	return stoppable, func() { _ = stoppable.Close() }, nil
}

func newShell(o Options, con *console) *Shell {
	s := &Shell{opt: o, heap: o.Heap, con: con, output: o.Output, timeout: o.Timeout, colour: o.Color, stop: o.StopOnError, yes: o.Yes,
		past: &past{}, rest: func() func() { return func() {} }}
	con.setColour(s.colour)
	return s
}

// runAll runs each line of a script as it comes.
func (s *Shell) runAll(ctx context.Context, lines *lines) {
	for !s.over(ctx) {
		line, err := lines.next()
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil && message.CodeOf(err) == message.Internal: // the input itself is broken
			if ctx.Err() == nil {
				s.fail("", err, 0)
			}
			return
		case err != nil:
			s.fail("", err, 0)
		default:
			s.runLine(ctx, line)
		}
	}
}

// over says whether no further command is to run.
func (s *Shell) over(ctx context.Context) bool {
	return s.leaving || ctx.Err() != nil || s.con.broken() != nil || s.failed && s.stop
}

func (s *Shell) status(ctx context.Context) int {
	s.con.flush()
	unfinished := ctx.Err() != nil && !s.leaving // the rest did not run
	if s.failed || unfinished || s.con.broken() != nil {
		return ExitFailed
	}
	return ExitOK
}

// call is one command under way.
type call struct {
	command
	ctx   context.Context
	flags map[string]bool
	sh    *Shell
	meter *meter
}

// step is the context of one piece of a transfer of size bytes. There is no bound for the whole, but a piece that
// takes twice a command's time has failed.
func (c *call) step(size uint64) (context.Context, context.CancelFunc) {
	if size <= piece {
		return c.once()
	}
	return context.WithTimeout(c.ctx, 2*c.sh.timeout)
}

// once is the context of one call that a long command makes.
func (c *call) once() (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.ctx, c.sh.timeout)
}

// errCanceled is the cause of a context that Ctrl-C ended.
var errCanceled = errors.New("canceled")

// runLine runs one line and prints what comes of it (P1, P2).
func (s *Shell) runLine(parent context.Context, line string) {
	start := s.opt.now()
	if err := checkLine(line); err != nil {
		s.fail("", err, 0)
		return
	}
	cmd, err := parse(line)
	if cmd.verb == nil && err == nil {
		return
	}
	s.past.add(line)
	if err != nil {
		s.fail(cmd.name, err, s.opt.now().Sub(start))
		return
	}
	flags, err := cmd.check()
	if err != nil {
		s.fail(cmd.verb.name, err, s.opt.now().Sub(start))
		return
	}
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	if !cmd.verb.long {
		var done context.CancelFunc
		ctx, done = context.WithTimeout(ctx, s.timeout)
		defer done()
	}
	defer s.interrupts.during(cancel)()
	defer s.rest()()
	r, err := s.supervise(&call{command: cmd, ctx: ctx, flags: flags, sh: s})
	took := s.opt.now().Sub(start)
	if err != nil {
		s.fail(cmd.verb.name, s.explain(ctx, err), took)
	} else if err := s.print(cmd.verb.name, r, took); err != nil {
		s.fail(cmd.verb.name, err, took)
	} else if r.bad != nil {
		s.failed = true
		if s.output != "json" {
			s.con.flush()
			s.con.say(red, "error: "+r.bad.Error())
		}
	}
	for _, f := range r.fields {
		if sp, ok := f.value.(*spool); ok {
			sp.close()
		}
	}
	s.con.flush()
}

// supervise runs a command with its progress, notices and trace.
func (s *Shell) supervise(c *call) (result, error) {
	c.meter = newMeter(s.con, c.verb, s.interrupts != nil)
	defer c.meter.stop()
	s.heap.SetNotice(func(text string) { s.con.say(grey, "note: "+text) })
	defer s.heap.SetNotice(nil)
	if s.tracing {
		s.heap.SetTrace(s.traced)
		defer s.heap.SetTrace(nil)
	}
	return c.verb.run(s, c)
}

// explain gives an error its class: what ended the context comes first.
func (s *Shell) explain(ctx context.Context, err error) error {
	var e *message.Error
	switch {
	case errors.Is(context.Cause(ctx), errCanceled):
		return message.Errorf(message.Canceled, "canceled")
	case errors.As(err, &e) && e.Code != message.Done:
		return &message.Error{Code: e.Code, Text: err.Error()}
	case errors.Is(err, context.DeadlineExceeded):
		return message.Errorf(message.Timeout, "no answer within %v; whether it was done is not known (`set timeout` allows more)", s.timeout)
	case errors.Is(err, context.Canceled):
		return message.Errorf(message.Canceled, "canceled")
	}
	return err
}

// fail reports a command that failed.
func (s *Shell) fail(cmd string, err error, took time.Duration) {
	s.failed = true
	e, ok := err.(*message.Error)
	if !ok {
		e = &message.Error{Code: message.CodeOf(err), Text: err.Error()}
	}
	if s.output == "json" {
		if err := writeErrorJSON(s.con, cmd, e, took); err != nil {
			return
		}
		s.con.flush()
		return
	}
	s.con.flush()
	switch e.Code {
	case message.AlreadyFree, message.AlreadyAlive, message.AlreadyDead:
		s.con.say(yellow, "warning: "+e.Error())
	case message.Canceled:
		s.con.say(yellow, e.Error())
	default:
		s.con.say(red, "error: "+e.Error())
	}
}

// print writes a result in the format that is set.
func (s *Shell) print(cmd string, r result, took time.Duration) error {
	switch s.output {
	case "json":
		return writeJSON(s.con, cmd, r, took)
	case "csv":
		if !r.printed {
			if err := writeCSV(s.con, r); err != nil {
				return err
			}
		}
	default:
		if err := s.printTable(r); err != nil {
			return err
		}
	}
	if r.note != "" {
		s.con.say("", r.note)
	}
	return nil
}

func (s *Shell) printTable(r result) error {
	switch {
	case r.printed:
		return nil
	case r.text != "":
		_, err := io.WriteString(s.con, r.text)
		return err
	case len(r.rows) > 0:
		for _, row := range r.rows {
			for i := range row {
				if r.show != nil && row[i] != "" {
					row[i] = r.show(r.columns[i], row[i])
				}
			}
		}
		return writeTable(s.con, r.columns, r.rows, r.right, s.con.width(), s.paint)
	case r.empty != "":
		s.con.say("", r.empty)
	}
	return nil
}

// paint colours headers, and what is well or not.
func (s *Shell) paint(column, cell string) string {
	if !s.con.colours() {
		return cell
	}
	colour := ""
	switch {
	case column == "":
		colour = bold
	case column == "state" && (cell == "alive" || cell == "allocated"):
		colour = green
	case column == "state" && (cell == "dead"), column == "detector" && cell == "dead", column == "leader" && cell == "none":
		colour = red
	case column == "state", column == "detector" && cell == "suspect":
		colour = yellow
	default:
		return cell
	}
	return colour + cell + reset
}
