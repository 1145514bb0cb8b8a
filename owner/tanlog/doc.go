// Package tanlog checks the files that a replica kept, before Dragonboat opens them.
//
// Dragonboat's tan log takes the first record that it cannot read for the torn end of a crash and cuts
// the log there. One flipped bit in the middle can so drop writes that were acknowledged, without a
// word. Check reads the same files by the same format and tells the two apart:
//
//	a crash cuts:     ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▌            the file ends inside its last record, in zeros or in room
//	                  ▇▇▇▇▇▇▇▇▇▇▇▇▇▒▇▒▒▒▒▒        or sectors of its last record are room
//	damage alters:    ▇▇▇▇▇▇▇▇░▇▇▇▇▇▇▇▇▇▇▇▇       every byte is there, and one of them is wrong
//
//	NODEHOST.ID, dragonboat.ds                    flag files: a digest before their content
//	HOST/DEPLOYMENT/tandb/bootstrap/BOOTSTRAP-S-R the replica's founders: one record
//	HOST/DEPLOYMENT/tandb/node-S-R/CURRENT        one record: the name of the manifest
//	                              MANIFEST-N      records: which log files are current
//	                              N.log           records: the replica's Raft log
//	                              N.index         records: where in N.log everything is; written when N.log is full,
//	                                              at a clean end, and at a start for the log of a crash
//	HOST/DEPLOYMENT/snapshot-part-P/snapshot-S-R/snapshot-I/  a snapshot in blocks, and flag files
//
// A record is cut into chunks that never cross a block of 32 KiB; a chunk is checksum, length, type, bytes.
//
//	T1  Check changes nothing. Damage is reported as a *DamageError, and the files stay as they are.
//	T2  Only the last log file, while it has no index, and the manifest may end torn: the crash cut
//	    their last write. Every other file was finished and synced before it got its name.
//	T3  A torn end is what is left when a file is cut: part of a chunk that runs beyond the end of the
//	    file, a record that lacks its last chunks, or zeros up to the end. If all bytes of a chunk are
//	    there and its checksum differs, or if a whole chunk follows, it is damage.
//	T4  Every log file that the manifest names is there, all but the last have an index, every place
//	    that an index names is where a record begins, and no log file with records goes unnamed.
//	T5  Memory is bounded by the largest index; a log file is read once, in blocks of 32 KiB, and what follows its
//	    last whole record once more.
//	T6  Behind its records a log file may have room, which repeats RoomMark: who appends writes over it (package faultfs). A
//	    disk that loses power in such a write has some of its sectors, and the others are room still; of an altered
//	    record every sector is there. Report.Room says where such files are to be cut before Dragonboat reads them. A finished file
//	    may have room, and nothing torn.
//
// What stays undetected:
//   - A last log file cut short by something else than a crash, or whose end was replaced by zeros: nothing
//     in it tells that more had been there. With an index, a lost write is found.
//   - A last whole record with its length altered in both bytes, or with something else as well, when
//     nothing whole follows: it looks cut.
//   - What a crash left of its last write, which nobody was told of.
//   - An older, consistent copy of all the files. The number of the boot, kept elsewhere, finds that one.
//   - A snapshot that is missing while only the last log file, still without index, knows of it:
//     Dragonboat refuses to start then.
//   - Chunks do not carry their place: a block within a long record that was replaced by another such
//     block of the same log, both whole.
//   - A whole directory of a replica that is missing without trace.
//   - An alteration of the last acknowledged record, when a power failure cut a write behind it as well.
//   - A sector of the last record of a log that is not finished, altered into room.
//   - An alteration that keeps the 32-bit checksum: one in 4 billion by chance, any by intent.
//
// What is refused although no acknowledged write was lost: altered room; a power failure after which the disk kept
// of an unsynced write a whole record without the one before it, or zeros where nobody made room, and bytes behind them
// (Dragonboat does not start from that either, or drops it without having looked); and a cut last record of which the bytes that users wrote contain a
// whole chunk. A replica that is refused rejoins from the other owners.
//
// There is no goroutine here. Next: package owner, which calls Check before it opens a Host.
package tanlog
