package company

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmalloc/block"
	"dmalloc/message"
)

// model is a company of one node that forgets nothing: allocations as byte slices in a map.
type model struct {
	live     map[message.Addr][]byte
	high     message.Addr
	charged  uint64
	capacity uint64
	low      map[byte]uint64
	answers  map[byte]map[uint64]Result
	held     held
}

// find is the allocation in which a lies.
func (m *model) find(a message.Addr) (message.Addr, []byte, bool) {
	for start, p := range m.live {
		if a >= start && a < start+message.Addr(len(p)) {
			return start, p, true
		}
	}
	return 0, nil, false
}

// padded says whether a lies in what rounding added to an allocation.
func (m *model) padded(a message.Addr) bool {
	for start, p := range m.live {
		if a >= start+message.Addr(len(p)) && a < start+message.Addr(block.Footprint(uint64(len(p)))) {
			return true
		}
	}
	return false
}

// access is the code for n bytes at a.
func (m *model) access(a message.Addr, n uint64) message.Code {
	start, p, ok := m.find(a)
	if !ok {
		return message.NotAllocated
	}
	if uint64(a-start)+n > uint64(len(p)) {
		return message.OutOfBounds
	}
	return message.Done
}

// pages are the pages in use, with one more range.
func (m *model) pages(more message.Addr, size uint64) map[message.Addr]bool {
	pages := map[message.Addr]bool{}
	put := func(a message.Addr, size uint64) {
		for p := a &^ inPage; p < a+message.Addr(size); p += message.PageSize {
			pages[p] = true
		}
	}
	for a, p := range m.live {
		put(a, block.Footprint(uint64(len(p))))
	}
	put(more, size)
	return pages
}

// fits says whether a footprint is within the budget of pages: it needs none of its own, or there are some left.
func (m *model) fits(f uint64) bool {
	pages := m.pages(0, 0)
	left := (m.capacity+inPage)/message.PageSize - min((m.capacity+inPage)/message.PageSize, uint64(len(pages)))
	if f >= message.PageSize {
		return f/message.PageSize <= left
	}
	run := uint64(0) // of free cells in pages that are in use
	for a := message.HeapBase + message.Addr(message.PageSize); left == 0 && a < m.high+message.PageSize; a += message.Alignment {
		_, _, taken := m.find(a)
		if taken || m.padded(a) || !pages[a&^inPage] {
			run = 0
		} else if run += message.Alignment; run >= f {
			return true
		}
	}
	return left > 0
}

// expect does q and says what must be answered. For an allocation the address is the company's choice,
// which got tells.
func (m *model) expect(t *rapid.T, q *message.Message, got *Result) message.Code {
	switch q.Op {
	case message.MALLOC:
		f := block.Footprint(q.Size)
		switch {
		case q.Size == 0:
			return message.InvalidArgument
		case f > m.capacity-m.charged || !m.fits(f):
			return message.OutOfMemory
		}
		unit := message.Addr(message.Alignment)
		if q.Size >= message.PageSize {
			unit = message.PageSize
		}
		a, end := got.Address, got.Address+message.Addr(f)
		if a%unit != 0 || a < message.HeapBase+message.PageSize || end > message.CompanyID(1).Limit() {
			t.Fatalf("%d bytes were put at %s", q.Size, a)
		}
		for start, p := range m.live {
			if a < start+message.Addr(block.Footprint(uint64(len(p)))) && start < end {
				t.Fatalf("%d bytes were put at %s, where %d live at %s", q.Size, a, len(p), start)
			}
		}
		if n := uint64(len(m.pages(a, f))) * message.PageSize; n >= m.capacity+message.PageSize && n > uint64(len(m.pages(0, 0)))*message.PageSize {
			t.Fatalf("%d bytes at %s bring %d bytes of pages into use, of %d", q.Size, a, n, m.capacity)
		}
		m.live[a] = make([]byte, q.Size)
		m.charged += f
		m.high = max(m.high, end)
	case message.FREE:
		start, p, ok := m.find(q.Address)
		switch {
		case q.Address < message.HeapBase+message.PageSize || !ok && (q.Address >= m.high || m.padded(q.Address)):
			return message.NotAllocated
		case !ok:
			return message.AlreadyFree
		case start != q.Address:
			return message.InvalidArgument
		}
		if code := m.freeing(q, start, p); code != message.Done {
			return code
		}
		m.charged -= block.Footprint(uint64(len(p)))
		delete(m.live, start)
	case message.WRITE:
		if len(q.Data) == 0 {
			return message.InvalidArgument
		}
		if code := m.access(q.Address, q.Size); code != message.Done {
			return code
		}
		if code := m.held.change(q.Token, q.Address, q.Size); code != message.Done {
			return code
		}
		start, p, _ := m.find(q.Address)
		copy(p[q.Address-start:], q.Data)
	case message.CAPACITY:
		if m.capacity = max(q.Value, uint64(len(m.pages(0, 0)))*message.PageSize); got.Value != m.capacity {
			t.Fatalf("%s: the capacity is %d, want %d", q, got.Value, m.capacity)
		}
	case message.CAS, message.ADD:
		if q.Address%8 != 0 {
			return message.InvalidArgument
		}
		if code := m.access(q.Address, 8); code != message.Done {
			return code
		}
		if code := m.held.change(q.Token, q.Address, 8); code != message.Done {
			return code
		}
		start, p, _ := m.find(q.Address)
		word := p[q.Address-start:]
		old := binary.LittleEndian.Uint64(word)
		if got.Value != old {
			t.Fatalf("%s: old value %d, want %d", q, got.Value, old)
		}
		if q.Op == message.ADD {
			binary.LittleEndian.PutUint64(word, old+q.Value)
		} else if swapped := old == q.Size; swapped != (got.Size == 1) {
			t.Fatalf("%s: swapped %d of %d", q, got.Size, old)
		} else if swapped {
			binary.LittleEndian.PutUint64(word, q.Value)
		}
	default:
		return m.expectLease(t, q, got)
	}
	return message.Done
}

