package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dmalloc/bench"
	"dmalloc/certs"
	"dmalloc/client"
	"dmalloc/message"
	"dmalloc/owner"
	"dmalloc/owner/raw"
)

type benchFlags struct {
	up       upFlags
	address  string
	mix      string
	size     size
	clients  []int
	conns    int
	length   time.Duration
	warmup   time.Duration
	output   string
	noRaw    bool
	rounds   int
	total    int
	transfer size
	profile  string

	sizeGiven bool
}

// benchCommand measures a heap: one that is up, or one that it starts for the purpose.
func benchCommand() *cobra.Command {
	f := benchFlags{size: 16, transfer: 256 << 20}
	cmd := &cobra.Command{
		Use:   "bench [mix|failover|allocations|file|registers|leases|growth|compare|scale]",
		Short: "measure a heap from outside, and raw Dragonboat beside it",
		Long: `bench measures a heap with clients of its own: one that is up (--connect), or one that it starts as up would.

  mix          operations drawn from --mix, for each number of --clients, and raw Dragonboat with as many
  failover     kill the leader, --rounds times: time to the next write that is acknowledged
  allocations  MALLOC with 1000 and with --total live allocations, and the memory that these take
  file         write and read back --transfer bytes
  registers    registers by quorum and heap memory through Raft in one run, for each number of --clients, and what a
               client loses when a register's replica is killed or frozen, --rounds times
  leases       reads of leased pages, in a node and from outside it, beside copying memory and reads that a quorum
               confirms, and writes that readers have to give their leases back for
  growth       --transfer bytes in five nodes: what is moved when a sixth comes; what clients notice while nodes come,
               go and are replaced after --replace-after
  compare      a heap beside etcd, Redis, raw Dragonboat, disk and network, with flags of its own: bench compare --help
  scale        throughput and latency against clients, companies, nodes, allocations and replicas, with flags of its
               own: bench scale --help`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			what := "mix"
			if len(args) == 1 {
				what = args[0]
			}
			f.up.given(cmd)
			mix, err := bench.ParseMix(f.mix)
			if err != nil {
				return exit{exitUsage, err}
			}
			if f.output != "table" && f.output != "json" {
				return usage("-o %s: use table or json", f.output)
			}
			f.sizeGiven = cmd.Flags().Changed("size")
			run := map[string]func(context.Context, *target, bench.Mix) error{"mix": f.runMix, "failover": f.runFailover, "allocations": f.runAllocations, "file": f.runFile, "registers": f.runRegisters, "leases": f.runLeases, "growth": f.runGrowth}[what]
			if run == nil {
				return usage("bench %s: use mix, failover, allocations, file, registers, leases, growth, compare or scale", what)
			}
			if what == "leases" && f.up.nodes == 0 {
				f.up.nodes = 1 + readers
			}
			if what == "growth" && f.up.nodes == 0 {
				f.up.nodes = 5
			}
			if f.profile != "" {
				file, err := os.Create(f.profile)
				if err != nil {
					return exit{exitUsage, err}
				}
				defer file.Close()
				if err := pprof.StartCPUProfile(file); err != nil {
					return exit{exitFailed, err}
				}
				defer pprof.StopCPUProfile()
			}
			t, err := f.open(cmd.Context())
			if err != nil {
				return notStarted(err)
			}
			defer t.close()
			if err := run(cmd.Context(), t, mix); err != nil {
				return exit{exitFailed, err}
			}
			return nil
		},
	}
	cmd.AddCommand(benchCompareCommand(), benchScaleCommand(), benchClientCommand(), rawNodeCommand(), tidyCommand())
	f.up.add(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.address, "connect", "", "measure the cluster that this node belongs to, instead of starting one")
	fl.StringVar(&f.mix, "mix", "write=1", "parts of "+strings.Join(bench.Kinds, ", ")+", as in write=70,read=30")
	fl.Var(&f.size, "size", "bytes of each allocation, write and read")
	fl.IntSliceVar(&f.clients, "clients", []int{1, 64, 256}, "operations under way at once")
	fl.IntVar(&f.conns, "connections", 4, "client instances that these share")
	fl.DurationVar(&f.length, "for", 5*time.Second, "how long each measurement takes")
	fl.DurationVar(&f.warmup, "warmup", time.Second, "and what is not counted before it")
	fl.StringVarP(&f.output, "output", "o", "table", "table, or json: a line a row")
	fl.StringVar(&f.profile, "profile", "", "write a CPU profile of the clients to this file")
	fl.BoolVar(&f.noRaw, "no-raw", false, "do not measure raw Dragonboat")
	fl.IntVar(&f.rounds, "rounds", 10, "kills of failover, and of registers")
	fl.IntVar(&f.total, "total", 1_000_000, "live allocations of allocations")
	fl.Var(&f.transfer, "transfer", "bytes of file")
	return cmd
}

