package pagetable

import (
	"fmt"
	"slices"
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

func (r real) Lease(token uint64) (message.Lease, bool) { return r.c.Lease(token) }

func (r real) Leases(from message.Addr, token uint64, n int) []message.Lease {
	return r.c.Leases(from, token, n)
}

func (r real) Summary() Summary {
	s := r.c.Status()
	return Summary{Used: s.Used, Capacity: s.Capacity, Leader: message.NoNode}
}

func drawRequest(t *rapid.T, c *company.Company) *message.Message {
	m := message.New(rapid.SampledFrom([]message.Op{message.MALLOC, message.MALLOC, message.FREE, message.FREE, message.WRITE, message.RESERVE,
		message.COMMIT, message.CONFIRM, message.ABORT, message.OUTCOME, message.DROP, message.FINISH, message.TERM,
		message.LEASE, message.LEASE, message.RELEASE, message.EXPIRE, message.RUN, message.CLAIM, message.CLAIM, message.SETTLE}).Draw(t, "op"))
	m.Company, m.Term, m.Value = 1, uint64(rapid.IntRange(1, 5).Draw(t, "term")), 1
	m.Size = rapid.SampledFrom([]uint64{1, 16, 100, 4096, 8192, 1 << 20}).Draw(t, "size")
	m.Txn = message.Txn{Client: message.ClientID{1}, Seq: uint64(rapid.IntRange(1, 4).Draw(t, "txn"))}
	if x := c.Extents(0, 1<<20); len(x) > 0 {
		m.Address = x[rapid.IntRange(0, len(x)-1).Draw(t, "which")].Address
	}
	if all := c.Leases(0, 0, 100); len(all) > 0 {
		m.Token = rapid.SampledFrom(all).Draw(t, "lease").Token
	}
	switch m.Op {
	case message.LEASE:
		m.Final, m.Size, m.Term, m.Token = message.NodeID(rapid.IntRange(0, 2).Draw(t, "holder")), 0, 9, 0
		m.Flags = rapid.SampledFrom([]message.Flags{0, message.Exclusive}).Draw(t, "mode")
	case message.EXPIRE:
		m.Term = 9
	case message.RUN, message.CLAIM, message.SETTLE:
		m.Final, m.Token = 1, 0
		if m.Size %= 512; m.Op == message.RUN {
			m.Length = 40
			break
		}
		if all := c.Runs(); len(all) > 0 {
			m.Token = all[0].Number
		}
		m.Size = uint64(rapid.IntRange(0, 40).Draw(t, "handed out"))
		m.Length, m.Index = m.Size+uint64(rapid.IntRange(0, 32).Draw(t, "open")), uint64(rapid.IntRange(1, 9).Draw(t, "order"))
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
			var tokens []uint64
			for _, l := range a.Leases {
				tokens = append(tokens, l.Lease.Token)
			}
			table.Leased(1, tokens)
			if !rapid.Bool().Draw(t, "compare") {
				continue
			}
			clear(later.extents)
			for _, e := range seen.Extents(0, 1<<20) {
				later.put(e)
			}
			m.compare(t, table)
			var leases []string
			for _, l := range c.Leases(0, 0, 1000) {
				leases = append(leases, fmt.Sprint(l.Address.String(), " ", l.Size, " ", l.Mode, " ", l.Token, " ", l.Holder, " ", l.Session, " ", l.LengthMS))
			}
			if got := ask(t, table, `SELECT address || ' ' || size || ' ' || mode || ' ' || token || ' ' || holder || ' ' || session || ' ' || length_ms FROM leases ORDER BY addr, token`); !slices.Equal(got, leases) {
				t.Fatalf("the leases are %v; want %v", got, leases)
			}
			rows := ask(t, table, `SELECT used FROM companies`)
			if want := c.Status().Used; rows[0] != decimal(want) {
				t.Fatalf("used is %s; want %d", rows[0], want)
			}
		}
	})
}
