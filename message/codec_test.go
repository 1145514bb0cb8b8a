package message

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func genMessage(t *rapid.T) *Message {
	node := rapid.OneOf(rapid.Just(NoNode), rapid.Map(rapid.Uint32Range(0, MaxNodes-1), func(n uint32) NodeID { return NodeID(n) }))
	num := rapid.OneOf(rapid.Just(uint64(0)), rapid.Uint64())
	m := &Message{
		Op: Op(rapid.Uint8Range(0, uint8(opEnd)-1).Draw(t, "op")), Flags: Flags(rapid.Uint8Range(0, uint8(flagsEnd)-1).Draw(t, "flags")),
		Seq: num.Draw(t, "seq"), Low: num.Draw(t, "low"), Source: node.Draw(t, "source"), Target: node.Draw(t, "target"), Final: node.Draw(t, "final"),
		Address: Addr(num.Draw(t, "address")), Size: num.Draw(t, "size"), Value: num.Draw(t, "value"),
		Data:    rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, "data"),
		Company: CompanyID(rapid.Uint32Range(0, MaxCompany).Draw(t, "company")), Epoch: num.Draw(t, "epoch"), Term: num.Draw(t, "term"), Index: num.Draw(t, "index"),
		Status: Code(rapid.Uint8Range(0, uint8(codeEnd)-1).Draw(t, "status")), Text: rapid.String().Draw(t, "text"),
	}
	copy(m.Client[:], rapid.SliceOfN(rapid.Byte(), 0, 16).Draw(t, "client"))
	copy(m.Txn.Client[:], rapid.SliceOfN(rapid.Byte(), 0, 16).Draw(t, "txn"))
	m.Txn.Seq = num.Draw(t, "txnseq")
	for range rapid.IntRange(0, 4).Draw(t, "blocks") {
		m.Blocks = append(m.Blocks, Block{Address: Addr(num.Draw(t, "ba")), Size: num.Draw(t, "bs"),
			Company: CompanyID(rapid.Uint32Range(0, MaxCompany).Draw(t, "bc")), Behind: Addr(num.Draw(t, "bb"))})
	}
	for range rapid.IntRange(0, 4).Draw(t, "path") {
		m.Path = append(m.Path, NodeID(rapid.Uint32Range(0, MaxNodes-1).Draw(t, "hop")))
	}
	return m
}

// M2: what was encoded decodes to the same message.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := genMessage(t)
		b, err := m.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(b)
		if err != nil {
			t.Fatalf("%v\n%x", err, b)
		}
		if !got.Equal(m) {
			t.Fatalf("got %+v\nwant %+v", got, m)
		}
	})
}

func TestBatchRoundTrip(t *testing.T) {
	var reader BatchReader
	rapid.Check(t, func(t *rapid.T) {
		b := &Batch{Origin: rapid.Uint64().Draw(t, "o"), Number: rapid.Uint64().Draw(t, "n"), Term: rapid.Uint64().Draw(t, "t"),
			Node: NodeID(rapid.Uint32Range(0, 9).Draw(t, "node")), Elapsed: uint64(rapid.Uint32().Draw(t, "e"))}
		for range rapid.IntRange(0, 5).Draw(t, "count") {
			b.Messages = append(b.Messages, genMessage(t))
		}
		buf, err := b.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := reader.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if got.Origin != b.Origin || got.Number != b.Number || got.Term != b.Term || got.Node != b.Node || got.Elapsed != b.Elapsed || len(got.Messages) != len(b.Messages) {
			t.Fatalf("got %+v want %+v", got, b)
		}
		for i, m := range b.Messages {
			if !m.Equal(got.Messages[i]) {
				t.Fatalf("message %d: got %v want %v", i, got.Messages[i], m)
			}
		}
	})
}

// What a reader has read before does not show, not even where it did not decode.
func TestBatchReaderForgets(t *testing.T) {
	var reader BatchReader
	long, short := &Batch{Messages: []*Message{New(WRITE), New(WRITE), New(WRITE)}}, &Batch{Messages: []*Message{New(FREE)}}
	for _, m := range long.Messages {
		m.Data, m.Text, m.Blocks = []byte("data"), "text", []Block{{Address: HeapBase}}
	}
	encoded, _ := long.Append(nil)
	if _, err := reader.Read(encoded); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Read(encoded[:len(encoded)-1]); err == nil {
		t.Fatal("a batch without its last byte was read")
	}
	next, _ := short.Append(nil)
	b, err := reader.Read(next)
	if err != nil || len(b.Messages) != 1 || !b.Messages[0].Equal(short.Messages[0]) {
		t.Fatalf("got %v, %v", b, err)
	}
	kept := b.Messages[0]
	if reader.Done(); kept.Op != NONE {
		t.Errorf("a message is kept when it is done with: %v", kept)
	}
}

