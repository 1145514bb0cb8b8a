// Package node is one process of the cluster: it wires the rooms together. Each feature's rule lives in
// its own room; here it has a line in a table.
//
//	transport ──request──▶ handle ──▶ table of ops ──▶ owner (Do, Read) ──reply──▶ transport
//	    ▲                                  ├─▶ page table (SQL, LOG)
//	    └── client (the node's own) ◀──────┴─▶ web
//
// N1  A node serves no company whose files were altered: it checks before it opens them, tells the
// directory how many times it has started, and ends when the directory says that it has seen more.
// N2  What is asked twice under one number is done once; the node may therefore answer Retry freely.
//
// Faults (faults.go): the launcher says what is wrong with this node on purpose, and SetFaults hands it on: links to
// transport, the disk to one switch under the log and the registers, the clock to now. A clock that is wrong shifts
// what others come to see: the clocks of the companies that this node leads, by which clients and freed addresses are
// forgotten (one minute at most for each change, however large); when elections were; how soon an unfinished
// transaction is settled. It does not shift what waits: timeouts, elections and the failure detector.
//
// Memory (memory.go): what is held is counted by what it is for, and watch tells the collector and the cache how much
// they may take; docs/design/memory.md says what bounds each part.
//
// Goroutines, all ended by Close, which waits for them:
//
//	who                 started by   waits for                  bound
//	page table flusher  Start        changes, then quiet        dirty set of package pagetable
//	announce            Start        the directory's company    1
//	watch               Start        a tick of half a second    1; runs mend and settle in turn
//	even                watch        one hand-over              1, on the directory's leader
//	SQL, LOG and texts  handle       SQLite, a dump's stacks    queries; beyond them Busy
//	HTTP                Start        requests                   package web
//	lessor              Start        leases that end, REVOKEs   1; package lease's queue of those who wait
//	holder              Start        the ends of its leases     1, and its flushes
//	leased requests     handle       a leader's answer          holderSlots; beyond them Busy
//	runner              Start        what its runs need         1, and one for each run and for each size
//	settling            Start        the directory, companies   1; ends when what the process before had is settled
//	TELL                handle       answers of companies       tellSlots; beyond them Busy
//	lanes               owner        entries                    package owner
//	connections         transport    the network                package transport
//
// Leases (docs/design/leases.md): lessor.go is what this node does for them where it leads, holder.go and holderdo.go
// what it does as their holder. Both work by the rules of packages lease and cache and send what those ask for.
//
// Runs (docs/design/runs.md): runs.go is what this node hands out by itself, by the rules of package run; runfile.go keeps
// it for the process that follows; stranded.go settles, where this node leads, what was set aside for who is no more.
//
// N3  A REVOKE is answered only when nothing under that lease is dirty or used any more.
// N4  What a holder keeps changes only by answers that it can place in the order of the log: see holder.through.
//
// Next: package cluster, which starts nodes as processes.
package node
