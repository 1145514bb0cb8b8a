// Package compare says what a heap is compared with, how the numbers of several rounds become one ratio, and whether
// that is what was aimed at.
//
//	Rows ──▶ Run: each round, each row: ours, theirs (the next round: theirs, ours) ──▶ Outcomes ──▶ Table, CSV, JSON
//	             └─ Bench: starts servers, measures one Task                                └──▶ Page (Markdown)
//
//	C1  Ours and theirs of one ratio were measured next to each other, in the same round.
//	C2  A ratio is the median of the rounds' ratios, and never shown without the least and the greatest of them.
//	C3  Nothing is left out: a row that was not measured says why, one that missed its aim says so.
//
// It starts nothing itself: Bench is its caller's. machine*.go are the exception, they look at the machine.
package compare
