package disk

import (
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmalloc/message"
)

// refused says whether an error is that of damage.
func refused(err error) bool {
	var d *DamageError
	return errors.As(err, &d) && message.CodeOf(err) == message.Corrupt
}

// resting makes the files of a store that was closed, and of one that was killed when it had nothing to do.
func resting(t *testing.T) (closed, killed *memory, holds model) {
	t.Helper()
	m, _, holds := live(t, 3, 60)
	s := must(t, m, small)
	// The last two groups are newer than what the manifest knows, so that nothing but the mark tells of them.
	for i, groups := uint64(1000), uint64(0); groups < 2; i++ {
		c := cell{tag(i), "the last one"}
		holds.put(reg(1), c)
		if err := put(t, s, reg(1), c.tag, []byte(c.value)); err != nil {
			t.Fatal(err)
		}
		settle(t, s)
		_ = s.wait(func() error { groups = s.current.Seq - s.manifest.newest().Seq; return nil })
	}
	killed = m.killed()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return m, killed, holds
}

// newestOf is the segment that is written to.
func newestOf(m *memory) (newest string) {
	for _, path := range m.paths() {
		if filepath.Ext(path) == ".reg" {
			newest = path
		}
	}
	return newest
}

// D2, D3: whichever bit is flipped in files at rest, Open refuses them, or the bit was in the mark at the end.
func TestEveryFlippedBit(t *testing.T) {
	closed, killed, holds := resting(t)
	for what, m := range map[string]*memory{"closed": closed, "killed": killed} {
		flips, cut := 0, 0
		paths, last := m.paths(), newestOf(m)
		for _, path := range paths {
			size := len(m.bytes(path))
			for at := range size {
				for bit := range 8 {
					spoilt := m.killed()
					spoilt.edit(path, func(b []byte) []byte { b[at] ^= 1 << bit; return b })
					s, err := open(spoilt, "d", me, small)
					flips++
					if refused(err) {
						continue
					}
					if err != nil {
						t.Fatalf("%s: bit %d of byte %d of %s: %v", what, bit, at, path, err)
					}
					if path != last || at < size-groupHeader {
						t.Fatalf("%s: bit %d of byte %d of %d of %s was accepted", what, bit, at, size, path)
					}
					if err := holds.differs(s); err != nil {
						t.Fatalf("%s: bit %d of byte %d of %s: %v", what, bit, at, path, err)
					}
					_ = s.Close()
					cut++
				}
			}
		}
		if cut > 8*groupHeader {
			t.Errorf("%s: %d flips were accepted", what, cut)
		}
		t.Logf("%s: %d bits of %d files: %d refused, %d in the mark and cut, none served", what, flips, len(paths), flips-cut, cut)
	}
}

// D2: a bit that flips while the store is open is not served.
func TestFlipsWhileOpen(t *testing.T) {
	_, killed, holds := resting(t)
	s := must(t, killed, small)
	rnd := rand.New(rand.NewPCG(5, 5))
	corrupt, right := 0, 0
	for _, path := range killed.paths() {
		if filepath.Ext(path) != ".reg" {
			continue
		}
		for at := range len(killed.bytes(path)) {
			mask := byte(1 + rnd.IntN(255))
			flip := func(b []byte) []byte { b[at] ^= mask; return b }
			killed.edit(path, flip)
			for r, want := range holds.values {
				s.recent.place(r).Store(nil) // its file is to be read
				got, ok, err := s.Get(r, MaxValue)
				switch {
				case refused(err) && strings.Contains(err.Error(), path) && strings.Contains(err.Error(), "offset"):
					corrupt++
				case err != nil || !ok || got.Tag != want.tag || string(got.Value) != want.value:
					t.Fatalf("byte %d of %s: %s is %+v, %v, %v", at, path, r, got, ok, err)
				default:
					right++
				}
			}
			killed.edit(path, flip)
		}
	}
	if corrupt == 0 {
		t.Error("no flip was met")
	}
	t.Logf("%d reads said Corrupt, %d were right", corrupt, right)
}

