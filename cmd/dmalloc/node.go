package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"dmalloc/certs"
	"dmalloc/cluster"
	"dmalloc/fault"
	"dmalloc/message"
	"dmalloc/node"
	"dmalloc/web"
)

// nodeCommand runs one node. The launcher hands it its configuration as a line on standard input and
// then, whenever they change, the addresses of its peers; the node answers with events on standard output.
func nodeCommand() *cobra.Command {
	var file, dir, tokens string
	var join joinFlags
	var debug, insecure bool
	cmd := &cobra.Command{
		Use:   "node [--config FILE] | node --join HOST:PORT",
		Short: "run one node, as the launcher, ssh or systemd starts it",
		Long: `node runs one node of a cluster. Its configuration is a line of JSON, read from --config or from standard
input; lines {"peers":[…]} that follow on standard input say where the other nodes listen now. It prints
{"event":"listening",…}, {"event":"ready"} and {"event":"failed",…} lines on standard output.

With --join it needs no launcher: it asks the node at HOST:PORT to be let into its cluster, prints its number and its
addresses, and serves until SIGTERM. Started again with the same --data it is the same node; node remove ID in any
shell with a launcher, or being away for longer than --replace-after, moves what it holds to others.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if join.address != "" {
				if file != "" {
					return usage("--join asks the cluster for its configuration: leave out --config")
				}
				join.certs, join.insecure, join.debug = dir, insecure, debug
				if tokens != "" {
					var err error
					if join.tokens, err = web.ReadTokens(tokens); err != nil {
						return exit{exitUsage, err}
					}
				}
				return runJoin(cmd.Context(), join, os.Stdout)
			}
			for _, name := range []string{"data", "listen", "http", "host", "memory"} {
				if cmd.Flags().Changed(name) {
					return usage("--%s goes with --join", name)
				}
			}
			lines := bufio.NewReaderSize(os.Stdin, 1<<20)
			var first []byte
			var err error
			if file != "" {
				first, err = os.ReadFile(file)
			} else {
				first, err = lines.ReadBytes('\n')
			}
			if err != nil && len(first) == 0 {
				return usage("read the node's configuration: %v", err)
			}
			var cfg cluster.NodeConfig
			if err := json.Unmarshal(first, &cfg); err != nil {
				return usage("the node's configuration is not JSON: %v", err)
			}
			cfg.Debug, cfg.Insecure = cfg.Debug || debug, cfg.Insecure || insecure
			if dir != "" {
				cfg.Certs = dir
			}
			if tokens != "" {
				if cfg.Tokens, err = web.ReadTokens(tokens); err != nil {
					return exit{exitUsage, err}
				}
			}
			return runNode(cmd.Context(), cfg, lines, os.Stdout)
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "read the configuration from this file instead of standard input")
	fl := cmd.Flags()
	fl.StringVar(&join.address, "join", "", "join the cluster of which a node listens at this HOST:PORT")
	fl.StringVar(&join.data, "data", "", "with --join: keep everything in this directory; without it in a temporary one, and the next start is another node")
	fl.StringVar(&join.listen, "listen", "", "with --join: HOST:PORT for messages, by which the others reach this node. Without it a free port of the address by which it reaches them")
	fl.StringVar(&join.http, "http", "", "with --join: HOST:PORT for HTTP. Without it a free port of loopback")
	fl.StringVar(&join.host, "host", "", "with --join: the name of this machine, by which owners are kept on different ones")
	fl.Var(&join.memory, "memory", "with --join: bytes of heap that this node gives; without it as many as the others")
	cmd.Flags().StringVar(&dir, "certs", "", certsUsage)
	cmd.Flags().StringVar(&tokens, "token-file", "", tokensUsage)
	cmd.Flags().BoolVar(&insecure, "insecure", false, insecureUsage)
	cmd.Flags().BoolVar(&debug, "debug", false, "serve profiles at /debug/pprof/ of the node's HTTP")
	return cmd
}

func runNode(ctx context.Context, cfg cluster.NodeConfig, in *bufio.Reader, out io.Writer) error {
	runtime.GOMAXPROCS(max(2, min(4, runtime.NumCPU())))
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	signal.Ignore(syscall.SIGINT) // the terminal's Ctrl-C is the shell's
	tell := func(e cluster.Event) { _ = json.NewEncoder(out).Encode(e) }
	fail := func(err error) error {
		tell(cluster.Event{Event: "failed", Code: message.CodeOf(err).String(), Message: err.Error()})
		return exit{exitFailed, err}
	}
	if err := cfg.Guarded(); err != nil {
		_ = fail(err)
		return exit{exitUsage, err}
	}
	own, err := as(cfg.Certs, certs.Node(cfg.ID))
	if err != nil {
		return fail(err)
	}
	listen := func(what, address string) (net.Listener, error) {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, message.Errorf(message.InvalidArgument, "node %s cannot listen at %s for %s: %v", cfg.ID, address, what, unwrapped(err))
		}
		return l, nil
	}
	messages, err := listen("messages", cfg.Listen)
	if err != nil {
		return fail(err)
	}
	pages, err := listen("HTTP", cfg.HTTPListen)
	if err != nil {
		return fail(err)
	}
	tell(cluster.Event{Event: "listening", Address: messages.Addr().String(), HTTP: pages.Addr().String()})
	peers, err := readPeers(in)
	if err != nil {
		return fail(fmt.Errorf("wait for the peers' addresses: %w", err))
	}
	kept := &journal{}
	n, err := node.Start(node.Config{
		ID: cfg.ID, Settings: cfg.Settings, Hosts: cfg.Hosts, Dir: cfg.Dir, Listener: messages, HTTP: pages, Incarnation: cfg.Incarnation,
		Join: cfg.Join, Control: cfg.Control, Peers: peers.Peers, Faults: wrong(peers), Version: version(), Debug: cfg.Debug, Certs: own.Certs, Tokens: cfg.Tokens,
		Collect: collectWithin,
		Journal: kept.Last, Log: slog.New(slog.NewTextHandler(io.MultiWriter(os.Stderr, kept), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return fail(err)
	}
	defer n.Close()
	took := func(p cluster.Peers) { tell(cluster.Event{Event: cluster.Faulted, Turn: p.Turn}) }
	took(peers)
	ended := make(chan error, 1)
	go func() { // ends with standard input, which ends with the process or its launcher
		for {
			peers, err := readPeers(in)
			if err != nil {
				ended <- err
				return
			}
			n.SetPeers(peers.Peers, peers.Down)
			n.SetFaults(wrong(peers))
			took(peers)
		}
	}()
	ready := make(chan error, 1)
	go func() { ready <- n.Ready(ctx) }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-n.Failed():
			return fail(err)
		case err := <-ready:
			if err == nil {
				tell(cluster.Event{Event: "ready"})
			}
		case err := <-ended:
			if errors.Is(err, io.EOF) && cfg.Control == "" {
				ended = nil // started by hand or by systemd: nobody talks to it
				continue
			}
			return nil // the launcher is gone
		}
	}
}

// wrong is what a line of peers says to be wrong with this node on purpose.
func wrong(p cluster.Peers) fault.View {
	if p.Faults == nil {
		return fault.View{}
	}
	return *p.Faults
}

// readPeers takes the next line of peers.
func readPeers(in *bufio.Reader) (p cluster.Peers, err error) {
	line, err := in.ReadBytes('\n')
	if err != nil && len(line) == 0 {
		return p, err
	}
	if err := json.Unmarshal(line, &p); err != nil {
		return p, fmt.Errorf("read the peers' addresses: %w", err)
	}
	return p, nil
}

// unwrapped drops what a network error repeats: operation and address.
func unwrapped(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// collectWithin has the collector work harder when the process nears so many bytes, and when the heap has grown by so
// many percent.
func collectWithin(limit uint64, growth int) {
	debug.SetMemoryLimit(int64(min(limit, math.MaxInt64)))
	debug.SetGCPercent(growth)
}
