package message

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

const (
	PageSize   = 4096             // bytes: the unit of leasing, caching, copying and hashing
	Alignment  = 16               // bytes: the smallest allocation, and the alignment of those below a page
	HeapBase   = 0x5000_0000_0000 // where the heap starts, so that it can later be mapped at one place in every process
	WindowSize = 64 << 30         // bytes of address space a company manages
	MaxData    = 1 << 20          // bytes that one message carries; larger transfers are cut
	MaxText    = 4096             // bytes of text in a message
	MaxBlocks  = 256              // blocks in a message
	MaxPath    = 256              // hops in a message
	MaxNodes   = 1024             // nodes in a cluster
	MaxCompany = 64               // companies besides the directory
)

// Addr is a place in the heap. Prints as 0x500000001000.
type Addr uint64

func (a Addr) String() string { return fmt.Sprintf("%#x", uint64(a)) }

// MarshalText makes an address a hexadecimal string in JSON, for a JSON number holds only 53 bits.
func (a Addr) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText takes what ParseAddr takes.
func (a *Addr) UnmarshalText(b []byte) (err error) {
	*a, err = ParseAddr(string(b))
	return err
}

// Page is the number of the page that holds the address.
func (a Addr) Page() uint64 { return uint64(a) / PageSize }

// Company is the company whose window holds the address, and false outside of all windows.
func (a Addr) Company() (CompanyID, bool) {
	if a < HeapBase || a >= HeapBase+MaxCompany*WindowSize {
		return 0, false
	}
	return CompanyID((uint64(a)-HeapBase)/WindowSize) + 1, true
}

// ParseAddr reads an address in hexadecimal with 0x or in decimal.
func ParseAddr(s string) (Addr, error) {
	digits, base := s, 10
	if len(s) > 2 && (s[:2] == "0x" || s[:2] == "0X") {
		digits, base = s[2:], 16
	}
	n, err := strconv.ParseUint(digits, base, 64)
	if err != nil {
		return 0, Errorf(InvalidArgument, "%s is not an address: use 0x and hexadecimal digits, or decimal digits", Quote(s))
	}
	return Addr(n), nil
}

// ParseSize reads a number of bytes: 100, 4k, 1MiB. K, M, G and T are powers of 1024, with or without
// "B" or "iB", in either case. Zero is parsed; whether it makes sense is the caller's to say.
func ParseSize(s string) (uint64, error) {
	bad := func(why string) (uint64, error) {
		return 0, Errorf(InvalidArgument, "%s is not a size: %s", Quote(s), why)
	}
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	if i == 0 {
		return bad("use a whole number of bytes such as 100, 4k or 1MiB")
	}
	n, err := strconv.ParseUint(s[:i], 10, 64)
	if err != nil {
		return bad("it does not fit in 64 bits")
	}
	unit := strings.ToLower(s[i:])
	if unit != "b" {
		unit = strings.TrimSuffix(strings.TrimSuffix(unit, "b"), "i")
	} else {
		unit = ""
	}
	shift, ok := map[string]uint{"": 0, "k": 10, "m": 20, "g": 30, "t": 40}[unit]
	if !ok || (unit == "" && i < len(s) && strings.ToLower(s[i:]) != "b") {
		return bad("use a whole number of bytes such as 100, 4k or 1MiB")
	}
	if bits.LeadingZeros64(n) < int(shift) {
		return bad("it does not fit in 64 bits")
	}
	return n << shift, nil
}

// FormatSize writes a size as ParseSize reads it: the largest unit that loses nothing.
func FormatSize(n uint64) string {
	for i, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if shift := 40 - 10*i; n >= 1<<shift && n&(1<<shift-1) == 0 {
			return strconv.FormatUint(n>>shift, 10) + unit
		}
	}
	return strconv.FormatUint(n, 10)
}

// Quote shows a word of a user in an error: control characters escaped, long words cut.
func Quote(s string) string {
	const most = 60
	if len(s) > most {
		return strconv.Quote(s[:most]) + "…"
	}
	return strconv.Quote(s)
}

// NodeID names a node. On the wire it is one larger, so that zero can mean "a client".
type NodeID uint32

// NoNode is a client, or nobody.
const NoNode NodeID = math.MaxUint32

func (n NodeID) String() string {
	if n == NoNode {
		return "client"
	}
	return strconv.FormatUint(uint64(n), 10)
}

// CompanyID names a company. Company 0 is the directory.
type CompanyID uint32

func (c CompanyID) String() string { return strconv.FormatUint(uint64(c), 10) }

