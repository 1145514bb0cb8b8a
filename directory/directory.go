package directory

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"

	"dmalloc/company"
	"dmalloc/message"
)

// State is the directory as its log made it.
type State struct {
	d     *message.Directory // never changed in place: readers and snapshots keep it
	index uint64
}

// New starts from the directory that the cluster was created with; all owners compute the same one.
func New(initial *message.Directory) *State {
	return &State{d: initial.Clone()}
}

// Index is that of the last entry applied.
func (s *State) Index() uint64 { return s.index }

// Current is the directory; it is never changed afterwards.
func (s *State) Current() *message.Directory { return s.d }

// Apply does one Raft entry.
func (s *State) Apply(index uint64, b *message.Batch) company.Applied {
	out := company.Applied{Results: make([]company.Result, len(b.Messages))}
	for i, m := range b.Messages {
		d := s.d.Clone()
		result := change(d, m)
		if result.Code == message.Done && m.Op != message.TERM {
			d.Epoch++ // D1
			if why := tooLarge(s.d, d, m.Op); why.Code != message.Done {
				result = why
			}
		}
		result.Index = index
		if result.Code == message.Done && m.Op != message.TERM {
			s.d = d
			out.Log = append(out.Log, message.LogLine{Index: index, Actor: b.Node, Operation: operation(m.Op)})
		}
		if m.Op == message.TERM {
			out.Log = append(out.Log, message.LogLine{Index: index, Actor: b.Node, Operation: "lead"})
		}
		out.Results[i] = result
	}
	s.index = index
	return out
}

func operation(op message.Op) string {
	switch op {
	case message.BOOT:
		return "boot"
	case message.RETIRE:
		return "retire"
	case message.REPLACE:
		return "replace"
	case message.REGCHANGE:
		return "spread registers"
	case message.REGDONE:
		return "registers spread"
	case message.JOBADD:
		return "add a job"
	case message.JOBDROP:
		return "drop a job"
	case message.ADMIT:
		return "admit a node"
	case message.DISMISS:
		return "dismiss a node"
	case message.GONE:
		return "a node is gone"
	case message.MOVE:
		return "move"
	case message.FOUND:
		return "found a company"
	case message.RECOVER:
		return "recover a company"
	}
	return op.String()
}

func refuse(c message.Code, format string, args ...any) company.Result {
	return company.Result{Code: c, Text: fmt.Sprintf(format, args...)}
}

// change edits d, a copy, as m asks. Every change may be repeated without harm.
func change(d *message.Directory, m *message.Message) company.Result {
	switch m.Op {
	case message.TERM:
		return company.Result{}
	case message.REGCHANGE:
		if m.Value == 1 && m.Size != d.Epoch {
			return refuse(message.Stale, "D6: a change of the registers' members was planned at epoch %d, the directory is at %d", m.Size, d.Epoch)
		}
		if m.Value == 1 {
			return spread(d, m.Data, true, 0)
		}
		return spread(d, m.Data, false, m.Size)
	case message.REGDONE:
		return spreadDone(d, m.Value)
	case message.JOBADD:
		return addJob(d, m.Data)
	case message.JOBDROP:
		return dropJob(d, string(m.Data))
	case message.ADMIT:
		return admit(d, m.Data)
	case message.DISMISS:
		return dismiss(d, m.Value)
	case message.GONE:
		return leave(d, m.Value)
	case message.MOVE:
		return begin(d, m.Data)
	case message.FOUND:
		return found(d, m.Data)
	case message.RECOVER:
		return recoverFrom(d, m.Data)
	case message.BOOT, message.RETIRE, message.REPLACE:
	default:
		return refuse(message.Unsupported, "the directory does not know %s", m.Op)
	}
	if m.Op == message.REPLACE {
		var move message.Move
		if err := json.Unmarshal(m.Data, &move); err != nil {
			return refuse(message.InvalidArgument, "the description of a move is not JSON")
		}
		return replace(d, move)
	}
	var said message.Node
	if err := json.Unmarshal(m.Data, &said); err != nil {
		return refuse(message.InvalidArgument, "the description of a node is not JSON")
	}
	n := d.Node(said.ID)
	if n == nil {
		return refuse(message.NoSuchNode, "node %s is not in the directory; it has %d nodes", said.ID, len(d.Nodes))
	}
	if m.Op == message.BOOT {
		return boot(n, said)
	}
	return retire(d, n, said.Incarnation)
}

