package pagetable

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"dmalloc/message"
)

// fake is a company that is only a map.
type fake struct {
	mu      sync.Mutex
	extents map[message.Addr]Extent
	summary Summary
	leases  []message.Lease
}

func newFake() *fake {
	return &fake{extents: map[message.Addr]Extent{}, summary: Summary{Leader: message.NoNode, Capacity: 1 << 20}}
}

func (f *fake) Extent(a message.Addr) (Extent, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.extents[a]
	return e, ok
}

func (f *fake) Extents(from message.Addr, n int) (out []Extent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range slices.Sorted(maps.Keys(f.extents)) {
		if a >= from && len(out) < n {
			out = append(out, f.extents[a])
		}
	}
	return out
}

func (f *fake) Summary() Summary {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.summary
}

func (f *fake) Lease(token uint64) (message.Lease, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.leases, func(l message.Lease) bool { return l.Token == token })
	if i < 0 {
		return message.Lease{}, false
	}
	return f.leases[i], true
}

func (f *fake) Leases(from message.Addr, token uint64, n int) (out []message.Lease) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.leases {
		if (l.Address > from || l.Address == from && l.Token >= token) && len(out) < n {
			out = append(out, l)
		}
	}
	return out
}

func (f *fake) put(e Extent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.extents[e.Address] = e
}

func (f *fake) drop(a message.Addr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.extents, a)
}

func (f *fake) lead(n message.NodeID, term uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.summary.Leader, f.summary.Term = n, term
}

func opened(t testing.TB) *Table {
	t.Helper()
	table, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	})
	return table
}

// ask queries and prints each row.
func ask(t interface {
	Helper()
	Fatalf(string, ...any)
}, table *Table, query string) (out []string) {
	t.Helper()
	rows, err := table.Query(context.Background(), query, 1<<30)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	if rows.More {
		t.Fatalf("%s: cut at %d rows", query, len(rows.Rows))
	}
	for _, r := range rows.Rows {
		out = append(out, fmt.Sprint(r...))
	}
	return out
}

func drawExtent(t *rapid.T, company message.CompanyID) Extent {
	e := Extent{
		Address: company.Base() + message.Addr(rapid.IntRange(1, 40).Draw(t, "page"))*message.PageSize,
		Size:    uint64(rapid.IntRange(1, 4).Draw(t, "size")),
		State:   message.State(rapid.IntRange(0, 4).Draw(t, "state")),
	}
	if e.State == message.Part || e.State == message.Reserved {
		e.Txn = message.Txn{Client: message.ClientID{15: 7}, Seq: uint64(rapid.IntRange(1, 3).Draw(t, "txn"))}
		e.HomeCompany = 2
		e.Home = message.Addr(rapid.SampledFrom([]uint64{0, message.HeapBase + 4096}).Draw(t, "home"))
	}
	if e.State == message.Allocated || e.State == message.Freeing {
		for i := range rapid.IntRange(0, 3).Draw(t, "blocks") {
			e.Blocks = append(e.Blocks, message.Block{Address: e.Address + message.Addr(i), Size: uint64(i + 1), Company: message.CompanyID(i + 1), Behind: message.Addr(i + 9)})
		}
	}
	return e
}

// model says what each table must hold.
type model struct {
	sources map[message.CompanyID]*fake
	here    map[message.CompanyID]bool
	lines   map[message.CompanyID][]string // all that ever were
}

func (m *model) extents() (extents, spans []string) {
	for _, id := range slices.Sorted(maps.Keys(m.sources)) {
		for _, e := range m.sources[id].Extents(0, 1<<30) {
			if e.State == message.Free {
				continue
			}
			var home, homeCompany, txn any
			if e.Home != 0 {
				home = fmt.Sprintf("0x%012x", uint64(e.Home))
			}
			if e.HomeCompany != 0 {
				homeCompany = int64(e.HomeCompany)
			}
			if !e.Txn.IsZero() {
				txn = fmt.Sprintf("%s/%d", e.Txn.Client, e.Txn.Seq)
			}
			extents = append(extents, fmt.Sprint(fmt.Sprintf("0x%012x", uint64(e.Address)), int64(e.Address), int64(e.Size), int64(id), e.State.String(), home, homeCompany, txn))
			if len(e.Blocks) > 1 {
				for n, k := range e.Blocks {
					spans = append(spans, fmt.Sprint(int64(id), int64(e.Address), int64(n), int64(k.Address), int64(k.Size), int64(k.Company), int64(k.Behind)))
				}
			}
		}
	}
	return extents, spans
}

func (m *model) companies() (out []string) {
	for _, id := range slices.Sorted(maps.Keys(m.sources)) {
		s := m.sources[id].Summary()
		leader := any(int64(s.Leader))
		if s.Leader == message.NoNode {
			leader = nil
		}
		out = append(out, fmt.Sprint(int64(id), truth(m.here[id]), leader, int64(s.Term)))
	}
	return out
}

