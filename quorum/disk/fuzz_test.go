package disk

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"dmalloc/message"
)

// What is read from a file that anything may have written is refused or taken, without a panic; and what is
// taken is what would be written.
func FuzzRecord(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendRecord(nil, reg(1), tag(2), []byte("three")))
	f.Add(appendRecord(nil, message.RegisterID{Space: 1, Address: 1 << 63}, message.Tag{TS: 1, Writer: message.ClientID{1}, Op: 1}, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b)
		if err == nil && !bytes.HasPrefix(b, appendRecord(nil, r.id, r.tag, r.value)) {
			t.Errorf("%+v is written in another way", r)
		}
	})
}

// Whole files of rubbish behind a right header.
func FuzzSegment(f *testing.F) {
	c := segment{number: firstSegment, nonce: 7}
	head := c.header(me)
	g := group{seq: 1, prev: c.Sum, manifest: 1}
	mark := make([]byte, groupHeader)
	g.putHeader(mark, c.nonce, c.End)
	f.Add([]byte{}, true)
	f.Add(mark, false)
	f.Add(mark, true)
	f.Fuzz(func(t *testing.T, rest []byte, exact bool) {
		m := newMemory()
		file, _ := m.Create("x")
		_, _ = file.WriteAt(append(bytes.Clone(head), rest...), 0)
		c := segment{number: firstSegment, path: "x", file: file}
		w := &window{file: file, size: int64(len(head) + len(rest))}
		if why := c.parseHeader(append(bytes.Clone(head), rest...), me); why != "" {
			t.Fatal(why)
		}
		_, err := c.scan(w, c.seal, exact, func(found) {})
		if err != nil && !refused(err) {
			t.Errorf("%v", err)
		}
		if exact && err == nil && len(rest) > 0 {
			t.Error("a full segment goes on")
		}
		var other segment
		_ = other.parseHeader(rest, me)
	})
}

func FuzzManifest(f *testing.F) {
	c := &segment{number: 1}
	c.header(me)
	b, err := manifest1(me, 4, c).encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(manifestLine([]byte("{}")) + "{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, why := parseManifest(b)
		if why == "" && (len(m.Segments) == 0 || m.newest().Number == 0) {
			t.Errorf("%+v was taken", m)
		}
		m, why = parseManifest([]byte(manifestLine(b) + string(b))) // past the checksum
		if why == "" && m.Shards < 1 {
			t.Errorf("%+v was taken", m)
		}
	})
}

func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := message.RegisterID{Space: message.Space(rapid.Byte().Draw(t, "space")), Address: rapid.Uint64().Draw(t, "address")}
		tg := message.Tag{TS: rapid.Uint64().Draw(t, "ts"), Op: rapid.Uint64().Draw(t, "op")}
		copy(tg.Writer[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "writer"))
		value := rapid.SliceOf(rapid.Byte()).Draw(t, "value")
		b := appendRecord([]byte("before"), id, tg, value)
		r, err := parseRecord(append(b, "behind"...)[6:])
		if err != nil || r.id != id || r.tag != tg || !bytes.Equal(r.value, value) {
			t.Fatalf("%+v, %v", r, err)
		}
	})
}

// What is written must never look different: replicas have files and compare sums.
func TestFormatNeverChanges(t *testing.T) {
	id := message.RegisterID{Space: 1, Address: 0x0102030405060708}
	tg := message.Tag{TS: 0x1112131415161718, Writer: message.ClientID{0x21, 15: 0x2f}, Op: 0x3132333435363738}
	want := "kOx\xfb\x01\x01\x00\x00\x05\x00\x00\x00" + "\x08\x07\x06\x05\x04\x03\x02\x01" + "\x18\x17\x16\x15\x14\x13\x12\x11" +
		"\x21" + string(make([]byte, 14)) + "\x2f" + "\x38\x37\x36\x35\x34\x33\x32\x31" + "value"
	if got := string(appendRecord(nil, id, tg, []byte("value"))); got[4:] != want[4:] {
		t.Errorf("%q", got)
	} else if got != want {
		t.Errorf("checksum %q", got[:4])
	}
	if got := digest(id, tg); got != 0xb5797cd0d9545586 {
		t.Errorf("%#x", got)
	}
	c := segment{number: 3, prev: 0x01020304, nonce: 0x1112131415161718}
	if got := c.header(me); string(got[12:]) != "\x30\x00\x01\x00\x03\x00\x00\x00\x04\x03\x02\x01\x03\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x18\x17\x16\x15\x14\x13\x12\x11test" {
		t.Errorf("%q", got)
	}
}