// Base is the first address of the company's window.
func (c CompanyID) Base() Addr { return HeapBase + Addr(c-1)*WindowSize }

// Limit is the first address after the company's window.
func (c CompanyID) Limit() Addr { return c.Base() + WindowSize }

// ClientID names one instance of a client: 128 random bits. Zero is nobody, and never retried.
type ClientID [16]byte

func (c ClientID) String() string { return hex.EncodeToString(c[:]) }

// Txn names an allocation that spans companies: the MALLOC request that asked for it.
type Txn struct {
	Client ClientID
	Seq    uint64
}

func (t Txn) IsZero() bool { return t == Txn{} }

func (t Txn) String() string { return fmt.Sprintf("%x/%d", t.Client[:4], t.Seq) }

// Less orders transactions, for listings that must not depend on a map's order.
func (t Txn) Less(u Txn) bool {
	if t.Client != u.Client {
		return string(t.Client[:]) < string(u.Client[:])
	}
	return t.Seq < u.Seq
}

// Block is an extent of an allocation: what a user sees at Address lies in Company at Behind.
// Nodes are the owners; they do not cross the wire in a Message but are filled in from the directory.
type Block struct {
	Address Addr      `json:"address"`
	Size    uint64    `json:"size"`
	Company CompanyID `json:"company"`
	Behind  Addr      `json:"-"`
	Nodes   []NodeID  `json:"nodes"`
}

// State is where an extent stands in its life.
type State uint8

const (
	Free      State = iota // nobody's
	Allocated              // an allocation, or the home block of one
	Reserved               // taken for a transaction that is not confirmed
	Part                   // a confirmed part of an allocation whose home is elsewhere
	Freeing                // freed; parts elsewhere are not yet all released
)

var stateNames = [...]string{Free: "free", Allocated: "allocated", Reserved: "reserved", Part: "part", Freeing: "freeing"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state_%d", uint8(s))
}

// MarshalText makes a state its word in JSON.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word.
func (s *State) UnmarshalText(b []byte) error {
	for i, name := range stateNames {
		if name == string(b) {
			*s = State(i)
			return nil
		}
	}
	return Errorf(InvalidArgument, "%s is not a state", Quote(string(b)))
}

// Allocation is what malloc returned: one contiguous range for its user, whatever lies behind it.
type Allocation struct {
	Address Addr    `json:"address"`
	Size    uint64  `json:"size"`
	State   State   `json:"state"`
	Blocks  []Block `json:"blocks"`
}

// Settings are what a cluster is made with. They never change after its creation, but for those that
// the directory logs.
type Settings struct {
	Cluster   string `json:"cluster"`            // 16 hexadecimal digits: keeps strangers' nodes out
	Version   int    `json:"version"`            // of the kept files
	Nodes     int    `json:"nodes"`              // how many
	Replicas  int    `json:"replicas"`           // owners of a company
	Companies int    `json:"companies"`          // besides the directory
	Memory    uint64 `json:"memory"`             // bytes of heap a node gives
	Acks      string `json:"acks"`               // "majority" or "all"
	Tick      int    `json:"tick_ms"`            // length of a Raft tick
	Election  int    `json:"election_ticks"`     // election timeout
	Heartbeat int    `json:"heartbeat_ticks"`    // heartbeat interval
	Topology  []Edge `json:"topology,omitempty"` // direct links; none means everybody reaches everybody
	// RegisterReplicas is how many replicas a register has; 0, in settings of an older cluster, is 3.
	RegisterReplicas int `json:"register_replicas,omitempty"`
	// ReplaceAfter is how many milliseconds a node may be dead before others take its place; 0, in settings of an
	// older cluster, is DefaultReplaceAfter, and a negative number means that nobody ever does.
	ReplaceAfter int    `json:"replace_after_ms,omitempty"`
	WriteBack    bool   `json:"write_back,omitempty"` // holders of exclusive leases may keep writes to themselves
	Runs         int    `json:"runs,omitempty"`       // small blocks that a node has set aside at once; 0: it has none
	Cache        uint64 `json:"cache,omitempty"`      // bytes of leased pages that a node keeps; 0 is DefaultCache
	LogShards    int    `json:"log_shards"`           // engine settings that can never change
	Executors    int    `json:"executors"`
}

const (
	DefaultReplaceAfter = 60_000   // milliseconds
	DefaultCache        = 64 << 20 // bytes
)

