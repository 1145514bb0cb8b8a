package pagetable

import (
	"testing"

	"pgregory.net/rapid"

	"dmalloc/company"
	"dmalloc/message"
)

// real is a company as a node shows it.
type real struct{ c *company.Company }

func row(x company.Extent) Extent {
	return Extent{Address: x.Address, Size: x.Size, State: x.State, Home: x.Home, HomeCompany: x.HomeCompany, Txn: x.Txn, Blocks: x.Blocks}
}

func (r real) Extent(a message.Addr) (Extent, bool) {
	x, ok := r.c.Extent(a)
	return row(x), ok
}

func (r real) Extents(from message.Addr, n int) (out []Extent) {
	for _, x := range r.c.Extents(from, n) {
		out = append(out, row(x))
	}
	return out
}

func (r real) Summary() Summary {
	s := r.c.Status()
	return Summary{Used: s.Used, Capacity: s.Capacity, Leader: message.NoNode}
}

func drawRequest(t *rapid.T, c *company.Company) *message.Message {
	m := message.New(rapid.SampledFrom([]message.Op{message.MALLOC, message.MALLOC, message.FREE, message.FREE, message.WRITE, message.RESERVE,
		message.COMMIT, message.CONFIRM, message.ABORT, message.OUTCOME, message.DROP, message.FINISH, message.TERM}).Draw(t, "op"))
	m.Company, m.Term, m.Value = 1, uint64(rapid.IntRange(1, 5).Draw(t, "term")), 1
	m.Size = rapid.SampledFrom([]uint64{1, 16, 100, 4096, 8192, 1 << 20}).Draw(t, "size")
	m.Txn = message.Txn{Client: message.ClientID{1}, Seq: uint64(rapid.IntRange(1, 4).Draw(t, "txn"))}
	if x := c.Extents(0, 1<<20); len(x) > 0 {
		m.Address = x[rapid.IntRange(0, len(x)-1).Draw(t, "which")].Address
	}
	switch m.Op {
	case message.WRITE:
		m.Data, m.Size = []byte("x"), 1
	case message.COMMIT:
		m.Value, m.Size = 4096, 8192
		m.Blocks = []message.Block{{Size: 4096, Company: 2, Behind: message.CompanyID(2).Base() + 4096}}
	}
	return m
}

// What company says has changed is enough to keep the view equal to it, record by record.
func TestViewFollowsCompany(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, err := Open()
		if err != nil {
			t.Fatal(err)
		}
		defer table.Close()
		c := company.New(company.Config{ID: 1, Capacity: 4 << 20})
		seen, later := real{c}, newFake() // later holds what the company holds when it is compared
		table.Attach(1, seen)
		m := &model{sources: map[message.CompanyID]*fake{1: later}, here: map[message.CompanyID]bool{1: true}}
		for index := uint64(1); index <= uint64(rapid.IntRange(1, 30).Draw(t, "entries")); index++ {
			b := &message.Batch{Origin: 1, Number: index, Term: 1}
			for range rapid.IntRange(1, 5).Draw(t, "messages") {
				b.Messages = append(b.Messages, drawRequest(t, c))
			}
			a := c.Apply(index, b)
			table.Changed(1, a.Changed, a.Log)
			if !rapid.Bool().Draw(t, "compare") {
				continue
			}
			clear(later.extents)
			for _, e := range seen.Extents(0, 1<<20) {
				later.put(e)
			}
			m.compare(t, table)
			rows := ask(t, table, `SELECT used FROM companies`)
			if want := c.Status().Used; rows[0] != decimal(want) {
				t.Fatalf("used is %s; want %d", rows[0], want)
			}
		}
	})
}