// once is expect for requests with numbers.
func (m *model) once(t *rapid.T, q *message.Message, got *Result) {
	same := func(want message.Code) {
		t.Helper()
		if got.Code != want {
			t.Fatalf("%s: %s (%s), want %s", q, got.Code, got.Text, want)
		}
	}
	id := q.Client[0]
	if id == 0 {
		same(m.expect(t, q, got))
		return
	}
	m.low[id] = max(m.low[id], q.Low)
	if q.Seq < m.low[id] {
		same(message.TooOld)
		return
	}
	if m.answers[id] == nil {
		m.answers[id] = map[uint64]Result{}
	}
	if was, ok := m.answers[id][q.Seq]; ok {
		if got.Index != was.Index || got.Code != was.Code || got.Address != was.Address || got.Value != was.Value || got.Size != was.Size {
			t.Fatalf("%s: the repetition got %v, the first %v", q, got, was)
		}
		return
	}
	code := m.expect(t, q, got)
	if same(code); code != message.Leased && code != message.Fenced {
		m.answers[id][q.Seq] = *got
	}
}

func (m *model) sorted() []message.Addr {
	var all []message.Addr
	for a := range m.live {
		all = append(all, a)
	}
	slices.Sort(all)
	return all
}

// draw makes a request, mostly about what lives.
func (m *model) draw(t *rapid.T, sent []*message.Message, next map[byte]uint64) *message.Message {
	if len(sent) > 0 && rapid.IntRange(0, 4).Draw(t, "repeat") == 0 {
		return rapid.SampledFrom(sent).Draw(t, "sent")
	}
	q := message.New(rapid.SampledFrom([]message.Op{message.MALLOC, message.MALLOC, message.FREE, message.WRITE, message.CAS, message.ADD, message.CAPACITY,
		message.LEASE, message.LEASE, message.LEASE, message.RELEASE, message.EXPIRE, message.TERM}).Draw(t, "op"))
	if id := byte(rapid.IntRange(0, 2).Draw(t, "client")); id != 0 {
		q.Client[0], q.Seq = id, next[id]
		q.Low = next[id] - min(next[id], rapid.Uint64Range(0, 4).Draw(t, "waiting"))
		next[id]++
	}
	if q.Op == message.MALLOC {
		q.Size = rapid.OneOf(rapid.Uint64Range(0, 100), rapid.Uint64Range(4000, 9000), rapid.Uint64Range(0, 60000)).Draw(t, "size")
		return q
	}
	if q.Op == message.CAPACITY {
		q.Value = rapid.Uint64Range(0, 200<<10).Draw(t, "capacity")
		return q
	}
	q.Address = message.HeapBase + message.Addr(rapid.Uint64Range(0, 1<<17).Draw(t, "anywhere"))
	if all := m.sorted(); len(all) > 0 && rapid.IntRange(0, 5).Draw(t, "stray") > 0 {
		q.Address = rapid.SampledFrom(all).Draw(t, "start")
		if q.Op != message.FREE || rapid.IntRange(0, 3).Draw(t, "inside") == 0 {
			q.Address += message.Addr(rapid.IntRange(0, len(m.live[q.Address])+3).Draw(t, "into"))
		}
	}
	switch q.Op {
	case message.LEASE, message.RELEASE, message.EXPIRE, message.TERM:
		m.drawLease(t, q)
		return q
	}
	q.Token = m.drawToken(t)
	switch q.Op {
	case message.WRITE:
		q.Data = rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "data")
		q.Size = uint64(len(q.Data))
	case message.CAS, message.ADD:
		q.Address &^= message.Addr(rapid.SampledFrom([]int{7, 7, 7, 0}).Draw(t, "aligned"))
		q.Size, q.Value = rapid.Uint64Range(0, 3).Draw(t, "old"), rapid.Uint64Range(0, 3).Draw(t, "new")
		if q.Op == message.ADD {
			q.Size = 0
		}
	}
	return q
}

