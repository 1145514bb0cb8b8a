package election

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmalloc/message"
)

type event struct {
	company message.CompanyID
	term    uint64
	leader  message.NodeID
	at      int64
}

func drawEvents(t *rapid.T) []event {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) event {
		return event{
			company: message.CompanyID(rapid.IntRange(0, 2).Draw(t, "company")),
			term:    uint64(rapid.IntRange(0, 8).Draw(t, "term")),
			leader:  rapid.SampledFrom([]message.NodeID{0, 1, 2, message.NoNode}).Draw(t, "leader"),
			at:      int64(rapid.IntRange(-2, 50).Draw(t, "at")),
		}
	}), 0, 60).Draw(t, "events")
}

func played(events []event) *History {
	h := New()
	for _, e := range events {
		h.Observe(e.company, e.term, e.leader, e.at)
	}
	return h
}

// A simpler telling: each company is a term, a leader, and the time since when nobody leads.
func TestHistoryAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t)
		h := New()
		type state struct {
			term   uint64
			leader message.NodeID
			first  message.NodeID // leader of the term, NoNode while it has had none
		}
		model := map[message.CompanyID]state{}
		for _, e := range events {
			s, ok := model[e.company]
			if !ok {
				s = state{0, message.NoNode, message.NoNode}
			}
			if e.term > s.term {
				s.first = message.NoNode
				if e.leader != message.NoNode || s.leader != message.NoNode {
					s.leader = message.NoNode
				}
			}
			switch {
			case e.term < s.term, e.term == 0 && e.leader != message.NoNode:
			case e.leader == message.NoNode:
				s.term, s.leader = e.term, message.NoNode
			case s.first == message.NoNode:
				s.term, s.leader, s.first = e.term, e.leader, e.leader
			case s.first == e.leader:
				s.leader = e.leader
			}
			model[e.company] = s
			h.Observe(e.company, e.term, e.leader, e.at)
			if err := h.Check(); err != nil {
				t.Fatal(err)
			}
			leader, term, ok := h.WhoIs(e.company)
			if leader != s.leader || ok != (s.leader != message.NoNode) || term != s.term {
				t.Fatalf("after %+v: %s in term %d, %v; want %s in %d\n%s", e, leader, term, ok, s.leader, s.term, h)
			}
		}
	})
}

// Nobody leads for what is not a tenure: tenures and gaps fill the time from the first to the last.
func TestTenuresAndGapsFillTheTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := played(drawEvents(t))
		for id := range h.companies {
			all := h.History(id)
			if len(all) == 0 {
				continue
			}
			sum := all[0].FromMS
			for i, x := range all {
				if i > 0 {
					sum += x.GapMS
				}
				if x.FromMS != sum {
					t.Fatalf("tenure %d begins at %d; the ones before it end at %d", i, x.FromMS, sum)
				}
				sum += x.ToMS - x.FromMS
			}
		}
	})
}

func TestHistoryIsBounded(t *testing.T) {
	h := New()
	for term := uint64(1); term <= 3*maxTenures; term++ {
		h.Observe(1, term, message.NodeID(term%3), int64(term))
	}
	all := h.History()
	if len(all) != maxTenures || all[0].Term != 2*maxTenures+1 {
		t.Errorf("%d tenures from term %d on", len(all), all[0].Term)
	}
	if err := h.Check(); err != nil {
		t.Error(err)
	}
}

func drawHistory(t *rapid.T) []message.Tenure { return played(drawEvents(t)).History() }

func wellFormed(t *rapid.T, all []message.Tenure) {
	t.Helper()
	if !slices.IsSortedFunc(all, func(a, b message.Tenure) int { return cmp.Compare(a.Company, b.Company) }) {
		t.Fatalf("not by company: %v", all)
	}
	for id := message.CompanyID(0); id <= message.MaxCompany; id++ {
		var own []message.Tenure
		for _, x := range all {
			if x.Company == id {
				own = append(own, x)
			}
		}
		if err := check(id, own); err != nil {
			t.Fatal(err)
		}
	}
}

// E6: one history stays what it is, twice the same says nothing new, and no order counts.
func TestMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Custom(drawHistory), 1, 5).Draw(t, "histories")
		if got := Merge(all[0]); !slices.Equal(got, all[0]) {
			t.Fatalf("Merge of one:\n got %v\nwant %v", got, all[0])
		}
		merged := Merge(all...)
		wellFormed(t, merged)
		if got := Merge(merged, merged); !slices.Equal(got, merged) {
			t.Fatalf("merged again:\n got %v\nwant %v", got, merged)
		}
		if got := Merge(rapid.Permutation(all).Draw(t, "order")...); !slices.Equal(got, merged) {
			t.Fatalf("in another order:\n got %v\nwant %v", got, merged)
		}
	})
}

// What arrives from others may be anything.
func TestMergeOfNonsense(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nonsense := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) message.Tenure {
			return message.Tenure{
				Company: message.CompanyID(rapid.Uint32Range(60, 70).Draw(t, "company")), Term: rapid.Uint64Range(0, 5).Draw(t, "term"),
				Leader: rapid.SampledFrom([]message.NodeID{0, 1, message.NoNode}).Draw(t, "leader"),
				FromMS: rapid.Int64().Draw(t, "from"), ToMS: rapid.Int64().Draw(t, "to"), GapMS: rapid.Int64().Draw(t, "gap"),
			}
		}), 0, 20).Draw(t, "nonsense")
		merged := Merge(nonsense)
		wellFormed(t, merged)
		if got := Merge(merged); !slices.Equal(got, merged) {
			t.Fatalf("merged again:\n got %v\nwant %v", got, merged)
		}
	})
}

func TestMergeStories(t *testing.T) {
	type T = message.Tenure
	for name, c := range map[string]struct {
		in   [][]T
		want string
	}{
		"nothing":                               {nil, "[]"},
		"the last one ends when all saw it end": {[][]T{{{Term: 1, FromMS: 10, ToMS: 50}}, {{Term: 1, FromMS: 12, ToMS: 60}}}, "[term 1 node 0 from 10 to 60]"},
		"it lasts if one says so":               {[][]T{{{Term: 1, FromMS: 10, ToMS: 50}}, {{Term: 1, FromMS: 12}}}, "[term 1 node 0 from 10]"},
		"a dead node's last word": {[][]T{{{Term: 1, FromMS: 10}}, {{Term: 1, FromMS: 12, ToMS: 50}, {Term: 2, Leader: 1, FromMS: 70, GapMS: 20}}},
			"[term 1 node 0 from 10 to 50 term 2 node 1 from 70 after a gap of 20]"},
		"one that was away": {[][]T{{{Term: 1, FromMS: 10, ToMS: 90}, {Term: 3, Leader: 2, FromMS: 90}}, {{Term: 2, Leader: 1, FromMS: 40, ToMS: 60}}},
			"[term 1 node 0 from 10 to 40 term 2 node 1 from 40 to 60 term 3 node 2 from 90 after a gap of 30]"},
		"two leaders of a term": {[][]T{{{Term: 1, Leader: 4, FromMS: 10}}, {{Term: 1, Leader: 3, FromMS: 11}}, {{Term: 1, Leader: 4, FromMS: 12}}}, "[term 1 node 4 from 10]"},
	} {
		var got []string
		for _, x := range Merge(c.in...) {
			got = append(got, line(x))
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v; want %s", name, got, c.want)
		}
	}
}
