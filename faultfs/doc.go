// Package faultfs is the one place where disks fail: a Switch that fills a disk or slows it down, and a
// file system around another one that asks the Switch and tells somebody of every failure, real ones too.
//
//	fault.View ─ Set ─▶ Switch ◀─ BeforeWrite, BeforeSync ─┬─ quorum/disk, which keeps registers
//	                                                       │
//	          Dragonboat ── Create, Write, Sync … ──▶ Wrap ┴──▶ real files, or files in memory
//	                                                    └─ Failed ─▶ who must know before Dragonboat does
//
//	X1  While a disk is full, nothing takes more room: writes, new files and new directories fail with ENOSPC,
//	    wholly. Reading, syncing, renaming and removing go on.
//	X2  While a disk is slow, a sync waits before it begins. Set ends the wait.
//	X3  Failed hears of a failure before the caller does, and can keep it from the caller by not returning.
//	    That a file is not there, is there already, or ends, is no failure.
//	X4  A healthy Switch costs one atomic load for a write or sync.
//	X5  However a log is appended to, with or without the page cache, who opens it finds all that was written and nothing else,
//	    and a sync has it on the disk. A power failure takes nothing that was synced; of what follows it leaves any
//	    sectors, and room in the place of the others. A kill takes only what was not synced.
//
// There is no goroutine here. Next: package owner, which gives the file system to Dragonboat.
package faultfs