// target is the heap that is measured.
type target struct {
	cluster *running // nil if it was up already
	heap    *client.Heap
	heaps   []bench.Heap
	conns   []*client.Conn
	control bench.Killer
}

func (t *target) close() {
	for _, c := range t.conns {
		_ = c.Close()
	}
	if t.cluster != nil {
		t.cluster.Close()
	}
}

// options are how its clients connect.
func (f *benchFlags) options() (client.Options, error) { return as(f.up.certs, certs.Client) }

// open connects as several client instances, each with connections of its own.
func (f *benchFlags) open(ctx context.Context) (*target, error) {
	t := &target{}
	own, err := f.options()
	if err != nil {
		return nil, err
	}
	if f.address == "" {
		if f.up.nodes == 0 {
			f.up.nodes = 3
		}
		cfg, err := f.up.config("")
		if err != nil {
			return nil, err
		}
		if t.cluster, err = startCluster(ctx, cfg, f.up.quiet || f.output == "json"); err != nil {
			return nil, err
		}
		f.address = t.cluster.launcher.Directory().Nodes[0].Address
		t.control = t.cluster.launcher
	}
	for range max(1, f.conns) {
		c, err := client.DialWith(ctx, f.address, own)
		if err != nil {
			t.close()
			return nil, unreached(err, f.up.certs)
		}
		t.conns = append(t.conns, c)
		t.heaps = append(t.heaps, c.Heap)
	}
	t.heap = t.conns[0].Heap
	if t.control == nil && t.conns[0].Control != nil {
		t.control = t.conns[0].Control
	}
	return t, nil
}

func (f *benchFlags) runMix(ctx context.Context, t *target, mix bench.Mix) error {
	f.head()
	for _, clients := range f.clients {
		heaps := t.heaps
		if clients == 1 {
			heaps = heaps[:1]
		}
		r, err := bench.Run(ctx, bench.Config{Mix: mix, Size: uint64(f.size), Clients: clients, Warmup: f.warmup, Length: f.length, Heaps: heaps})
		if err != nil {
			return err
		}
		for _, row := range r.Rows {
			f.row("dmalloc", clients, row)
		}
		if r.Error != "" {
			fmt.Fprintf(os.Stderr, "dmalloc: the first of the errors: %s\n", r.Error)
		}
	}
	if f.noRaw {
		return nil
	}
	owner.LogTo(slog.New(slog.DiscardHandler))
	g, err := raw.Start(ctx, raw.Config{Tick: 10, Election: 20, Heartbeat: 2})
	if err != nil {
		return err
	}
	defer g.Close()
	for _, clients := range f.clients {
		if mix["write"]+mix["malloc"]+mix["free"]+mix["pair"] > 0 {
			took := g.Propose(ctx, clients, int(f.size), f.warmup, f.length)
			f.row("raw Dragonboat", clients, bench.Sum("propose", took, 0, len(took)*int(f.size), f.length))
		}
		if mix["read"] > 0 {
			f.row("raw Dragonboat", clients, bench.Sum("read", g.Read(ctx, clients, f.warmup, f.length), 0, 0, f.length))
		}
	}
	return nil
}

