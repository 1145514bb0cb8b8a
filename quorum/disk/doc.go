// Package disk keeps a node's registers in files: a log of checksummed records, and in memory where the
// newest record of each register is. It knows nothing of quorums; package quorum asks it.
//
//	Put ──▶ queue ──▶ writer ── one write, one fdatasync ──▶ index ──▶ done, done, done
//	        bounded    │  what waits meanwhile is the next group
//	Keep, Forget ──────┤                                    Get ──▶ index ──▶ recent, or one pread, checked
//	compactor ─────────┘
//
//	MANIFEST     names the segments: where the older ones end, how far the newest one surely goes
//	00000001.reg header │ group │ group │ group          sealed: exactly as the manifest says
//	00000002.reg header │ group │ group │ mark           newest: the writer appends here
//
// A group is what one fdatasync made durable: a header, and a record for each register. A mark is the header
// of an empty group. The writer leaves one, unsynced, when it has nothing to do, and overwrites it with the
// next group: as long as it is there, the group before it cannot be mistaken for the torn end of a write.
//
//	D1  done(nil) is called, and a value is shown, after a sync that made it, or something newer, durable.
//	D2  What does not match its checksum, its register and its tag is not served, but a *DamageError.
//	D3  A group is there wholly or not at all. What is invalid at the very end of the newest segment, with
//	    nothing valid behind it, is a torn write that nobody was told of: it is cut. Anything else that is
//	    invalid is damage, and Open refuses the files and leaves them as they are.
//	D4  Groups name the group before them and the manifest that was there, segments the segment before them,
//	    and the manifest the whole set: what is missing, swapped, or an older copy is damage.
//	D5  A segment goes after all that is alive in it is durable elsewhere. Of a register's records the one with
//	    the greatest tag counts, wherever it lies, so moving a record changes nothing.
//	D6  After a failed write or sync nothing is accepted or served any more, for nobody can tell what the disk
//	    has. A disk that is full before the sync is no such failure: what was begun is cut, the puts are
//	    refused with OutOfMemory, and the store goes on.
//
// What stays undetected: damage to the last group after a kill that came before its mark was written, or after
// a power loss that took the mark; and all files put back together from an older copy, which the number of the
// node's start tells (docs/design/durability.md).
//
// Two goroutines: the writer, the only one that writes files or changes the index, and the compactor. Close
// waits for both. In the code r is a register, t a tag, g a group, c a segment.
package disk