// A message's length stands before it in as few bytes as it can, however wrong the guess was.
func TestAppendMessage(t *testing.T) {
	for _, text := range []int{0, 1, 50, 100, 200} {
		for _, around := range []int{0, 1 << 7, 1 << 14} {
			for size := max(0, around-200); size < around+100; size++ {
				m := New(WRITE)
				m.Data, m.Text = bytes.Repeat([]byte{7}, size), strings.Repeat("t", text)
				alone, err := m.Append(nil)
				if err != nil {
					t.Fatal(err)
				}
				want := append(binary.AppendUvarint([]byte("before"), uint64(len(alone))), alone...)
				if got, err := AppendMessage([]byte("before"), m); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%d bytes of data and %d of text: got %x, %v, want %x", size, text, got, err, want)
				}
			}
		}
	}
	if got, err := AppendMessage([]byte("before"), &Message{Op: opEnd}); err == nil || string(got) != "before" {
		t.Errorf("a message that cannot be: %q, %v", got, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	ok, _ := (&Message{Op: WRITE, Source: NoNode, Target: NoNode, Final: NoNode, Size: 300, Data: []byte("x")}).Append(nil)
	edit := func(at int, v byte) []byte { b := bytes.Clone(ok); b[at] = v; return b }
	huge := []byte{Version, byte(WRITE), 0, 4, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}
	for name, b := range map[string][]byte{
		"nothing":               nil,
		"a header cut":          ok[:5],
		"another version":       edit(0, 9),
		"an unknown op":         edit(1, 250),
		"an unknown field":      edit(5, 0x80),
		"a cut field":           ok[:len(ok)-1],
		"bytes behind":          append(bytes.Clone(ok), 0),
		"a field that is zero":  edit(7, 0),
		"a length of 2^64":      huge,
		"an overlong varint":    {Version, byte(READ), 0, 1, 0, 0, 0x81, 0},
		"a node that is none":   {Version, byte(READ), byte(fSource), 0, 0, 0, 0xff, 0xff, 3},
		"text that is no UTF-8": {Version, byte(OK), 0, 0, 4, 0, 1, 0xff},
	} {
		if m, err := Decode(b); err == nil {
			t.Errorf("%s: decoded as %v", name, m)
		}
	}
	if _, err := Decode(ok); err != nil {
		t.Fatal(err)
	}
}

// M1: bytes that decode are the one encoding of what they decode to.
func FuzzDecode(f *testing.F) {
	seed, _ := (&Message{Op: COMMIT, Flags: Traced, Client: ClientID{1}, Seq: 7, Low: 3, Source: 1, Target: 2, Final: NoNode, Address: HeapBase, Size: 1 << 40,
		Data: []byte("hello"), Company: 3, Blocks: []Block{{HeapBase, 1, 2, 3, nil}}, Text: "ok", Path: []NodeID{1, 2}}).Append(nil)
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			return
		}
		_ = m.String()
		again, err := m.Append(nil)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%v\nin  %x\nout %x", err, b, again)
		}
	})
}

func FuzzDecodeBatch(f *testing.F) {
	seed, _ := (&Batch{Origin: 1, Node: 2, Messages: []*Message{New(MALLOC), New(FREE)}}).Append(nil)
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		batch, err := DecodeBatch(b)
		if err != nil {
			return
		}
		again, err := batch.Append(nil)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%v\nin  %x\nout %x", err, b, again)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	m := &Message{Op: WRITE, Client: ClientID{1}, Seq: 1, Low: 1, Source: NoNode, Target: 1, Final: NoNode, Address: HeapBase, Size: 16, Data: make([]byte, 16), Company: 1}
	buf := make([]byte, 0, 128)
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = m.Append(buf[:0])
	}
}

func BenchmarkDecode(b *testing.B) {
	m := &Message{Op: WRITE, Client: ClientID{1}, Seq: 1, Low: 1, Source: NoNode, Target: 1, Final: NoNode, Address: HeapBase, Size: 16, Data: make([]byte, 16), Company: 1}
	buf, _ := m.Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(buf); err != nil {
			b.Fatal(err)
		}
	}
}
