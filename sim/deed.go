package sim

import (
	"fmt"
	"strings"
)

// deed is something that a history is there for. A simulation in which it never happens proves nothing of it.
type deed uint8

const (
	led       deed = iota // a leader was elected
	deposed               // an entry of a deposed leader came into the log
	lost                  // an entry did not come into the log
	doubled               // an entry came into the log twice
	repeated              // a request was done before, and answered from memory
	shipped               // an owner took a leader's snapshot
	restarted             // an owner came back from what is on its disk
	spanned               // an allocation over several companies was committed
	undone                // one was aborted
	settled               // an owner ended a transaction whose coordinator went silent
	moved                 // the registers' members changed
	replaced              // a lost replica of a company was replaced
	died                  // a client died
	wrote                 // a read of a register had to write back
	joined                // a node joined
	departed              // a node left for good
	migrated              // a move of a company's owner began
	removed               // an owner that has its disk was removed
	founded               // a company was founded
	granted               // a lease was taken into use
	over                  // a lease ended
	revoked               // a holder was asked to give a lease back
	strayed               // what a deposed leader had decided about leases came into the log
	copied                // a read was answered from a copy
	stopped               // a holder was stopped between copying bytes and looking at the clock
	absorbed              // a write stayed in the copy
	flushed               // what was absorbed was written back
	vanished              // it was lost
	synced                // a holder said that a cell is written back

	deedEnd
)

var deedNames = [deedEnd]string{"leaders elected", "entries of deposed leaders", "entries lost", "entries doubled", "requests answered from memory",
	"snapshots shipped", "owners restarted", "spanning allocations", "spanning allocations undone", "transactions settled by owners",
	"changes of the registers' members", "replicas replaced", "clients dead", "reads that wrote back",
	"nodes joined", "nodes left", "moves begun", "owners removed", "companies founded",
	"leases used", "leases ended", "leases asked back", "wrong decisions of deposed leaders", "reads from copies", "reads stopped half-way",
	"writes absorbed", "pieces written back", "absorbed writes lost", "syncs answered"}

// Deeds is how often each kind of thing happened that histories are there for.
type Deeds [deedEnd]int

func (d Deeds) String() string {
	words := make([]string, deedEnd)
	for i, n := range d {
		words[i] = fmt.Sprintf("%d %s", n, deedNames[i])
	}
	return strings.Join(words, ", ")
}

func (w *world) did(d deed) { w.deeds[d]++ }
