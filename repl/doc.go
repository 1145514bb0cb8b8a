// Package repl is the shell: it turns a line into a command, the command into a call on a heap, and the
// answer into a table, a line of JSON or rows of CSV.
//
//	terminal (readline) ─┐                                         ┌─▶ Heap     (client.Heap)
//	pipe, -f             ├─▶ LineReader ─▶ parse ─▶ verbs() ─▶ run ─┼─▶ Control  (the launcher)
//	-c                   ┘      ▲             one table            └─▶ Grapher  (DOT)
//	                            │                                        │
//	   prompt, notices, trace ──┴── console ◀── table | json | csv ◀── result
//
// It knows no Raft and no SQL; it only knows the three small interfaces of cluster.go. The table in
// verbs.go feeds dispatch, usage errors, help, completion, the grey hints and the manual, so that none of
// them can lag behind the others.
//
//	P1  With json output, standard output carries exactly one object on one line for each command,
//	    also for one that could not be parsed; everything else goes to standard error.
//	P2  A command that fails says so, counts in the exit status, and the next one runs (unless told to stop).
//	P3  No line read from anywhere ends the shell by accident: bad bytes are an error of that line.
//	P4  Bytes from the heap reach a terminal only with control characters escaped.
//	P5  A file that is to be written with heap bytes is whole or untouched.
//	P6  Memory stays bounded whatever the size of a table, a transfer, a dump or a line.
//
// Goroutines: while a command runs, one that draws its progress (progress.go); in an interactive shell
// also one for signals (interrupt.go), one for the terminal's size (terminal.go) and one that watches for
// companies without a leader (watch.go). Run waits for all of them. The readline library has some of its own,
// and one of them stays blocked after Close; it holds nothing but itself.
//
// Next: package client, which has the Heap.
package repl