func (m *model) compareReads(t *rapid.T, c *Company) {
	var resident int
	for a, p := range m.live {
		if got := c.Read(read(a, uint64(len(p)))); got.Status != message.Leased && !bytes.Equal(got.Data, p) {
			t.Fatalf("the %d bytes at %s are not what was written: %s", len(p), a, got.Status)
		}
		if got := c.Read(msg(message.DUMP, func(m *message.Message) { m.Address = a + message.Addr(len(p)-1) })); got.Address != a || got.Size != uint64(len(p)) {
			t.Fatalf("DUMP of the last byte at %s: %s", a, got)
		}
		resident += len(p)
	}
	var table []message.Allocation
	answer := c.Read(msg(message.TABLE, nil))
	if err := json.Unmarshal(answer.Data, &table); err != nil || answer.Value != 0 {
		t.Fatal(err, answer)
	}
	var listed []message.Addr
	for _, a := range table {
		listed = append(listed, a.Address)
	}
	if !slices.Equal(listed, m.sorted()) {
		t.Fatalf("TABLE lists %v, want %v", listed, m.sorted())
	}
	if s := c.Status(); s.Resident > s.Held || s.Held != uint64(len(m.pages(0, 0)))*message.PageSize || s.Room > 0 && !m.fits(block.Footprint(s.Room)) {
		t.Fatalf("status %+v; the pages in use have %d bytes", s, len(m.pages(0, 0))*message.PageSize)
	}
	if s := c.Status(); s.Used != uint64(resident) || s.Count != uint64(len(m.live)) {
		t.Fatalf("status %+v, want %d bytes in %d allocations", s, resident, len(m.live))
	}
}

func TestAgainstModel(t *testing.T) {
	const capacity = 96 << 10
	cfg := Config{ID: 1, Capacity: capacity}
	rapid.Check(t, func(t *rapid.T) {
		d := &driver{Company: New(cfg)}
		m := &model{live: map[message.Addr][]byte{}, high: message.HeapBase + message.PageSize, capacity: capacity, low: map[byte]uint64{}, answers: map[byte]map[uint64]Result{}}
		var twin *driver // goes on from a snapshot
		var sent []*message.Message
		next := map[byte]uint64{}
		t.Repeat(map[string]func(*rapid.T){
			"batch": func(t *rapid.T) {
				var all []*message.Message
				for range rapid.IntRange(1, 4).Draw(t, "messages") {
					q := m.draw(t, sent, next)
					if q.Client[0] != 0 {
						sent = append(sent, q)
					}
					all = append(all, q)
				}
				if len(sent) > 12 {
					sent = sent[len(sent)-12:]
				}
				elapsed := rapid.Uint64Range(0, 5).Draw(t, "elapsed")
				m.held.index = d.next + 1
				a := d.apply(elapsed, all...)
				for i, q := range all {
					m.once(t, q, &a.Results[i])
				}
				if twin != nil {
					if b := twin.apply(elapsed, all...); string(message.JSON(a)) != string(message.JSON(b)) {
						t.Fatalf("after loading the answers are\n%s\nwithout\n%s", message.JSON(b), message.JSON(a))
					}
				}
			},
			"load": func(t *rapid.T) {
				bytes1 := saved(t, d.Snapshot())
				c, err := Load(bytes.NewReader(bytes1), cfg)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(saved(t, c.Snapshot()), bytes1) {
					t.Fatal("what was loaded is saved otherwise")
				}
				twin = &driver{c, d.next}
			},
			"": func(t *rapid.T) {
				if err := d.Verify(); err != nil {
					t.Fatal(err)
				}
				if twin != nil && twin.String() != d.String() {
					t.Fatalf("loaded:\n%s\nnot loaded:\n%s", twin, d)
				}
				m.compareReads(t, d.Company)
				m.compareLeases(t, d.Company)
			},
		})
	})
}
