// Package pagetable shows what this node owns, or owned, as a SQLite database in memory, so that people
// can ask questions in SQL. It is a view: the truth is in the owners' companies, and the view can be
// thrown away and rebuilt from them at any time.
//
//	apply goroutine ── Changed(addresses, log lines) ──▶ notes: dirty sets, ring of lines   (memory only)
//	                                                          │
//	            Query, or Run after a quiet moment ───▶ flush │ reads the records from Source,
//	                                                          ▼ writes them in one transaction
//	            Query ── read-only connection ◀────────── SQLite
//
//	P1  Off the answer path: Attach, Detach, Changed and SetDirectory only note. They touch neither SQL nor
//	    a Source, and wait for no one who does.
//	P2  Never a lie: what was noted before Query was called is in its answer.
//	P3  The notes say where to look, not what is there. A flush reads the state of its own moment, and what
//	    changes after that is noted again; so a note may be early, late or twice, and the view still ends
//	    equal to the state.
//	P4  Everything is bounded: the dirty set (beyond maxDirty addresses the company is rebuilt instead),
//	    the log (the last maxLog lines a company; dropped ones are counted), a query's rows and bytes,
//	    and SQLite's memory.
//	P5  A query changes nothing, and opens nothing: its own connection refuses whatever does not read.
//	    (What it sorts beyond SQLite's memory goes to a temporary file that has no name.)
//	P6  A flush that fails loses no note.
//
// Leases are noted by their tokens as extents are by their addresses.
//
// The tables are those of schema.go; `SELECT name, sql FROM sqlite_master` shows them to a user. Addresses
// are there twice: addr is the number, address its text of fixed width, such as '0x500000001000'.
//
// One goroutine at a time uses SQLite; a query that takes long makes the others wait, each until its own
// context ends. The only goroutine of this package is the caller of Run, and those that database/sql keeps
// for its two connections until Close.
//
// Next: package company, whose records these are, and package node, which feeds them.
package pagetable
