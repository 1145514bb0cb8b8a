package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"dmalloc/bench"
	"dmalloc/bench/compare"
	"dmalloc/bench/peer"
	"dmalloc/bench/scale"
	"dmalloc/client"
	"dmalloc/cluster"
	"dmalloc/message"
	"dmalloc/repl"
)

const (
	scaleConns = 8               // connections that operations in flight share
	restFor    = 2 * time.Second // that a cluster is looked at while nobody uses it, at least
	restAfter  = time.Second     // since it was started
	ticks      = 100             // of processor time in a second, as the kernel tells it
)

// scaleFlags are those of bench scale.
type scaleFlags struct {
	rows   []string
	most   int
	rounds int
	length time.Duration
	warmup time.Duration
	limit  time.Duration
	write  string
	output string
	quiet  bool
}

// benchScaleCommand measures how the cost of a heap grows.
func benchScaleCommand() *cobra.Command {
	f := scaleFlags{}
	cmd := &cobra.Command{
		Use:   "scale",
		Short: "measure how the cost grows with clients, companies, nodes, allocations and replicas",
		Long: `scale starts one cluster after the other on this machine, and has client processes write and read 16 bytes, or allocate and free:
once with many operations in flight, for the rate, and once with one, for the latency. Beside them stand the nodes' processor
time and frames for an operation, how many operations share an entry of the log, and what a cluster takes that nobody uses.
What fails says so in its place, and the rest is measured.

Rows:
` + scaleRows() + `
It takes some ten minutes. --rows chooses, --most leaves out what is too large for a machine.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			return f.run(ctx, os.Stdout)
		},
	}
	fl := cmd.Flags()
	fl.StringSliceVar(&f.rows, "rows", nil, "only these: "+strings.Join(scale.Names(), ", "))
	fl.IntVar(&f.most, "most", math.MaxInt, "leave out points above this")
	fl.IntVar(&f.rounds, "rounds", 3, "how often each point is measured")
	fl.DurationVar(&f.length, "for", time.Second, "how long each measurement takes")
	fl.DurationVar(&f.warmup, "warmup", 300*time.Millisecond, "and what is not counted before it")
	fl.DurationVar(&f.limit, "limit", 12*time.Minute, "begin no point after this time")
	fl.StringVar(&f.write, "write", "", "write the page "+scale.PageFile+" and its pictures into this directory, too")
	fl.StringVarP(&f.output, "output", "o", "table", "table, or json: a line a row")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing while measuring")
	fl.Lookup("most").DefValue = "0" // which is not shown
	return cmd
}

// scaleRows is the part of the help that lists them.
func scaleRows() string {
	var b strings.Builder
	for _, s := range scale.Sweeps() {
		var values []string
		for _, p := range s.Points {
			values = append(values, strconv.Itoa(p.Value))
		}
		fmt.Fprintf(&b, "  %-12s %s: %s\n", s.Name, s.Title, strings.Join(values, ", "))
	}
	return b.String()
}

// check judges the command line.
func (f *scaleFlags) check() ([]scale.Sweep, error) {
	if err := checkRounds(f.rounds, f.length, f.warmup); err != nil {
		return nil, err
	}
	switch {
	case f.limit <= 0:
		return nil, usage("--limit %v: some time is needed", f.limit)
	case f.output != "table" && f.output != "json":
		return nil, usage("-o %s: use table or json", f.output)
	}
	if f.write != "" {
		if s, err := os.Stat(f.write); err != nil || !s.IsDir() {
			return nil, usage("--write %s: this is no directory that pages and pictures can be written into", f.write)
		}
	}
	sweeps, err := scale.Select(scale.Sweeps(), f.rows, f.most)
	if err != nil {
		return nil, exit{exitUsage, err}
	}
	return sweeps, nil
}

func (f *scaleFlags) run(ctx context.Context, out io.Writer) error {
	sweeps, err := f.check()
	if err != nil {
		return err
	}
	begin := time.Now()
	r := scale.Report{Date: begin, Version: version(), Command: strings.Join(append([]string{"dmalloc"}, os.Args[1:]...), " "), Rounds: f.rounds, Length: f.length, Warmup: f.warmup}
	if r.Machine, err = compare.Look(os.TempDir()); err != nil {
		return exit{exitFailed, fmt.Errorf("look at the machine: %w", err)}
	}
	if busy := r.Machine.Busy(); busy != "" && !f.quiet {
		fmt.Fprintln(os.Stderr, "dmalloc: "+busy)
	}
	s := &scaling{f: f}
	if s.program, err = thisProgram(); err != nil {
		return exit{exitFailed, err}
	}
	defer s.Close()
	r.Results, err = scale.Run(ctx, s, sweeps, scale.Plan{Rounds: f.rounds, Until: begin.Add(f.limit), Told: f.told})
	r.Took = time.Since(begin)
	if err != nil {
		return exit{exitFailed, errors.Join(fmt.Errorf("given up: %w", err), f.print(&r, out))}
	}
	if err := f.print(&r, out); err != nil {
		return exit{exitFailed, err}
	}
	if err := f.keep(&r); err != nil {
		return exit{exitFailed, err}
	}
	var failed []string
	for i := range r.Results {
		failed = append(failed, r.Results[i].Failures()...)
	}
	if len(failed) > 0 {
		return exit{exitFailed, fmt.Errorf("%s; %d of %d points or works failed", failed[0], len(failed), len(r.Results))}
	}
	return nil
}

func (f *scaleFlags) print(r *scale.Report, out io.Writer) error {
	if f.output == "json" {
		return r.JSON(out)
	}
	return r.Table(out)
}

// keep writes the page and the pictures, if they are wanted.
func (f *scaleFlags) keep(r *scale.Report) error {
	if f.write == "" {
		return nil
	}
	if err := r.Pictures(func(name string, svg []byte) error {
		return repl.ReplaceFile(filepath.Join(f.write, name), func(w io.Writer) error { _, err := w.Write(svg); return err })
	}); err != nil {
		return err
	}
	return repl.ReplaceFile(filepath.Join(f.write, scale.PageFile), r.Page)
}

// told says on standard error how far it is.
func (f *scaleFlags) told(r *scale.Result) {
	if f.quiet {
		return
	}
	failures := r.Failures()
	for _, text := range failures {
		fmt.Fprintln(os.Stderr, "dmalloc: "+text)
	}
	if len(failures) == 0 {
		fmt.Fprintf(os.Stderr, "%s %d was measured\n", r.Sweep.Name, r.Point.Value)
	}
}

// scaling is a scale.Bench of processes.
type scaling struct {
	program
	f       *scaleFlags
	cluster *running
	empty   spent // when nothing was allocated
	live    int
}

// Open starts a cluster.
func (s *scaling) Open(ctx context.Context, shape scale.Shape) (err error) {
	s.live = 0
	if s.cluster, err = startCluster(ctx, cluster.Config{Nodes: shape.Nodes, Companies: shape.Companies, Replicas: shape.Replicas}, true); err != nil {
		return err
	}
	if s.empty, err = s.spent(ctx); err != nil {
		s.Close()
	}
	return err
}

// Close ends it.
func (s *scaling) Close() {
	if s.cluster != nil {
		s.cluster.Close()
		s.cluster = nil
	}
}

// spent is what all nodes have done until now.
type spent struct {
	at       time.Time
	cpu      time.Duration
	frames   uint64
	bytes    uint64
	done     uint64 // operations, of all kinds that change or read the heap
	changes  uint64 // those of them that need an entry
	entries  uint64 // of companies' logs
	resident uint64
	counted  uint64 // tables and pages
	nodes    int
}

// spent asks the nodes, which costs them something, and looks at their processor time at last.
func (s *scaling) spent(ctx context.Context) (x spent, err error) {
	h := s.cluster.heap
	for _, c := range s.cluster.launcher.Directory().Companies[1:] {
		if err := patiently(ctx, fmt.Sprintf("how many entries company %s has", c.ID), func() bool {
			applied := h.Applied(ctx, c.Owners[0].Node, c.ID, c.Owners[0].Replica)
			x.entries += applied
			return applied > 0
		}); err != nil {
			return x, err
		}
	}
	x.nodes = len(s.cluster.launcher.States())
	var nodes []client.Node
	var stats []message.NodeStats
	if err := patiently(ctx, "what each node has done", func() bool {
		nodes, _ = h.Nodes(ctx)
		stats, _ = h.Stats(ctx)
		return len(stats) == x.nodes && !slices.ContainsFunc(nodes, func(n client.Node) bool { return n.MemoryUse == nil })
	}); err != nil {
		return x, err
	}
	for _, n := range nodes {
		x.resident += n.Memory
		x.counted += n.MemoryUse.Tables + n.MemoryUse.Pages
	}
	for _, n := range stats {
		for _, c := range n.Counters {
			switch c.Name {
			case "transport_frames_out":
				x.frames += c.Value
			case "transport_bytes_out":
				x.bytes += c.Value
			}
		}
		x.changes += n.Operations["WRITE"].Count + n.Operations["MALLOC"].Count + n.Operations["FREE"].Count
		x.done += n.Operations["READ"].Count
	}
	x.done += x.changes
	x.at = time.Now()
	x.cpu, err = s.processors()
	return x, err
}

// patiently asks again, for nodes that have just had much to do may be slow to answer.
func patiently(ctx context.Context, what string, ask func() bool) error {
	for range 10 {
		if ask() {
			return nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return message.Errorf(message.Unavailable, "nobody says %s", what)
}

// processors is what all nodes have used of processors' time.
func (s *scaling) processors() (sum time.Duration, err error) {
	for _, n := range s.cluster.launcher.States() {
		used, err := processorTime(n.Pid)
		if err != nil {
			return 0, fmt.Errorf("node %s: %w", n.ID, err)
		}
		sum += used
	}
	return sum, nil
}

// processorTime is what a process of this machine has used.
func processorTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("its processor time is not known: %w", err)
	}
	// What the program is called may hold anything, so one begins to count behind it.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("its processor time is not known: %q", b)
	}
	var sum uint64
	for _, f := range fields[11:13] { // utime, stime
		n, err := strconv.ParseUint(string(f), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("its processor time is not known: %w", err)
		}
		sum += n
	}
	return time.Duration(sum) * time.Second / ticks, nil
}

// Rest looks on while nobody uses the cluster.
func (s *scaling) Rest(ctx context.Context) (scale.Rest, error) {
	if err := pause(ctx, restAfter); err != nil {
		return scale.Rest{}, err
	}
	from, err := s.spent(ctx)
	if err != nil {
		return scale.Rest{}, err
	}
	if err := pause(ctx, max(restFor, 2*s.f.length)); err != nil {
		return scale.Rest{}, err
	}
	used, err := s.processors() // before the nodes are asked
	if err != nil {
		return scale.Rest{}, err
	}
	to, err := s.spent(ctx)
	if err != nil {
		return scale.Rest{}, err
	}
	seconds := to.at.Sub(from.at).Seconds()
	return scale.Rest{CPU: 100 * (used - from.cpu).Seconds() / seconds, Frames: float64(to.frames-from.frames) / seconds,
		Bytes: float64(to.bytes-from.bytes) / seconds, Resident: float64(to.resident) / float64(to.nodes)}, nil
}

// Fill allocates.
func (s *scaling) Fill(ctx context.Context, live int) (scale.Memory, error) {
	var heaps []bench.Heap
	for _, n := range s.cluster.launcher.Directory().Present() {
		c, err := client.Dial(ctx, n.Address)
		if err != nil {
			return scale.Memory{}, err
		}
		defer c.Close()
		heaps = append(heaps, c)
	}
	if err := bench.Fill(ctx, heaps, fillers, live-s.live, 16); err != nil {
		return scale.Memory{}, err
	}
	s.live = live
	now, err := s.spent(ctx)
	if err != nil {
		return scale.Memory{}, err
	}
	each := float64(live) * float64(s.cluster.launcher.Settings().Replicas)
	return scale.Memory{Counted: grown(s.empty.counted, now.counted) / each, Resident: grown(s.empty.resident, now.resident) / each}, nil
}

const fillers = 256 // allocations under way at once

// grown is by how much something grew that may have shrunk.
func grown(from, to uint64) float64 { return float64(to - min(from, to)) }

// Measure has a process do one task, and sees what the nodes spend on it.
func (s *scaling) Measure(ctx context.Context, t scale.Task) (scale.Sample, error) {
	var addresses []string
	for _, n := range s.cluster.launcher.Directory().Present() {
		addresses = append(addresses, n.Address)
	}
	from, err := s.spent(ctx)
	if err != nil {
		return scale.Sample{}, err
	}
	r, err := s.client(ctx, peer.Order{Peer: peer.Heap, Work: t.Work, Addresses: addresses, Size: t.Size, Connections: min(scaleConns, t.InFlight), InFlight: t.InFlight,
		Warmup: s.f.warmup, Length: s.f.length})
	if err != nil {
		return scale.Sample{}, err
	}
	used, err := s.processors() // before the nodes are asked
	if err != nil {
		return scale.Sample{}, err
	}
	to, err := s.spent(ctx)
	if err != nil {
		return scale.Sample{}, err
	}
	x := scale.Sample{PerSecond: r.PerSecond, P50: r.P50, P99: r.P99, Errors: r.Errors, Error: r.Error}
	n := float64(to.done - from.done)
	if t.Work == scale.Pair {
		n /= 2
	}
	if n > 0 {
		x.CPU, x.Frames = float64((used-from.cpu).Microseconds())/n, float64(to.frames-from.frames)/n
	}
	if n := float64(to.entries - from.entries); n > 0 && t.Work != "read" {
		x.PerEntry = float64(to.changes-from.changes) / n
	}
	return x, nil
}
