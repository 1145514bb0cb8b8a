package company

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmalloc/message"
)

func runOf(node message.NodeID, session, size, n uint64) *message.Message {
	return msg(message.RUN, func(m *message.Message) { m.Final, m.Value, m.Size, m.Length = node, session, size, n })
}

func claimOf(node message.NodeID, session, number, n, end uint64) *message.Message {
	return msg(message.CLAIM, func(m *message.Message) {
		m.Final, m.Value, m.Token, m.Size, m.Length, m.Index = node, session, number, n, end, 1
	})
}

// listed are the addresses that TABLE shows.
func listed(t *testing.T, c *Company) (all []message.Addr) {
	t.Helper()
	var table []message.Allocation
	if err := json.Unmarshal(c.Read(msg(message.TABLE, nil)).Data, &table); err != nil {
		t.Fatal(err)
	}
	for _, a := range table {
		all = append(all, a.Address)
	}
	return all
}

// R8: a run leaves room for others, and a node has a bounded number of them.
func TestRunsAreBounded(t *testing.T) {
	d := &driver{Company: New(Config{ID: 1, Capacity: 64 << 10})}
	if r := d.do(runOf(1, 1, 512, 1024)); r.Code != message.Done || r.Size*512 > 16<<10 || r.Size == 0 {
		t.Fatalf("%+v", r)
	}
	for range message.MaxRuns - 1 {
		if r := d.do(runOf(1, 1, 16, 2)); r.Code != message.Done {
			t.Fatalf("%+v", r)
		}
	}
	if r := d.do(runOf(1, 1, 16, 2)); r.Code != message.Busy {
		t.Fatalf("%+v", r)
	}
	if r := d.do(runOf(2, 1, 16, 2)); r.Code != message.Done {
		t.Fatalf("%+v", r)
	}
	for d.do(malloc(512)).Code == message.Done {
	}
	if r := d.do(runOf(2, 1, 512, 64)); r.Code != message.OutOfMemory {
		t.Fatalf("%+v", r)
	}
	if err := d.Verify(); err != nil {
		t.Fatal(err)
	}
}

// A run takes the holes that others left, and says where.
func TestRunFillsHoles(t *testing.T) {
	d := &driver{Company: newTest(1)}
	var all []message.Addr
	for range 20 {
		all = append(all, d.do(malloc(100)).Address)
	}
	for i := 0; i < 20; i += 2 {
		d.do(free(all[i]))
	}
	r := d.do(runOf(1, 1, 100, 12))
	if r.Code != message.Done || r.Size != 12 || r.Length != 12 || r.Address != all[0] || len(r.Blocks) != 11 {
		t.Fatalf("%+v", r)
	}
	for i, b := range r.Blocks[:10] {
		if b.Address != all[2*i] || b.Size != 112 {
			t.Fatalf("block %d is %+v", i, b)
		}
	}
	if last := r.Blocks[10]; last.Size != 224 {
		t.Fatalf("%+v", last)
	}
}

// What follows are two nodes with a run of three blocks each, whose users allocate, write and free at the node itself
// and elsewhere, while the nodes' messages take their time and the nodes die and start again. Every order of events is tried.

const runBlocks = 3

// stocked is a node, and what of it outlives its process.
type stocked struct {
	id      message.NodeID
	alive   bool
	session uint64
	number  uint64 // of its run, 0 if it has none
	blocks  []message.Addr
	n, end  int // handed out, and may be
	file    struct {
		number uint64
		n      int
	}
	flying *message.Message // a CLAIM on its way
	runs   int
	deaths int
	claims uint64
}

// claim has a CLAIM leave.
func (s *stocked) claim(end int) {
	s.claims++
	s.flying = claimOf(s.id, s.session, s.number, uint64(s.n), uint64(end))
	s.flying.Index = s.claims
}

type runWorld struct {
	d      *driver
	nodes  [2]*stocked
	owned  map[message.Addr]message.NodeID // handed out by a node, and not freed
	kept   map[message.Addr]bool           // may stay, though nobody has it
	frees  int
	wrote  bool
	broken string
}

func newRunWorld() *runWorld {
	w := &runWorld{d: &driver{Company: newTest(1)}, owned: map[message.Addr]message.NodeID{}, kept: map[message.Addr]bool{}}
	for i := range w.nodes {
		w.nodes[i] = &stocked{id: message.NodeID(i + 1), alive: true, session: 1}
	}
	return w
}

