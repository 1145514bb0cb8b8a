// Package lease says who may keep copies of which pages of a company, and when that right may be taken away.
// docs/design/leases.md has the whole of it: the holder's side is package cache, the effects are package node's.
//
//	            apply (every owner, no clock)                  the leader only (its clock, as an argument)
//	LEASE ────▶ Table.Grant ──▶ granted ─────────────────────▶ Watch.Seen
//	                        └─▶ against others ──────────────▶ Watch.Ask ──▶ REVOKE to the holders
//	WRITE ────▶ Table.Stands, Table.Over                       Watch.Consent ◀── their answers
//	EXPIRE ───▶ Table.End ◀─────────────────────────────────── Watch.Ripe, Watch.Next
//	                      ───────────────────────────────────▶ Watch.Ended
//
// Table is a part of a company's state: equal entries make equal tables, and it knows durations only.
//
//	L1   No page has two leases unless all are shared, and a node has one lease on a page at most. A new lease
//	     takes the place of its own node's old ones that lie inside it, and is never weaker than they are: not
//	     shorter, not shared for an exclusive one, not without write-back for one with it. For until its holder
//	     hears of the new one, it uses the old.
//	LT1  Tokens grow, and name a lease for ever.
//	LT2  A node has leases of one session only: one of a newer session ends those of older ones.
//	LT3  There are at most MaxLeases. Beyond them Grant says Busy.
//
// Watch is what a leader knows of time. It counts a lease from when it was applied here, which is after its
// holder began to count, and for longer than its holder does: T3. A new leader counts what it found from its own
// TERM entry on. Clocks are trusted to go wrong by 1 % at most, and only those of holders and of the leader of
// the newest term: what another leader decides is refused by its term (L4).
//
// Queue has those who wait for a lease to end served in the order in which they came, wherever they want what
// cannot be had at once: the pages of one overlap those of the other and one of the two would write. The first
// goes on, those behind it wait for it to be done; a shared lease does not overtake an exclusive one that waits.
// It holds MaxWaiting; more are told Busy.
//
// Check verifies L1 and LT1 to LT3; model_test.go tries every order of events of a small cluster against the
// table, the watch and a holder that keeps T1 to T6.
//
// Next: package company, which applies the table, and package cache, the holder's side.
package lease
