package pagetable

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dmalloc/message"
)

func lines(company message.CompanyID, from, n int) []message.LogLine {
	out := make([]message.LogLine, n)
	for i := range out {
		out[i] = message.LogLine{Company: company, Index: uint64(from + i), Actor: 1, Operation: "allocate", Address: company.Base() + 4096, Size: 8}
	}
	return out
}

func TestDirectory(t *testing.T) {
	table := opened(t)
	table.SetDirectory(nil) // says nothing
	d := &message.Directory{Epoch: 3,
		Nodes: []message.Node{{ID: 0, Host: "a", Address: "a:1", HTTP: "a:2", Boot: 4}, {ID: 1, Host: "b"}},
		Companies: []message.Company{{ID: 0}, {ID: 1, Base: 0x10, Limit: 0x20, Owners: []message.Owner{{Node: 1, Replica: 7}, {Node: 0, Replica: 8, Joining: true}}},
			{ID: 2, Owners: []message.Owner{{Node: 1, Replica: 1}}}}}
	table.SetDirectory(d)
	check := func(query string, want ...string) {
		t.Helper()
		if got := ask(t, table, query); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", query, got, want)
		}
	}
	check(`SELECT id || host || address || http || boot FROM nodes ORDER BY id`, "0aa:1a:24", "1b0")
	check(`SELECT * FROM companies`)
	check(`SELECT * FROM owners`)
	table.Attach(1, newFake()) // now its rows belong here
	check(`SELECT base || ' ' || "limit" || ' ' || capacity || ' ' || epoch || ' ' || here FROM companies`, "0x000000000010 0x000000000020 1048576 3 1")
	check(`SELECT company || ' ' || node || ' ' || replica || ' ' || joining FROM owners ORDER BY replica`, "1 1 7 0", "1 0 8 1")
	d = d.Clone()
	d.Epoch, d.Nodes, d.Companies[1].Owners = 4, d.Nodes[:1], d.Companies[1].Owners[:1]
	table.SetDirectory(d)
	table.Detach(1)
	check(`SELECT count(*) || '' FROM nodes`, "1")
	check(`SELECT epoch || ' ' || here FROM companies`, "4 0")
	check(`SELECT company || ' ' || replica FROM owners`, "1 7")
}

func TestWhatIsNoCompanyIsIgnored(t *testing.T) {
	table := opened(t)
	table.Attach(1, nil)
	table.Attach(message.MaxCompany+1, newFake())
	table.Changed(message.MaxCompany+1, []message.Addr{1}, lines(1, 1, 1))
	table.Detach(5)
	if got := ask(t, table, "SELECT id FROM companies"); got != nil {
		t.Errorf("companies are %v", got)
	}
	if got := table.Log(0, true, 0); len(got) != 0 {
		t.Errorf("the log is %v", got)
	}
}

func TestLog(t *testing.T) {
	table := opened(t)
	table.maxLog = 4
	table.Changed(1, nil, lines(1, 1, 3))
	table.Changed(0, nil, lines(0, 1, 1))
	table.Changed(1, nil, lines(1, 4, 3))
	show := func(all []message.LogLine) (out []string) {
		for _, l := range all {
			out = append(out, fmt.Sprintf("%s:%d", l.Company, l.Index))
		}
		return out
	}
	for _, c := range []struct {
		company message.CompanyID
		all     bool
		count   int
		want    []string
	}{
		{1, false, 0, []string{"1:3", "1:4", "1:5", "1:6"}}, {1, false, 2, []string{"1:5", "1:6"}}, {1, false, 99, []string{"1:3", "1:4", "1:5", "1:6"}},
		{0, false, 5, []string{"0:1"}}, {2, false, 5, nil},
		{0, true, 0, []string{"1:3", "0:1", "1:4", "1:5", "1:6"}}, {0, true, 4, []string{"0:1", "1:4", "1:5", "1:6"}}, {0, true, -1, []string{"1:3", "0:1", "1:4", "1:5", "1:6"}},
	} {
		if got := show(table.Log(c.company, c.all, c.count)); !slices.Equal(got, c.want) {
			t.Errorf("Log(%s, %v, %d) = %v; want %v", c.company, c.all, c.count, got, c.want)
		}
	}
	table.Attach(1, newFake())
	if got := ask(t, table, "SELECT log_dropped FROM companies"); got[0] != "2" {
		t.Errorf("%v lines were dropped; want 2", got)
	}
}

