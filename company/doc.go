// Package company is one shard of the heap: what is allocated in one window of addresses, the bytes, and
// whom it has answered. It is a machine: each owner of the company feeds it the same Raft entries and
// gets the same state and the same answers. It does no I/O but to the readers and writers it is given,
// starts no goroutine, reads no clock and depends on no map's order.
//
//	Raft entry ─▶ Apply ─▶ once ─▶ arguments ─▶ operation ─▶ Result, the changed addresses, log lines
//	                        │                        │
//	                     clients            records ties space pages leases
//	                  (what was answered)   (who)  (txn) (free) (bytes) (copies)
//
//	READ … LEASES ────▶ Read         changes nothing; Reads may run beside each other
//	Snapshot ─▶ WriteTo … Load        a moment of it; WriteTo may run beside Apply
//
// # States of an extent
//
//	         MALLOC, COMMIT              FREE of one that spans        FINISH
//	free ───────────────────▶ allocated ─────────────────────▶ freeing ──────▶ free
//	  ▲                           │ FREE of one that does not
//	  └───────────────────────────┘
//	        RESERVE            CONFIRM          DROP
//	free ───────────▶ reserved ────────▶ part ───────▶ free     (ABORT or DROP frees a reserved one, too)
//
// A home holds the addresses of its whole allocation but only the bytes of its first block. So what an
// extent takes of the window and what it takes of the budget are two things, and only for a home do they
// differ.
//
// # What holds between two calls
//
//	C1  Records and free extents fill the window but for its first page, and do not overlap.
//	C2  The footprints of what is backed here sum to at most the capacity, and the pages that they are in to at most
//	    the capacity rounded up to pages. So the bytes that exist are bounded by what was allocated, and a write
//	    never lacks room.
//	C3  A byte that is in no live block is zero: freed memory is zeroed and new memory reads as zero.
//	C4  Each reserved, part and home extent has one tie to its transaction, and a transaction has one tie.
//	C5  A transaction that has a tie has not ended, and one that has ended gets no tie: a late RESERVE or
//	    COMMIT is refused.
//	R1  What is set aside for a node is allocated, and nobody's until it is open: docs/design/runs.md has R1 to R8.
//	C6  A client's kept answers lie in [low, low+MaxWindow). A request with a kept answer changes nothing.
//
// Verify checks them all. Apply and Snapshot need the company for themselves; Read, Status, Extent,
// Extents, Pending, Lead, Precheck and String may run beside each other. Section 4 of package message
// says what "once" means, section 5 how allocations span companies, section 10 what leases are; package lease has
// their table and docs/design/leases.md their rules, L1 to L7. Section 11 says what runs are (run.go).
//
// Next: package owner, which replicates a company.
package company
