package register

import (
	"math"
	"slices"
	"testing"

	"dmalloc/message"

	"pgregory.net/rapid"
)

func TestJudgeRequests(t *testing.T) {
	r := &Replica{Self: abc[1], Config: message.Registers{Epoch: 4, Members: abc, Next: cast("ABD")}}
	for _, c := range []struct {
		name string
		q    Request
		want Verdict
		conf bool // the refusal carries the configuration
	}{
		{"a tag", Request{Kind: GetTag, To: abc[1], Epoch: 4}, Show, false},
		{"a value", Request{Kind: Get, To: abc[1], Epoch: 4}, Show, false},
		{"a put", Request{Kind: Put, To: abc[1], Epoch: 4}, Store, false},
		{"no kind", Request{To: abc[1], Epoch: 4}, Refuse, false},
		{"an older epoch", Request{Kind: Put, To: abc[1], Epoch: 3}, Refuse, true},
		{"a newer epoch", Request{Kind: Put, To: abc[1], Epoch: 5}, Refuse, false},
		{"another node", Request{Kind: Get, To: abc[0], Epoch: 4}, Refuse, false},
		{"another incarnation", Request{Kind: Get, To: message.Member{Node: 1, Incarnation: 1}, Epoch: 4}, Refuse, false},
	} {
		got := r.Judge(c.q)
		if got != c.want {
			t.Errorf("%s: %s; want %s", c.name, got, c.want)
		}
		if got == Refuse {
			if a := r.Refused(c.q); !a.Behind || a.Epoch != 4 || a.From != abc[1] || (a.Config != nil) != c.conf {
				t.Errorf("%s: %+v", c.name, a)
			}
		}
	}
	stranger := &Replica{Self: cast("F")[0], Config: r.Config}
	if got := stranger.Judge(Request{Kind: Get, To: stranger.Self, Epoch: 4}); got != Refuse {
		t.Errorf("one that is no member: %s", got)
	}
	if got := (&Replica{}).Judge(Request{Kind: Get}); got != Refuse {
		t.Errorf("one that knows no configuration: %s", got)
	}
}

// R7: what was judged in one epoch is not answered in the next.
func TestAnswersAreJudgedAgain(t *testing.T) {
	r := &Replica{Self: abc[0], Config: message.Registers{Epoch: 1, Members: abc}}
	put, get := Request{Kind: Put, To: abc[0], Epoch: 1}, Request{Kind: Get, To: abc[0], Epoch: 1, Most: 1}
	if r.Judge(put) != Store || r.Judge(get) != Show || r.Acknowledged(put).Behind || r.Shown(get, message.Tag{}, 0, nil).Behind {
		t.Error("refuses in its own epoch")
	}
	if r.Adopt(message.Registers{Epoch: 1}) || !r.Adopt(message.Registers{Epoch: 2, Members: abc}) || r.Adopt(message.Registers{Epoch: 1}) || r.Config.Epoch != 2 {
		t.Error("a replica takes newer configurations, and no others")
	}
	if a := r.Acknowledged(put); !a.Behind || a.Config == nil || a.Config.Epoch != 2 {
		t.Errorf("acknowledges in epoch 2 what came in epoch 1: %+v", a)
	}
	if a := r.Shown(get, message.Tag{TS: 1}, 1, []byte("x")); !a.Behind || a.HasValue {
		t.Errorf("shows in epoch 2 to whom asked in epoch 1: %+v", a)
	}
}

func TestShownLeavesOut(t *testing.T) {
	r := &Replica{Self: abc[0], Config: message.Registers{Epoch: 1, Members: abc}}
	for _, c := range []struct {
		kind Kind
		most uint64
		has  bool
	}{{Get, 2, false}, {Get, 3, true}, {Get, math.MaxUint64, true}, {GetTag, math.MaxUint64, false}} {
		a := r.Shown(Request{Kind: c.kind, To: abc[0], Epoch: 1, Most: c.most}, message.Tag{TS: 1}, 3, []byte("xyz"))
		if a.HasValue != c.has || (a.Value != nil) != c.has || a.Size != 3 || a.Tag.TS != 1 {
			t.Errorf("%s of at most %d: %+v", c.kind, c.most, a)
		}
	}
}

