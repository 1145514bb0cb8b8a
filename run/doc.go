// Package run is a node's side of runs: the small blocks that companies have set aside for it, which it hands out
// without an entry, and what has to be told about them. docs/design/runs.md has the rules, R1 to R8; package company
// is the other side.
//
//	Take ─▶ the next open block, in the order of addresses (R1)     nothing open: allocate the usual way
//	Due  ─▶ Run     a quarter of what is aside is left, and the size is asked for again and again
//	        Claim   what was handed out, and how many more may be: half of what was open is gone, or 50 ms have passed,
//	                or nothing was handed out for a while (then: no more)
//	        Settle  a run that nobody has used for long comes back
//	Done ◀─ what became of it
//	End  ─▶ what was handed out of each run, by company: nothing is handed out any more
//
// It sends nothing, keeps nothing on a disk and knows no time: its caller brings the clock, and keeps what Take says
// before it answers (R2). One goroutine at a time uses it.
//
// Next: package node, runs.go, which has the messages, the file and the lock.
package run
