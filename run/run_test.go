package run

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmalloc/company"
	"dmalloc/message"
)

// world is a node's stock and a company, with a network between them that takes its time and loses answers.
type world struct {
	t interface {
		Helper()
		Fatalf(string, ...any)
		Fatal(...any)
	}
	c       *company.Company
	index   uint64
	stock   *Stock
	session uint64
	now     time.Duration
	flying  []Ask
	late    []*message.Message    // that the node has given up, and that may still come
	file    map[uint64]uint64     // run, handed out: what outlives the process
	owned   map[message.Addr]bool // handed out, and not freed
}

func (w *world) do(m *message.Message) company.Result {
	w.index++
	r := w.c.Apply(w.index, &message.Batch{Node: 1, Elapsed: 1, Messages: []*message.Message{m}}).Results[0]
	if err := w.c.Verify(); err != nil {
		w.t.Fatalf("%s: %v", m, err)
	}
	return r
}

func (w *world) due() {
	asks, wait := w.stock.Due(w.now)
	if wait <= 0 {
		w.t.Fatalf("Due is to be asked again after %v", wait)
	}
	w.flying = append(w.flying, asks...)
}

// arrive has a message come to the company, and its answer to the node unless it is lost.
func (w *world) arrive(i int, lost bool) {
	a := w.flying[i]
	w.flying = slices.Delete(w.flying, i, i+1)
	m := message.New(map[Kind]message.Op{Run: message.RUN, Claim: message.CLAIM, Settle: message.SETTLE}[a.Kind])
	m.Final, m.Value = 1, w.session
	if a.Kind == Run {
		m.Size, m.Length = a.Size, a.Count
	} else {
		m.Token, m.Size, m.Length, m.Index = a.Number, a.Handed, a.End, a.Order
	}
	if lost && a.Kind == Claim && len(w.flying)%2 == 0 {
		w.late = append(w.late, m)
		w.stock.Done(a, Unknown, 0, w.now)
		return
	}
	r := w.do(m)
	switch {
	case a.Kind == Run && (lost || r.Code != message.Done):
		w.stock.Gave(a, nil, r.Code == message.OutOfMemory, w.now)
	case a.Kind == Run:
		w.stock.Gave(a, &Given{Company: 1, Number: r.Token, End: r.Length, Pieces: r.Blocks}, false, w.now)
	case lost:
		w.stock.Done(a, Unknown, 0, w.now)
	case r.Code == message.Fenced:
		w.stock.Done(a, Fenced, 0, w.now)
	case r.Code != message.Done:
		w.t.Fatalf("%s: %+v", m, r)
	default:
		w.stock.Done(a, Did, r.Length, w.now)
	}
}

func (w *world) take(size uint64) {
	out, ok, kick := w.stock.Take(size, w.now)
	if kick {
		w.due()
	}
	if !ok {
		return
	}
	w.file[out.Number] = out.Handed
	if w.owned[out.Address] {
		w.t.Fatalf("R1: %s was handed out twice", out.Address)
	}
	w.owned[out.Address] = true
	q := message.New(message.READ)
	q.Address, q.Size = out.Address, size
	if a := w.c.Read(q); a.Status != message.Done || slices.ContainsFunc(a.Data, func(b byte) bool { return b != 0 }) {
		w.t.Fatalf("R1, R6: %s was handed out and reads %s %x", out.Address, a.Status, a.Data)
	}
	q.Op = message.WRITE
	q.Data = slices.Repeat([]byte{7}, int(size))
	w.do(q)
}

func (w *world) free(a message.Addr, atNode bool) {
	m := message.New(message.FREE)
	m.Address = a
	if number, n, ok := w.stock.Handed(a); ok {
		if !atNode {
			return // it would be asked again for a while
		}
		m.Final, m.Value, m.Length, m.Size = 1, w.session, number, n
	}
	if r := w.do(m); r.Code != message.Done {
		w.t.Fatalf("R7: FREE of %s: %+v", a, r)
	}
	delete(w.owned, a)
}

