package lease

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmalloc/message"
)

// naive is the table as a list.
type naive struct {
	last   uint64
	leases []Lease
}

func (n *naive) over(first, pages uint64) (out []Lease) {
	for _, l := range n.leases {
		if l.Touches(first, pages) {
			out = append(out, l)
		}
	}
	return out
}

func (n *naive) end(token uint64) bool {
	i := slices.IndexFunc(n.leases, func(l Lease) bool { return l.Token == token })
	if i >= 0 {
		n.leases = slices.Delete(n.leases, i, i+1)
	}
	return i >= 0
}

func (n *naive) grant(index uint64, want Lease) (code message.Code, token, length uint64) {
	for _, l := range n.leases {
		if l.Node == want.Node && l.Session > want.Session {
			return message.Fenced, 0, 0
		}
	}
	n.leases = slices.DeleteFunc(n.leases, func(l Lease) bool { return l.Node == want.Node && l.Session < want.Session })
	leased := false
	for _, l := range n.over(want.First, want.Pages) {
		switch {
		case l.Node == want.Node && (l.First < want.First || l.End() > want.End() || l.Exclusive && !want.Exclusive || l.WriteBack && !want.WriteBack):
			return message.InvalidArgument, 0, 0
		case l.Node != want.Node && (l.Exclusive || want.Exclusive):
			leased = true
		}
	}
	if leased {
		return message.Leased, 0, 0
	}
	for _, l := range n.over(want.First, want.Pages) {
		if l.Node == want.Node {
			want.Length = max(want.Length, l.Length)
			n.end(l.Token)
		}
	}
	n.last = max(index, n.last+1)
	want.Token = n.last
	n.leases = append(n.leases, want)
	slices.SortFunc(n.leases, func(a, b Lease) int {
		if before(a, b) {
			return -1
		}
		return 1
	})
	return message.Done, want.Token, want.Length
}

func drawLease(t *rapid.T) Lease {
	l := Lease{First: rapid.Uint64Range(0, 12).Draw(t, "first"), Pages: rapid.Uint64Range(1, 6).Draw(t, "pages"), Exclusive: rapid.Bool().Draw(t, "exclusive"),
		Node: message.NodeID(rapid.IntRange(0, 3).Draw(t, "node")), Session: rapid.Uint64Range(1, 2).Draw(t, "session"), Length: rapid.Uint64Range(1, 3).Draw(t, "length")}
	l.WriteBack = l.Exclusive && rapid.Bool().Draw(t, "write-back")
	return l
}

// The table does what a list would, and a clone stays as it was.
func TestTableAgainstList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, list, index := New(), &naive{}, uint64(0)
		token := func() uint64 { return rapid.Uint64Range(0, list.last+1).Draw(t, "token") }
		t.Repeat(map[string]func(*rapid.T){
			"grant": func(t *rapid.T) {
				index += rapid.Uint64Range(0, 3).Draw(t, "entries")
				want := drawLease(t)
				copied, was := table.Clone(), slices.Collect(table.All())
				before := list.last
				out := table.Grant(index, want)
				code, token, length := list.grant(index, want)
				if out.Code != code || out.Lease.Token != token || out.Lease.Length != length {
					t.Fatalf("%+v: %+v; want %s, token %d, length %d", want, out, code, token, length)
				}
				if code == message.Done && token <= before {
					t.Fatalf("LT1: token %d after %d", token, before)
				}
				for _, l := range out.Against {
					if code == message.Leased && (l.Node == want.Node || !l.Touches(want.First, want.Pages)) {
						t.Fatalf("%+v does not stand against %+v", l, want)
					}
				}
				if (code == message.Leased) != (code != message.InvalidArgument && code != message.Fenced && len(out.Against) > 0) {
					t.Fatalf("%+v", out)
				}
				if !slices.Equal(slices.Collect(copied.All()), was) || copied.Check() != nil {
					t.Fatal("a grant changed a clone")
				}
			},
			"end": func(t *rapid.T) {
				n := token()
				if l, ok := table.End(n); ok != list.end(n) || ok && l.Token != n {
					t.Fatalf("the end of %d is %v", n, ok)
				}
			},
			"end all": func(t *rapid.T) {
				node, session := message.NodeID(rapid.IntRange(0, 3).Draw(t, "node")), rapid.Uint64Range(0, 3).Draw(t, "session")
				n := len(list.leases)
				list.leases = slices.DeleteFunc(list.leases, func(l Lease) bool { return l.Node == node && l.Session <= session })
				if got := table.EndAll(node, session); len(got) != n-len(list.leases) {
					t.Fatalf("%v ended, want %d", got, n-len(list.leases))
				}
			},
			"": func(t *rapid.T) {
				if err := table.Check(); err != nil {
					t.Fatal(err)
				}
				if got := slices.Collect(table.All()); !slices.Equal(got, list.leases) {
					t.Fatalf("has %v; want %v", got, list.leases)
				}
				first, pages := rapid.Uint64Range(0, 20).Draw(t, "over"), rapid.Uint64Range(1, 8).Draw(t, "pages")
				over := list.over(first, pages)
				if got := slices.Collect(table.Over(first, pages)); !slices.Equal(got, over) {
					t.Fatalf("over %d+%d are %v; want %v", first, pages, got, over)
				}
				n := token()
				i := slices.IndexFunc(list.leases, func(l Lease) bool { return l.Token == n })
				writes := i >= 0 && list.leases[i].Exclusive && list.leases[i].First <= first && first+pages <= list.leases[i].End()
				if table.Writes(n, first, pages) != writes {
					t.Fatalf("Writes(%d, %d, %d) is not %v", n, first, pages, writes)
				}
				again, err := Restore(table.Last(), slices.Collect(table.All()))
				if err != nil || !slices.Equal(slices.Collect(again.All()), list.leases) || again.Last() != list.last {
					t.Fatalf("restored: %v", err)
				}
			},
		})
	})
}

