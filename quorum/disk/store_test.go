package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dmalloc/message"
)

var me = Identity{Cluster: "test", Node: 3, Incarnation: 2}

func reg(n uint64) message.RegisterID { return message.RegisterID{Address: n} }
func tag(n uint64) message.Tag        { return message.Tag{TS: n} }

// put stores and waits.
func put(t testing.TB, s *Store, r message.RegisterID, tg message.Tag, value []byte) error {
	t.Helper()
	done := make(chan error, 1)
	s.Put(r, tg, value, func(err error) { done <- err })
	return <-done
}

func TestRealFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s, err := Open(dir, me, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := put(t, s, reg(1), tag(1), []byte("one")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, me, Options{}); message.CodeOf(err) != message.Unavailable || !errors.Is(err, errLocked) {
		t.Fatalf("opened twice: %v", err)
	}
	for range 2 {
		got, ok, err := s.Get(reg(1), 10)
		if err != nil || !ok || !bytes.Equal(got.Value, []byte("one")) {
			t.Fatalf("%+v %v %v", got, ok, err)
		}
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
		if s, err = Open(dir, me, Options{Known: true}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Get(reg(1), 10); message.CodeOf(err) != message.Unavailable {
		t.Errorf("a get after Close: %v", err)
	}
	if err := put(t, s, reg(1), tag(2), nil); message.CodeOf(err) != message.Unavailable {
		t.Errorf("a put after Close: %v", err)
	}
	if _, err := s.Forget(always(func(int) bool { return false })); message.CodeOf(err) != message.Unavailable {
		t.Errorf("a forget after Close: %v", err)
	}
	file := filepath.Join(dir, segmentName(firstSegment))
	if err := os.Truncate(file, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, me, Options{}); !refused(err) || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "--wipe") {
		t.Errorf("opened with a file that was cut: %v", err)
	}
}

// gate stops the writer in its syncs.
type gate struct {
	m       *memory
	arrived chan struct{}
	open    chan error
}

func closeGate(m *memory) *gate {
	g := &gate{m, make(chan struct{}), make(chan error)}
	m.setHook(func(what, _ string) error {
		if what != "sync" {
			return nil
		}
		g.arrived <- struct{}{}
		return <-g.open
	})
	return g
}

func (g *gate) pass(err error) {
	g.m.setHook(nil)
	g.open <- err
}

// log collects what each done is called with, in order.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) done(name string) func(error) {
	return func(err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lines = append(l.lines, fmt.Sprintf("%s %s", name, message.CodeOf(err)))
	}
}

func (l *log) want(t *testing.T, lines ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.lines, lines) {
		t.Fatalf("%q; want %q", l.lines, lines)
	}
}

