package main

import (
	"context"
	"os"
	"time"

	"github.com/spf13/cobra"

	"dmalloc/client"
	"dmalloc/repl"
)

// shellCommand opens a shell on a cluster that is up.
func shellCommand() *cobra.Command {
	var f sessionFlags
	var address string
	cmd := &cobra.Command{
		Use:   "shell --connect HOST:PORT",
		Short: "open the shell on a cluster that is already up",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			if address == "" {
				return usage("shell needs --connect HOST:PORT or DMALLOC_CONNECT; nodes shows the addresses")
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), max(f.timeout, time.Second))
			c, err := client.Dial(ctx, address)
			cancel()
			if err != nil {
				return exit{exitNone, err}
			}
			defer c.Close()
			var control repl.Control
			if c.Control != nil {
				control = c.Control
			}
			return f.run(cmd.Context(), c.Heap, control)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&address, "connect", os.Getenv("DMALLOC_CONNECT"), "any node's address")
	return cmd
}
