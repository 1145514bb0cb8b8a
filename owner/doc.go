// Package owner is a company's replica on this node, and the only room that knows Dragonboat. It
// proposes what changes a company, reads what does not, takes snapshots and reports who leads.
//
//	 Do(WRITE) ─▶ queue ─▶ lane ─▶ Raft entry ─▶ majority ─▶ Update ─▶ company.Apply ─▶ reply
//	                        │ several lanes: while one waits for its entry, messages gather for the next
//	Read(READ) ─▶ leader's lease, or queue ─▶ lane ─▶ ReadIndex (shared by all that waited) ─▶ company.Read ─▶ reply
//
//	O1  A reply to Do with a success is sent after the entry was applied here, hence after it was
//	    synced by a majority.
//	O2  Only the replica that believes to lead proposes or reads; others answer NotLeader with its name.
//	O3  When the outcome of an entry cannot be known here, its messages are answered Retry; the same
//	    seq asked again finds out, and is done once.
//	O4  Each queue is bounded; what does not fit is answered Busy, and nothing was done.
//	O5  A disk that fails ends the node with one line that names the disk, what failed and what to do.
//	    Whatever did not reach the disk is not acknowledged.
//	O6  What a start reads is on the disk before anything is built upon it, also after a kill that left it
//	    in the system's memory only.
//
// Dragonboat gets its files through disk.go. By itself it ends the process on a write that failed, full disk
// or other, with a panic in a goroutine where nobody can recover; a few of its own panics it recovers from
// and returns no host and no error. A directory whose first start was cut short can hold half of a flag file,
// which it does not start from. disk.go deals with all of these; its comments say how.
//
// Refusals that depend on the company's state are made by Apply and nowhere else: an owner that was
// deposed without knowing it would otherwise refuse what its successor has made possible.
//
// Goroutines: each Replica has its lanes, ended by Stop; the Host has one that asks for snapshots and one that
// waits for the disk to fail; what Dragonboat starts ends with Close. After a failure of the disk Close leaves
// Dragonboat as it is, for goroutines that are held there end only with the process.
//
// Next: package node, which starts the owners of one process.
package owner