// Memory keeps what a map of the largest tags would, and of what was not synced nothing is seen or kept.
func TestMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := NewMemory(abc[0], message.Registers{Epoch: 1, Members: abc})
		disk := map[message.RegisterID]message.Tag{}
		var waiting []Request
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			id := message.RegisterID{Address: rapid.Uint64Range(0, 2).Draw(t, "register")}
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1:
				q := Request{Kind: Put, To: abc[0], Epoch: 1, Register: id, Tag: message.Tag{TS: rapid.Uint64Range(1, 9).Draw(t, "ts")}}
				waiting = append(waiting, q)
				if out := m.Step(q); len(out) != 0 {
					t.Fatalf("answers a put before it is on disk: %v", out)
				}
			case 2:
				out := m.Sync()
				if len(out) != len(waiting) {
					t.Fatalf("%d acknowledgements of %d", len(out), len(waiting))
				}
				for _, q := range waiting {
					if q.Tag.Compare(disk[q.Register]) > 0 {
						disk[q.Register] = q.Tag
					}
				}
				waiting = nil
			case 3:
				m.Crash()
				waiting = nil
			default:
				out := m.Step(Request{Kind: Get, To: abc[0], Epoch: 1, Register: id, Most: 9})
				if len(out) != 1 || out[0].Tag != disk[id] {
					t.Fatalf("shows %v; want %s", out, disk[id])
				}
			}
		}
		if rows, more := m.List(message.RegisterID{}, 10); len(rows) != len(disk) || more {
			t.Fatalf("lists %v of %v", rows, disk)
		}
		m.Lose()
		if rows, _ := m.List(message.RegisterID{}, 10); len(rows) != 0 || m.Self.Incarnation != 1 || m.Config.Epoch != 0 {
			t.Fatalf("after the loss of its disk: %v, %+v", rows, m.Replica)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	m := NewMemory(abc[0], message.Registers{Epoch: 1, Members: abc})
	for i := range uint64(MaxWaiting + 5) {
		m.Step(Request{Kind: Put, To: abc[0], Epoch: 1, Tag: message.Tag{TS: i + 1}})
	}
	if out := m.Sync(); len(out) != MaxWaiting || m.Dirty() {
		t.Errorf("%d puts waited; want %d", len(out), MaxWaiting)
	}
}

// R1, by counting: two quorums meet, and so do a quorum and as many as Meets; with fewer they need not.
func TestQuorumsMeet(t *testing.T) {
	for n := 1; n <= 9; n++ {
		if 2*Quorum(n) <= n || Quorum(n)+Meets(n) <= n || Quorum(n)+Meets(n)-1 > n {
			t.Errorf("n = %d: quorum %d, meets %d", n, Quorum(n), Meets(n))
		}
	}
}

func TestFenced(t *testing.T) {
	for _, c := range []struct {
		old, taken string
		want       bool
	}{
		{"ABC", "", false}, {"ABC", "A", false}, {"ABC", "AB", true}, {"ABC", "ADE", false}, {"AB", "B", true}, {"ABCD", "AD", true},
		{"ABCDE", "AB", false}, {"ABC", "AAA", false}, {"AAB", "A", true}, {"", "", false},
	} {
		if got := Fenced(cast(c.old), cast(c.taken)); got != c.want {
			t.Errorf("old %q, taken %q: %v; want %v", c.old, c.taken, got, c.want)
		}
	}
}

// Pages merge to what a map would have, whatever their sizes.
func TestMergePages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := map[message.RegisterID]message.Tag{}
		replicas := make([]*Memory, rapid.IntRange(1, 4).Draw(t, "lists"))
		for i := range replicas {
			replicas[i] = NewMemory(abc[0], message.Registers{})
			for range rapid.IntRange(0, 12).Draw(t, "rows") {
				id := message.RegisterID{Space: message.Space(rapid.IntRange(0, 1).Draw(t, "space")), Address: rapid.SampledFrom([]uint64{0, 1, 2, 5, 9, math.MaxUint64}).Draw(t, "address")}
				tag := message.Tag{TS: rapid.Uint64Range(1, 9).Draw(t, "ts")}
				replicas[i].keep(id, Cell{Tag: tag})
				if tag.Compare(want[id]) > 0 {
					want[id] = tag
				}
			}
		}
		var got []Entry
		var from message.RegisterID
		for more := true; more; {
			var pages []Page
			for _, m := range replicas {
				rows, more := m.List(from, rapid.IntRange(1, 4).Draw(t, "most"))
				pages = append(pages, Page{rows, more})
			}
			var rows []Entry
			var err error
			if rows, from, more, err = MergePages(pages...); err != nil {
				t.Fatal(err)
			}
			got = append(got, rows...)
		}
		if len(got) != len(want) || !slices.IsSortedFunc(got, func(a, b Entry) int {
			if a.Register.Less(b.Register) {
				return -1
			}
			return 1
		}) {
			t.Fatalf("got %v; want %v in order", got, want)
		}
		for _, e := range got {
			if want[e.Register] != e.Tag {
				t.Fatalf("%s has %s; want %s", e.Register, e.Tag, want[e.Register])
			}
		}
	})
	if _, _, _, err := MergePages(Page{More: true}); err == nil {
		t.Error("a page of nothing with more to come is taken")
	}
}
