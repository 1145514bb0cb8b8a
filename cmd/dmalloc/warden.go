package main

import (
	"os"

	"github.com/spf13/cobra"

	"dmalloc/cluster"
)

// wardenCommand runs the helper that starts, signals and reaps the nodes of one host. The launcher starts
// it; people do not.
func wardenCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "warden",
		Short:  "keep the nodes of one host (started by up)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cluster.RunWarden(cmd.Context(), os.Stdin, os.Stdout); err != nil {
				return exit{exitFailed, err}
			}
			return nil
		},
	}
}
