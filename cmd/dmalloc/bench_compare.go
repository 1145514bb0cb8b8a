package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"dmalloc/bench/compare"
	"dmalloc/bench/peer"
	"dmalloc/cluster"
	"dmalloc/repl"
)

const (
	comparePrefix = "dmalloc-compare-" // of the directory that peers get
	longest       = 20 * time.Second   // of a measurement: a lease lasts a little longer
)

// compareFlags are those of bench compare.
type compareFlags struct {
	rounds   int
	length   time.Duration
	warmup   time.Duration
	rows     []string
	peers    []string
	output   string
	replicas int
	size     size
	write    string
	plan     bool
	quiet    bool
}

// benchCompareCommand measures a heap beside other systems.
func benchCompareCommand() *cobra.Command {
	f := compareFlags{size: 1 << 30}
	cmd := &cobra.Command{
		Use:   "compare",
		Short: "measure a heap beside etcd, Redis, raw Dragonboat, the disk and the network",
		Long: `compare starts a heap and, one after the other, each system that it is compared with on this machine: as many replicas, as durable,
on free ports of loopback, with files in a temporary directory. Client processes then do the same work with both in turns, for
several rounds, and what is printed are the ratios: their median, the least and the greatest. What is not installed is left out
with a word. All that was started ends with this command, however that ends.

` + compareRows(),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			return f.run(ctx, os.Stdout)
		},
	}
	fl := cmd.Flags()
	fl.IntVar(&f.rounds, "rounds", 5, "how often each row is measured, in turns with the others")
	fl.DurationVar(&f.length, "for", 2*time.Second, "how long each measurement takes")
	fl.DurationVar(&f.warmup, "warmup", 300*time.Millisecond, "and what is not counted before it")
	fl.StringSliceVar(&f.rows, "rows", nil, "only the rows with these names")
	fl.StringSliceVar(&f.peers, "peers", nil, "only rows about these: "+strings.Join(compare.Groups, ", "))
	fl.StringVarP(&f.output, "output", "o", "table", "table, csv or json")
	fl.IntVar(&f.replicas, "replicas", 3, "of each system")
	fl.Var(&f.size, "size", "bytes of the file that is written and read")
	fl.StringVar(&f.write, "write", "", "write the page docs/performance.md to this file, too")
	fl.BoolVar(&f.plan, "plan", false, "measure nothing: show the rows, their aims, and with --write how they are measured")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing while measuring")
	return cmd
}

// compareRows is the part of the help that lists them.
func compareRows() string {
	var b strings.Builder
	b.WriteString("Rows:\n")
	for _, r := range compare.Rows(1 << 30) {
		fmt.Fprintf(&b, "  %-22s  %s | %s\n", r.Name, r.Work, r.Against)
	}
	return b.String()
}

// checkRounds judges how often and for how long is measured.
func checkRounds(rounds int, length, warmup time.Duration) error {
	switch {
	case rounds < 1:
		return usage("--rounds %d: measure at least once", rounds)
	case length < 50*time.Millisecond || length > longest:
		return usage("--for %v: a measurement takes 50ms to %v", length, longest)
	case warmup < 0 || warmup > longest/4:
		return usage("--warmup %v: use 0s to %v", warmup, longest/4)
	}
	return nil
}

// check judges the command line.
func (f *compareFlags) check() ([]compare.Row, error) {
	if err := checkRounds(f.rounds, f.length, f.warmup); err != nil {
		return nil, err
	}
	switch {
	case f.replicas < 1 || f.replicas > 9:
		return nil, usage("--replicas %d: use 1 to 9", f.replicas)
	case f.size < 1<<20:
		return nil, usage("--size %s: the file has at least 1MiB", &f.size)
	case f.output != "table" && f.output != "csv" && f.output != "json":
		return nil, usage("-o %s: use table, csv or json", f.output)
	}
	rows, err := compare.Select(compare.Rows(uint64(f.size)), f.rows, f.peers)
	if err != nil {
		return nil, exit{exitUsage, err}
	}
	return rows, nil
}