// restart ends the process, and starts another one that settles what the file says.
func (w *world) restart(arrives bool) {
	m := message.New(message.SETTLE)
	m.Final, m.Value, m.Length = 1, w.session, 1
	for number, n := range w.file {
		m.Blocks = append(m.Blocks, message.Block{Address: message.Addr(number), Size: n})
	}
	late := w.flying
	w.flying = nil
	if arrives {
		for _, a := range late { // sent before, and comes now
			w.flying = []Ask{a}
			w.arrive(0, true)
		}
	}
	w.do(m)
	if n := len(w.c.Runs()); n > 0 {
		w.t.Fatalf("R4: %d runs are left", n)
	}
	w.session++
	w.stock, w.file = New(16), map[uint64]uint64{}
	var used uint64
	for _, x := range w.c.Extents(0, 1<<20) {
		if !w.owned[x.Address] {
			w.t.Fatalf("R5: %s is %s and nobody's", x.Address, x.State)
		}
		used += x.Size
	}
	if len(w.owned) != len(w.c.Extents(0, 1<<20)) || w.c.Status().Used != used {
		w.t.Fatalf("R5: %d blocks are handed out, %d there", len(w.owned), len(w.c.Extents(0, 1<<20)))
	}
}

func (w *world) listed() {
	var table []message.Allocation
	if err := json.Unmarshal(w.c.Read(message.New(message.TABLE)).Data, &table); err != nil {
		w.t.Fatal(err)
	}
	for a := range w.owned {
		if !slices.ContainsFunc(table, func(x message.Allocation) bool { return x.Address == a }) {
			w.t.Fatalf("R1: %s was handed out and is not listed", a)
		}
	}
}

// The node's side against a company: nothing is handed out twice, whatever is lost, late or killed, and what was not
// handed out comes back.
func TestAgainstCompany(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t, c: company.New(company.Config{ID: 1, Capacity: 1 << 20}), stock: New(rapid.SampledFrom([]int{1, 3, 16, 64}).Draw(t, "blocks")), session: 1,
			file: map[uint64]uint64{}, owned: map[message.Addr]bool{}}
		t.Repeat(map[string]func(*rapid.T){
			"take": func(r *rapid.T) {
				size := rapid.SampledFrom([]uint64{16, 16, 100}).Draw(r, "size")
				for range rapid.IntRange(1, 20).Draw(r, "blocks") {
					w.take(size)
				}
			},
			"arrive": func(r *rapid.T) {
				for range len(w.flying) {
					w.arrive(rapid.IntRange(0, len(w.flying)-1).Draw(r, "which"), rapid.IntRange(0, 9).Draw(r, "lost") == 0)
				}
			},
			"time": func(r *rapid.T) {
				w.now += time.Duration(rapid.SampledFrom([]int{1, 10, 60, 300, 40_000}).Draw(r, "ms")) * time.Millisecond
				w.due()
			},
			"tell": func(r *rapid.T) {
				w.stock.Tell(w.now)
				for w.stock.Telling() {
					w.due()
					for len(w.flying) > 0 {
						w.arrive(0, false)
					}
					w.now += again
				}
				for _, x := range w.c.Runs() {
					if _, mine := w.stock.find(1, x.Number); mine != nil && x.Open > 0 {
						t.Fatalf("R3: run %d has %d blocks open after all was told", x.Number, x.Open)
					}
				}
			},
			"free": func(r *rapid.T) {
				all := make([]message.Addr, 0, len(w.owned))
				for a := range w.owned {
					all = append(all, a)
				}
				if len(all) > 0 {
					slices.Sort(all)
					w.free(rapid.SampledFrom(all).Draw(r, "address"), rapid.Bool().Draw(r, "at the node"))
				}
			},
			"come late": func(r *rapid.T) {
				for _, m := range w.late {
					w.do(m)
				}
				w.late = nil
			},
			"restart": func(r *rapid.T) { w.restart(rapid.Bool().Draw(r, "late")) },
			"":        func(*rapid.T) { w.listed() },
		})
	})
}

// A CLAIM that closes a run is given up, asked again, and comes when its blocks were opened anew and handed out.
func TestLateClaim(t *testing.T) {
	w := &world{t: t, c: company.New(company.Config{ID: 1, Capacity: 1 << 20}), stock: New(64), session: 1, file: map[uint64]uint64{}, owned: map[message.Addr]bool{}}
	all := func(lost bool) {
		w.due()
		for len(w.flying) > 0 {
			w.arrive(0, lost)
		}
	}
	w.take(16)
	w.take(16)
	all(false)
	w.take(16)
	w.now += Burst
	if all(true); len(w.late) != 1 {
		t.Fatal("nothing was given up")
	}
	w.now += again
	all(false)
	for range 10 { // the first finds nothing open
		w.now += time.Millisecond
		w.take(16)
		all(false)
	}
	if len(w.owned) < 5 {
		t.Fatal("nothing was opened again")
	}
	w.do(w.late[0])
	w.listed()
	w.restart(false)
}

