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
	Leads   []message.CompanyID `json:"leads"`
	Owns    []message.CompanyID `json:"owns"`
	Boot    uint64              `json:"boot"`
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
}

// Event is one message of a command, for trace.
type Event struct {
	After   time.Duration // since the command began
	Message *message.Message
	Note    string // what is no message: "node 2 did not answer within 120 ms"
}