func (w *runWorld) fail(format string, args ...any) {
	if w.broken == "" {
		w.broken = fmt.Sprintf(format, args...)
	}
}

// runEvents are what can happen to a node, and what its users do.
var runEvents = []func(w *runWorld, s *stocked) bool{
	func(w *runWorld, s *stocked) bool { // it asks for a run
		if !s.alive || s.number != 0 || s.runs > 0 {
			return false
		}
		r := w.d.do(runOf(s.id, s.session, 16, runBlocks))
		s.runs++
		s.number, s.n, s.end, s.blocks = r.Token, 0, int(r.Length), nil
		for _, b := range r.Blocks {
			for a := b.Address; a < b.Address+message.Addr(b.Size); a += 16 {
				s.blocks = append(s.blocks, a)
			}
		}
		if r.Code != message.Done || len(s.blocks) != runBlocks {
			w.fail("RUN: %+v", r)
		}
		return true
	},
	func(w *runWorld, s *stocked) bool { // it asks for a run, and dies before the answer
		if !s.alive || s.number != 0 || s.runs > 0 {
			return false
		}
		w.d.do(runOf(s.id, s.session, 16, runBlocks))
		s.runs, s.alive = 1, false
		return true
	},
	func(w *runWorld, s *stocked) bool { // it hands a block out
		if !s.alive || s.number == 0 || s.n >= s.end {
			return false
		}
		a := s.blocks[s.n]
		s.n++
		s.file.number, s.file.n = s.number, s.n
		if w.owned[a] != 0 {
			w.fail("%s was handed out twice", a)
		}
		w.owned[a] = s.id
		if got := w.d.Read(read(a, 16)); got.Status != message.Done || slices.ContainsFunc(got.Data, func(b byte) bool { return b != 0 }) {
			w.fail("%s was handed out and reads %s %x", a, got.Status, got.Data)
		}
		return true
	},
	func(w *runWorld, s *stocked) bool { // it claims, and opens one more
		if !s.alive || s.number == 0 || s.flying != nil || s.n == runBlocks && s.end == s.n {
			return false
		}
		s.claim(max(s.end, min(s.n+1, runBlocks)))
		return true
	},
	func(w *runWorld, s *stocked) bool { // it claims and closes
		if !s.alive || s.number == 0 || s.flying != nil || s.end == s.n {
			return false
		}
		s.end = s.n
		s.claim(s.n)
		return true
	},
	func(w *runWorld, s *stocked) bool { // the CLAIM comes, perhaps after its node's death
		if s.flying == nil {
			return false
		}
		q := s.flying
		s.flying = nil
		r := w.d.do(q)
		if s.alive && q.Value == s.session && r.Code == message.Done {
			if s.end = int(r.Length); r.Value == runBlocks {
				s.number = 0
			}
		} else if s.alive && q.Value == s.session && !(r.Code == message.Fenced && s.n == runBlocks) {
			w.fail("CLAIM of a node that lives: %+v", r)
		}
		return true
	},
	func(w *runWorld, s *stocked) bool { // it is killed
		if !s.alive || s.deaths > 0 {
			return false
		}
		s.alive, s.deaths = false, 1
		return true
	},
	func(w *runWorld, s *stocked) bool { // it starts again with its file
		if s.alive {
			return false
		}
		w.restart(s, true)
		return true
	},
	func(w *runWorld, s *stocked) bool { // it starts again without
		if s.alive {
			return false
		}
		w.restart(s, false)
		return true
	},
	func(w *runWorld, s *stocked) bool { // somebody frees at the node what it handed out last
		if !s.alive || s.number == 0 || s.n == 0 || w.owned[s.blocks[s.n-1]] != s.id || w.frees > 1 {
			return false
		}
		a := s.blocks[s.n-1]
		q := free(a)
		q.Final, q.Value, q.Length, q.Size = s.id, s.session, s.number, uint64(s.n)
		w.freed(a, w.d.do(q))
		return true
	},
	func(w *runWorld, s *stocked) bool { // somebody frees it elsewhere: now, or when the node was silent for long
		if s.n == 0 || len(s.blocks) == 0 || w.owned[s.blocks[0]] != s.id || w.frees > 1 {
			return false
		}
		a := s.blocks[0]
		r := w.d.do(free(a))
		if r.Code == message.Busy {
			r = w.d.apply(silence+1, free(a)).Results[0]
		}
		w.freed(a, r)
		return true
	},
	func(w *runWorld, s *stocked) bool { // somebody writes to it
		if s.n == 0 || w.owned[s.blocks[s.n-1]] != s.id || w.wrote {
			return false
		}
		w.wrote = true
		if r := w.d.do(write(s.blocks[s.n-1], []byte("mine"))); r.Code != message.Done {
			w.fail("WRITE of what was handed out: %+v", r)
		}
		return true
	},
}

