// Package quorum is a node's part of the registers: it keeps those whose replica the node is, on disk,
// answers the clients that coordinate reads and writes, catches up on what it missed, and moves registers
// when their members change. docs/design/registers.md tells the whole; package register has the protocol.
//
//	REGTAG REGGET REGPUT ──▶ Keeper ── judge (register.Replica) ──▶ quorum/disk ── fsync ──▶ answer
//	REGCONF, directory ────▶   │  adopts a newer configuration, in the same order as puts
//	                           ├── catch up: sums of tags with a peer, then what is newer there
//	                           └── Move: fence, copy, done; on the node whose directory leads
//
//	K1  What is acknowledged or shown is on the disk.
//	K2  A put that was judged under an epoch is on the disk before the answer to a REGCONF that ended the
//	    epoch: both pass the store's one queue, in the order in which they were judged.
//	K3  A register is only forgotten by who keeps none of its shard in the newest configuration known.
//	K4  Nothing here waits for a failure detector.
//
// The Keeper owns its goroutines; Close waits for them. Next: package client, which asks.
package quorum