// LongestRoundTrip is how long a frame and its answer may take between two owners of a company for it to elect a
// leader: one that was just elected steps down if a majority has not answered within an election timeout, of which
// a third is left for disks and ticks.
func (s Settings) LongestRoundTrip() time.Duration {
	return time.Duration(s.Tick*s.Election) * time.Millisecond * 2 / 3
}

// Edge is a direct link between two nodes.
type Edge struct {
	A         NodeID `json:"a"`
	B         NodeID `json:"b"`
	LatencyUS int64  `json:"latency_us,omitempty"` // one way, microseconds
}

// Owner is a replica of a company on a node. Replica ids are never used twice in a company.
type Owner struct {
	Node    NodeID `json:"node"`
	Replica uint64 `json:"replica"`
	Joining bool   `json:"joining,omitempty"` // non-voting: catching up
	Instead uint64 `json:"instead,omitempty"` // of a joining one: the replica that leaves when it votes; 0 if none does
	Leaving bool   `json:"leaving,omitempty"` // leaves, and nobody takes its place: the cluster has too few nodes
}

// Company is a shard of the heap as the directory knows it.
type Company struct {
	ID       CompanyID `json:"id"`
	Base     Addr      `json:"base"`
	Limit    Addr      `json:"limit"`
	Capacity uint64    `json:"capacity"` // bytes: the least share of its owners
	Owners   []Owner   `json:"owners"`
	Next     uint64    `json:"next"` // the next replica id
	// Founders are with whom a company began that was founded later. Those of the others are in the plan.
	Founders []Founder `json:"founders,omitempty"`
	// Generation counts how often the company has begun anew from one survivor, after a majority was lost for good.
	Generation uint64 `json:"generation,omitempty"`
}

// Founder is a replica with which a company begins, and the disk that it begins on.
type Founder struct {
	Node        NodeID `json:"node"`
	Replica     uint64 `json:"replica"`
	Incarnation uint64 `json:"incarnation,omitempty"`
	From        uint64 `json:"from,omitempty"` // after RECOVER: the replica there whose state it begins with
}

// Owner finds a replica among the owners, nil if it is none.
func (c *Company) Owner(replica uint64) *Owner {
	for i := range c.Owners {
		if c.Owners[i].Replica == replica {
			return &c.Owners[i]
		}
	}
	return nil
}

// Changing says whether a change of the owners is under way.
func (c *Company) Changing() bool {
	for _, o := range c.Owners {
		if o.Joining || o.Leaving {
			return true
		}
	}
	return false
}

// OwnerNodes lists the nodes of the owners.
func (c *Company) OwnerNodes() []NodeID {
	nodes := make([]NodeID, len(c.Owners))
	for i, o := range c.Owners {
		nodes[i] = o.Node
	}
	return nodes
}

// Node is a node as the directory knows it.
type Node struct {
	ID      NodeID `json:"id"`
	Host    string `json:"host"`
	Address string `json:"address"` // of its messages
	HTTP    string `json:"http"`
	Boot    uint64 `json:"boot"` // how many times it has started: an older copy of its files is refused
	// Incarnation counts the disks that the node has lost. A new one has new replica ids and a new Raft
	// address, so that nothing sent to the old one reaches it.
	Incarnation uint64 `json:"incarnation"`
	Memory      uint64 `json:"memory,omitempty"`  // bytes of heap that it gives; 0 means what the settings say
	Leaving     bool   `json:"leaving,omitempty"` // gets nothing new, and what it owns moves away
	Gone        bool   `json:"gone,omitempty"`    // has left for good: its id is not used again
	// Key is what a node that joined drew at random before it asked for admission: asked again, it gets the same id.
	Key uint64 `json:"key,omitempty"`
}

// Job is a module of jobs, as the directory knows it. Its bytes lie in registers of JobSpace.
type Job struct {
	Name   string `json:"name"`
	Size   uint64 `json:"size"`   // bytes
	SHA256 string `json:"sha256"` // of the bytes, hexadecimal
	// Generation is drawn anew each time a module is added: its pieces are shared with no other one.
	Generation uint64 `json:"generation,omitempty"`
}