// D2: a write to the wrong place puts a right record where another one was.
func TestMisdirectedRecord(t *testing.T) {
	m := newMemory()
	s := must(t, m, Options{})
	for i := range uint64(3) {
		if err := put(t, s, reg(i), tag(i+1), []byte("value")); err != nil {
			t.Fatal(err)
		}
	}
	e, c, _ := s.index.find(reg(1))
	for what, b := range map[string][]byte{
		"register": appendRecord(nil, reg(2), tag(2), []byte("value")),
		"tag":      appendRecord(nil, reg(1), tag(1), []byte("value")),
		"size":     appendRecord(nil, reg(1), tag(2), []byte("valu")),
	} {
		m.edit(c.path, func(file []byte) []byte { copy(file[e.offset:], b); return file })
		if got, _, err := s.Get(reg(1), 10); !refused(err) {
			t.Errorf("another %s: %+v, %v", what, got, err)
		}
	}
}

// D4: groups that are right each, but are not those that were written here one after the other.
func TestGroupsFollow(t *testing.T) {
	c := segment{number: firstSegment, path: "x", nonce: 7}
	head := c.header(me)
	add := func(b []byte, g group, nonce uint64, offset int) ([]byte, group) {
		body := appendRecord(nil, reg(g.seq), tag(1), []byte("value"))
		g.length, g.count, g.body = uint32(len(body)), 1, crc32.Checksum(body, castagnoli)
		h := make([]byte, groupHeader)
		g.putHeader(h, nonce, int64(offset))
		return append(append(slices.Clone(b), h...), body...), g
	}
	one, first := add(head, group{seq: 1, prev: c.Sum}, 7, len(head))
	rubbish := append(slices.Clone(one), 0)
	for _, row := range []struct {
		what    string
		base    []byte
		g       group
		nonce   uint64
		shift   int
		groups  uint64
		refused bool
	}{
		{"the next", one, group{seq: 2, prev: first.sum}, 7, 0, 2, false},
		{"one with another number", one, group{seq: 3, prev: first.sum}, 7, 0, 1, true},
		{"one after another group", one, group{seq: 2, prev: first.sum + 1}, 7, 0, 1, true},
		{"one of another segment", one, group{seq: 2, prev: first.sum}, 8, 0, 1, false},
		{"one of another place", one, group{seq: 2, prev: first.sum}, 7, 9, 1, false},
		{"rubbish, and one of the same sync", rubbish, group{seq: 2, prev: first.sum}, 7, 0, 1, false},
		{"rubbish, and one of a later sync", rubbish, group{seq: 3, prev: 0}, 7, 0, 1, true},
		{"much rubbish, and one of a later sync", append(slices.Clone(one), make([]byte, scanBuffer-groupHeader/2)...), group{seq: 3, prev: 0}, 7, 0, 1, true},
		{"rubbish, and a later one that a user copied", rubbish, group{seq: 3, prev: 0}, 8, 0, 1, false},
		{"rubbish, and a later one of another place", rubbish, group{seq: 3, prev: 0}, 7, 1, 1, false},
	} {
		b, _ := add(row.base, row.g, row.nonce, len(row.base)+row.shift)
		m := newMemory()
		f, _ := m.Create("x")
		_, _ = f.WriteAt(b, 0)
		c := segment{number: firstSegment, path: "x", file: f}
		if why := c.parseHeader(b, me); why != "" {
			t.Fatal(why)
		}
		torn, err := c.scan(&window{file: f, size: int64(len(b))}, c.seal, false, func(found) {})
		if refused(err) != row.refused || err == nil && (c.Seq != row.groups || (torn == "") != (row.groups == 2)) {
			t.Errorf("%s: %d groups, torn %q, %v", row.what, c.Seq, torn, err)
		}
	}
}

