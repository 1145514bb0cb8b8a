package register

import (
	"slices"

	"dmalloc/message"
)

// MaxWaiting is how many puts a Memory holds that are not on its disk yet. It does not answer more.
const MaxWaiting = 1024

// Cell is what a replica has of a register.
type Cell struct {
	Tag   message.Tag
	Value []byte
}

// Memory is a replica in memory, with a disk that survives a crash and puts that wait for it and do not.
// Simulations and tests have it in place of a node, whose judge is the same Replica.
//
//	Step ──▶ waiting ──Sync──▶ disk ──▶ acknowledged, shown
//	            │                │
//	          Crash            Lose
type Memory struct {
	Replica
	disk    map[message.RegisterID]Cell
	waiting []Request
}

// NewMemory makes a replica with an empty disk that knows a configuration.
func NewMemory(self message.Member, c message.Registers) *Memory {
	return &Memory{
		Replica: Replica{Self: self, Config: c.Clone(), planted: planted},
		disk:    map[message.RegisterID]Cell{},
	}
}

// Step takes a request. It answers at once, unless the answer has to wait for Sync.
func (m *Memory) Step(q Request) []Reply {
	switch m.Judge(q) {
	case Show:
		c := m.shows(q.Register)
		return []Reply{m.Shown(q, c.Tag, uint64(len(c.Value)), c.Value)}
	case Store:
		if len(m.waiting) >= MaxWaiting {
			return nil
		}
		m.waiting = append(m.waiting, q)
		if m.wrong(acknowledgeEarly) {
			return []Reply{m.Acknowledged(q)}
		}
		return nil
	}
	return []Reply{m.Refused(q)}
}

// shows is what a reader may see: what is on disk.
func (m *Memory) shows(id message.RegisterID) Cell {
	c := m.disk[id]
	if m.wrong(showEarly) {
		for _, q := range m.waiting {
			if q.Register == id && q.Tag.Compare(c.Tag) > 0 {
				c = Cell{q.Tag, q.Value}
			}
		}
	}
	return c
}

// Sync brings what waits to the disk and returns the acknowledgements.
func (m *Memory) Sync() []Reply {
	var out []Reply
	for _, q := range m.waiting {
		m.keep(q.Register, Cell{q.Tag, q.Value})
		if !m.wrong(acknowledgeEarly) {
			out = append(out, m.Acknowledged(q))
		}
	}
	m.waiting = nil
	return out
}

// keep stores a cell if its tag is larger than that on disk (R3).
func (m *Memory) keep(id message.RegisterID, c Cell) {
	if c.Tag.Compare(m.disk[id].Tag) > 0 || m.wrong(overwrite) {
		m.disk[id] = c
	}
}

// Dirty says whether something waits for Sync.
func (m *Memory) Dirty() bool { return len(m.waiting) > 0 }

// Crash loses what waits, and nothing that was on disk. The configuration is on disk.
func (m *Memory) Crash() { m.waiting = nil }

// Lose loses all. What comes back is another member, with a new incarnation, that knows no configuration.
func (m *Memory) Lose() {
	m.waiting = nil
	m.disk = map[message.RegisterID]Cell{}
	if m.wrong(forgetAndServe) || m.wrong(recoverAndServe) {
		return
	}
	m.Self.Incarnation++
	m.Config = message.Registers{}
}

// Cell is what is on disk of a register.
func (m *Memory) Cell(id message.RegisterID) Cell { return m.disk[id] }

// List is what is on disk from a register on, at most so many rows, and whether there are more.
func (m *Memory) List(from message.RegisterID, most int) (rows []Entry, more bool) {
	for id, c := range m.disk {
		if !id.Less(from) {
			rows = append(rows, Entry{id, c.Tag, uint64(len(c.Value))})
		}
	}
	rows = Merge(rows)
	if len(rows) > most {
		return slices.Clip(rows[:max(most, 0)]), true
	}
	return rows, false
}
