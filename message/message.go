package message

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// Flags of a message.
type Flags uint8

const (
	NeedCallback Flags = 1 << iota // answer ALIVE before the work starts
	Traced                         // answers tell the path
	PartOf                         // Address is behind a block of Txn, not an address of a user
	Exclusive                      // a lease to write; without it one to read
	WriteBack                      // the holder of the lease may keep writes to itself
	Confirm                        // a READ that a majority confirms, whatever lease the leader has

	flagsEnd
)

// Message is the one unit that clients, nodes and companies exchange. See the package comment for its fields.
type Message struct {
	Op      Op
	Flags   Flags
	Client  ClientID
	Seq     uint64
	Low     uint64
	Source  NodeID
	Target  NodeID
	Final   NodeID
	Address Addr
	Size    uint64
	Value   uint64
	Data    []byte
	Company CompanyID
	Epoch   uint64
	Term    uint64
	Index   uint64
	Txn     Txn
	Blocks  []Block
	Status  Code
	Text    string
	Path    []NodeID
	Token   uint64 // of the lease under which it is asked
	Length  uint64 // of a lease, milliseconds
}

// New makes a message from a client, to nobody yet.
func New(op Op) *Message {
	return &Message{Op: op, Source: NoNode, Target: NoNode, Final: NoNode}
}

// Answer makes the OK to m: same client and seq, on its way back.
func (m *Message) Answer(c Code, text string) *Message {
	a := new(Message)
	m.AnswerTo(a, c, text)
	return a
}

// AnswerTo is Answer for who has the memory.
func (m *Message) AnswerTo(a *Message, c Code, text string) {
	*a = Message{Op: OK, Client: m.Client, Seq: m.Seq, Source: m.Target, Target: m.Source, Final: NoNode,
		Company: m.Company, Status: c, Text: text}
}

// Fail makes the answer that carries an error.
func (m *Message) Fail(err error) *Message {
	return m.Answer(CodeOf(err), clip(err.Error()))
}

func clip(s string) string {
	if len(s) <= MaxText {
		return s
	}
	return strings.ToValidUTF8(s[:MaxText-3], "") + "..."
}

// Err is the error that an answer carries, nil for success.
func (m *Message) Err() error {
	if m.Status == Done {
		return nil
	}
	return &Error{Code: m.Status, Text: m.Text}
}

// Equal compares two messages field by field; nil and empty slices are equal.
func (m *Message) Equal(n *Message) bool {
	if m.Op != n.Op || m.Flags != n.Flags || m.Client != n.Client || m.Seq != n.Seq || m.Low != n.Low ||
		m.Source != n.Source || m.Target != n.Target || m.Final != n.Final || m.Address != n.Address ||
		m.Size != n.Size || m.Value != n.Value || m.Company != n.Company || m.Epoch != n.Epoch ||
		m.Term != n.Term || m.Index != n.Index || m.Txn != n.Txn || m.Status != n.Status || m.Text != n.Text || m.Token != n.Token || m.Length != n.Length ||
		len(m.Blocks) != len(n.Blocks) || len(m.Path) != len(n.Path) || !bytes.Equal(m.Data, n.Data) {
		return false
	}
	for i := range m.Blocks {
		a, b := &m.Blocks[i], &n.Blocks[i]
		if a.Address != b.Address || a.Size != b.Size || a.Company != b.Company || a.Behind != b.Behind {
			return false
		}
	}
	for i := range m.Path {
		if m.Path[i] != n.Path[i] {
			return false
		}
	}
	return true
}

// String is the one-line form that trace prints: op, source -> target, final target, what, how much.
func (m *Message) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s -> %s", m.Op, m.Source, m.Target)
	if m.Final != NoNode && m.Final != m.Target {
		fmt.Fprintf(&b, " (final %s)", m.Final)
	}
	if m.Company != 0 {
		fmt.Fprintf(&b, " company %s", m.Company)
	}
	if m.Address != 0 {
		fmt.Fprintf(&b, " %s", m.Address)
	}
	if m.Size != 0 {
		fmt.Fprintf(&b, " size %d", m.Size)
	}
	if len(m.Data) != 0 {
		fmt.Fprintf(&b, " data %d B", len(m.Data))
	}
	if !m.Txn.IsZero() {
		fmt.Fprintf(&b, " txn %s", m.Txn)
	}
	if m.Index != 0 {
		fmt.Fprintf(&b, " index %d", m.Index)
	}
	if m.Token != 0 {
		fmt.Fprintf(&b, " token %d", m.Token)
	}
	if m.Op == OK && m.Status != Done {
		fmt.Fprintf(&b, " %s", m.Status)
	}
	for i, n := range m.Path {
		if i == 0 {
			b.WriteString(" via ")
		} else {
			b.WriteByte(',')
		}
		b.WriteString(n.String())
	}
	return b.String()
}

// ClientExpiry is how long a company's clock must not have seen a client before it is forgotten.
const ClientExpiry = 15 * time.Minute