// The applying goroutine goes on while others ask, and in the end all is seen (P2). Run with -race.
func TestManyAtOnce(t *testing.T) {
	table := opened(t)
	table.maxDirty = 50
	ctx, cancel := context.WithCancel(context.Background())
	var readers, writers sync.WaitGroup
	readers.Go(func() { table.Run(ctx) })
	for range 3 {
		readers.Go(func() {
			for ctx.Err() == nil {
				if _, err := table.Query(ctx, "SELECT count(*) FROM allocations", 0); err != nil && message.CodeOf(err) != message.Canceled {
					t.Error(err)
				}
				table.Log(0, true, 10)
			}
		})
	}
	const n = 3000
	for id := message.CompanyID(1); id <= 2; id++ {
		writers.Go(func() {
			s := newFake()
			table.Attach(id, s)
			for i := 1; i <= n; i++ {
				a := id.Base() + message.Addr(i%700)*16
				if i%5 == 0 {
					s.drop(a)
				} else {
					s.put(Extent{Address: a, Size: uint64(i), State: message.Allocated})
				}
				table.Changed(id, []message.Addr{a}, lines(id, i, 1))
				if i%1000 == 0 { // its own change is seen at once
					rows, err := table.Query(ctx, fmt.Sprintf("SELECT idx FROM log WHERE company = %s ORDER BY seq DESC LIMIT 1", id), 0)
					if err != nil || len(rows.Rows) != 1 || rows.Rows[0][0] != int64(i) {
						t.Errorf("after change %d: %v, %v", i, rows.Rows, err)
					}
				}
			}
			want := int64(len(s.Extents(0, n)))
			rows, err := table.Query(ctx, fmt.Sprintf("SELECT count(*), sum(size) FROM extents WHERE company = %s", id), 0)
			if err != nil || rows.Rows[0][0] != want {
				t.Errorf("company %s has %v records, %v; want %d", id, rows.Rows, err, want)
			}
		})
	}
	writers.Wait()
	cancel()
	readers.Wait()
}

// A company that is gone is read once more and then never again; one that came back meanwhile is.
func TestDetachedSourceIsLetGo(t *testing.T) {
	table := opened(t)
	table.Attach(1, newFake())
	table.Detach(1)
	all, _ := table.take()
	again := newFake()
	table.Attach(1, again)
	table.Detach(1)
	table.settle(all)
	if table.companies[1].source != again {
		t.Error("the second stay was forgotten with the first")
	}
	if err := table.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if table.companies[1].source != nil {
		t.Error("a detached company's source is kept")
	}
}

// P1: whoever applies entries never waits for a query or for a flush.
func TestNotingDoesNotWait(t *testing.T) {
	table := opened(t)
	table.busy <- struct{}{} // a query that lasts for ever
	s := newFake()
	s.mu.Lock() // and a company that cannot be read
	table.Attach(1, s)
	table.Changed(1, []message.Addr{1}, lines(1, 1, 1))
	table.SetDirectory(&message.Directory{})
	table.Detach(1)
	table.Log(1, true, 1)
	s.mu.Unlock()
	<-table.busy
}

func TestRunFlushesWhenQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, err := Open()
		if err != nil {
			t.Fatal(err)
		}
		defer table.Close()
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { table.Run(ctx); close(done) }()
		flushed := func() bool {
			synctest.Wait()
			table.mu.Lock()
			defer table.mu.Unlock()
			return table.companies[1].log.flushed == table.seq
		}
		for i := range 5 { // changes that keep coming are not flushed
			table.Changed(1, nil, lines(1, i, 1))
			time.Sleep(quiet - time.Millisecond)
			if flushed() {
				t.Fatal("flushed before it was quiet")
			}
		}
		time.Sleep(quiet)
		if !flushed() {
			t.Error("not flushed after it was quiet")
		}
		table.Changed(1, nil, lines(1, 9, 1))
		time.Sleep(quiet + time.Millisecond)
		if !flushed() {
			t.Error("not flushed a second time")
		}
		table.Changed(1, nil, lines(1, 10, 1))
		synctest.Wait()
		cancel()
		<-done
	})
}
