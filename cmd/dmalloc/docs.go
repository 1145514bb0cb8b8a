package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"dmalloc/message"
	"dmalloc/repl"
)

// docsCommand writes the manual from the tables that the program itself uses, so that it cannot lag behind.
func docsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "docs man|markdown DIR, or docs commands|errors",
		Short: "write the manual: man pages, Markdown, the table of the shell's commands, or the codes of errors",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "commands" {
				fmt.Print(repl.Markdown())
				return nil
			}
			if args[0] == "errors" {
				fmt.Print(message.ErrorsMarkdown())
				return nil
			}
			if len(args) != 2 {
				return usage("docs %s needs a directory", args[0])
			}
			if err := os.MkdirAll(args[1], 0o755); err != nil {
				return exit{exitFailed, err}
			}
			switch args[0] {
			case "man":
				return doc.GenManTree(cmd.Root(), &doc.GenManHeader{Title: "DMALLOC", Section: "1"}, args[1])
			case "markdown":
				return doc.GenMarkdownTree(cmd.Root(), args[1])
			}
			return usage("docs writes man, markdown, commands or errors, not %s", args[0])
		},
	}
	return cmd
}