// boot keeps D3.
func boot(n *message.Node, said message.Node) company.Result {
	if n.Gone {
		return goneForGood(n)
	}
	if why := tooLong(said); why.Code != message.Done {
		return why
	}
	if said.Incarnation != n.Incarnation {
		return refuse(message.Corrupt, "node %s starts as incarnation %d, the directory has %d: its files are of a node that was replaced; start it with revive %s --wipe", n.ID, said.Incarnation, n.Incarnation, n.ID)
	}
	same := said.Boot == n.Boot && said.Address == n.Address
	if said.Boot <= n.Boot && !same {
		return refuse(message.Corrupt, "node %s starts for the %d. time, the directory has seen %d starts: its files are an older copy; start it with revive %s --wipe", n.ID, said.Boot, n.Boot, n.ID)
	}
	n.Boot, n.Address, n.HTTP = said.Boot, said.Address, said.HTTP
	if said.Host != "" {
		n.Host = said.Host
	}
	return company.Result{}
}

// Read answers DIRECTORY.
func (s *State) Read(m *message.Message) *message.Message {
	if m.Op != message.DIRECTORY {
		return m.Answer(message.Unsupported, fmt.Sprintf("the directory does not answer %s", m.Op))
	}
	answer := m.Answer(message.Done, "")
	answer.Epoch = s.d.Epoch
	answer.Data = message.JSON(s.d)
	return answer
}

// Snapshot is the state at one moment.
type Snapshot struct {
	d     *message.Directory
	index uint64
}

func (s *State) Snapshot() *Snapshot { return &Snapshot{s.d, s.index} }

var table = crc32.MakeTable(crc32.Castagnoli)

const (
	magic   = "DMD1"
	maxSize = 64 << 20 // bytes: far above MaxNodes nodes and MaxCompany companies
)

// WriteTo writes magic, index, length, JSON and the CRC-32C of all that.
func (s *Snapshot) WriteTo(w io.Writer) (int64, error) {
	body := message.JSON(s.d)
	b := append([]byte(magic), make([]byte, 12)...)
	binary.LittleEndian.PutUint64(b[4:], s.index)
	binary.LittleEndian.PutUint32(b[12:], uint32(len(body)))
	b = append(b, body...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, table))
	n, err := w.Write(b)
	return int64(n), err
}

// Load reads what WriteTo wrote and refuses everything else.
func Load(r io.Reader) (*State, error) {
	head := make([]byte, 16)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, fmt.Errorf("read the directory's snapshot: %w", err)
	}
	size := binary.LittleEndian.Uint32(head[12:])
	if string(head[:4]) != magic || size > maxSize {
		return nil, message.Errorf(message.Corrupt, "the directory's snapshot does not begin as one")
	}
	rest, err := io.ReadAll(io.LimitReader(r, int64(size)+4))
	if err != nil {
		return nil, fmt.Errorf("read the directory's snapshot: %w", err)
	}
	if len(rest) != int(size)+4 {
		return nil, message.Errorf(message.Corrupt, "the directory's snapshot is cut")
	}
	sum := crc32.Update(crc32.Checksum(head, table), table, rest[:size])
	if sum != binary.LittleEndian.Uint32(rest[size:]) {
		return nil, message.Errorf(message.Corrupt, "the directory's snapshot has a wrong checksum")
	}
	d := new(message.Directory)
	if err := json.Unmarshal(rest[:size], d); err != nil {
		return nil, message.Errorf(message.Corrupt, "the directory's snapshot is not JSON: %v", err)
	}
	s := &State{d: d, index: binary.LittleEndian.Uint64(head[4:])}
	if err := s.Check(); err != nil {
		return nil, err
	}
	return s, nil
}

// Check tests the invariants.
func (s *State) Check() error {
	for i, c := range s.d.Companies {
		if int(c.ID) != i {
			return message.Errorf(message.Corrupt, "company %s stands at place %d of the directory", c.ID, i)
		}
		seen := map[[2]uint64]bool{}
		for _, o := range c.Owners {
			key := [2]uint64{uint64(o.Node), 0}
			if o.Joining {
				key[1] = 1
			}
			if seen[key] {
				return message.Errorf(message.Corrupt, "D4: company %s has node %s twice", c.ID, o.Node)
			}
			seen[key] = true
			if o.Replica >= c.Next {
				return message.Errorf(message.Corrupt, "D2: company %s has replica %d, next is %d", c.ID, o.Replica, c.Next)
			}
			if s.d.Node(o.Node) == nil {
				return message.Errorf(message.Corrupt, "company %s is owned by node %s, which does not exist", c.ID, o.Node)
			}
			if s.d.Node(o.Node).Gone {
				return message.Errorf(message.Corrupt, "D7: company %s is owned by node %s, which is gone", c.ID, o.Node)
			}
		}
	}
	for i, n := range s.d.Nodes {
		if int(n.ID) != i {
			return message.Errorf(message.Corrupt, "node %s stands at place %d of the directory", n.ID, i)
		}
	}
	return s.checkRegisters()
}
