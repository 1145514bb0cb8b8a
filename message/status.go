package message

import "fmt"

// What follows travels as JSON in the Data of answers: it is asked for by people, not on the hot path.

// ReplicaStatus is what an owner knows of one company.
type ReplicaStatus struct {
	Company  CompanyID `json:"company"`
	Replica  uint64    `json:"replica"`
	Leader   *NodeID   `json:"leader"` // nil while there is none
	Term     uint64    `json:"term"`
	Applied  uint64    `json:"applied"`
	Members  uint64    `json:"members,omitempty"` // the entry that changed its company's members last, as far as it has applied them
	Used     uint64    `json:"used"`              // bytes allocated, reserved and held as parts
	Capacity uint64    `json:"capacity"`          // bytes
	Count    uint64    `json:"allocations"`
	Room     uint64    `json:"room"`            // the largest size that a MALLOC would get
	Bytes    uint64    `json:"resident"`        // bytes of pages that exist
	State    string    `json:"state,omitempty"` // "", or why it does not serve
}

// NodeStatus is what a node knows of itself: the answer to STATUS.
type NodeStatus struct {
	ID          NodeID          `json:"id"`
	Pid         int             `json:"pid"`
	Address     string          `json:"address"`
	HTTP        string          `json:"http"`
	Version     string          `json:"version"`
	Boot        uint64          `json:"boot"`
	Incarnation uint64          `json:"incarnation"`
	UptimeMS    int64           `json:"uptime_ms"`
	Memory      uint64          `json:"memory"`               // resident bytes of the process
	MemoryUse   *MemoryUse      `json:"memory_use,omitempty"` // what it is taken by; nil from an older program
	Cache       CacheStatus     `json:"cache"`                // what it keeps under leases
	CaughtUp    bool            `json:"caught_up"`
	Control     string          `json:"control,omitempty"` // where the launcher takes kill, revive, pause, resume
	Replicas    []ReplicaStatus `json:"replicas"`
	// Detector is what the failure detector of this node believes of the others.
	Detector []Belief `json:"detector,omitempty"`
	Jobs     int      `json:"jobs,omitempty"` // that run here
	TimeMS   int64    `json:"time_ms"`        // Unix milliseconds, when this was said
	// DiskFree and DiskTotal are of the file system that holds the node's files, in bytes; 0 where it is not known.
	DiskFree  uint64 `json:"disk_free"`
	DiskTotal uint64 `json:"disk_total"`
	// Delays are what a topology or a fault puts on the frames that this node sends to its neighbours, where it
	// does; not what the network itself takes.
	Delays []Delay `json:"delays,omitempty"`
}

// CacheStatus is what a node keeps under leases.
type CacheStatus struct {
	Bytes  uint64 `json:"bytes"`
	Budget uint64 `json:"budget"` // that it may keep now
	Pages  uint64 `json:"pages"`
	Dirty  uint64 `json:"dirty"` // bytes that are not written back
	Leases uint64 `json:"leases"`
	Lost   uint64 `json:"lost,omitempty"` // bytes that were absorbed and could not be written back, since the process began
}

// Delay is how late frames to a node leave.
type Delay struct {
	Node NodeID `json:"node"`
	US   int64  `json:"us"` // microseconds
}

// Belief is what a node's failure detector says of another node, and for how long.
type Belief struct {
	Node  NodeID `json:"node"`
	State string `json:"state"` // alive, suspect, dead, unknown
	ForMS int64  `json:"for_ms"`
}

// Tenure is one leadership of a company as a node saw it.
type Tenure struct {
	Company CompanyID `json:"company"`
	Term    uint64    `json:"term"`
	Leader  NodeID    `json:"leader"`
	FromMS  int64     `json:"from_ms"` // Unix milliseconds
	ToMS    int64     `json:"to_ms"`   // 0 while it lasts
	GapMS   int64     `json:"gap_ms"`  // how long nobody led before it
}

// LogLine is one operation of a company: "S1 allocate 0x500000001000".
type LogLine struct {
	Company   CompanyID `json:"company"`
	Index     uint64    `json:"index"`
	Actor     NodeID    `json:"actor"` // node whose owner led and proposed it
	Operation string    `json:"operation"`
	Address   Addr      `json:"address,omitzero"` // none where it concerns no address
	Size      uint64    `json:"size"`
	Status    Code      `json:"-"`
}

// String is the line as people read it; what concerns no address, such as "S1 lead", has none.
func (l LogLine) String() string {
	if l.Address == 0 {
		return fmt.Sprintf("S%s %s", l.Actor, l.Operation)
	}
	return fmt.Sprintf("S%s %s %s", l.Actor, l.Operation, l.Address)
}

// Rows is the answer to SQL.
type Rows struct {
	Columns []string `json:"columns"`
	Rows    [][]any  `json:"rows"`
	More    bool     `json:"more,omitempty"` // the answer was cut at the limit
}

// Latency sums up a distribution, in microseconds.
type Latency struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50_us"`
	P99   float64 `json:"p99_us"`
	Max   float64 `json:"max_us"`
}

// Counter is one number of STATS.
type Counter struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"`
}

// NodeStats is the answer to STATS: what passed each stage and how long it took there.
type NodeStats struct {
	Node       NodeID             `json:"node"`
	Operations map[string]Latency `json:"operations"` // by op
	Stages     map[string]Latency `json:"stages"`     // check, queue, commit, apply, answer, read_index
	Counters   []Counter          `json:"counters"`
}

// Sums is the answer to VERIFY: Merkle sums of what an owner holds of a company, as hexadecimal SHA-256.
type Sums struct {
	Company CompanyID `json:"company"`
	Index   uint64    `json:"index"` // of the last entry that the state holds
	Root    string    `json:"root"`
	State   string    `json:"state"`           // of all but the pages: allocations, transactions, answers that are kept
	Parts   []Sum     `json:"parts,omitempty"` // of the pages in groups, or of one group's pages
}

// Sum is the sum of a group of pages, or of a page, by number; what has only zeros has none.
type Sum struct {
	Number uint64 `json:"n"`
	Sum    string `json:"sum"`
}