// D3: a write that was cut anywhere, or of which the rest is zeros or rubbish, is as if it had not been begun.
func TestTornAtEveryByte(t *testing.T) {
	m := newMemory()
	s := must(t, m, Options{Shards: testShards, Shard: testShard})
	now := newModel()
	for i := range uint64(5) {
		c := cell{tag(i + 1), strings.Repeat("v", int(i)*20)}
		now.put(reg(i), c)
		if err := put(t, s, reg(i), c.tag, []byte(c.value)); err != nil {
			t.Fatal(err)
		}
	}
	path, end := s.current.path, int64(0)
	_ = s.wait(func() error { end = s.current.End; return nil })
	if err := put(t, s, reg(9), tag(9), []byte("the torn one")); err != nil {
		t.Fatal(err)
	}
	whole := int64(0)
	_ = s.wait(func() error { whole = s.current.End; return nil })
	image := m.killed()
	full := image.bytes(path)[:whole]
	rnd := rand.New(rand.NewPCG(6, 6))
	for cut := end; cut < whole; cut++ {
		for _, tail := range []int{0, 1, groupHeader, 300, -1} {
			rest := make([]byte, max(tail, 0))
			if tail < 0 {
				for range 200 {
					rest = append(rest, byte(rnd.Uint32()))
				}
			}
			torn := image.killed()
			torn.edit(path, func([]byte) []byte { return append(slices.Clone(full[:cut]), rest...) })
			s, err := open(torn, "d", me, Options{Shards: testShards, Shard: testShard})
			if err != nil {
				t.Fatalf("cut at %d of %d, tail %d: %v", cut, whole, tail, err)
			}
			if err := now.differs(s); err != nil {
				t.Fatalf("cut at %d of %d, tail %d: %v", cut, whole, tail, err)
			}
			_ = s.Close()
		}
	}
}

// D3: a torn end hides no damage: a flip before it is refused once the torn group's header is there.
func TestFlipBeforeTornEnd(t *testing.T) {
	_, killed, _ := resting(t)
	last := newestOf(killed)
	s := must(t, killed.killed(), small)
	var c segment
	_ = s.wait(func() error { c = *s.current; return nil })
	torn := make([]byte, groupHeader)
	g := group{seq: c.Seq + 1, length: 500, count: 3, prev: c.Sum}
	g.putHeader(torn, c.nonce, c.End)
	killed.edit(last, func(b []byte) []byte { return append(b[:c.End:c.End], append(torn, "a part of it"...)...) })
	_ = must(t, killed.killed(), small).Close() // the torn end alone is cut
	for at := range c.End {
		spoilt := killed.killed()
		spoilt.edit(last, func(b []byte) []byte { b[at] ^= 4; return b })
		if s, err := open(spoilt, "d", me, small); !refused(err) {
			_ = s.Close()
			t.Fatalf("byte %d of %d was accepted: %v", at, c.End, err)
		}
	}
}