// Move names a change of a company's owners. In REPLACE: the replica on Node votes now, and the one that it
// takes the place of leaves; with Node NoNode, Replica has left and nobody took its place. In MOVE: Node joins, in
// a new replica, instead of replica From; with From 0 nobody leaves, and with Node NoNode nobody joins. Where From
// itself is joining, Node is NoNode: the attempt is given up, and another one may join when From is out. In
// RECOVER: the company begins anew from what replica From on Node holds.
type Move struct {
	Company CompanyID `json:"company"`
	Node    NodeID    `json:"node"`
	Replica uint64    `json:"replica,omitempty"`
	From    uint64    `json:"from,omitempty"`
	Epoch   uint64    `json:"epoch,omitempty"` // in MOVE and RECOVER: refused if the directory has changed since
	// Voters are in REPLACE the replicas that vote in the company, as its leader read it from Raft after the change.
	Voters []uint64 `json:"voters,omitempty"`
}

// Lease is the right of a node to cache pages of a company.
type Lease struct {
	Company   CompanyID `json:"company"`
	Address   Addr      `json:"address"` // of the first page
	Size      uint64    `json:"size"`    // bytes, whole pages
	Mode      string    `json:"mode"`    // "r" shared, "w" exclusive
	Token     uint64    `json:"token"`
	Holder    NodeID    `json:"holder"`
	Session   uint64    `json:"session"` // of the holder: a process of it
	LengthMS  uint64    `json:"length_ms"`
	LeftMS    uint64    `json:"ms_left"` // that the leader gives it at most, as far as it knows
	WriteBack bool      `json:"write_back,omitempty"`
}

// MaxLease bounds the length of a lease, in milliseconds; DefaultLease is what is asked for where nothing is said.
const (
	MaxLease     = 30_000
	DefaultLease = 10_000
)

// Directory is company 0's state: who is there and who owns what. Everybody else caches it by epoch.
type Directory struct {
	Epoch     uint64    `json:"epoch"`
	Settings  Settings  `json:"settings"`
	Nodes     []Node    `json:"nodes"`                      // by id
	Companies []Company `json:"companies"`                  // by id; the first is the directory itself
	Registers Registers `json:"registers"`                  // who keeps the registers
	Chosen    bool      `json:"registers_chosen,omitempty"` // a user has said on which nodes: others do not join by themselves
	Jobs      []Job     `json:"jobs,omitempty"`             // modules of jobs, by name
}

// Company finds a company, nil if there is none.
func (d *Directory) Company(id CompanyID) *Company {
	if int(id) >= len(d.Companies) {
		return nil
	}
	return &d.Companies[id]
}

// Node finds a node, nil if there is none.
func (d *Directory) Node(id NodeID) *Node {
	if int64(id) >= int64(len(d.Nodes)) {
		return nil
	}
	return &d.Nodes[id]
}

// Links are the direct links as they are now. A node that came later and has none of its own has one to everybody,
// for it was not in the drawing. None at all means that everybody reaches everybody.
func (d *Directory) Links() []Edge {
	edges := append([]Edge(nil), d.Settings.Topology...)
	if len(edges) == 0 {
		return nil
	}
	drawn := make([]bool, len(d.Nodes))
	for _, e := range edges {
		for _, n := range []NodeID{e.A, e.B} {
			if int64(n) < int64(len(drawn)) {
				drawn[n] = true
			}
		}
	}
	for i := max(0, d.Settings.Nodes); i < len(d.Nodes); i++ {
		if drawn[i] || d.Nodes[i].Gone {
			continue
		}
		for j := range d.Nodes {
			if !d.Nodes[j].Gone && (j < i || drawn[j]) && j != i {
				edges = append(edges, Edge{A: NodeID(j), B: NodeID(i)})
			}
		}
	}
	return edges
}

// Patience is for how long a node may be dead, in milliseconds, before others take its place; false: for ever.
func (s Settings) Patience() (ms int64, ever bool) {
	switch {
	case s.ReplaceAfter < 0:
		return 0, false
	case s.ReplaceAfter == 0:
		return DefaultReplaceAfter, true
	}
	return int64(s.ReplaceAfter), true
}

// Clone copies the directory.
func (d *Directory) Clone() *Directory {
	e := *d
	e.Nodes = append([]Node(nil), d.Nodes...)
	e.Companies = append([]Company(nil), d.Companies...)
	for i := range e.Companies {
		e.Companies[i].Owners = append([]Owner(nil), e.Companies[i].Owners...)
		e.Companies[i].Founders = append([]Founder(nil), e.Companies[i].Founders...)
	}
	e.Settings.Topology = append([]Edge(nil), d.Settings.Topology...)
	e.Registers = d.Registers.Clone()
	e.Jobs = append([]Job(nil), d.Jobs...)
	return &e
}

// JSON encodes a noun that this package defines; such values always encode.
func JSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("message.JSON: " + err.Error())
	}
	return b
}
