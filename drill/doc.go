// Package drill breaks a cluster on purpose and gives a verdict. A seed makes a script of faults; clients
// work and record every call meanwhile; then everything is healed and what was recorded is judged.
//
//	seed ──▶ Plan ──▶ steps ──▶ runner ──▶ Faults.Do("kill 2")      what was really done is itself a script:
//	         (pure)               │                                 replayed, it does the same again
//	                              ├──▶ clients ──▶ Heap ──▶ the cluster
//	                              │       └──────▶ Recorder         call, return, outcome; one log a client
//	                              ▼
//	  heal, wait until healthy, read every key from every node, free everything
//	                              │
//	                              ▼
//	  Check: porcupine for each key, and plain checks of the whole run ──▶ Result: pass or fail, story, picture
//
// The script (schedule.go, state.go, script.go)
//
//	S1  A seed makes the same steps wherever and whenever it is asked.
//	S2  At most a minority of a company's replicas is down, frozen or cut off at once, except by kind "majority".
//	S3  A node's files are damaged or thrown away only while every other node is whole, until it is back.
//	S4  Every fault ends: by its opposite, by --for, or at the end by heal and revive.
//	S5  A plan that is late catches up between faults (pace.go): each lasts as long as planned, and S2 and S3 hold.
//
// Nodes may come and go (schedule_moves.go, moves.go): join, leave, and replace, which leaves a node dead until others
// have its place. A plan stands still while a node is added or drained. A node leaves or is replaced only while nobody
// is out, and what takes nodes out waits while a company lacks owners: so S2 and S3 hold there, too. Clients go to the
// nodes that there are. In the end every company must have all its owners again, and none be changing.
//
// Registers may be moved by a script, too (reg spread 0,1,2); they stay there.
//
// The record (record.go)
//
//	R1  Stamps are strictly monotonic over all clients: one call is before another only if it really was.
//	R2  A write whose outcome is not known stays open for ever, under a client of its own.
//	R3  What certainly did not happen, and reads without an answer, are dropped. Nothing else is.
//	R4  No two writes of a run write the same value, so a value names its write.
//
// The verdict (check.go, whole.go, table.go, shrink.go)
//
//	V1  It is "pass" only if every fault was injected, every key was judged legal in time, and nothing is left over.
//	V2  What a counter-example leaves out could not have made a legal history illegal.
//	V3  A history of the table is cut (pieces.go) only where the whole is legal if and only if its pieces are.
//	V4  After the heal all that the clients use works within Config.Stuck (recovery.go).
//	V5  A tag that an answer of a register told names one value, and a value one tag (tags.go).
//	V6  The token of a lease names it alone, and grows from one lease of a company to the next (lease.go).
//
// Clients take short leases, too, to read and to write, work under them, and give them back or let them end: what
// they read then comes from copies, and must be just as linearizable.
//
// Write-back (back.go, losses.go, search.go, watch.go, tend.go)
//
// Where holders may keep writes to themselves, the answer to a write says that it was absorbed. It may be lost, but only
// with its holder, or when a lease is over before it is written back; and a node that lives must say so. So while
// the clients work the nodes are asked how much they have lost, and in which session. Clients tend allocations that
// others seldom look at: there writes stay absorbed until they are synced, given back, revoked or lost.
//
//	B1  A loss is an operation in a cell's history between two answers of its node: its process ended in between, and the
//	    script stopped it; or it had lost more bytes, and the time of a lease under which it had written was over, and no
//	    other lease had taken its place. It begins at the end of that lease where that was before, for others see that
//	    first. It may have happened or not, but where the process was another one later, one of them has.
//	B2  There is one only if the node had absorbed a write of the cell that nothing shows to be in the log. It ends with
//	    the first call after that of which B4 tells. A lease that is over loses once.
//	B3  A cell's state is what one holder has absorbed last, and what the log may have instead. A holder writes back a page
//	    as it was at some moment, one version at a time, so a loss leaves the value of one moment, in each page its
//	    own, and what was absorbed later is gone for good. Nobody sees anything but the last until then.
//	B4  Nothing of it can be lost any more when a sync or a release of the holder has been answered, when it was given
//	    another lease there (T8), when a call of its clients has gone through the log, or when a client of another
//	    node has read or changed the cell, or was given a lease of it.
//	B5  Without a loss the history is judged as in any other cluster.
//	B6  The search for an order that explains a history goes through it once and keeps the cases that are possible at a
//	    moment. They are few, for a value names its write (R4); more than a fixed number are not followed up: then the
//	    cell is undecided, which is no pass, and the result says that it was not judged and what was too much.
//
// What it does not demand: that a write of one cell takes along to the log what is dirty of another in its page. And
// what was absorbed without an answer may count as absorbed or not.
//
// A client touches only what the run made, and takes any other change of the table for a fault of the heap:
// nobody else may use the heap during a drill.
//
// What it cannot see: a value that was lost and that nobody asked for before its key was written again, and
// what goes wrong only under other timing. A pass is no proof.
//
// Goroutines: Run starts one for each client and for each node's final reads, and waits for all of them; the
// caller's goroutine plays the script. Next: package cluster, which injects the faults.
package drill
