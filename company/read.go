package company

import (
	"encoding/json"

	"dmalloc/message"
)

// MaxTable is how many allocations one TABLE lists.
const MaxTable = 1000

// Read answers what changes nothing.
func (c *Company) Read(m *message.Message) *message.Message {
	if wrong := c.arguments(m); wrong != nil {
		return wrong.Answer(m)
	}
	switch m.Op {
	case message.READ:
		return c.read(m)
	case message.DUMP:
		return c.dump(m)
	case message.TABLE:
		return c.table(m)
	case message.LEASES:
		return c.leaseList(m)
	}
	r := refuse(message.Unsupported, "a company does not read %s; it reads READ, DUMP, TABLE and LEASES", m.Op)
	return r.Answer(m)
}

func (c *Company) read(m *message.Message) *message.Message {
	if fills(m) {
		return c.fill(m)
	}
	off, refused := c.locate(m, m.Size)
	if refused == nil {
		refused = c.legible(m, off)
	}
	if refused != nil {
		refused.Index = c.index
		return refused.Answer(m)
	}
	a := (&Result{Address: m.Address, Size: m.Size, Index: c.index}).Answer(m)
	a.Data = make([]byte, m.Size)
	c.pages.ReadAt(off, a.Data)
	return a
}

// dump describes the allocation that holds an address.
func (c *Company) dump(m *message.Message) *message.Message {
	r, ok := c.holder(m.Address)
	x := Result{Address: c.addr(r.at), Size: r.size, Blocks: c.blocks(r)}
	switch {
	case !ok || r.state != message.Allocated || !r.live() || uint64(m.Address-x.Address) >= r.size:
		x = c.nothingAt(m.Address)
	case r.home:
		x.Txn = c.tieAt(r.at).txn
	}
	x.Index = c.index
	return x.Answer(m)
}

// table lists the allocations whose home is here, from Address on, at most Value of them (0 and more than
// MaxTable mean MaxTable). Fewer come when they would not fit into a message; then, and whenever more
// follow, Value of the answer is where to go on, and otherwise 0.
func (c *Company) table(m *message.Message) *message.Message {
	limit := m.Value
	if limit == 0 || limit > MaxTable {
		limit = MaxTable
	}
	x := Result{Index: c.index}
	data := []byte{'['}
	c.ascend(m.Address, func(r record) bool {
		if !r.homed() {
			return true
		}
		a := c.addr(r.at)
		row, err := json.Marshal(message.Allocation{Address: a, Size: r.size, State: r.state, Blocks: c.blocks(r)})
		if err != nil {
			x = refuse(message.Internal, "the allocation at %s cannot be told: %v", a, err)
			return false
		}
		if x.Size == limit || len(data)+len(row)+2 > message.MaxData {
			x.Value = uint64(a)
			return false
		}
		if x.Size > 0 {
			data = append(data, ',')
		}
		data = append(data, row...)
		x.Size++
		return true
	})
	a := x.Answer(m)
	if x.Code == message.Done {
		a.Data = append(data, ']')
	}
	return a
}
