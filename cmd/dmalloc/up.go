package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"dmalloc/certs"
	"dmalloc/client"
	"dmalloc/cluster"
	"dmalloc/message"
	"dmalloc/web"
)

// upFlags are those of a cluster.
type upFlags struct {
	nodes     int
	hostfile  string
	replicas  int
	companies int
	keepers   int
	memory    size
	data      string
	http      string
	port      int
	agent     string
	binary    string
	certs     string
	tokens    string
	insecure  bool
	debug     bool
	patience  patience
	cache     size
	back      bool
	runs      int
	drills    bool
	quiet     bool

	backGiven, cacheGiven, runsGiven                                     bool
	nodesGiven, replicasGiven, companiesGiven, keepersGiven, memoryGiven bool // zero was not the default, but asked for
}

// given notes which of the flags were on the command line.
func (f *upFlags) given(cmd *cobra.Command) {
	f.backGiven, f.cacheGiven = cmd.Flags().Changed("write-back"), cmd.Flags().Changed("cache")
	f.runsGiven = cmd.Flags().Changed("runs")
	f.companiesGiven = cmd.Flags().Changed("companies")
	f.keepersGiven = cmd.Flags().Changed("register-replicas")
	f.nodesGiven, f.replicasGiven, f.memoryGiven = cmd.Flags().Changed("nodes"), cmd.Flags().Changed("replicas"), cmd.Flags().Changed("memory")
}

func (f *upFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.IntVarP(&f.nodes, "nodes", "n", 0, "how many nodes; without it as many as --data was made with, or 20")
	fl.StringVar(&f.hostfile, "hostfile", "", "where they run, in Open MPI's format; without it on this machine")
	fl.IntVar(&f.replicas, "replicas", 0, "owners of each company (3)")
	fl.IntVar(&f.companies, "companies", 0, "how many companies share the memory; without it one for each node. Fewer share more of what a write costs where nodes share processors")
	fl.IntVar(&f.keepers, "register-replicas", 0, "replicas of each register (3). With 2, a register cannot be used while one of its two nodes is down")
	fl.Var(&f.memory, "memory", "bytes of heap that each node gives (1GiB)")
	fl.Var(&f.patience, "replace-after", "for how long a node may be dead before others take its place: a duration, or never (1m)")
	fl.Var(&f.cache, "cache", "bytes of leased pages that each node keeps (64MiB)")
	fl.BoolVar(&f.back, "write-back", false, "let who holds an exclusive lease keep its writes to itself until sync, release or its end: faster, and lost with its node")
	fl.IntVar(&f.runs, "runs", 0, "have each node set so many small blocks aside at once and hand them out by itself: most small allocations need no log entry then; 0 means none, 64 is a good number")
	fl.StringVar(&f.data, "data", "", "keep everything in this directory; without it in a temporary one that goes with the cluster")
	fl.StringVar(&f.http, "http", "", "HOST:PORT of node 0's HTTP; node i listens on PORT+i")
	fl.IntVar(&f.port, "port", 0, "port of node 0's messages; node i listens on PORT+i. Without it free ones are found")
	fl.StringVar(&f.agent, "agent", "ssh", "how hosts that are not this machine are reached: AGENT HOST COMMAND…")
	fl.StringVar(&f.binary, "remote-binary", "", "where dmalloc is on those hosts; without it where it is here")
	fl.StringVar(&f.certs, "certs", "", certsUsage)
	fl.StringVar(&f.tokens, "token-file", "", tokensUsage)
	fl.BoolVar(&f.insecure, "insecure", false, insecureUsage)
	fl.BoolVar(&f.debug, "debug", false, "serve profiles at /debug/pprof/ of every node's HTTP")
	fl.BoolVar(&f.drills, "drills", false, "allow faults that can hurt the data in --data: full disks and corrupted files")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing while starting and stopping")
}

