package company

import (
	"bytes"
	"encoding/json"
	"testing"

	"dmalloc/message"
)

const testCapacity = 1 << 20

func newTest(id message.CompanyID) *Company {
	return New(Config{ID: id, Capacity: testCapacity})
}

// driver feeds a company entries with growing indexes.
type driver struct {
	*Company
	next uint64
}

func (d *driver) apply(elapsed uint64, messages ...*message.Message) Applied {
	d.next++
	return d.Apply(d.next, &message.Batch{Node: 1, Elapsed: elapsed, Messages: messages})
}

func (d *driver) do(m *message.Message) Result { return d.apply(1, m).Results[0] }

func msg(op message.Op, set func(*message.Message)) *message.Message {
	m := message.New(op)
	if set != nil {
		set(m)
	}
	return m
}

func malloc(size uint64) *message.Message {
	return msg(message.MALLOC, func(m *message.Message) { m.Size = size })
}

func free(a message.Addr) *message.Message {
	return msg(message.FREE, func(m *message.Message) { m.Address = a })
}

func write(a message.Addr, p []byte) *message.Message {
	return msg(message.WRITE, func(m *message.Message) { m.Address, m.Size, m.Data = a, uint64(len(p)), p })
}

func read(a message.Addr, n uint64) *message.Message {
	return msg(message.READ, func(m *message.Message) { m.Address, m.Size = a, n })
}

func save(t testing.TB, c *Company) []byte {
	t.Helper()
	return saved(t, c.Snapshot())
}

type fataler interface {
	Helper()
	Fatal(...any)
}

func saved(t fataler, s *Snapshot) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := s.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatal("WriteTo:", n, err)
	}
	return b.Bytes()
}

