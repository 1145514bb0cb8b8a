// Package election remembers who led which company, from when to when, and how long nobody did; and it
// answers WHOISLEADER. Raft elects: this package only watches, from what one node hears.
//
//	Observe(company, term, leader or nobody, at)
//
//	         leader            nobody            leader of a later term
//	nobody ──────────▶ tenure ────────▶ gap ───────────▶ next tenure
//	                     └──────── leader of a later term ──┘  (a gap of nothing)
//
//	E1  Terms never go back: what is said of an earlier term than the greatest seen is ignored.
//	E2  A term has at most one leader, and it is the first that was seen: Raft promises it, so another one
//	    is an error of the speaker. The same one after a gap has led all along: its tenure goes on.
//	E3  The tenures of a company are in the order of terms, do not overlap, and only the last may be open.
//	E4  Time never goes back: an event that claims to be earlier than the last one happened when that did.
//	E5  At most maxTenures of a company are kept, and MaxCompany + 1 companies. The oldest go first.
//	E6  Merge of one history is that history; merging knows no order of its arguments.
//
// A History knows no clock: the time comes in, in Unix milliseconds, and is never below 1, so that 0 can
// mean "it lasts". It has no lock: one goroutine at a time. Different nodes hear of an election at
// different moments and by different clocks, so merged times are sightings, not truth.
//
// Next: package dotgen, which draws it.
package election
