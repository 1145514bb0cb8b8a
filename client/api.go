package client

import (
	"time"

	"dmalloc/message"
)

// Node is what is known of a node: what it says of itself, or that it does not answer.
type Node struct {
	ID      message.NodeID      `json:"id"`
	State   string              `json:"state"` // alive, paused, dead, unknown, starting
	Pid     int                 `json:"pid"`   // 0 where it is not known
	Address string              `json:"address"`
	HTTP    string              `json:"http"`
	Host    string              `json:"host"`
	Memory  uint64              `json:"memory"` // resident bytes
	Cache   uint64              `json:"cache"`  // bytes of leased pages that it keeps
	Leads   []message.CompanyID `json:"leads"`
	Owns    []message.CompanyID `json:"owns"`
	Boot    uint64              `json:"boot"`
	Leaving bool                `json:"leaving,omitempty"` // what it holds moves to others, and then it goes
	// Detector is what the nodes' failure detectors say of it: alive, suspect, dead or unknown, as most of
	// those do that answer; empty if none does. DetectorMS is for how long.
	Detector   string `json:"detector"`
	DetectorMS int64  `json:"detector_ms"`
	// MemoryUse is what its memory is taken by, and its limit; nil where it does not say.
	MemoryUse *message.MemoryUse `json:"memory_use,omitempty"`
}

// Company is what is known of a company: the directory's row and what its owners say.
type Company struct {
	ID          message.CompanyID `json:"id"`
	Base        message.Addr      `json:"base"`
	Limit       message.Addr      `json:"limit"`
	Owners      []message.NodeID  `json:"owners"`
	Leader      *message.NodeID   `json:"leader"` // nil while nobody leads
	Term        uint64            `json:"term"`
	Used        uint64            `json:"used"`
	Capacity    uint64            `json:"capacity"`
	Room        uint64            `json:"room"` // the largest size that one allocation within it would get
	Allocations uint64            `json:"allocations"`
	Alive       int               `json:"alive"` // owners that answer
	// Missing is how many owners that answer it lacks, and Moves are the changes of its owners that are under way.
	Missing int      `json:"missing,omitempty"`
	Moves   []Moving `json:"moves,omitempty"`
}

// Moving is a replica that joins a company or leaves it.
type Moving struct {
	Node    message.NodeID `json:"node"`
	Replica uint64         `json:"replica"`
	Instead uint64         `json:"instead,omitempty"` // the replica that leaves for it
	Leaving bool           `json:"leaving,omitempty"` // it leaves, or its attempt to join is given up
	Applied uint64         `json:"applied"`           // the last entry that one that joins has, of
	Of      uint64         `json:"of"`                // this many
}

// Written is how a write was done.
type Written struct {
	Index uint64 // in the log, of its last piece there; 0 if none is
	// WriteBack says that some of it is only in the copy of the node that holds a lease: it dies with that
	// node unless it was written back before. Sync does that.
	WriteBack bool
}

// Register is a register as a quorum, or one node, has it.
type Register struct {
	Address uint64
	Value   []byte
	Tag     message.Tag
	Rounds  int // that the read took: 1 where the quorum agreed, 2 where it had to be made to
}

// RegisterEntry is a row of what one node stores.
type RegisterEntry struct {
	Address uint64      `json:"addr"`
	Size    uint64      `json:"size"`
	Tag     message.Tag `json:"tag"`
}

// RegisterPlace says who keeps a register.
type RegisterPlace struct {
	Address uint64           `json:"addr"`
	Shard   int              `json:"shard"`
	Epoch   uint64           `json:"epoch"`
	Nodes   []message.NodeID `json:"nodes"`
	Next    []message.NodeID `json:"next,omitempty"` // who will, while members change
}

// Event is one message of a command, for trace.
type Event struct {
	After   time.Duration // since the command began
	Message *message.Message
	Note    string // what is no message: "node 2 did not answer within 120 ms"
}