func (w *runWorld) freed(a message.Addr, r Result) {
	if r.Code != message.Done {
		w.fail("FREE of %s: %+v", a, r)
	}
	delete(w.owned, a)
	w.frees++
	if again := w.d.do(free(a)); again.Code != message.AlreadyFree {
		w.fail("the second FREE of %s: %+v", a, again)
	}
}

// restart settles what the process before left. Where the file is lost, what is open stays.
func (w *runWorld) restart(s *stocked, file bool) {
	q := msg(message.SETTLE, func(m *message.Message) { m.Final, m.Value = s.id, s.session })
	if file {
		q.Length = 1
		q.Blocks = []message.Block{{Address: message.Addr(s.file.number), Size: uint64(s.file.n)}}
		if s.file.number == 0 {
			q.Blocks = nil
		}
	} else {
		for _, x := range w.d.runsOf(s.id) {
			for _, at := range x.blocks[x.next:x.end] {
				if r, _ := w.d.recordAt(at); r.mark == open {
					w.kept[w.d.addr(at)] = true
				}
			}
		}
	}
	if r := w.d.do(q); r.Code != message.Done {
		w.fail("SETTLE: %+v", r)
	}
	s.file.number, s.file.n = 0, 0
	s.alive, s.session, s.number, s.blocks, s.n, s.end, s.runs = true, s.session+1, 0, nil, 0, 0, 1
	if r := w.d.do(runOf(s.id, s.session-1, 16, 1)); r.Code != message.Fenced {
		w.fail("RUN of a settled session: %+v", r)
	}
}

func (w *runWorld) check(t *testing.T, path []int) {
	t.Helper()
	if err := w.d.Verify(); err != nil {
		t.Fatalf("%v: %v\n%s", path, err, w.d)
	}
	all := listed(t, w.d.Company)
	for a := range w.owned {
		if !slices.Contains(all, a) {
			w.fail("%s was handed out and is not listed", a)
		}
	}
	if s := w.d.Status(); s.Count != uint64(len(all)) {
		w.fail("%d allocations are counted, %d listed", s.Count, len(all))
	}
	if w.broken != "" {
		t.Fatalf("%v: %s\n%s", path, w.broken, w.d)
	}
}

// finish has both nodes end as they may, and looks at what is left: what was handed out, and at most what may have been.
func (w *runWorld) finish(t *testing.T, path []int) {
	for _, s := range w.nodes {
		w.restart(s, true)
	}
	w.check(t, path)
	for _, x := range w.d.Extents(0, 99) {
		if w.owned[x.Address] == 0 && !w.kept[x.Address] {
			t.Fatalf("%v: %s is %s and nobody's\n%s", path, x.Address, x.State, w.d)
		}
	}
}

func (w *runWorld) key() string {
	s := fmt.Sprint(w.owned, w.kept, w.frees, w.wrote, w.d.Extents(0, 99))
	for _, n := range w.nodes {
		flying := ""
		if n.flying != nil {
			flying = n.flying.String() + fmt.Sprint(n.flying.Value, n.flying.Length)
		}
		s += fmt.Sprint(";", n.alive, n.session, n.number != 0, n.n, n.end, n.runs, n.deaths, flying)
		for _, x := range w.d.runsOf(n.id) {
			s += fmt.Sprint(" ", x.next, x.end, x.session)
		}
	}
	return s
}

func (w *runWorld) act(n int) bool {
	return runEvents[n%len(runEvents)](w, w.nodes[n/len(runEvents)])
}

// R1, R4, R5, R7: no block is handed out twice, none that was comes back, and all others do.
func TestEveryInterleavingOfRuns(t *testing.T) {
	const most = 3_000 // states, the nearest first; behind them chance decides
	replay := func(path []int) *runWorld {
		w := newRunWorld()
		for _, n := range path {
			w.act(n)
		}
		return w
	}
	seen := map[string]bool{}
	for queue := [][]int{nil}; len(queue) > 0 && len(seen) < most; queue = queue[1:] {
		for n := range 2 * len(runEvents) {
			w := replay(queue[0])
			if !w.act(n) {
				continue
			}
			path := append(queue[0][:len(queue[0]):len(queue[0])], n)
			w.check(t, path)
			if key := w.key(); !seen[key] {
				seen[key] = true
				queue = append(queue, path)
				w.finish(t, path)
			}
		}
	}
	if len(seen) < most {
		t.Errorf("only %d states were tried", len(seen))
	}
}