func TestGrantRefuses(t *testing.T) {
	good := Lease{Pages: 1, Node: 1, Session: 1, Length: 1}
	for name, change := range map[string]func(*Lease){
		"no page": func(l *Lease) { l.Pages = 0 }, "behind the window": func(l *Lease) { l.First = MaxPage }, "over its end": func(l *Lease) { l.First, l.Pages = 1, MaxPage },
		"a sum that overflows": func(l *Lease) { l.First, l.Pages = 1, 1<<64-1 }, "no time": func(l *Lease) { l.Length = 0 }, "too long": func(l *Lease) { l.Length = message.MaxLease + 1 },
		"a client": func(l *Lease) { l.Node = message.NoNode }, "write-back to read": func(l *Lease) { l.WriteBack = true },
	} {
		l := good
		change(&l)
		if out := New().Grant(1, l); out.Code != message.InvalidArgument {
			t.Errorf("%s: %+v", name, out)
		}
		l.Token = 1
		if _, err := Restore(1, []Lease{l}); err == nil {
			t.Errorf("%s was restored", name)
		}
	}
	if out := New().Grant(1, good); out.Code != message.Done || out.Lease.Token != 1 {
		t.Errorf("%+v", out)
	}
}

// MaxLeases is the bound, and what takes the place of another still goes.
func TestFullTable(t *testing.T) {
	table := New()
	for i := range uint64(MaxLeases) {
		if out := table.Grant(i, Lease{First: i * 40503 % MaxLeases, Pages: 1, Node: message.NodeID(i % 7), Session: 1, Length: 1}); out.Code != message.Done {
			t.Fatalf("%d: %+v", i, out)
		}
	}
	if out := table.Grant(0, Lease{First: MaxLeases, Pages: 1, Session: 1, Length: 1}); out.Code != message.Busy {
		t.Errorf("one more: %+v", out)
	}
	if out := table.Grant(0, Lease{First: 0, Pages: 1, Session: 1, Length: 1, Exclusive: true}); out.Code != message.Done {
		t.Errorf("in the place of another: %+v", out)
	}
	if out := table.Grant(0, Lease{First: 0, Pages: MaxLeases, Node: 8, Session: 1, Length: 1, Exclusive: true}); out.Code != message.Leased || len(out.Against) != MaxShown {
		t.Errorf("over all: %s, %d in the way", out.Code, len(out.Against))
	}
	if err := table.Check(); err != nil {
		t.Error(err)
	}
}

// The tree knows where it ends, also where long leases lie over short ones.
func TestTree(t *testing.T) {
	var root *tree
	lease := func(i uint64) Lease { return Lease{First: i * 37 % 101, Pages: 1 + i*53%97, Token: i + 1} }
	for i := range uint64(200) {
		root = root.insert(lease(i))
		if err := root.check(); err != nil {
			t.Fatal(i, err)
		}
	}
	for i := range uint64(200) {
		root = root.remove(lease(i * 7 % 200))
		if err := root.check(); err != nil {
			t.Fatal(i, err)
		}
	}
	if root != nil {
		t.Error("something is left")
	}
}

// What contradicts the rules is not restored.
func TestRestoreRefuses(t *testing.T) {
	a := Lease{First: 1, Pages: 2, Exclusive: true, Node: 1, Session: 1, Token: 1, Length: 1}
	other := func(change func(*Lease)) []Lease {
		b := a
		b.Node, b.Token = 2, 2
		change(&b)
		return []Lease{a, b}
	}
	for name, leases := range map[string][]Lease{
		"two exclusive ones": other(func(*Lease) {}), "one shared": other(func(l *Lease) { l.Exclusive = false }), "behind it": other(func(l *Lease) { l.First = 2 }),
		"twice its token": other(func(l *Lease) { l.First, l.Token = 9, 1 }), "a token to come": other(func(l *Lease) { l.First, l.Token = 9, 3 }),
		"two sessions": other(func(l *Lease) { l.First, l.Node, l.Session = 9, 1, 2 }), "token 0": other(func(l *Lease) { l.First, l.Token = 9, 0 }),
	} {
		if _, err := Restore(2, leases); err == nil {
			t.Errorf("%s: restored", name)
		}
	}
	if _, err := Restore(2, other(func(l *Lease) { l.First = 3 })); err != nil {
		t.Error(err)
	}
}

func BenchmarkOver(b *testing.B) {
	table := New()
	for i := range uint64(MaxLeases) {
		table.Grant(i, Lease{First: i * 3, Pages: 2, Node: message.NodeID(i % 7), Session: 1, Length: 1})
	}
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		for range table.Over(i*7919%(3*MaxLeases), 4) {
		}
	}
}
