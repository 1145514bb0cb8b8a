package repl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"dmalloc/message"
)

// runTerminal is the interactive shell.
func runTerminal(ctx context.Context, o Options) int {
	kept, err := loadPast(o.History)
	live := newLive(ctx, o.Heap)
	reader, rerr := newTerminal(ctx, o, live, kept.lines)
	if rerr != nil {
		fmt.Fprintln(o.Err, "dmalloc: "+escape(rerr.Error(), true))
		return ExitUsage
	}
	defer reader.Close()
	con := newConsole(reader.Stdout(), reader.Stderr(), o.Out, o.Err)
	s := newShell(o, con)
	reader.hint.shown = con.colours
	s.past, s.ask = kept, reader.Ask
	if err != nil {
		con.say(yellow, "history is not kept: "+err.Error())
	}
	s.interrupts = catchInterrupts()
	defer s.interrupts.stop()
	var leaderless atomic.Bool
	show := func() { reader.SetPrompt(prompt(o.Heap.Home(), leaderless.Load(), con)) }
	w := newWatch(ctx, o.Heap, func(now bool) {
		leaderless.Store(now)
		show()
	})
	defer w.stop()
	s.rest = w.pause
	s.converse(ctx, reader, show)
	con.flush()
	return ExitOK
}

// converse runs line after line until the user leaves. show sets the prompt, which `set color` may change.
func (s *Shell) converse(ctx context.Context, reader LineReader, show func()) {
	for !s.over(ctx) {
		show()
		line, err := reader.ReadLine()
		switch {
		case ctx.Err() != nil:
			return // what stood in the line was not meant to run
		case errors.Is(err, errInterrupted):
			if strings.TrimSpace(line) == "" {
				s.con.say(grey, "exit or Ctrl-D leaves; Ctrl-C cancels a command that runs")
			}
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			s.fail("", err, 0)
			return
		default:
			reader.Remember(line)
			s.runLine(ctx, line)
		}
	}
}

// prompt shows the node that the shell is on, marked while a company has no leader.
func prompt(home message.NodeID, leaderless bool, con *console) string {
	mark, colour := "", green
	if leaderless {
		mark, colour = "!", red
	}
	where := "n" + home.String() + mark
	if con.colours() {
		where = colour + where + reset
	}
	return "dmalloc " + where + "> "
}

// confirm asks before something that is hard to undo. A script, --yes and `set yes on` are never asked.
func (s *Shell) confirm(c *call, what string) error {
	if s.ask == nil || s.yes || c.flags["--yes"] {
		return nil
	}
	c.meter.pause()
	defer c.meter.resume()
	answer, err := s.ask(what + " Type yes to go on: ")
	if err == nil && strings.EqualFold(strings.TrimSpace(answer), "yes") {
		return nil
	}
	return message.Errorf(message.Canceled, "canceled; nothing was done")
}