// compare asks the table and says where it differs from the model (P2, P3).
func (m *model) compare(t *rapid.T, table *Table) {
	extents, spans := m.extents()
	same(t, "extents", ask(t, table, `SELECT address, addr, size, company, state, home, home_company, txn FROM extents ORDER BY company, addr`), extents)
	same(t, "spans", ask(t, table, `SELECT home, alloc, n, addr, size, company, behind FROM spans ORDER BY home, alloc, n`), spans)
	same(t, "companies", ask(t, table, `SELECT id, here, leader, term FROM companies ORDER BY id`), m.companies())
	for id, all := range m.lines {
		kept := all[max(0, len(all)-table.maxLog):]
		same(t, "log", ask(t, table, fmt.Sprintf(`SELECT idx, n, line, address FROM log WHERE company = %d ORDER BY seq`, id)), kept)
		if got := len(table.Log(id, false, 0)); got != len(kept) {
			t.Fatalf("Log of company %d has %d lines; want %d", id, got, len(kept))
		}
	}
	// Every allocation's blocks make up its size.
	same(t, "blocks", ask(t, table, `SELECT a.address FROM allocations a WHERE a.size <> (SELECT sum(b.size) FROM blocks b WHERE b.allocation = a.address)
		OR a.blocks <> (SELECT count(*) FROM blocks b WHERE b.allocation = a.address)`), nil)
}

func same(t *rapid.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// After any history a query shows the state of now (P2, P3), whatever overflowed, came, went or failed.
func TestViewEqualsState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, err := Open()
		if err != nil {
			t.Fatal(err)
		}
		defer table.Close()
		table.maxDirty = rapid.IntRange(1, 12).Draw(t, "dirty")
		table.maxLog = rapid.IntRange(1, 8).Draw(t, "log")
		m := &model{sources: map[message.CompanyID]*fake{}, here: map[message.CompanyID]bool{}, lines: map[message.CompanyID][]string{}}
		index := map[message.CompanyID]uint64{}
		company := func() message.CompanyID { return message.CompanyID(rapid.IntRange(1, 3).Draw(t, "company")) }
		t.Repeat(map[string]func(*rapid.T){
			"attach": func(t *rapid.T) {
				id, s := company(), newFake()
				for range rapid.IntRange(0, 10).Draw(t, "records") {
					s.put(drawExtent(t, id))
				}
				m.sources[id], m.here[id] = s, true
				table.Attach(id, s)
			},
			"detach": func(t *rapid.T) {
				id := company()
				m.here[id] = false
				table.Detach(id)
			},
			"change": func(t *rapid.T) {
				id := company()
				if !m.here[id] {
					return
				}
				index[id]++
				var addrs []message.Addr
				var lines []message.LogLine
				for n := range rapid.IntRange(1, 6).Draw(t, "changes") {
					e := drawExtent(t, id)
					op := "allocate"
					if rapid.Bool().Draw(t, "free") {
						op = "free"
						m.sources[id].drop(e.Address)
					} else {
						m.sources[id].put(e)
					}
					addrs = append(addrs, e.Address)
					lines = append(lines, message.LogLine{Index: index[id], Actor: 1, Operation: op, Address: e.Address, Size: e.Size})
					m.lines[id] = append(m.lines[id], fmt.Sprint(int64(index[id]), int64(n), fmt.Sprintf("S1 %s %s", op, e.Address), fmt.Sprintf("0x%012x", uint64(e.Address))))
				}
				table.Changed(id, addrs, lines)
			},
			"lead": func(t *rapid.T) {
				if id := company(); m.here[id] {
					m.sources[id].lead(rapid.SampledFrom([]message.NodeID{0, 4, message.NoNode}).Draw(t, "leader"), uint64(rapid.IntRange(1, 9).Draw(t, "term")))
				}
			},
			"fail": func(t *rapid.T) { // P6
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				if err := table.Flush(ctx); message.CodeOf(err) != message.Canceled && err != nil {
					t.Fatalf("flush with an ended context: %v", err)
				}
				b := table.db // a statement that fails in the midst of a flush
				if _, err := b.writer.ExecContext(context.Background(), `ALTER TABLE log RENAME TO gone`); err != nil {
					t.Fatal(err)
				}
				_ = table.Flush(context.Background())
				if _, err := b.writer.ExecContext(context.Background(), `ALTER TABLE gone RENAME TO log`); err != nil {
					t.Fatal(err)
				}
			},
			"flush": func(t *rapid.T) {
				if err := table.Flush(context.Background()); err != nil {
					t.Fatal(err)
				}
			},
			"query": func(t *rapid.T) { m.compare(t, table) },
		})
		m.compare(t, table)
	})
}