func (f *compareFlags) run(ctx context.Context, out io.Writer) error {
	rows, err := f.check()
	if err != nil {
		return err
	}
	r := compare.Report{Date: time.Now(), Version: version(), Replicas: f.replicas, Rounds: f.rounds, Length: f.length, Warmup: f.warmup}
	if r.Machine, err = compare.Look(os.TempDir()); err != nil {
		return exit{exitFailed, fmt.Errorf("look at the machine: %w", err)}
	}
	if f.plan {
		r.Outcomes = compare.Plan(rows)
		return f.say(&r, out)
	}
	if busy := r.Machine.Busy(); busy != "" && !f.quiet {
		fmt.Fprintln(os.Stderr, "dmalloc: "+busy)
	}
	c, err := f.open()
	if err != nil {
		return notStarted(err)
	}
	defer c.close()
	r.Outcomes, err = compare.Run(ctx, c, rows, f.rounds, f.told)
	if err != nil {
		f.write = "" // the page is of whole comparisons
		return exit{exitFailed, errors.Join(fmt.Errorf("given up: %w", err), f.say(&r, out))}
	}
	if err := f.say(&r, out); err != nil {
		return err
	}
	for i := range r.Outcomes {
		if o := &r.Outcomes[i]; o.Failed() {
			return exit{exitFailed, fmt.Errorf("%s: %s", o.Name, o.Verdict())}
		}
	}
	return nil
}

// say prints the report, and writes the page if one is wanted.
func (f *compareFlags) say(r *compare.Report, out io.Writer) error {
	if err := map[string]func(io.Writer) error{"table": r.Table, "csv": r.CSV, "json": r.JSON}[f.output](out); err != nil {
		return exit{exitFailed, err}
	}
	if f.write != "" {
		if err := repl.ReplaceFile(f.write, r.Page); err != nil {
			return exit{exitFailed, err}
		}
	}
	return nil
}

// told says on standard error how far it is.
func (f *compareFlags) told(o *compare.Outcome, round int) {
	if f.quiet {
		return
	}
	if len(o.Us) == 0 || o.Skipped != "" {
		fmt.Fprintf(os.Stderr, "round %d  %-22s  %s\n", round+1, o.Name, o.Verdict())
		return
	}
	us, them := o.Us[len(o.Us)-1], o.Them[len(o.Them)-1]
	fmt.Fprintf(os.Stderr, "round %d  %-22s  dmalloc %.6g, peer %.6g %s: %.3g\n", round+1, o.Name, us.Value, them.Value, o.Unit, us.Value/them.Value)
}

// comparison is a compare.Bench of processes.
type comparison struct {
	program
	f       *compareFlags
	dir     string // of peers and files
	tidy    *tidying
	heaps   map[string]*running
	servers map[string]*peer.Server
	file    bulk
}

// open makes room for what is going to run.
func (f *compareFlags) open() (_ *comparison, err error) {
	c := &comparison{f: f, heaps: map[string]*running{}, servers: map[string]*peer.Server{}}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if c.program, err = thisProgram(); err != nil {
		return nil, err
	}
	if c.dir, err = os.MkdirTemp("", comparePrefix); err != nil {
		return nil, err
	}
	if c.tidy, err = tidyAfter(string(c.program), c.dir); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *comparison) close() {
	for name := range c.servers {
		c.Close(name)
	}
	for name := range c.heaps {
		c.Close(name)
	}
	c.file.close()
	if c.dir != "" {
		_ = os.RemoveAll(c.dir)
	}
	if c.tidy != nil {
		c.tidy.end()
	}
}

// raft are the heap's own times, for raw Dragonboat.
func raft() peer.Raft {
	return peer.Raft{Tick: cluster.DefaultTick, Election: cluster.DefaultElection, Heartbeat: cluster.DefaultHeartbeat}
}

