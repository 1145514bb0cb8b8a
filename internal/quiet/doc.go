// Package quiet turns the standard logger off before other packages' initialisation can write to it: a
// library that finds no PSI in the kernel would otherwise greet every user of the shell. It is imported
// for this effect by package main alone. Packages are initialised in the order of their import paths as
// far as their own imports allow, and this one imports little. dmalloc itself logs by log/slog.
package quiet

import (
	"io"
	"log"

	// It redirects the standard logger when it is initialised, so this package must come after it.
	_ "github.com/lni/goutils/logutil/capnslog"
)

func init() { log.SetOutput(io.Discard) }