func TestLongInterleavingsOfRuns(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newRunWorld()
		var path []int
		for range rapid.IntRange(1, 60).Draw(r, "events") {
			n := rapid.IntRange(0, 2*len(runEvents)-1).Draw(r, "event")
			if w.act(n) {
				path = append(path, n)
				w.check(t, path)
			}
			for _, s := range w.nodes {
				s.runs = 0 // there may be another
			}
		}
		w.finish(t, path)
	})
}

// drawRun makes a request about what is there, mostly.
func drawRun(t *rapid.T, c *Company) *message.Message {
	m := message.New(rapid.SampledFrom([]message.Op{message.RUN, message.RUN, message.CLAIM, message.CLAIM, message.CLAIM, message.SETTLE, message.FREE, message.FREE,
		message.MALLOC, message.WRITE, message.LEASE, message.RELEASE, message.CAPACITY}).Draw(t, "op"))
	m.Size = rapid.SampledFrom([]uint64{1, 16, 100, 512}).Draw(t, "size")
	if x := c.Extents(0, 1<<20); len(x) > 0 {
		m.Address = x[rapid.IntRange(0, len(x)-1).Draw(t, "which")].Address
	}
	m.Final, m.Value = message.NodeID(rapid.IntRange(0, 2).Draw(t, "node")), uint64(rapid.IntRange(1, 3).Draw(t, "session"))
	number := uint64(0)
	if all := c.Runs(); len(all) > 0 {
		x := rapid.SampledFrom(all).Draw(t, "run")
		m.Final, m.Value, number = x.Node, x.Session, x.Number
	}
	n := uint64(rapid.IntRange(0, 50).Draw(t, "handed out"))
	switch m.Op {
	case message.RUN:
		m.Length = uint64(rapid.IntRange(1, 100).Draw(t, "blocks"))
	case message.CLAIM:
		m.Token, m.Size, m.Length, m.Index = number, n, n+uint64(rapid.IntRange(0, 40).Draw(t, "open")), uint64(rapid.IntRange(0, 9).Draw(t, "order"))
	case message.SETTLE:
		m.Size = n
		if rapid.Bool().Draw(t, "one run") {
			m.Token = number
		}
		m.Length = uint64(rapid.IntRange(0, 1).Draw(t, "exact"))
		m.Blocks = []message.Block{{Address: message.Addr(number), Size: n}}
	case message.FREE:
		if rapid.Bool().Draw(t, "says") {
			m.Length, m.Size = number, n
		} else {
			m.Value = 0
		}
	case message.WRITE:
		m.Data, m.Size = []byte("x"), 1
	case message.LEASE:
		m.Size, m.Flags = 0, message.Exclusive
	case message.RELEASE:
		m.Value = 9
	case message.CAPACITY:
		m.Value = uint64(rapid.IntRange(0, 1<<18).Draw(t, "capacity"))
	}
	return m
}

// Whatever is asked: the invariants hold, what is listed is what is counted, and a snapshot goes on as its company does.
func TestRunsInSnapshots(t *testing.T) {
	cfg := Config{ID: 1, Capacity: 64 << 10}
	rapid.Check(t, func(t *rapid.T) {
		d := &driver{Company: New(cfg)}
		var twin *driver
		for range rapid.IntRange(1, 40).Draw(t, "requests") {
			m, elapsed := drawRun(t, d.Company), rapid.SampledFrom([]uint64{0, 1, silence + 1}).Draw(t, "elapsed")
			a := d.apply(elapsed, m)
			if err := d.Verify(); err != nil {
				t.Fatalf("%s: %v", m, err)
			}
			if twin != nil {
				b := twin.apply(elapsed, m)
				if string(message.JSON(a)) != string(message.JSON(b)) || twin.String() != d.String() {
					t.Fatalf("%s: after loading\n%s\nwithout\n%s", m, twin, d)
				}
			}
			if rapid.IntRange(0, 4).Draw(t, "load") == 0 {
				bytes1 := saved(t, d.Snapshot())
				c, err := Load(bytes.NewReader(bytes1), cfg)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(saved(t, c.Snapshot()), bytes1) {
					t.Fatal("what was loaded is saved otherwise")
				}
				twin = &driver{c, d.next}
			}
		}
	})
}
