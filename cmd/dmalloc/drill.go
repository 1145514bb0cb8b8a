package main

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"dmalloc/client"
	"dmalloc/drill"
	"dmalloc/message"
	"dmalloc/repl"
)

// dialer makes further clients of the cluster that a heap belongs to, each with connections of its own.
func dialer(heap *client.Heap, own client.Options) repl.Dialer {
	return func(ctx context.Context, node message.NodeID) (drill.Heap, func(), error) {
		d, err := heap.Directory(ctx)
		if err != nil {
			return nil, nil, err
		}
		nodes, err := heap.Nodes(ctx) // where they are now, from who started them
		if err != nil {
			return nil, nil, err
		}
		if node == message.NoNode {
			node = heap.Home()
		}
		c, err := client.Connect(d, node, nil, nil, own)
		if err != nil {
			return nil, nil, err
		}
		at := make([]message.Node, len(nodes))
		for i, n := range nodes {
			at[i] = message.Node{ID: n.ID, Address: n.Address, HTTP: n.HTTP}
		}
		c.SetPeers(at)
		return c.Heap, func() { _ = c.Close() }, nil
	}
}

// drillCommand starts a cluster, drills it and stops it.
func drillCommand() *cobra.Command {
	var up upFlags
	var output string
	values := map[string]*string{}
	cmd := &cobra.Command{
		Use:   "drill [DOTFILE]",
		Short: "start a cluster, break it by a seed while clients work, and judge what they saw",
		Long: `drill starts a cluster as up does, breaks leaders, backups and links at irregular intervals drawn from the
seed while clients allocate, write, read and free, heals it, and says pass or fail. The exit status is 1 if
a promise was broken or a fault could not be injected. DOTFILE gives the links between nodes, as for up.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s := sessionFlags{output: output, timeout: 5 * time.Second, color: "auto", yes: true}
			if err := s.check(); err != nil {
				return err
			}
			line := []string{"drill"}
			for _, o := range repl.DrillOptions() {
				if v := *values[o.Name]; v != "" {
					line = append(line, "--"+o.Name, quoted(v))
				}
			}
			s.commands = []string{strings.Join(line, " ")}
			if err := repl.CheckDrill(s.commands[0]); err != nil {
				return exit{exitUsage, err}
			}
			up.given(cmd)
			if !up.nodesGiven && up.data == "" && up.hostfile == "" {
				up.nodes = drillNodes
			}
			if up.patience == 0 && up.data == "" && names(*values["faults"], drill.Replace) {
				up.patience = soonReplaced
			}
			cfg, err := up.config(strings.Join(args, ""))
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			c, err := startCluster(ctx, cfg, up.quiet)
			if err != nil {
				return exit{exitNone, err}
			}
			defer c.Close()
			s.own = c.own
			return s.run(ctx, c.heap, c.launcher)
		},
	}
	up.add(cmd)
	for _, o := range repl.DrillOptions() {
		values[o.Name] = cmd.Flags().String(o.Name, "", o.Does)
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "how results are printed: table, json or csv")
	return cmd
}

// soonReplaced is for how long, in milliseconds, a node may be dead in a drill that wants it to be replaced, if nobody says.
const soonReplaced = 1000

// names says whether a list of faults has a kind.
func names(list string, k drill.Kind) bool {
	kinds, _ := drill.ParseKinds(list) // it was read before
	return slices.Contains(kinds, k)
}

// quoted is a value as one word of a shell's line.
func quoted(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }

// drillNodes is how many nodes a drill starts if nobody says: each company and register leaves some of them out.
const drillNodes = 5
