package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"dmalloc/client"
	"dmalloc/repl"
)

// sessionFlags are those of a shell, whoever started the cluster.
type sessionFlags struct {
	commands []string
	script   string
	output   string
	timeout  time.Duration
	stop     bool
	yes      bool
	color    string
	graph    string

	own client.Options // by which further clients connect
}

func (f *sessionFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringArrayVarP(&f.commands, "command", "c", nil, "run these commands, separated by ';', and leave")
	fl.StringVarP(&f.script, "file", "f", "", "run the commands of this file, one a line, and leave")
	fl.StringVarP(&f.output, "output", "o", "table", "how results are printed: table, json or csv")
	fl.DurationVar(&f.timeout, "timeout", 5*time.Second, "how long a command may take before it answers unavailable or timeout")
	fl.BoolVarP(&f.stop, "stop-on-error", "e", false, "stop at the first command that fails")
	fl.BoolVarP(&f.yes, "yes", "y", false, "never ask")
	fl.StringVar(&f.color, "color", "auto", "auto, on or off")
	fl.StringVar(&f.graph, "graph", "", "keep this DOT file current with the allocations, for xdot")
}

// check judges the flags before anything is started.
func (f *sessionFlags) check() error {
	if f.script != "" {
		if _, err := os.Stat(f.script); err != nil {
			return usage("the script cannot be read: %v", err)
		}
	}
	switch f.output {
	case "table", "json", "csv":
	default:
		return usage("-o %s: use table, json or csv", f.output)
	}
	if f.timeout < time.Millisecond {
		return usage("--timeout %v is too short; use for example 5s", f.timeout)
	}
	return nil
}

// interactive says whether a person sits at the terminal and no script is given.
func (f *sessionFlags) interactive() bool {
	return len(f.commands) == 0 && f.script == "" && term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd()))
}

// run is the shell itself, with the picture kept current beside it.
func (f *sessionFlags) run(ctx context.Context, heap *client.Heap, control repl.Control) error {
	if f.graph != "" {
		last, err := drawGraph(ctx, heap, f.graph, "")
		if err != nil {
			return exit{exitFailed, fmt.Errorf("--graph: %w", err)}
		}
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { defer close(done); keepGraph(ctx, heap, f.graph, last) }()
		defer func() { cancel(); <-done }()
	}
	status := repl.Run(ctx, repl.Options{
		Heap: heap, Control: control, Grapher: heap.Graph, Dialer: dialer(heap, f.own), Interactive: f.interactive(), Commands: f.commands, Script: f.script,
		Output: f.output, Timeout: f.timeout, StopOnError: f.stop, Yes: f.yes, Color: f.color, Version: version(),
	})
	if status != exitOK {
		return exit{status: status}
	}
	return nil
}

// graphEvery is how often the picture is drawn anew; xdot looks once a second.
const graphEvery = 500 * time.Millisecond

// keepGraph rewrites file whenever the picture has changed, each time as a whole.
// It is written once more at the end.
func keepGraph(ctx context.Context, heap *client.Heap, file, last string) {
	for over := false; !over; {
		select {
		case <-ctx.Done():
			over = true
		case <-time.After(graphEvery):
		}
		var err error
		if last, err = drawGraph(context.WithoutCancel(ctx), heap, file, last); err != nil {
			fmt.Fprintf(os.Stderr, "dmalloc: the picture is not kept any more: %v\n", err)
			return
		}
	}
}

// drawGraph writes the picture if it is not the last one, which it returns. A heap that does not answer
// leaves the picture as it was.
func drawGraph(ctx context.Context, heap *client.Heap, file, last string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	dot, err := heap.Graph(ctx, "allocations")
	if err != nil || dot == last {
		return last, nil
	}
	return dot, repl.WriteFile(file, []byte(dot))
}
