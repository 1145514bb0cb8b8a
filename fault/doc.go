// Package fault knows what is being broken on purpose: the faults that last until they are healed, and
// what they add up to for each node. It breaks nothing itself: transport does links, faultfs disks.
//
//	"slow 0 1 50ms" ─ Parse ─▶ Fault ─ Add ─▶ Set ─ For(node) ─▶ View ─▶ links, disk and clock of that node
//	                             ▲              │
//	                             └── String ────┴── JSON, to be kept: faults outlive the nodes that they trouble
//
//	partition 0,1|2,3   no frame passes between the groups; a node that is in none keeps all its links
//	partition 0>1       nothing that 0 sends reaches 1; what 1 sends arrives
//	slow 0 1 50ms       each frame between the two is 50 ms longer under way, in each direction
//	drop 0 1 10%        one frame in ten between the two is lost, in each direction
//	disk full 2         nothing more can be written to the disk of node 2
//	disk slow 2 100ms   each sync of the disk of node 2 takes 100 ms longer
//	clock 2 +2s         the clock of node 2 is two seconds fast
//
//	F1  Parse reads what String prints, and gets the same fault.
//	F2  Faults compose, in any order to the same View: a cut wins, delays and clocks add up to their limits,
//	    losses a and b make 1-(1-a)(1-b).
//	F3  A View tells what a node does to the frames that it sends. A cut in both directions is in the Views of both.
//	F4  An id is given once: what was healed does not come back under its number.
//
// Whatever happens once (kill, pause, corrupt) is no Fault of this package. Next: package faultfs.
package fault