// D4: files that are missing, swapped, older copies or another's.
func TestWrongFilesAreRefused(t *testing.T) {
	older, _, _ := live(t, 4, 80)
	s := must(t, older.killed(), small)
	newer := s.layer.(*memory)
	for i := range uint64(12) {
		if err := put(t, s, reg(100+i), tag(i+1), make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var segments []string
	for _, path := range newer.paths() {
		if filepath.Ext(path) == ".reg" {
			segments = append(segments, path)
		}
	}
	if len(segments) < 4 {
		t.Fatalf("there are only %q", segments)
	}
	type row struct {
		what   string
		change func(m *memory)
	}
	var rows []row
	for _, path := range append([]string{filepath.Join("d", manifestName)}, segments...) {
		rows = append(rows, row{path + " is missing", func(m *memory) { _ = m.Remove(path) }},
			row{path + " is cut to its header", func(m *memory) {
				m.edit(path, func(b []byte) []byte { return b[:segmentFixed+len(me.Cluster)] })
			}},
			row{path + " is empty", func(m *memory) { m.edit(path, func([]byte) []byte { return nil }) }})
		if old := older.names[path]; old != nil && string(old.data) != string(newer.bytes(path)) {
			rows = append(rows, row{path + " is an older copy", func(m *memory) { m.edit(path, func([]byte) []byte { return old.data }) }})
		}
	}
	for _, i := range []int{0, 1, len(segments) - 2} {
		rows = append(rows, row{segments[i] + " is swapped with the next", func(m *memory) {
			m.names[segments[i]], m.names[segments[i+1]] = m.names[segments[i+1]], m.names[segments[i]]
		}}, row{segments[i] + " is a copy of the next", func(m *memory) {
			m.names[segments[i]] = m.names[segments[i+1]]
		}}, row{segments[i] + " lacks its last group", func(m *memory) {
			m.edit(segments[i], func(b []byte) []byte { return b[:len(b)-recordHeader] })
		}}, row{segments[i] + " goes on", func(m *memory) {
			m.edit(segments[i], func(b []byte) []byte { return append(b, 0) })
		}})
	}
	rows = append(rows,
		row{"an older copy of the manifest and the newest segment, among newer ones", func(m *memory) {
			for _, path := range []string{filepath.Join("d", manifestName), segments[0]} {
				if old := older.names[path]; old != nil {
					m.names[path] = old
				}
			}
		}},
		row{"a later segment", func(m *memory) { m.names["d/00009999.reg"] = m.names[segments[0]] }})
	for _, r := range rows {
		m := newer.killed()
		r.change(m)
		before := m.killed()
		s, err := open(m, "d", me, Options{SegmentSize: small.SegmentSize, Shards: testShards, Shard: testShard, Known: true})
		if !refused(err) {
			_ = s.Close()
			t.Errorf("%s: %v", r.what, err)
			continue
		}
		for _, path := range m.paths() {
			if string(m.bytes(path)) != string(before.bytes(path)) {
				t.Errorf("%s: Open refused and changed %s", r.what, path)
			}
		}
	}
	t.Logf("%d kinds of wrong files", len(rows))
	for _, id := range []Identity{{"other", 3, 2}, {"test", 4, 2}, {"test", 3, 1}, {"", 3, 2}} {
		if _, err := open(newer.killed(), "d", id, small); !refused(err) || !strings.Contains(err.Error(), "belong") {
			t.Errorf("opened as %s: %v", id, err)
		}
	}
	if _, err := open(newer.killed(), "d", me, Options{Shards: 5, Shard: testShard}); !refused(err) {
		t.Errorf("opened with other shards: %v", err)
	}
	if _, err := open(newMemory(), "d", me, Options{Known: true}); !refused(err) {
		t.Errorf("an empty directory that was known: %v", err)
	}
}

// D4: an older manifest names blobs that were replaced, though no segment came or went.
func TestOlderManifestIsRefused(t *testing.T) {
	m := newMemory()
	s := must(t, m, small)
	if err := keep(s, "epoch", "1"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("d", manifestName)
	older := m.bytes(path)
	if err := keep(s, "epoch", "2"); err != nil {
		t.Fatal(err)
	}
	settle(t, s) // the mark that tells comes when there is nothing to do
	for what, m := range map[string]*memory{"killed": m.killed(), "closed": func() *memory { _ = s.Close(); return m }()} {
		m.edit(path, func([]byte) []byte { return older })
		if _, err := open(m, "d", me, small); !refused(err) || !strings.Contains(err.Error(), "older copy") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// D4: a segment that the manifest does not know was written to, so the manifest is gone or older.
func TestUnknownSegmentIsRefused(t *testing.T) {
	m := newMemory()
	o := Options{SegmentSize: 200}
	s := must(t, m, o)
	manifest := filepath.Join("d", manifestName)
	older := m.bytes(manifest)
	if err := put(t, s, reg(1), tag(1), make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	gone := m.killed()
	_ = gone.Remove(manifest)
	if _, err := open(gone, "d", me, o); !refused(err) {
		t.Errorf("without a manifest: %v", err)
	}
	if err := put(t, s, reg(2), tag(1), make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	before := m.killed()
	before.edit(manifest, func([]byte) []byte { return older })
	if _, err := open(before, "d", me, o); !refused(err) {
		t.Errorf("with the manifest of before the segment: %v", err)
	}
}

// D4: Open writes down how far the newest segment went, so that nothing of it can go later.
func TestOpenRemembersTheEnd(t *testing.T) {
	m := newMemory()
	s := must(t, m, Options{})
	ends := [3]int64{}
	for i := range ends {
		if err := put(t, s, reg(uint64(i)), tag(1), nil); err != nil {
			t.Fatal(err)
		}
		_ = s.wait(func() error { ends[i] = s.current.End; return nil })
	}
	path := newestOf(m)
	cut := func(m *memory, end int64) (*memory, error) {
		m.edit(path, func(b []byte) []byte { return b[:end] })
		s, err := open(m, "d", me, Options{})
		if err == nil {
			_ = s.Close()
		}
		return m, err
	}
	image, err := cut(m.killed(), ends[1]) // as after a crash in the last put
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cut(image, ends[0]); !refused(err) {
		t.Errorf("cut again: %v", err)
	}
	image = m.killed()
	if _, err := open(image, "d", me, Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := cut(image.killed(), ends[0]); !refused(err) {
		t.Errorf("cut while it was open: %v", err)
	}
}
