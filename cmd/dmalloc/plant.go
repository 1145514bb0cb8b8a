//go:build planted

package main

import (
	"fmt"
	"os"
	"slices"

	"dmalloc/company"
	"dmalloc/node"
	"dmalloc/owner"
	"dmalloc/register"
	"dmalloc/transport"
)

// A build with the tag planted has the bug that DMALLOC_PLANT names, in the launcher's clients and in all of its
// nodes, which inherit the variable. It exists to show that a drill finds the bug.
func init() {
	name := os.Getenv("DMALLOC_PLANT")
	if name == "" || owner.Plant(name) || node.Plant(name) || company.Plant(name) || transport.Plant(name) {
		return
	}
	if err := register.Plant(name); err != nil {
		fmt.Fprintf(os.Stderr, "dmalloc: DMALLOC_PLANT=%s: use one of %v\n", name, slices.Concat(owner.Plants(), node.Plants(), company.Plants(), transport.Plants(), register.Plants()))
		os.Exit(exitUsage)
	}
}
