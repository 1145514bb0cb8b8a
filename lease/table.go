package lease

import (
	"iter"
	"math"

	"github.com/google/btree"

	"dmalloc/message"
)

const treeDegree = 32

// Table is the leases of a company.
type Table struct {
	last    uint64 // token
	pages   *tree
	byToken *btree.BTreeG[Lease]
	byNode  *btree.BTreeG[Lease] // by node, session and token
}

func byToken(a, b Lease) bool { return a.Token < b.Token }

func byNode(a, b Lease) bool {
	switch {
	case a.Node != b.Node:
		return a.Node < b.Node
	case a.Session != b.Session:
		return a.Session < b.Session
	}
	return a.Token < b.Token
}

// New makes a table without leases.
func New() *Table {
	return &Table{byToken: btree.NewG(treeDegree, byToken), byNode: btree.NewG(treeDegree, byNode)}
}

// Clone is a table of its own. It costs no more for many leases than for few.
func (t *Table) Clone() *Table {
	return &Table{t.last, t.pages, t.byToken.Clone(), t.byNode.Clone()}
}

// Len is how many leases there are.
func (t *Table) Len() int { return t.byToken.Len() }

// Last is the greatest token ever given.
func (t *Table) Last() uint64 { return t.last }

// Outcome is what became of a LEASE.
type Outcome struct {
	Code    message.Code // Done, Leased, Fenced, InvalidArgument or Busy
	Lease   Lease        // the new one, if Done
	Ended   []Lease      // by it, by token; those of older sessions also where it was refused
	Against []Lease      // Leased: the leases in the way, at most MaxShown; Fenced: one of a newer session; InvalidArgument: its own in the way
}

// MaxShown is how many leases that stand in the way are named at once. When those have ended, the rest are.
const MaxShown = 256

// Grant gives want a token, or says what stands against it. The index is that of the entry that asks.
func (t *Table) Grant(index uint64, want Lease) Outcome {
	if !want.possible() {
		return Outcome{Code: message.InvalidArgument}
	}
	var out Outcome
	t.byNode.DescendLessOrEqual(Lease{Node: want.Node, Session: math.MaxUint64, Token: math.MaxUint64}, func(l Lease) bool {
		if l.Node == want.Node && l.Session > want.Session {
			out = Outcome{Code: message.Fenced, Against: []Lease{l}}
		}
		return false
	})
	if out.Code != message.Done {
		return out
	}
	if want.Session > 0 {
		out.Ended = t.EndAll(want.Node, want.Session-1)
	}
	var own []Lease
	for l := range t.Over(want.First, want.Pages) {
		switch {
		case l.Node == want.Node && (!want.Covers(l.First, l.Pages) || want.weaker(l)):
			out.Code, out.Against = message.InvalidArgument, []Lease{l}
			return out
		case l.Node == want.Node:
			own = append(own, l)
			want.Length = max(want.Length, l.Length)
		case (l.Exclusive || want.Exclusive) && len(out.Against) < MaxShown:
			out.Code, out.Against = message.Leased, append(out.Against, l)
		}
	}
	if out.Code != message.Done {
		return out
	}
	if t.Len()-len(own) >= MaxLeases {
		out.Code = message.Busy
		return out
	}
	for _, l := range own {
		t.remove(l)
	}
	out.Ended = append(out.Ended, own...)
	want.Token = max(index, t.last+1)
	t.last = want.Token
	t.insert(want)
	out.Lease = want
	return out
}

// End ends the lease with that token, if it stands.
func (t *Table) End(token uint64) (Lease, bool) {
	l, ok := t.Get(token)
	if ok {
		t.remove(l)
	}
	return l, ok
}

// EndAll ends the leases of a node in sessions up to the given one, and tells which they were.
func (t *Table) EndAll(node message.NodeID, session uint64) (ended []Lease) {
	t.byNode.AscendGreaterOrEqual(Lease{Node: node}, func(l Lease) bool {
		if l.Node != node || l.Session > session {
			return false
		}
		ended = append(ended, l)
		return true
	})
	for _, l := range ended {
		t.remove(l)
	}
	return ended
}

// Get is the lease with that token, if it stands.
func (t *Table) Get(token uint64) (Lease, bool) { return t.byToken.Get(Lease{Token: token}) }

// Writes says whether the lease with that token stands, is exclusive and covers the pages: L2.
func (t *Table) Writes(token, first, pages uint64) bool {
	l, ok := t.Get(token)
	return ok && l.Exclusive && l.Covers(first, pages)
}

// Over lists the leases that touch the pages, by first page and token. The table must not change meanwhile.
func (t *Table) Over(first, pages uint64) iter.Seq[Lease] {
	return func(yield func(Lease) bool) { t.pages.over(first, first+pages, yield) }
}

// From lists the leases by first page and token, from the given place on. The table must not change meanwhile.
func (t *Table) From(first, token uint64) iter.Seq[Lease] {
	return func(yield func(Lease) bool) { t.pages.from(Lease{First: first, Token: token}, yield) }
}

// All lists the leases by first page and token. The table must not change meanwhile.
func (t *Table) All() iter.Seq[Lease] { return t.From(0, 0) }

func (t *Table) insert(l Lease) {
	t.pages = t.pages.insert(l)
	t.byToken.ReplaceOrInsert(l)
	t.byNode.ReplaceOrInsert(l)
}

func (t *Table) remove(l Lease) {
	t.pages = t.pages.remove(l)
	t.byToken.Delete(l)
	t.byNode.Delete(l)
}

// Restore makes the table that All and Last told of. What could not have been told is refused.
func Restore(last uint64, leases []Lease) (*Table, error) {
	t := New()
	t.last = last
	for _, l := range leases {
		if !l.possible() || t.Len() >= MaxLeases {
			return nil, defect("the lease with token %d, or so many, cannot be", l.Token)
		}
		if _, ok := t.Get(l.Token); ok {
			return nil, defect("LT1: token %d is there twice", l.Token)
		}
		t.insert(l)
	}
	return t, t.Check()
}
