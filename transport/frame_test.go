package transport

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"reflect"
	"runtime"
	"testing"

	"pgregory.net/rapid"

	"dmalloc/message"
)

func TestFrameRoundTrip(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789"), attachFrom/4)
	rapid.Check(t, func(t *rapid.T) {
		node := rapid.SampledFrom([]message.NodeID{0, 1, message.MaxNodes - 1, message.NoNode})
		hops := rapid.SliceOfN(rapid.Uint32Range(0, message.MaxNodes-1), 0, maxHops).Draw(t, "hops")
		f := frame{
			kind: kind(rapid.IntRange(1, int(kindEnd)-1).Draw(t, "kind")), src: node.Draw(t, "src"), dst: node.Draw(t, "dst"),
			id: rapid.Uint64().Draw(t, "id"), payload: rapid.SliceOf(rapid.Byte()).Draw(t, "payload"),
		}
		for _, h := range hops {
			f.trail = binary.LittleEndian.AppendUint32(f.trail, h)
		}
		if rapid.Bool().Draw(t, "long") {
			f.payload = append(f.payload, long[rapid.IntRange(0, len(long)).Draw(t, "skipped"):]...)
		}
		lend := rapid.Bool().Draw(t, "lend")
		got, err := readFrame(bufio.NewReader(bytes.NewReader(f.append(nil))), f.kind.class().bound(), lend)
		if err != nil {
			t.Fatal(err)
		}
		twice := bufio.NewReaderSize(bytes.NewReader(f.append(f.append(nil))), 2*attachFrom)
		for range 2 {
			next, err := nextFrame(twice, f.kind.class().bound(), false)
			if err != nil || next.kind != f.kind || next.id != f.id || !bytes.Equal(next.payload, f.payload) || !bytes.Equal(next.trail, f.trail) {
				t.Fatalf("sent %+v, got %+v, %v", f, next, err)
			}
			if next.passing && len(next.payload) >= attachFrom {
				t.Fatal("a long frame is passing: queues point to what is long")
			}
		}
		if (got.body != nil) != (lend && len(f.append(nil))-lengthSize >= attachFrom) {
			t.Fatal("memory is lent to long frames, where it may be")
		}
		defer got.done()
		if got.kind != f.kind || got.src != f.src || got.dst != f.dst || got.id != f.id ||
			!bytes.Equal(got.payload, f.payload) || !bytes.Equal(got.trail, f.trail) || len(got.path()) != len(hops) {
			t.Fatalf("sent %+v, got %+v", f, got)
		}
	})
}

func TestFrameRefusals(t *testing.T) {
	good := (&frame{kind: kindRequest, src: 1, dst: 2, payload: []byte("x")}).append(nil)
	change := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	for _, c := range []struct {
		name string
		b    []byte
	}{
		{"length 0", []byte{0, 0, 0, 0}},
		{"length of less than a head", []byte{headSize - 1, 0, 0, 0}},
		{"length of 4 GiB", []byte{0xff, 0xff, 0xff, 0xff}},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
		{"kind 0", change(4, 0)},
		{"kind too large", change(4, byte(kindEnd))},
		{"hops that are not there", change(5, 200)},
		{"source is no node", change(8, 1)},
		{"destination is no node", change(12, 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := readFrame(bufio.NewReader(bytes.NewReader(c.b)), classMessage.bound(), false)
			var bad *FrameError
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, want a FrameError", err)
			}
		})
	}
	for n := range good {
		if _, err := readFrame(bufio.NewReader(bytes.NewReader(good[:n])), classMessage.bound(), false); err != io.EOF && err != io.ErrUnexpectedEOF {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
	}
}

// A promise of 64 MiB costs what arrives, not what was promised (T1).
func TestPromisedLengthCostsLittle(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		b := binary.LittleEndian.AppendUint32(nil, MaxRaft)
		if _, err := readFrame(bufio.NewReader(bytes.NewReader(append(b, make([]byte, 1000)...))), classRaft.bound(), false); err != io.ErrUnexpectedEOF {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 40<<20 {
		t.Fatalf("ten cut frames took %d bytes", got)
	}
}

func TestReadBodyGrows(t *testing.T) {
	want := make([]byte, 9<<20+3)
	for i := range want {
		want[i] = byte(i * 7)
	}
	for _, have := range [][]byte{nil, make([]byte, 3), make([]byte, 0, 5<<20), make([]byte, 9<<20+2), make([]byte, 10<<20)} {
		got, err := readBody(bytes.NewReader(want), len(want), have)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if used := cap(have) > 0 && &got[0] == &have[:1][0]; used != (cap(have) >= len(want)) {
			t.Errorf("memory of %d bytes is used: %v", cap(have), used)
		}
	}
}

func TestHelloRoundTrip(t *testing.T) {
	h := hello{from: 3, to: message.NoNode, version: 7, class: classBulk, cluster: 1 << 63, incarnation: 9}
	b := h.frame().append(nil)
	if len(b) != lengthSize+helloLength {
		t.Fatalf("%d bytes", len(b))
	}
	got, err := parseHello(b[lengthSize:])
	if err != nil || !reflect.DeepEqual(got, h) {
		t.Fatalf("%+v %v", got, err)
	}
}

func FuzzFrame(f *testing.F) {
	f.Add((&frame{kind: kindRequest, src: 1, dst: 2, id: 3, payload: []byte("abc"), trail: []byte{1, 0, 0, 0}}).append(nil))
	f.Add(hello{from: 1, to: 2, version: Version, cluster: 5}.frame().append(nil))
	f.Add(refusalFrame(1, message.Errorf(message.Busy, "no")).append(nil))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := readFrame(bufio.NewReader(bytes.NewReader(b)), classMessage.bound(), false); err == nil {
			again := got.append(nil)
			if !bytes.Equal(again, b[:len(again)]) {
				t.Fatalf("%x was read and encodes as %x", b, again)
			}
			_ = got.passed(1)
			_ = refusal(&got)
		}
		near, far := net.Pipe()
		defer near.Close()
		go func() { _, _ = far.Write(b); _ = far.Close() }()
		if h, err := readHello(near); err == nil {
			if again := h.frame().append(nil); !bytes.Equal(again, b[:len(again)]) {
				t.Fatalf("%x was read as hello %+v", b, h)
			}
		}
	})
}
