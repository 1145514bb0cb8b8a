// Package sim plays whole histories of a cluster in one goroutine, under a seed: the pure core as it is, and
// around it a model of all that may go wrong. A seed that fails is played again and tells its story.
//
//	clients ── requests ──▶ network ──▶ owners ── batches ──▶ group ──▶ company.Apply, directory.Apply on each owner
//	   │                  delay, loss,     │                 stands for Raft: an ordered log that is right by
//	   │                  twice, cut       └─ ReadIndex      construction; leaders change, proposals are lost, come
//	   │                                                     twice or late, owners lag, crash and load snapshots
//	   └── register.Operation ──▶ network ──▶ keepers: register.Replica, what is on disk, what is not yet
//
//	calm: allocations that all share ─▶ trouble ─▶ calm: everything ends, is read, freed and compared
//
// What is real here: company, directory, register, ring, message. What is a model: Raft, disks, the network,
// and what the rooms client, owner, quorum and node do around the core, step by step as they do it. So a
// history judges the core and the protocols, not the code of those rooms; drills with real processes do that.
//
// # What a history must keep
//
//	S1  Each register behaves as if one operation had been done after the other.
//	S2  So does each word and counter of the heap that clients share.
//	S3  No two allocations that users hold have a byte in common.
//	S4  Owners of a company answer each entry alike, and have the same bytes after the same entry. Each keeps
//	    its own invariants.
//	S5  What is allocated at the end is held by somebody, or was asked for by somebody who never heard; what
//	    is held is allocated. When all is freed nothing is left.
//	S6  A counter is at least the sum of what was acknowledged, at most the sum of what was asked for.
//	S7  A user reads from its own allocation zeros or what it wrote last; or what somebody who died wrote to
//	    an allocation that had the address before, which nothing holds back.
//	S8  Once the faults end, everything comes to an end.
//	S9  Nobody is refused what cannot be refused.
//
// An operation without an answer stays open for ever: it may take effect at any later time, or never. A judge
// that does not come to a verdict counts as a failure.
//
// # Swarm, seeds, stories
//
// The seed chooses who plays and which classes of faults there are; each seed has another set, so that no
// class hides another. One generator makes all dice, one heap orders all that happens by time and number, and
// no order is a map's. The trace is hashed: equal configs have equal hashes.
//
// Shrink leaves out faults, clients and operations while a history still breaks the same invariant, with
// other dice each time; the story that is left has the lines about the allocation, word or register in
// question and those about nodes.
//
// What happened is counted (deed.go), so that a test can see that histories have what they are there for.
// Bugs that are known to be made (plant.go) are planted into the model one by one by the tests, to show that
// some seed finds each.
//
// # What it does not do
//
// Votes and log repair are Raft's own and not simulated, nor are torn or altered files, HTTP, or time that
// goes wrong. Leases do not exist yet: they come as a further kind of thing that clients use (client.go), and
// the log's clock that they need is there (Batch.Elapsed). Next: cmd/dmalloc, whose commands run it.
package sim