func (f *benchFlags) runFailover(ctx context.Context, t *target, _ bench.Mix) error {
	if t.control == nil {
		return message.Errorf(message.Unsupported, "failover kills nodes, and nobody who started them answers; let bench start the cluster")
	}
	f.head()
	row, err := bench.Failover(ctx, t.heap, leaderOf(t.heap), t.control, f.rounds)
	if err == nil {
		f.row("dmalloc", 1, row)
	}
	return err
}

// leaderOf finds the node that leads the company of an address, and waits until there is one.
func leaderOf(h *client.Heap) func(ctx context.Context, a message.Addr) (message.NodeID, error) {
	return func(ctx context.Context, a message.Addr) (message.NodeID, error) {
		company, _ := a.Company()
		for ctx.Err() == nil {
			all, err := h.Companies(ctx)
			if err != nil {
				return 0, err
			}
			if l := all[company].Leader; l != nil {
				return *l, nil
			}
			time.Sleep(20 * time.Millisecond)
		}
		return 0, ctx.Err()
	}
}

func (f *benchFlags) runAllocations(ctx context.Context, t *target, _ bench.Mix) error {
	before, err := resident(ctx, t.heap)
	if err != nil {
		return err
	}
	f.head()
	const few = 1000
	early, late, live, err := bench.Allocations(ctx, t.heap, f.total, few, 256, uint64(f.size), func(done int) {
		if done%100_000 == 0 {
			fmt.Fprintf(os.Stderr, "%d allocations\n", done)
		}
	})
	if err != nil {
		return err
	}
	f.row("dmalloc", 1, early)
	f.row("dmalloc", 1, late)
	after, err := resident(ctx, t.heap)
	if err != nil {
		return err
	}
	d, err := t.heap.Directory(ctx)
	if err != nil {
		return err
	}
	replicas := len(d.Companies[1].Owners)
	fmt.Fprintf(os.Stderr, "resident memory of all nodes grew from %s to %s: %.0f bytes an allocation and replica, data of %d bytes and the garbage collector's slack included; MALLOC took %.2f times as long\n",
		mib(before), mib(after), float64(after-min(before, after))/float64(len(live))/float64(replicas), uint64(f.size), late.P50/early.P50)
	return nil
}

func mib(n uint64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }

// resident sums up the nodes' memory.
func resident(ctx context.Context, h *client.Heap) (uint64, error) {
	nodes, err := h.Nodes(ctx)
	var sum uint64
	for _, n := range nodes {
		sum += n.Memory
	}
	return sum, err
}

func (f *benchFlags) runFile(ctx context.Context, t *target, _ bench.Mix) error {
	f.head()
	write, read, err := bench.Stream(ctx, t.heap, uint64(f.transfer))
	if err != nil {
		return err
	}
	f.row("dmalloc", 1, write)
	f.row("dmalloc", 1, read)
	return nil
}

// head begins a report with what was measured on.
func (f *benchFlags) head() {
	if f.output == "json" {
		return
	}
	fmt.Printf("# %s/%s, %d cores, %s; %s bytes an operation\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), message.FormatSize(uint64(f.size)))
	fmt.Printf("%-16s %-34s %8s %10s %8s %10s %10s %10s %10s %7s\n", "system", "operation", "clients", "per second", "MB/s", "p50 us", "p90 us", "p99 us", "max us", "errors")
}

func (f *benchFlags) row(system string, clients int, r bench.Row) {
	if f.output == "json" {
		line := map[string]any{"system": system, "clients": clients, "size": uint64(f.size)}
		b, _ := json.Marshal(r)
		_ = json.Unmarshal(b, &line)
		out, _ := json.Marshal(line)
		fmt.Println(string(out))
		return
	}
	fmt.Printf("%-16s %-34s %8d %10.0f %8.1f %10s %10s %10s %10.0f %7d\n", system, r.Operation, clients, r.PerSecond, r.MBs, micros(r.P50), micros(r.P90), micros(r.P99), r.Max, r.Errors)
}

// micros shows microseconds, with their parts where there are few.
func micros(us float64) string {
	if us < 10 {
		return fmt.Sprintf("%.3f", us)
	}
	return fmt.Sprintf("%.0f", us)
}
