package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"dmalloc/certs"
	"dmalloc/client"
	"dmalloc/cluster"
	"dmalloc/message"
)

// certsCommand makes, renews and lists the certificates of a heap.
func certsCommand() *cobra.Command {
	var hosts []string
	var nodes int
	var renew, show bool
	cmd := &cobra.Command{
		Use:   "certs DIR",
		Short: "make the certificates with which nodes and clients know each other",
		Long: `certs makes a private authority in DIR, and certificates of nodes, of the launcher and of clients. With
--certs DIR, up, shell and bench then use TLS for everything, and whoever shows no certificate of this authority
is refused. A host needs ca.crt and the two files of each role that runs there, at the same path as here; keep
ca.key, which can make anybody's, elsewhere.

  dmalloc certs DIR                         for nodes on this machine
  dmalloc certs DIR --hosts alpha,10.0.0.2  for nodes that are reached by these names
  dmalloc certs DIR --renew                 for another year; running nodes take up the new files by themselves
  dmalloc certs DIR --show                  what is there, and until when it is good`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			given := cmd.Flags().Changed
			if show && (renew || given("hosts") || given("nodes")) {
				return usage("--show changes nothing: leave out --renew, --hosts and --nodes, or --show")
			}
			if given("nodes") && nodes < 1 {
				return usage("--nodes %d: a cluster has at least one node", nodes)
			}
			err := error(nil)
			switch {
			case show:
			case renew:
				err = certs.Renew(args[0], hosts, nodes) // 0: as many as there are
			default:
				if nodes == 0 {
					nodes = cluster.DefaultNodes
				}
				err = certs.Make(args[0], hosts, nodes)
			}
			var lines []string
			if err == nil {
				lines, err = certs.Describe(args[0])
			}
			for _, line := range lines {
				fmt.Println(line)
			}
			if message.CodeOf(err) == message.InvalidArgument {
				return exit{exitUsage, err}
			}
			if err != nil {
				return exit{exitFailed, err}
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringSliceVar(&hosts, "hosts", nil, "names and addresses at which nodes are reached, besides localhost, 127.0.0.1 and ::1")
	fl.IntVar(&nodes, "nodes", 0, fmt.Sprintf("for how many nodes (%d; with --renew as many as there are)", cluster.DefaultNodes))
	fl.BoolVar(&renew, "renew", false, "sign what is there for another year, and make what is missing")
	fl.BoolVar(&show, "show", false, "list what is there")
	return cmd
}

const certsUsage = "use the certificates in this directory, which dmalloc certs makes, for all connections"

// as is how this process connects with the certificate of a role; without a directory, without any.
func as(dir string, role certs.Role) (client.Options, error) {
	if dir == "" {
		return client.Options{}, nil
	}
	c, err := certs.Load(dir, role)
	if err != nil {
		return client.Options{}, exit{exitUsage, fmt.Errorf("--certs: %w", err)}
	}
	return client.Options{Certs: c}, nil
}
