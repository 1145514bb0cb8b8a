package message

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Space keeps registers of different uses apart: equal addresses in two spaces are two registers.
type Space uint8

const (
	UserSpace Space = iota // what users read and write
	JobSpace               // pieces of the modules of jobs

	spaceEnd
)

// Valid says whether the space has a meaning in this version.
func (s Space) Valid() bool { return s < spaceEnd }

// RegisterID names a register: any number of 64 bits, in a space.
type RegisterID struct {
	Space   Space
	Address uint64
}

func (r RegisterID) String() string {
	if r.Space == UserSpace {
		return fmt.Sprintf("register %d", r.Address)
	}
	return fmt.Sprintf("register %d of space %d", r.Address, r.Space)
}

// Less orders registers, by space and address.
func (r RegisterID) Less(o RegisterID) bool {
	if r.Space != o.Space {
		return r.Space < o.Space
	}
	return r.Address < o.Address
}

// Tag orders the writes of a register: by TS, then Writer, then Op. No two writes have the same tag,
// since a writer is one live process and numbers its operations. The zero Tag is that of a register that
// was never written. JSON: {"ts":3,"writer":"32 hexadecimal digits","op":1}.
type Tag struct {
	TS     uint64
	Writer ClientID
	Op     uint64
}

// Compare is negative where t is older than u, positive where it is newer.
func (t Tag) Compare(u Tag) int {
	switch {
	case t.TS != u.TS:
		return order(t.TS < u.TS)
	case t.Writer != u.Writer:
		return order(string(t.Writer[:]) < string(u.Writer[:]))
	case t.Op != u.Op:
		return order(t.Op < u.Op)
	}
	return 0
}

func order(less bool) int {
	if less {
		return -1
	}
	return 1
}

// IsZero says whether nothing was written under the tag.
func (t Tag) IsZero() bool { return t == Tag{} }

func (t Tag) String() string { return fmt.Sprintf("%d.%x.%d", t.TS, t.Writer[:4], t.Op) }

type tagJSON struct {
	TS     uint64 `json:"ts"`
	Writer string `json:"writer"`
	Op     uint64 `json:"op"`
}

// MarshalJSON writes the three parts.
func (t Tag) MarshalJSON() ([]byte, error) {
	return json.Marshal(tagJSON{t.TS, t.Writer.String(), t.Op})
}

// UnmarshalJSON reads the three parts.
func (t *Tag) UnmarshalJSON(b []byte) error {
	var j tagJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	w, err := hex.DecodeString(j.Writer)
	if err != nil || len(w) != len(t.Writer) {
		return Errorf(InvalidArgument, "%s is not a writer: it has 32 hexadecimal digits", Quote(j.Writer))
	}
	t.TS, t.Writer, t.Op = j.TS, ClientID(w), j.Op
	return nil
}

// Tag is the tag that a message of registers carries: in value (TS) and txn (writer and op).
func (m *Message) Tag() Tag { return Tag{TS: m.Value, Writer: m.Txn.Client, Op: m.Txn.Seq} }

// SetTag puts a tag there.
func (m *Message) SetTag(t Tag) { m.Value, m.Txn = t.TS, Txn{Client: t.Writer, Seq: t.Op} }

// Register is the register that a message of registers is about: its space in company, its number in address.
func (m *Message) Register() RegisterID {
	return RegisterID{Space: Space(m.Company), Address: uint64(m.Address)}
}

// SetRegister puts it there.
func (m *Message) SetRegister(r RegisterID) {
	m.Company, m.Address = CompanyID(r.Space), Addr(r.Address)
}

// Member is a node as the keeper of registers. An incarnation that lost its disk is another member.
type Member struct {
	Node        NodeID `json:"node"`
	Incarnation uint64 `json:"incarnation"`
}

func (m Member) String() string {
	if m.Incarnation == 0 {
		return m.Node.String()
	}
	return fmt.Sprintf("%s.%d", m.Node, m.Incarnation)
}

// Registers says among whom the registers are spread: the configuration that their epochs number. Next
// is there while members change: then each operation asks a quorum of the old replicas and one of the
// new ones.
type Registers struct {
	Cluster  string   `json:"cluster,omitempty"` // whose configuration it is: another cluster's is never taken
	Epoch    uint64   `json:"epoch"`             // grows with each change, from 1
	Replicas int      `json:"replicas"`          // of each register
	Members  []Member `json:"members"`           // by node
	Next     []Member `json:"next,omitempty"`    // by node
}

// MaxReplicas is how many replicas a register or a company has at most.
const MaxReplicas = 9

// Check says what is wrong with a configuration that came from elsewhere, nil if nothing is.
func (r Registers) Check() error {
	if r.Epoch == 0 || r.Replicas < 1 || r.Replicas > MaxReplicas || len(r.Members) == 0 {
		return Errorf(InvalidArgument, "registers cannot have %d replicas on %d nodes in epoch %d", r.Replicas, len(r.Members), r.Epoch)
	}
	for _, list := range [][]Member{r.Members, r.Next} {
		if len(list) > MaxNodes {
			return Errorf(InvalidArgument, "registers cannot be kept by %d members; there are at most %d nodes", len(list), MaxNodes)
		}
		for i, m := range list {
			if m.Node >= MaxNodes || i > 0 && list[i-1].Node >= m.Node {
				return Errorf(InvalidArgument, "the members of registers are not in order: node %s", m.Node)
			}
		}
	}
	return nil
}

// Clone copies the configuration.
func (r Registers) Clone() Registers {
	r.Members = append([]Member(nil), r.Members...)
	r.Next = append([]Member(nil), r.Next...)
	return r
}
