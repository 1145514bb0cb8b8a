// Package lint is a test that holds the rooms of the house together: who may import whom, what the pure core
// keeps away from, and how every package introduces itself. It reads the source with go/parser, files behind
// build tags too, and needs neither the go command nor a package that compiles.
//
//	cmd/dmalloc ─▶ sim ─▶ node ─▶ repl web ─▶ cluster ─▶ bench … ─▶ client owner … ─▶ transport
//	                                                                                     │
//	         pure: no I/O, no goroutine, no clock, no dice      message ◀─ block … ◀─ company …
//
//	L1  arrows   A room imports only rooms that lie further in, on an earlier line of the list in rules_test.go.
//	L2  pure     The pure rooms start no goroutine and import nothing that could wait, roll dice or touch the world. Only cache has a lock.
//	L3  heavy    Each heavy dependency has one room.
//	L4  comment  Every package has its comment in doc.go; a command has it in main.go.
//	L5  name     No package is called util.
//	L6  length   No file has over 600 lines, tests aside.
//
// Test files may import whatever they like. What a complaint says to do is meant to be enough; a new room gets
// its place in the list.
//
// It does not see whether code depends on the order of a map; tests of the pure rooms do.
package lint