// upCommand starts a cluster, opens a shell on it, and stops it.
func upCommand() *cobra.Command {
	var f upFlags
	var s sessionFlags
	cmd := &cobra.Command{
		Use:   "up [DOTFILE]",
		Short: "start a cluster and open a shell on it",
		Long: `up starts nodes as processes, waits until every company has a leader, and opens a shell. Leaving the shell
stops every node. DOTFILE gives the links between nodes as an undirected graph of node ids, such as
graph net { 0 -- 1; 1 -- 2 [latency=20ms]; }; messages between others travel along the shortest path.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := s.check(); err != nil {
				return err
			}
			f.given(cmd)
			dot := ""
			if len(args) == 1 {
				dot = args[0]
			}
			cfg, err := f.config(dot)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			c, err := startCluster(ctx, cfg, f.quiet)
			if err != nil {
				return notStarted(err)
			}
			defer c.Close()
			s.own = c.own
			return s.run(ctx, c.heap, c.launcher)
		},
	}
	f.add(cmd)
	s.add(cmd)
	return cmd
}

// config turns flags into what the launcher needs. What is wrong here is the command line's fault.
func (f *upFlags) config(dot string) (cluster.Config, error) {
	cfg := cluster.Config{Nodes: f.nodes, Replicas: f.replicas, Companies: f.companies, RegisterReplicas: f.keepers, Memory: uint64(f.memory), Data: f.data, Port: f.port, HTTP: f.http,
		Agent: f.agent, RemoteBinary: f.binary, Debug: f.debug, Certs: f.certs, Insecure: f.insecure, Drills: f.drills,
		ReplaceAfter: int(f.patience), Cache: uint64(f.cache)}
	if f.backGiven {
		cfg.WriteBack = &f.back
	}
	if f.runsGiven {
		cfg.Runs = &f.runs
	}
	if f.runs < 0 || f.runs > message.MaxRun {
		return cfg, usage("--runs %d: a run has 1 to %d blocks; 0 means none", f.runs, message.MaxRun)
	}
	if f.cacheGiven && f.cache == 0 {
		return cfg, usage("--cache 0: a node that may cache nothing has no use for leases; leave the option out, or give a size such as 4MiB")
	}
	if f.nodesGiven && f.nodes < 1 {
		return cfg, usage("-n %d: a cluster has at least one node", f.nodes)
	}
	if f.replicasGiven && f.replicas < 1 {
		return cfg, usage("--replicas %d: a company has at least one owner", f.replicas)
	}
	if f.companiesGiven && (f.companies < 1 || f.companies > message.MaxCompany) {
		return cfg, usage("--companies %d: a heap has 1 to %d companies", f.companies, message.MaxCompany)
	}
	if f.keepersGiven && f.keepers < 1 {
		return cfg, usage("--register-replicas %d: a register has at least one replica", f.keepers)
	}
	if f.memoryGiven && f.memory == 0 {
		return cfg, usage("--memory 0: nodes without memory can hold nothing")
	}
	if f.port < 0 || f.port > 65535 {
		return cfg, usage("--port %d: ports go from 1 to 65535", f.port)
	}
	if f.tokens != "" {
		var err error
		if cfg.Tokens, err = web.ReadTokens(f.tokens); err != nil {
			return cfg, exit{exitUsage, err}
		}
	}
	if f.hostfile != "" {
		var err error
		if cfg.Hosts, err = cluster.ReadHostfile(f.hostfile); err != nil {
			return cfg, exit{exitUsage, err}
		}
		if f.data == "" {
			slots := 0
			for _, h := range cfg.Hosts {
				slots += h.Slots
			}
			if !f.nodesGiven { // as many as there is room for, up to what a hostfile usually starts
				cfg.Nodes = min(slots, cluster.DefaultNodes)
			}
			if _, err := cluster.Assign(cfg.Hosts, cfg.Nodes); err != nil {
				return cfg, exit{exitUsage, err}
			}
		}
	}
	if f.http != "" {
		if _, _, err := net.SplitHostPort(f.http); err != nil {
			return cfg, usage("--http %s is not HOST:PORT, such as 127.0.0.1:8000", f.http)
		}
	}
	if dot != "" {
		n := f.nodes
		if n == 0 && f.data != "" {
			if kept, ok, err := cluster.Kept(f.data); err == nil && ok {
				n = kept.Nodes
			}
		}
		if n == 0 {
			n = cluster.DefaultNodes
		}
		var err error
		if cfg.Topology, err = cluster.ReadTopology(dot, n); err != nil {
			return cfg, exit{exitUsage, err}
		}
	}
	return cfg, nil
}

const (
	tokensUsage   = "HTTP requests must show one of the tokens in this file, one a line, as Authorization: Bearer TOKEN"
	insecureUsage = "listen where other machines can connect, without certificates: whoever does can read and change everything"
)

// notStarted is the exit for a cluster that was not started: what the command line asked for is its fault.
func notStarted(err error) error {
	var e exit
	var open *cluster.OpenError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &open):
		return exit{exitUsage, err}
	}
	return exit{exitNone, err}
}

// running is a cluster of ours and a heap on it.
type running struct {
	own      client.Options
	launcher *cluster.Launcher
	conn     *client.Conn
	heap     *client.Heap
	registry atomic.Pointer[client.Heap] // the same, for the launcher's own goroutines
	control  *cluster.Control
	once     sync.Once
}

// renewal is how long before certificates expire the user is told.
const renewal = 30 * 24 * time.Hour

// startCluster starts the nodes, shows how it goes, and returns when every company has a leader.
func startCluster(ctx context.Context, cfg cluster.Config, quiet bool) (_ *running, err error) {
	begin := time.Now()
	show := newProgress(os.Stderr, quiet)
	defer show.done()
	c := &running{}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	cfg.Progress = func(p cluster.Progress) { show.say(p.String()) }
	cfg.Notice = func(text string) { fmt.Fprintf(os.Stderr, "dmalloc: %s\n", text) }
	own, err := as(cfg.Certs, certs.Launcher)
	if err != nil {
		return nil, err
	}
	scheme := "http"
	if own.Certs != nil {
		scheme = "https"
		if until := own.Certs.Expires(); time.Until(until) < renewal {
			cfg.Notice(fmt.Sprintf("the certificates expire on %s: dmalloc certs %s --renew makes new ones", until.Format(time.DateOnly), cfg.Certs))
		}
	}
	if c.control, err = cluster.Listen(own); err != nil {
		return nil, err
	}
	c.own = own
	cfg.Control = c.control.Address()
	cfg.Retire = func(ctx context.Context, id message.NodeID, incarnation uint64) error {
		return c.heap.Change(ctx, message.RETIRE, message.Node{ID: id, Incarnation: incarnation})
	}
	cfg.Registry = func() cluster.Registry {
		if h := c.registry.Load(); h != nil {
			return h
		}
		return nil
	}
	if c.launcher, err = cluster.Start(ctx, cfg); err != nil {
		return nil, err
	}
	c.control.Serve(c.launcher)
	asLauncher := own
	asLauncher.Launcher = true
	if c.conn, err = client.Connect(c.launcher.Directory(), c.launcher.Directory().Present()[0].ID, c.launcher.Nodes, c.launcher.Faults, asLauncher); err != nil {
		return nil, err
	}
	c.heap = c.conn.Heap
	c.registry.Store(c.heap)
	c.launcher.OnPeers(c.conn.SetPeers)
	if err := waitForLeaders(ctx, c.heap, show); err != nil {
		return nil, err
	}
	show.done()
	if !quiet {
		d := c.launcher.Directory()
		companies, each := "1 company", ""
		if n := len(d.Companies) - 1; n > 1 {
			companies, each = fmt.Sprintf("%d companies", n), " each"
		}
		fmt.Fprintf(os.Stderr, "%d nodes, %s of %s with %d owners%s, up in %.1f s; HTTP at %s://%s; %s\n",
			len(d.Present()), companies, mib(d.Companies[1].Capacity), len(d.Companies[1].Owners), each,
			time.Since(begin).Seconds(), scheme, d.Present()[0].HTTP, kept(cfg))
		if r := d.Registers.Replicas; cfg.RegisterReplicas != 0 && r < cluster.DefaultRegisters {
			fmt.Fprintf(os.Stderr, "%s\n", fewReplicas(r))
		}
	}
	return c, nil
}

// fewReplicas says what registers with so few replicas do not survive.
func fewReplicas(r int) string {
	if r == 1 {
		return "each register has 1 replica: while its node is down it cannot be used, and a lost disk loses it"
	}
	return "each register has 2 replicas: a lost disk loses nothing, but while one of its two nodes is down a register can be neither read nor written; 3 survive that"
}

func kept(cfg cluster.Config) string {
	if cfg.Data == "" {
		return "the data goes when the shell ends (--data DIR keeps it)"
	}
	return "the data is kept in " + cfg.Data
}

// waitForLeaders returns when every company has one.
func waitForLeaders(ctx context.Context, heap *client.Heap, show *progress) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		companies, err := heap.Companies(ctx)
		var without []string
		for _, c := range companies {
			if c.Leader == nil {
				without = append(without, c.ID.String())
			}
		}
		if err == nil && len(without) == 0 {
			return nil
		}
		show.say(fmt.Sprintf("%d of %d companies have a leader", len(companies)-len(without), len(companies)))
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return errors.New("canceled")
			}
			return fmt.Errorf("companies %s have no leader after a minute; look at the nodes' logs above", strings.Join(without, ", "))
		}
	}
}

// Close stops the cluster. Nothing of it is left behind.
func (c *running) Close() {
	c.once.Do(func() {
		if c.conn != nil {
			_ = c.conn.Close()
		}
		if c.launcher != nil {
			_ = c.launcher.Close()
		}
		if c.control != nil {
			c.control.Close()
		}
	})
}

// progress shows one line that is rewritten on a terminal, and nothing elsewhere: scripts want results.
type progress struct {
	w    io.Writer
	tty  bool
	mu   sync.Mutex
	last string
	over bool
}

func newProgress(f *os.File, quiet bool) *progress {
	return &progress{w: f, tty: !quiet && term.IsTerminal(int(f.Fd()))}
}

func (p *progress) say(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tty && !p.over && text != p.last {
		fmt.Fprintf(p.w, "\r\033[K%s", text)
		p.last = text
	}
}

func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tty && !p.over && p.last != "" {
		fmt.Fprint(p.w, "\r\033[K")
	}
	p.over = true
}
