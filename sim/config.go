package sim

import (
	"fmt"
	"slices"
	"strings"

	"dmalloc/message"
)

// Config says which history is played. Equal configs play equal histories, to the last message.
type Config struct {
	Seed uint64
	Salt uint64 // other dice for the same cast: shrinking needs them, since leaving something out shifts all that follows

	// Zero means that the seed chooses.
	Clients int
	Ops     int // of each client

	Without Faults // classes that are switched off, whatever the seed says
	Tell    bool   // keep the story also of a history that passes; a story costs time, the history stays the same

	planted bug
	with    Faults // classes that are on, whatever the seed says: planted bugs are looked for where they show
}

func (c Config) String() string {
	s := fmt.Sprintf("seed %d", c.Seed)
	if c.Salt != 0 {
		s += fmt.Sprintf(", salt %d", c.Salt)
	}
	if c.Clients != 0 {
		s += fmt.Sprintf(", %d clients", c.Clients)
	}
	if c.Ops != 0 {
		s += fmt.Sprintf(", %d operations each", c.Ops)
	}
	if c.Without != 0 {
		s += ", without " + c.Without.String()
	}
	return s
}

// Faults is a set of classes of faults. Each seed has its own set, so that each class gets histories in
// which the others do not hide it.
type Faults uint32

const (
	Loss      Faults = 1 << iota // messages are lost
	Twice                        // messages come twice
	Tail                         // some messages take very long
	Crash                        // a node stops, and comes back with what is on its disk
	Power                        // all nodes stop at once
	Pause                        // a node freezes, and goes on as if nothing had been
	Cut                          // a node's owners do not reach those of other nodes; clients still reach them
	Disk                         // a node loses its disk and comes back as another incarnation
	Elections                    // leaders change for no reason
	Deposed                      // what a deposed leader proposed reaches the log after all
	Proposals                    // proposals are lost, or come twice
	Lag                          // an owner applies much later than the others
	Snapshots                    // owners take snapshots and the log is cut behind them
	Members                      // the registers' members change
	Death                        // clients die half-way
	Impatient                    // clients give up soon
	Near                         // clients read at any owner
	SlowSync                     // disks of registers take long
	Join                         // nodes join
	Leave                        // nodes are dismissed, and leave
	Replace                      // others take the places of nodes that are dead for long
	Leases                       // nodes take leases, and clients go through them
	Back                         // leases to write may be such that their holder keeps writes to itself
	Drift                        // clocks go wrong by up to 1 %

	faultsEnd
)

const allFaults = faultsEnd - 1

var faultNames = []string{"loss", "twice", "tail", "crash", "power", "pause", "cut", "disk", "elections", "deposed", "proposals", "lag",
	"snapshots", "members", "death", "impatient", "near", "slow-sync",
	"join", "leave", "replace", "leases", "write-back", "drift"}

func (f Faults) String() string {
	if f == 0 {
		return "no faults"
	}
	var words []string
	for i, name := range faultNames {
		if f&(1<<i) != 0 {
			words = append(words, name)
		}
	}
	return strings.Join(words, " ")
}

// ParseFaults reads what String writes: names of classes, with blanks or commas between them.
func ParseFaults(s string) (Faults, error) {
	var f Faults
	if s == Faults(0).String() {
		return 0, nil
	}
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' }) {
		i := slices.Index(faultNames, word)
		if i < 0 {
			return 0, message.Errorf(message.InvalidArgument, "%s is no class of faults; they are %s", message.Quote(word), strings.Join(faultNames, ", "))
		}
		f |= 1 << i
	}
	return f, nil
}

// Result is what became of a history.
type Result struct {
	Config     Config
	Operations int // that clients began
	Unknown    int // of them, ended without an answer
	Events     int // things that happened
	Hash       uint64
	Deeds      Deeds
	Check      string // the invariant that does not hold, "S1" to "S12", or "" for a history that passes
	Err        *message.Error
	Story      []string // of a history that fails, or that was to be told: what concerns the failure, in order
}

// Failed says whether an invariant did not hold.
func (r Result) Failed() bool { return r.Err != nil }

func (r Result) String() string {
	if !r.Failed() {
		return fmt.Sprintf("%s: %d operations, %d of unknown outcome, %d events, trace %016x", r.Config, r.Operations, r.Unknown, r.Events, r.Hash)
	}
	return fmt.Sprintf("%s: %s\n%s", r.Config, r.Err.Text, strings.Join(r.Story, "\n"))
}
