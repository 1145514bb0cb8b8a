package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"dmalloc/certs"
	"dmalloc/client"
	"dmalloc/repl"
	"dmalloc/sysdump"
)

// sysdumpCommand collects an archive from a cluster that is up, as far as it is.
func sysdumpCommand() *cobra.Command {
	var address, dir string
	cmd := &cobra.Command{
		Use:   "sysdump --connect HOST:PORT FILE",
		Short: "collect status, logs, tables, metrics and goroutines of every node into one .tar.gz",
		Long: `sysdump collects what every node says of itself into one archive. It needs no majority: one node that answers is
enough to start from. Nodes that do not answer are named in problems.txt in the archive. It holds no data of
the heap and no secrets.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if address == "" {
				return usage("sysdump needs --connect HOST:PORT or DMALLOC_CONNECT; nodes shows the addresses")
			}
			own, err := as(dir, certs.Client)
			if err != nil {
				return exit{exitUsage, err}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
			c, err := client.DialWith(ctx, address, own)
			cancel()
			if err != nil {
				return exit{exitNone, err}
			}
			defer c.Close()
			var sum sysdump.Summary
			err = repl.ReplaceFile(args[0], func(w io.Writer) (err error) {
				sum, err = sysdump.Write(cmd.Context(), c, w, sysdump.Options{Now: time.Now(), Version: version()})
				return err
			})
			if err != nil {
				return exit{exitFailed, err}
			}
			fmt.Printf("%d files from %d nodes in %s\n", sum.Files, sum.Nodes, args[0])
			for _, p := range sum.Problems {
				fmt.Fprintf(os.Stderr, "dmalloc: not collected: %s\n", p)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "certs", "", certsUsage)
	cmd.Flags().StringVar(&address, "connect", os.Getenv("DMALLOC_CONNECT"), "any node's address")
	return cmd
}
