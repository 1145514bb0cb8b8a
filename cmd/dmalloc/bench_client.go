package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"dmalloc/bench"
	"dmalloc/bench/compare"
	"dmalloc/bench/peer"
	"dmalloc/message"
	"dmalloc/owner"
	"dmalloc/owner/raw"
)

const (
	endLimit    = 30 * time.Second // for a client beyond what it measures
	clientGrace = 2 * time.Second  // for one that was told to end
)

// program is this one, which measurements are done by processes of.
type program string

func thisProgram() (program, error) {
	name, err := os.Executable()
	return program(name), err
}

// client has one measurement done by a process of its own.
func (p program) client(ctx context.Context, o peer.Order) (r peer.Result, err error) {
	told, err := json.Marshal(o)
	if err != nil {
		return r, err
	}
	if o.Length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Warmup+o.Length+endLimit)
		defer cancel()
	}
	out, err := p.process(ctx, "", bytes.NewReader(told), "bench", "client")
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return r, fmt.Errorf("the client of %s answered %q: %w", o.Peer, out, err)
	}
	return r, nil
}

// process runs this program and returns what it prints; its last words on standard error are in the error.
func (p program) process(ctx context.Context, dir string, in io.Reader, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, string(p), args...)
	var out, said bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr, cmd.WaitDelay = dir, in, &out, &said, peer.Bound(), clientGrace
	if err := cmd.Run(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause // that it was killed is only how it ended
		}
		text := strings.TrimSpace(said.String())
		return nil, fmt.Errorf("%w: %s", err, text[max(0, len(text)-500):])
	}
	return out.Bytes(), nil
}

// benchClientCommand does one measurement: the other side of client.
func benchClientCommand() *cobra.Command {
	return &cobra.Command{
		Use: "client", Short: "do one measurement of a comparison (started by it)", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var o peer.Order
			if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
				return usage("the order of a measurement is not JSON: %v", err)
			}
			owner.LogTo(slog.New(slog.DiscardHandler))
			do := peer.Do
			switch {
			case o.Work == compare.Inside:
				do = readInside
			case o.Peer != peer.RawInside:
				runtime.GOMAXPROCS(1) // a client only: it is not to fight with the servers for all processors
			}
			r, err := do(cmd.Context(), o)
			if err != nil {
				return exit{exitFailed, err}
			}
			return json.NewEncoder(os.Stdout).Encode(r)
		},
	}
}

// rawNodeCommand is a replica of raw Dragonboat.
func rawNodeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "raw-node CONFIG", Short: "run a replica of Dragonboat alone (started by a comparison)", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var cfg raw.ServerConfig
			if err := json.Unmarshal([]byte(args[0]), &cfg); err != nil {
				return usage("the configuration of raw Dragonboat is not JSON: %v", err)
			}
			owner.LogTo(slog.New(slog.DiscardHandler))
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			runtime.GOMAXPROCS(max(2, min(4, runtime.NumCPU()))) // as a node's
			if err := raw.Serve(ctx, cfg); err != nil {
				return exit{exitFailed, err}
			}
			return nil
		},
	}
}

// readInside measures reads of leased pages by a program that has a node in it.
func readInside(ctx context.Context, o peer.Order) (peer.Result, error) {
	n, end, err := nodeInside(ctx, o.Dir)
	if err != nil {
		return peer.Result{}, err
	}
	defer end()
	a, err := n.Heap().Malloc(ctx, leasedBytes)
	if err != nil {
		return peer.Result{}, err
	}
	if _, err := n.Heap().Lease(ctx, a.Address, "r", message.MaxLease*time.Millisecond); err != nil {
		return peer.Result{}, err
	}
	type state struct {
		rng *rand.Rand
		p   []byte
		_   [128]byte // or they would share a line of the processor's cache
	}
	all := make([]state, runtime.NumCPU())
	for i := range all {
		all[i].rng, all[i].p = rand.New(rand.NewPCG(1, uint64(i))), make([]byte, o.Size)
	}
	row, err := bench.Spin(ctx, o.Work, len(all), int(o.Size), o.Warmup, o.Length, func(who, _ int) error {
		s := &all[who]
		return n.Heap().ReadAt(ctx, s.p, a.Address+message.Addr(s.rng.IntN(leasedBytes-len(s.p)+1)))
	})
	return peer.Result{PerSecond: row.PerSecond, P50: row.P50, P99: row.P99, Count: row.Count, Errors: row.Errors}, err
}
