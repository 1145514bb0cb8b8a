// Command dmalloc starts, shows, breaks and heals a heap that a whole cluster shares. Each subcommand is
// a file: it turns flags into a configuration, builds, runs and maps errors to the exit status. The rest
// is elsewhere.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	_ "dmalloc/internal/quiet" // before any library greets the user
	"dmalloc/message"
)

// Exit statuses, as README.md promises them.
const (
	exitOK     = 0
	exitFailed = 1 // a command of the script failed
	exitUsage  = 2 // the command line was wrong
	exitNone   = 3 // no cluster could be started or reached
)

// exit carries a status through cobra.
type exit struct {
	status int
	err    error
}

func (e exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e exit) Unwrap() error { return e.err }

// version is what `go build` knows of this program.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "devel"
	}
	return info.Main.Version
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dmalloc",
		Short: "a heap that a whole cluster shares, and the shell that starts, shows, breaks and heals it",
		Long: `dmalloc is a heap that a whole cluster shares. Any machine can allocate a block, write it, read it and
free it; the block survives the death of the machines that hold it.

  dmalloc up -n 5                    start five nodes on this machine and open a shell
  dmalloc up -n 3 -c 'm 100; t'      start three, run two commands, stop
  dmalloc shell --connect HOST:PORT  the same shell on a cluster that is up`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
	}
	cmd.AddCommand(upCommand(), shellCommand(), certsCommand(), nodeCommand(), wardenCommand(), benchCommand(), drillCommand(), simCommand(), doctorCommand(), sysdumpCommand(), docsCommand())
	return cmd
}

func main() { os.Exit(run(os.Args[1:])) }

// run is main without the exit, for tests.
func run(args []string) int {
	cmd := root()
	cmd.SetArgs(args)
	err := cmd.Execute()
	if err == nil {
		return exitOK
	}
	var e exit
	if errors.As(err, &e) {
		if e.err != nil {
			fmt.Fprintln(os.Stderr, "dmalloc: "+e.err.Error())
		}
		return e.status
	}
	// Whatever cobra itself refuses is the command line's fault.
	fmt.Fprintf(os.Stderr, "dmalloc: %v; see dmalloc %s --help\n", err, subcommand(args))
	return exitUsage
}

func subcommand(args []string) string {
	if len(args) > 0 && len(args[0]) > 0 && args[0][0] != '-' {
		if c, _, err := root().Find(args[:1]); err == nil && c.HasParent() {
			return c.Name()
		}
	}
	return ""
}

// usage makes an error of the command line.
func usage(format string, args ...any) error { return exit{exitUsage, fmt.Errorf(format, args...)} }

// size is a flag that takes 100, 4k or 1GiB.
type size uint64

func (s *size) String() string { return message.FormatSize(uint64(*s)) }
func (s *size) Type() string   { return "size" }
func (s *size) Set(text string) error {
	n, err := message.ParseSize(text)
	*s = size(n)
	return err
}

// patience is for how many milliseconds a node may be dead before others take its place; negative is for ever.
type patience int

func (p *patience) String() string {
	switch {
	case *p == 0:
		return ""
	case *p < 0:
		return "never"
	}
	return (time.Duration(*p) * time.Millisecond).String()
}

func (p *patience) Type() string { return "duration" }

func (p *patience) Set(text string) error {
	if text == "never" || text == "0" {
		*p = -1
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < minPatience || d > maxPatience {
		return message.Errorf(message.InvalidArgument, "%s is not for how long a node may be dead: use %v to %v, or never", message.Quote(text), minPatience, maxPatience)
	}
	*p = patience(d.Milliseconds())
	return nil
}

const (
	minPatience = 500 * time.Millisecond // below it a slow election would pass for a death
	maxPatience = 24 * 24 * time.Hour    // what fits in 32 bits of milliseconds
)