// Open starts a peer, or a heap.
func (c *comparison) Open(ctx context.Context, server string) (string, error) {
	if server == peer.Heap || server == peer.HeapOne {
		// The file has to fit beside what else is written; memory that is not written takes none.
		cfg := cluster.Config{Nodes: c.f.replicas, Replicas: c.f.replicas, RegisterReplicas: c.f.replicas, Memory: max(cluster.DefaultMemory, 3*uint64(c.f.size))}
		if server == peer.HeapOne {
			cfg.Companies = 1
		}
		h, err := startCluster(ctx, cfg, true)
		if err == nil {
			c.heaps[server] = h
		}
		return version(), err
	}
	s, err := peer.Start(ctx, server, peer.Config{Dir: c.dir, Replicas: c.f.replicas, Program: string(c.program), RawArgs: []string{"bench", "raw-node"}, Raft: raft()})
	if err != nil {
		return "", err
	}
	c.servers[server] = s
	return s.Version, nil
}

// Close ends it.
func (c *comparison) Close(server string) {
	if h := c.heaps[server]; h != nil {
		h.Close()
		delete(c.heaps, server)
		c.file.at = 0
		return
	}
	c.servers[server].Close()
	delete(c.servers, server)
}

// addresses are where the clients of a peer connect.
func (c *comparison) addresses(who string) []string {
	if s := c.servers[who]; s != nil {
		return s.Addresses
	}
	h := c.heaps[who]
	if h == nil {
		return nil
	}
	var all []string
	for _, n := range h.launcher.Directory().Present() {
		all = append(all, n.Address)
	}
	return all
}

// Measure has a process do one task.
func (c *comparison) Measure(ctx context.Context, t compare.Task, u compare.Unit) (compare.Sample, error) {
	switch t.Work {
	case compare.Upload, compare.Download, compare.Receive:
		took, err := c.bulk(ctx, t)
		return compare.Sample{Value: took.Seconds()}, err
	case compare.Failover:
		took, err := c.failover(ctx, t)
		return compare.Sample{Value: took.Seconds()}, err
	}
	r, err := c.client(ctx, peer.Order{Peer: t.Peer, Work: t.Work, Addresses: c.addresses(t.Peer), Replicas: c.f.replicas, Size: t.Size,
		Connections: t.Connections, InFlight: t.InFlight, Warmup: c.f.warmup, Length: c.f.length, Dir: c.dir, Raft: raft()})
	s := compare.Sample{Value: r.PerSecond, Errors: r.Errors, Error: r.Error}
	if u == compare.Microseconds {
		s.Value = r.P50
	}
	return s, err
}

// tidying is a process that deletes a directory when this one is gone, however it went.
type tidying struct {
	cmd   *exec.Cmd
	alive io.Closer
}

func tidyAfter(program, dir string) (*tidying, error) {
	cmd := exec.Command(program, "bench", "tidy", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it is not to get the terminal's Ctrl-C, and outlives us
	alive, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start who tidies up: %w", err)
	}
	return &tidying{cmd, alive}, nil
}

func (t *tidying) end() {
	_ = t.alive.Close()
	_ = t.cmd.Wait()
}

// tidyCommand is the other side of tidyAfter.
func tidyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "tidy DIR", Short: "delete the files of a comparison that has ended", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if !strings.HasPrefix(filepath.Base(args[0]), comparePrefix) {
				return usage("%s is no directory of a comparison", args[0])
			}
			_, _ = io.Copy(io.Discard, os.Stdin) // ends with the process that has the other end
			for range 100 {                      // the kernel may still be ending those who write there
				if err := os.RemoveAll(args[0]); err == nil {
					return nil
				}
				time.Sleep(20 * time.Millisecond)
			}
			return exit{exitFailed, fmt.Errorf("%s could not be deleted", args[0])}
		},
	}
}

// fill makes a file of bytes that nothing can make smaller.
func fill(name string, bytes uint64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.CopyN(f, rand.NewChaCha8([32]byte{1}), int64(bytes)); err != nil {
		return err
	}
	return f.Sync() // else it would be written while something is measured
}
