// Package sim plays whole histories of a cluster in one goroutine, under a seed: the pure core as it is, and
// around it a model of all that may go wrong. A seed that fails is played again and tells its story.
//
//	clients ── requests ──▶ network ──▶ owners ── batches ──▶ group ──▶ company.Apply, directory.Apply on each owner
//	   │                  delay, loss,     │                 stands for Raft: an ordered log that is right by
//	   │                  twice, cut       └─ ReadIndex      construction; leaders change, proposals are lost, come
//	   │                                                     twice or late, owners lag, crash and load snapshots
//	   ├── holders: cache.Cache ── WRITE with a token, READ to fill ──▶ owners ── REVOKE, EXPIRE: lease.Watch
//	   └── register.Operation ──▶ network ──▶ keepers: register.Replica, what is on disk, what is not yet
//
//	calm: allocations that all share ─▶ trouble ─▶ calm: everything ends, is read, freed and compared
//
// What is real here: company, directory, register, ring, lease, cache, message, and the function owner.Plan. What
// is a model: Raft, disks, the network, and what the rooms client, owner, quorum and node do around the core, step
// by step as they do it. So a history judges the core and the protocols, not the code of those rooms; drills with real processes do that.
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
//	S10 No two holders use leases that exclude each other, each by its own clock; tokens grow; caches keep K1 to K8.
//	S11 A write that was absorbed is lost only with its holder, or when its lease ends before it is written back; not
//	    after its holder has given the lease back, or has said that it is synced. Otherwise it is in the log in the end.
//	S12 Whatever is removed, most voters of a company have their disks.
//
// An operation without an answer stays open for ever: it may take effect at any later time, or never. A judge
// that does not come to a verdict counts as a failure. An absorbed write that is lost is followed by one of the log's
// value, somewhere before both the end of its lease and the loss (absorbed.go): so what was read of it before is right,
// and what is read of it later is not.
//
// # Leases, nodes that come and go
//
// Clocks of nodes run at rates of their own within 1 %, and four times as fast as the history, so that many leases
// live and die in one. A node reads them, sends, and is frozen between any two steps, also between copying bytes and
// looking at the clock. Leaders that are deposed decide by clocks that have gone wrong (L4). A node keeps what it
// absorbs, and has tried, per process: who asks again after it has died hears nothing, and does not know the end.
//
// Nodes are admitted, dismissed and dead for long; the directory's leader proposes what ring.Next says, company by
// company the leader takes the steps of owner.Plan, by a directory that may be old. A change of Raft's members is
// there at once, if most voters are: the group is one log, and its members a list beside it. A replica that was
// removed is told nothing, answers as one, and ends when its node hears of it.
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
// Votes and log repair are Raft's own and not simulated, nor are Raft's entries for changes of members, torn or
// altered files, HTTP, `recover`, and time that goes wrong by more than it may. Those who meet a lease ask again
// instead of standing in lease.Queue; pages are not evicted from caches; only the cells that clients share are read and
// written through holders. Next: cmd/dmalloc, whose commands run it.
package sim