func TestConfigs(t *testing.T) {
	for _, cfg := range []Config{{}, {ID: 1}, {ID: 1, Capacity: 1 << 62}, {ID: 70}, {ID: 1, Base: 5, Limit: 3}, {ID: 1, Base: 1 << 63, Limit: 1<<64 - 1},
		{ID: 1, Base: 4096, Limit: 8192, Capacity: 100}, {ID: 1, Base: 4096, Limit: 12288, Capacity: 1 << 20}, {ID: 64, Capacity: 1 << 50}} {
		d := &driver{Company: New(cfg)}
		for _, size := range []uint64{1, 4096, 1 << 62, 1<<64 - 1} {
			d.do(malloc(size))
		}
		if err := d.Verify(); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
		if c, err := Load(bytes.NewReader(save(t, d.Company)), cfg); err != nil || c.String() != d.String() {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// Room is what it says: that much is given, a byte more is not.
func TestRoom(t *testing.T) {
	d := &driver{Company: New(Config{ID: 1, Capacity: 10*message.PageSize + 100})}
	for _, size := range []uint64{1, 5000, 17, 4096} {
		room := d.Status().Room
		if r := d.do(malloc(room + 1)); r.Code != message.OutOfMemory || r.Value != room {
			t.Fatalf("%d bytes with room for %d: %v", room+1, room, r)
		}
		r := d.do(malloc(room))
		if r.Code != message.Done {
			t.Fatalf("%d bytes with room for %d: %v", room, room, r)
		}
		d.do(free(r.Address))
		if r := d.do(malloc(size)); r.Code != message.Done {
			t.Fatal(r)
		}
	}
}

func TestLastAddresses(t *testing.T) {
	d := &driver{Company: New(Config{ID: 1, Capacity: 1 << 60})}
	r := d.do(malloc(message.WindowSize - message.PageSize))
	limit := message.CompanyID(1).Limit()
	if r.Code != message.Done || d.do(write(limit-3, []byte("end"))).Code != message.Done {
		t.Fatal(r)
	}
	if got := d.Extents(limit-1, 5); len(got) != 0 {
		t.Errorf("behind the last record lie %v", got)
	}
	if d.do(free(r.Address)).Code != message.Done || d.Status().Resident != 0 {
		t.Error("the window cannot be freed")
	}
}

func TestClientsAreForgotten(t *testing.T) {
	d := &driver{Company: newTest(1)}
	from := func(client byte, seq, low uint64) *message.Message {
		m := malloc(1)
		m.Client[0], m.Seq, m.Low = client, seq, low
		return m
	}
	first := d.do(from(1, 7, 0))
	if again := d.do(from(1, 7, 0)); again.Address != first.Address || again.Index != first.Index {
		t.Errorf("the repetition got %v, the first %v", again, first)
	}
	if r := d.do(from(1, MaxWindow, 0)); r.Code != message.Busy {
		t.Errorf("a request too far ahead got %v", r)
	}
	if r := d.do(from(1, MaxWindow, 1)); r.Code != message.Done {
		t.Errorf("a request at the window's end got %v", r)
	}
	if r := d.do(from(1, 1<<63, 1<<63)); r.Code != message.Done || d.clients.list()[0].w.answers.len() != 1 {
		t.Errorf("a request far ahead with its low got %v", r)
	}
	if r := d.do(from(1, 1<<63-1, 0)); r.Code != message.TooOld {
		t.Errorf("a request below low got %v", r)
	}
	for range expiry/maxElapsed - 1 {
		d.apply(1 << 31) // counts as maxElapsed
	}
	d.do(from(2, 1, 1))
	if len(d.clients.list()) != 2 {
		t.Error("the client was forgotten too early")
	}
	d.apply(maxElapsed)
	d.apply(maxElapsed)
	if all := d.clients.list(); len(all) != 1 || all[0].id[0] != 2 {
		t.Errorf("remembered are %v, want client 2 only", all)
	}
	if err := d.Verify(); err != nil {
		t.Error(err)
	}
}

func TestManyClients(t *testing.T) {
	d := &driver{Company: newTest(1)}
	m := msg(message.FREE, func(m *message.Message) { m.Address = 1 })
	for i := range MaxClients + 10 {
		m.Client = message.ClientID{1, byte(i), byte(i >> 8), byte(i >> 16)}
		d.do(m)
	}
	all := d.clients.list()
	if len(all) != MaxClients || all[0].id != (message.ClientID{1, 10}) {
		t.Errorf("%d clients remembered from %s on", len(all), all[0].id)
	}
}

// Long block lists do not fit into one answer: it says where to go on.
func TestTableInPieces(t *testing.T) {
	d := &driver{Company: newTest(1)}
	const many, others = 250, 63
	for i := range uint64(many) {
		m := msg(message.COMMIT, func(m *message.Message) { m.Txn.Seq, m.Value = i+1, message.PageSize })
		for id := range message.CompanyID(others) {
			m.Blocks = append(m.Blocks, message.Block{Size: message.PageSize, Company: id + 2, Behind: 16})
		}
		m.Size = message.PageSize * (others + 1)
		if r := d.do(m); r.Code != message.Done {
			t.Fatal(r)
		}
	}
	pages, listed, from := 0, 0, message.Addr(0)
	for {
		a := d.Read(msg(message.TABLE, func(m *message.Message) { m.Address = from }))
		var page []message.Allocation
		if err := json.Unmarshal(a.Data, &page); err != nil || uint64(len(page)) != a.Size || len(a.Data) > message.MaxData {
			t.Fatal(err, a)
		}
		pages, listed, from = pages+1, listed+len(page), message.Addr(a.Value)
		if from == 0 {
			break
		}
	}
	if listed != many || pages != 2 {
		t.Errorf("%d allocations in %d answers", listed, pages)
	}
}

// A snapshot, written late, tells the moment at which it was taken.
func TestSnapshotIsOneMoment(t *testing.T) {
	d := &driver{Company: newTest(1)}
	m := malloc(5000)
	m.Client[0] = 1
	a := d.do(m).Address
	d.do(write(a, []byte("before")))
	was, s := d.String(), d.Snapshot()
	done := make(chan []byte)
	go func() { done <- saved(t, s) }()
	for i := range uint64(500) {
		d.do(write(a+message.Addr(i*8), []byte("after")))
		m := malloc(i * 10)
		m.Client[0], m.Seq = 1, i+1
		d.do(m)
	}
	d.do(free(a))
	c, err := Load(bytes.NewReader(<-done), Config{ID: 1, Capacity: testCapacity})
	if err != nil || c.String() != was {
		t.Fatalf("%v\nwas\n%s\nis\n%s", err, was, c)
	}
}

func TestLoadRefuses(t *testing.T) {
	d := &driver{Company: newTest(1)}
	a := d.do(malloc(100000)).Address
	d.do(write(a, bytes.Repeat([]byte("x"), 90000)))
	good := save(t, d.Company)
	cfg := Config{ID: 1, Capacity: testCapacity}
	try := func(what string, b []byte, cfg Config) {
		t.Helper()
		if _, err := Load(bytes.NewReader(b), cfg); message.CodeOf(err) != message.Corrupt {
			t.Errorf("%s: %v", what, err)
		}
	}
	try("nothing", nil, cfg)
	try("another company", good, Config{ID: 2, Capacity: testCapacity})
	wide := newTest(1)
	wide.cfg.Capacity = message.WindowSize
	try("a capacity that no window has", saved(t, wide.Snapshot()), cfg)
	for i := 0; i < len(good); i += 1 + i/50 {
		try("cut", good[:i], cfg)
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		try("altered", bad, cfg)
	}
	version := bytes.Clone(good)
	version[4+len(magic)]++
	try("another version", reframe(version), cfg)
}

// The capacity follows what the log says, but never below what is allocated; a snapshot keeps it.
func TestCapacity(t *testing.T) {
	d := &driver{Company: newTest(1)}
	set := func(to uint64) uint64 {
		return d.do(msg(message.CAPACITY, func(m *message.Message) { m.Value = to })).Value
	}
	a := d.do(malloc(10 * message.PageSize))
	for _, row := range []struct{ to, want, room uint64 }{
		{0, 10 * message.PageSize, 0}, {message.PageSize, 10 * message.PageSize, 0}, {12 * message.PageSize, 12 * message.PageSize, 2 * message.PageSize},
		{1<<64 - 1, message.WindowSize - message.PageSize, message.WindowSize - 11*message.PageSize}, {11 * message.PageSize, 11 * message.PageSize, message.PageSize},
	} {
		if got, s := set(row.to), d.Status(); got != row.want || s.Capacity != row.want || s.Room != row.room {
			t.Errorf("capacity %d: %d, and %+v; want %d with room for %d", row.to, got, s, row.want, row.room)
		}
		if err := d.Verify(); err != nil {
			t.Fatal(err)
		}
	}
	if r := d.do(malloc(2 * message.PageSize)); r.Code != message.OutOfMemory {
		t.Errorf("more than there is room for: %v", r.Code)
	}
	if r := d.do(free(a.Address)); r.Code != message.Done || set(message.PageSize) != message.PageSize {
		t.Errorf("what is free stays in the capacity: %+v", d.Status())
	}
	c, err := Load(bytes.NewReader(save(t, d.Company)), Config{ID: 1, Capacity: testCapacity})
	if err != nil || c.Status() != d.Status() {
		t.Fatalf("%v: %+v, want %+v", err, c.Status(), d.Status())
	}
}