// D1: what waits for its sync is not there yet; what waits together shares one sync, the greatest tag wins,
// and all are told in order.
func TestGroup(t *testing.T) {
	m := newMemory()
	var told []int
	o := small
	o.SegmentSize = 1 << 20
	o.Synced = func(_ time.Duration, records int) { told = append(told, records) }
	s := must(t, m, o)
	if err := put(t, s, reg(5), tag(9), []byte("old")); err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	var l log
	g := closeGate(m)
	s.Put(reg(1), tag(1), []byte("first"), l.done("a"))
	<-g.arrived
	if _, ok, err := s.Get(reg(1), 10); ok || err != nil {
		t.Fatalf("D1: shown before its sync: %v", err)
	}
	if _, _, ok := s.Tag(reg(1)); ok || len(s.List(message.RegisterID{}, 10, nil)) != 1 {
		t.Fatal("D1: listed before its sync")
	}
	s.Put(reg(1), tag(3), []byte("third"), l.done("b"))
	s.Put(reg(1), tag(2), []byte("second"), l.done("c"))
	s.Put(reg(1), tag(4), []byte("fourth"), l.done("d"))
	s.Put(reg(5), tag(9), []byte("old"), l.done("e"))
	s.Put(reg(5), tag(8), []byte("older"), l.done("f"))
	s.Put(reg(2), tag(1), nil, l.done("g"))
	s.Put(reg(3), message.Tag{}, nil, l.done("zero"))
	l.want(t)
	if st := s.Stats(); st.Queued != 8 || st.QueuedBytes < 8*opCost {
		t.Errorf("%+v", st)
	}
	g.pass(nil)
	if err := s.wait(func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	l.want(t, "a ok", "b ok", "c ok", "d ok", "e ok", "f ok", "g ok", "zero ok")
	want := newModel()
	want.values[reg(1)], want.values[reg(2)], want.values[reg(5)] = cell{tag(4), "fourth"}, cell{tag(1), ""}, cell{tag(9), "old"}
	if err := want.differs(s); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(told, []int{1, 1, 2}) || s.Stats().Syncs != 3 || s.Stats().Records != 4 {
		t.Errorf("synced %v, %+v", told, s.Stats())
	}
}

// What one group refuses is not what an older, durable tag has already done.
func TestGroupWithoutRoom(t *testing.T) {
	m := newMemory()
	s := must(t, m, small)
	if err := put(t, s, reg(5), tag(9), []byte("old")); err != nil {
		t.Fatal(err)
	}
	var l log
	g := closeGate(m)
	s.Put(reg(1), tag(1), nil, l.done("a"))
	<-g.arrived
	s.Put(reg(2), tag(2), nil, l.done("b"))
	s.Put(reg(2), tag(1), nil, l.done("c"))
	s.Put(reg(5), tag(8), nil, l.done("d"))
	g.m.setHook(func(what, _ string) error {
		if what == "write" {
			return os.NewSyscallError("pwrite", syscall.ENOSPC)
		}
		return nil
	})
	g.open <- nil
	_ = s.wait(func() error { return nil })
	l.want(t, "a ok", "b out_of_memory", "c out_of_memory", "d ok")
	if !s.Stats().Full {
		t.Error("the disk is not said to be full")
	}
	m.setHook(nil)
	if err := put(t, s, reg(2), tag(1), []byte("now")); err != nil || s.Stats().Full {
		t.Fatal(err, s.Stats())
	}
}

func TestFailedSync(t *testing.T) {
	m := newMemory()
	s := must(t, m, small)
	var l log
	g := closeGate(m)
	s.Put(reg(1), tag(1), nil, l.done("a"))
	<-g.arrived
	s.Put(reg(2), tag(2), nil, l.done("b"))
	s.Keep("name", nil, l.done("c"))
	g.pass(errors.New("the disk is gone"))
	if err := <-s.Failed(); !strings.Contains(err.Error(), "the disk is gone") {
		t.Errorf("%v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	l.want(t, "a unavailable", "b unavailable", "c unavailable")
}

func TestBusy(t *testing.T) {
	m := newMemory()
	o := small
	o.QueueBytes = 1000
	s := must(t, m, o)
	var l log
	g := closeGate(m)
	s.Put(reg(1), tag(1), make([]byte, 2000), l.done("large")) // alone it may be larger
	<-g.arrived
	s.Put(reg(2), tag(1), nil, l.done("small"))
	s.Keep("name", nil, l.done("keep"))
	l.want(t, "small busy", "keep busy")
	g.pass(nil)
	_ = s.wait(func() error { return nil })
	l.want(t, "small busy", "keep busy", "large ok")
	if st := s.Stats(); st.Queued > 1 || st.QueuedBytes > opCost || st.Registers != 1 {
		t.Errorf("%+v", st)
	}
	if err := put(t, s, reg(2), tag(1), nil); err != nil {
		t.Fatal(err)
	}
}

func TestRefusals(t *testing.T) {
	m := newMemory()
	s := must(t, m, Options{Shards: 2, Shard: func(r message.RegisterID) int { return int(r.Address) }})
	for what, err := range map[string]error{
		"a value too large":   put(t, s, reg(1), tag(1), make([]byte, MaxValue+1)),
		"a shard too large":   put(t, s, reg(2), tag(1), nil),
		"a blob without name": keep(s, "", "x"),
		"a long name":         keep(s, strings.Repeat("n", maxName+1), "x"),
		"a large blob":        keep(s, "n", strings.Repeat("x", MaxValue+1)),
	} {
		if message.CodeOf(err) != message.InvalidArgument {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := put(t, s, reg(1), tag(1), make([]byte, MaxValue)); err != nil {
		t.Error(err)
	}
	for i := range maxKept + 1 {
		err := keep(s, fmt.Sprint(i), "x")
		if want := i < maxKept; (err == nil) != want || !want && message.CodeOf(err) != message.InvalidArgument {
			t.Errorf("blob %d: %v", i, err)
		}
	}
	if err := keep(s, "3", ""); err != nil || s.Kept("3") == nil || s.Kept("no") != nil {
		t.Error("an empty blob is one", err)
	}
	for _, o := range []Options{{SegmentSize: -1}, {SegmentSize: maxSegmentSize + 1}, {QueueBytes: -1}, {Shards: -1}} {
		if _, err := open(newMemory(), "d", me, o); message.CodeOf(err) != message.InvalidArgument {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := open(newMemory(), "d", Identity{Cluster: strings.Repeat("c", 256)}, Options{}); message.CodeOf(err) != message.InvalidArgument {
		t.Errorf("%v", err)
	}
}

// always keeps by one rule, whenever it is asked.
func always(keep func(shard int) bool) func() func(shard int) bool {
	return func() func(int) bool { return keep }
}

func TestGetListForget(t *testing.T) {
	m := newMemory()
	s := must(t, m, small)
	for i := range uint64(8) {
		if err := put(t, s, reg(i), tag(i+1), make([]byte, i)); err != nil {
			t.Fatal(err)
		}
	}
	job := message.RegisterID{Space: message.JobSpace}
	if err := put(t, s, job, tag(1), nil); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := s.Get(reg(5), 4); !ok || err != nil || got.Value != nil || got.Size != 5 || got.Tag != tag(6) {
		t.Errorf("a value that is too large: %+v %v %v", got, ok, err)
	}
	if _, ok, err := s.Get(reg(50), 4); ok || err != nil {
		t.Errorf("nothing: %v %v", ok, err)
	}
	if tg, size, ok := s.Tag(reg(5)); tg != tag(6) || size != 5 || !ok {
		t.Error(tg, size, ok)
	}
	ids := func(from message.RegisterID, most int, want func(int) bool) (all []uint64) {
		for _, e := range s.List(from, most, want) {
			all = append(all, e.ID.Address)
		}
		return all
	}
	even := func(shard int) bool { return shard%2 == 0 }
	for _, row := range []struct{ got, want []uint64 }{
		{ids(reg(3), 3, nil), []uint64{3, 4, 5}},
		{ids(reg(6), 9, nil), []uint64{6, 7, 0}},
		{ids(reg(1), 3, even), []uint64{2, 4, 6}},
		{ids(reg(0), 0, nil), nil},
		{ids(message.RegisterID{Space: 9}, 9, nil), nil},
	} {
		if !slices.Equal(row.got, row.want) {
			t.Errorf("%v; want %v", row.got, row.want)
		}
	}
	if n, err := s.Forget(always(even)); n != 4 || err != nil {
		t.Errorf("forgot %d, %v", n, err)
	}
	settle(t, s)
	manifest := filepath.Join("d", manifestName)
	before := m.bytes(manifest)
	if n, err := s.Forget(always(even)); n != 0 || err != nil || !bytes.Equal(m.bytes(manifest), before) {
		t.Errorf("forgot %d again, %v", n, err)
	}
	if got := ids(reg(0), 99, nil); !slices.Equal(got, []uint64{0, 2, 4, 6, 0}) || s.Digests()[1] != 0 {
		t.Errorf("%v are left", got)
	}
	// What comes again counts, whatever its tag.
	if err := put(t, s, reg(7), tag(1), []byte("again")); err != nil {
		t.Fatal(err)
	}
	again := must(t, m.killed(), small)
	if got, ok, err := again.Get(reg(7), 9); !ok || err != nil || string(got.Value) != "again" || again.Stats().Registers != 6 {
		t.Errorf("%+v, %v, %v", got, ok, err)
	}
}

// Compaction keeps all that counts, and the disk does not grow with what does not.
func TestCompaction(t *testing.T) {
	m := newMemory()
	s := must(t, m, Options{SegmentSize: 4096, Shards: testShards, Shard: testShard, dead: 1000})
	want := newModel()
	for i := range uint64(600) {
		c := cell{tag(i + 1), strings.Repeat("x", int(i%90))}
		r := reg(i * i % 31)
		want.put(r, c)
		if err := put(t, s, r, c.tag, []byte(c.value)); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, s)
	if err := want.differs(s); err != nil {
		t.Fatal(err)
	}
	st := s.Stats()
	if st.Compactions == 0 || st.Moved == 0 || st.DiskBytes > 4*st.LiveBytes+3*4096 {
		t.Errorf("%+v", st)
	}
	if n := len(m.paths()); n != st.Segments+1 {
		t.Errorf("%d files for %d segments", n, st.Segments)
	}
	if err := want.differs(must(t, m.killed(), small)); err != nil {
		t.Fatal(err)
	}
}

// A record that cannot be read is not lost in silence: its segment stays.
func TestCompactionLeavesDamage(t *testing.T) {
	m := newMemory()
	s := must(t, m, Options{SegmentSize: 1000, dead: 1 << 40})
	for i := range uint64(30) {
		if err := put(t, s, reg(i%10+i/20*100), tag(i+1), make([]byte, 40)); err != nil {
			t.Fatal(err)
		}
	}
	e, c, _ := s.index.find(reg(5))
	m.edit(c.path, func(b []byte) []byte { b[e.offset+60] ^= 1; return b })
	if err := s.vacate(c); !refused(err) {
		t.Fatalf("%v", err)
	}
	if _, _, err := s.Get(reg(5), 99); !refused(err) {
		t.Fatalf("%v", err)
	}
	if s.victim() == c {
		t.Error("it would be tried again")
	}
	if err := put(t, s, reg(5), tag(99), []byte("new")); err != nil {
		t.Fatal(err)
	}
	if got, _, err := s.Get(reg(5), 99); err != nil || string(got.Value) != "new" {
		t.Errorf("%+v %v", got, err)
	}
}

// drill is a disk that is full or fails by command.
type drill struct{ write, sync atomic.Pointer[error] }

func (d *drill) BeforeWrite(int) error { return ask(&d.write) }
func (d *drill) BeforeSync() error     { return ask(&d.sync) }

func ask(p *atomic.Pointer[error]) error {
	if err := p.Load(); err != nil {
		return *err
	}
	return nil
}

func TestDrill(t *testing.T) {
	var d drill
	dir, o := t.TempDir(), Options{Disk: &d, SegmentSize: 300}
	s, err := Open(dir, me, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := put(t, s, reg(1), tag(1), make([]byte, 200)); err != nil {
		t.Fatal(err)
	}
	full := fmt.Errorf("%w by command", syscall.ENOSPC)
	d.write.Store(&full)
	for range 3 {
		if err := put(t, s, reg(2), tag(1), nil); message.CodeOf(err) != message.OutOfMemory || !strings.Contains(err.Error(), "by command") {
			t.Fatalf("full: %v", err)
		}
		if err := put(t, s, reg(3), tag(1), make([]byte, 200)); message.CodeOf(err) != message.OutOfMemory {
			t.Fatalf("full, and a new segment needed: %v", err)
		}
		if err := keep(s, "name", "blob"); message.CodeOf(err) != message.OutOfMemory {
			t.Fatalf("full: %v", err)
		}
	}
	if got, ok, err := s.Get(reg(1), 999); !ok || err != nil || got.Size != 200 {
		t.Fatalf("what was there is served: %v %v", ok, err)
	}
	d.write.Store(nil)
	if err := put(t, s, reg(3), tag(1), make([]byte, 200)); err != nil {
		t.Fatal(err)
	}
	d.write.Store(&full)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir, me, o); err != nil {
		t.Fatalf("a full disk keeps nobody from reading: %v", err)
	}
	if got, _, err := s.Get(reg(3), 999); err != nil || got.Size != 200 {
		t.Fatalf("%+v %v", got, err)
	}
	d.write.Store(nil)
	failed := errors.New("no sync by command")
	d.sync.Store(&failed)
	if err := put(t, s, reg(3), tag(2), nil); message.CodeOf(err) != message.Unavailable || !errors.Is(err, failed) {
		t.Fatalf("%v", err)
	}
}
