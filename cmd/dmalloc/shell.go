package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"dmalloc/certs"
	"dmalloc/client"
	"dmalloc/message"
	"dmalloc/repl"
)

// shellCommand opens a shell on a cluster that is up.
func shellCommand() *cobra.Command {
	var f sessionFlags
	var address, dir string
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
			own, err := as(dir, certs.Client)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), max(f.timeout, time.Second))
			c, err := client.DialWith(ctx, address, own)
			cancel()
			if err != nil {
				return unreached(err, dir)
			}
			defer c.Close()
			var control repl.Control
			if c.Control != nil {
				control = c.Control
			}
			f.own = own
			return f.run(cmd.Context(), c.Heap, control)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&address, "connect", os.Getenv("DMALLOC_CONNECT"), "any node's address")
	cmd.Flags().StringVar(&dir, "certs", "", certsUsage)
	return cmd
}

// unreached says why there is no cluster, and what to do where certificates are wanted.
func unreached(err error, dir string) error {
	if dir == "" && message.CodeOf(err) == message.Forbidden {
		err = fmt.Errorf("%w; --certs DIR gives the certificates", err)
	}
	return exit{exitNone, err}
}