// Most of a burst needs nobody: one message for many blocks.
func TestMostNeedNoMessage(t *testing.T) {
	w := &world{t: t, c: company.New(company.Config{ID: 1, Capacity: 1 << 20}), stock: New(64), session: 1, file: map[uint64]uint64{}, owned: map[message.Addr]bool{}}
	messages := 0
	for range 1000 {
		w.take(100)
		w.now += time.Millisecond
		w.due()
		messages += len(w.flying)
		for len(w.flying) > 0 {
			w.arrive(0, false)
		}
	}
	if len(w.owned) < 990 || messages > 120 {
		t.Fatalf("%d of 1000 were handed out with %d messages", len(w.owned), messages)
	}
	w.restart(false)
}

// A size that is asked for now and then gets no run, and what is idle is closed and comes back.
func TestIdle(t *testing.T) {
	s, now := New(64), time.Duration(0)
	for range 10 {
		if _, ok, _ := s.Take(16, now); ok {
			t.Fatal("there was a block")
		}
		if asks, _ := s.Due(now); len(asks) > 0 {
			t.Fatalf("%+v", asks)
		}
		now += time.Second
	}
	s.Take(16, now)
	s.Take(16, now)
	asks, _ := s.Due(now)
	if len(asks) != 1 || asks[0].Kind != Run || asks[0].Count != 64 {
		t.Fatalf("%+v", asks)
	}
	s.Gave(asks[0], &Given{Company: 1, Number: 5, End: 32, Pieces: []message.Block{{Address: 4096, Size: 64 * 16}}}, false, now)
	if out, ok, _ := s.Take(16, now); !ok || out.Address != 4096 || out.Handed != 1 {
		t.Fatalf("%+v %v", out, ok)
	}
	now += Burst
	asks, _ = s.Due(now)
	if len(asks) != 1 || asks[0].Kind != Claim || asks[0].Handed != 1 || asks[0].End != 1 {
		t.Fatalf("%+v", asks)
	}
	if _, ok, _ := s.Take(16, now); ok {
		t.Fatal("R1: a block was handed out that is about to be closed")
	}
	s.Done(asks[0], Did, 1, now)
	now += keepFor
	asks, _ = s.Due(now)
	if len(asks) != 1 || asks[0].Kind != Settle || asks[0].Handed != 1 {
		t.Fatalf("%+v", asks)
	}
	s.Done(asks[0], Did, 0, now)
	if s.Stats() != (Stats{}) || s.slot() != 0 {
		t.Fatalf("%+v", s)
	}
}

// When all has ended there is nothing to wait for.
func TestEnd(t *testing.T) {
	s := New(64)
	s.Take(16, 0)
	s.Take(16, 1)
	asks, _ := s.Due(1)
	s.Gave(asks[0], &Given{Company: 1, Number: 5, End: 32, Pieces: []message.Block{{Address: 4096, Size: 64 * 16}}}, false, 1)
	s.Take(16, 2)
	for range 2 {
		if rows := s.End(); !slices.Equal(rows, []Row{{1, 5, 1}}) {
			t.Fatalf("%+v", rows)
		}
		s.Tell(3)
		if asks, _ := s.Due(4); len(asks) > 0 || s.Telling() {
			t.Fatalf("%+v", asks)
		}
		if _, ok, _ := s.Take(16, 5); ok {
			t.Fatal("R4: a block was handed out after the end")
		}
		if s.Gave(Ask{Size: 16}, &Given{Company: 1, Number: 6}, false, 6) {
			t.Fatal("a run was taken in after the end")
		}
	}
}

func BenchmarkTake(b *testing.B) {
	s, now := New(1024), time.Duration(0)
	var number uint64
	for b.Loop() {
		if _, ok, _ := s.Take(64, now); ok {
			continue
		}
		s.Take(64, now) // there is none aside: have it asked for
		asks, _ := s.Due(now)
		for _, a := range asks {
			if a.Kind == Run {
				number++
				s.Gave(a, &Given{Company: 1, Number: number, End: 32, Pieces: []message.Block{{Address: 4096, Size: 1024 * 64}}}, false, now)
				continue
			}
			s.Done(a, Did, a.End, now)
		}
	}
}
