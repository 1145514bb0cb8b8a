package transport

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"dmalloc/message"
)

// waiting is a frame in the model of a queue: its bytes and when they may go.
type waiting struct {
	encoded []byte
	due     int64
	ask     asked
}

// A queue gives out the bytes that were put in, in order, none before its moment, never more than its
// bound, and knows at its end which requests nobody took.
func TestQueueAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const most = 200 << 10
		q := newQueue(most)
		var model []waiting // not yet taken completely
		var got, want []byte
		var out []segment
		now, held := int64(0), 0
		steps := rapid.IntRange(1, 60).Draw(t, "steps")
		for i := 1; i <= steps; i++ {
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0, 1:
				f := frame{kind: rapid.SampledFrom([]kind{kindRequest, kindRaft, kindAnswer}).Draw(t, "kind"), id: uint64(i), src: 3, dst: 4}
				size := rapid.SampledFrom([]int{0, 1, 100, attachFrom - 1, attachFrom, 100 << 10}).Draw(t, "size")
				var m *message.Message
				if rapid.Bool().Draw(t, "message") {
					m = request(uint64(i), strings.Repeat(string(rune('a'+i%26)), size))
					b, err := m.Append(nil)
					if err != nil {
						t.Fatal(err)
					}
					f.payload = b
				} else {
					f.payload = bytes.Repeat([]byte{byte(i)}, size)
					f.prefix = bytes.Repeat([]byte{9}, i%3)
					for _, n := range rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, attachFrom - 1, attachFrom, 50 << 10}), 0, 3).Draw(t, "more") {
						f.more = append(f.more, bytes.Repeat([]byte{byte(n)}, n))
					}
				}
				if i%2 == 0 {
					f.trail = []byte{byte(i), 0, 0, 0}
				}
				w := waiting{encoded: f.append(nil), due: now + int64(rapid.IntRange(-1, 3).Draw(t, "due")), ask: asked{f.src, f.id}}
				if w.due < now {
					w.due = 0
				}
				if f.kind != kindRequest {
					w.ask.id = 0
				}
				if m != nil {
					f.payload = nil
				}
				v, err := q.put(&f, m, w.due)
				room := held + len(w.encoded)
				switch {
				case err != nil || v == closed || v == unfit:
					t.Fatal(v, err)
				case v == full && (held == 0 || room+300 <= most):
					t.Fatalf("full with %d bytes and %d more, of %d", held, len(w.encoded), most)
				case v == queued && held > 0 && room > 2*most:
					t.Fatalf("%d bytes in a queue of %d", room, most)
				case v == queued && held > 0 && room > most && (f.kind != kindAnswer || len(w.encoded) > attachFrom):
					t.Fatalf("%d bytes of kind %d in a queue of %d", room, f.kind, most)
				case v == queued:
					held = room
					model, want = append(model, w), append(want, w.encoded...)
				}
			case 2:
				now += int64(rapid.IntRange(0, 3).Draw(t, "pass"))
			case 3:
				var next int64
				var ok bool
				out, next, ok = q.take(now, out[:0])
				if !ok {
					t.Fatal("closed")
				}
				taken := 0
				for i := range out {
					got = append(got, out[i].b...)
					taken += len(out[i].b)
				}
				if taken == 0 && len(model) > 0 && next != model[0].due {
					t.Fatalf("next is %d, the first is due at %d", next, model[0].due)
				}
				q.written(out)
				held -= taken
				for taken > 0 {
					if model[0].due > now {
						t.Fatalf("%d: taken at %d, due at %d", model[0].ask.id, now, model[0].due)
					}
					n := min(taken, len(model[0].encoded))
					taken -= n
					model[0].ask.id = 0
					if model[0].encoded = model[0].encoded[n:]; len(model[0].encoded) == 0 {
						model = model[1:]
					}
				}
			}
		}
		if !bytes.Equal(got, want[:len(got)]) {
			t.Fatal("other bytes than were put")
		}
		q.close()
		q.close()
		if _, _, ok := q.take(now+10, nil); ok || !q.ended() {
			t.Fatal("not closed")
		}
		if v, _ := q.put(&frame{kind: kindRaft}, nil, 0); v != closed {
			t.Fatal("a closed queue takes more")
		}
		var left []asked
		for _, w := range model {
			if w.ask.id != 0 {
				left = append(left, w.ask)
			}
		}
		if fmt.Sprint(left) != fmt.Sprint(q.unsent()) {
			t.Fatalf("unsent %v, want %v", q.unsent(), left)
		}
	})
}

// Short answers have room that long ones do not have.
func TestQueueKeepsRoomForShortAnswers(t *testing.T) {
	q := newQueue(100 << 10)
	put := func(k kind, size int) verdict {
		v, _ := q.put(&frame{kind: k, payload: make([]byte, size)}, nil, 0)
		return v
	}
	if put(kindAnswer, 99<<10) != queued || put(kindAnswer, 50<<10) != full || put(kindRequest, 2000) != full || put(kindAnswer, 2000) != queued {
		t.Fatal("the bound is not where it should be")
	}
	n := 0
	for put(kindFailed, 1000) == queued {
		n++
	}
	if n < 50 || n > 100 {
		t.Fatalf("%d short answers beyond the bound", n)
	}
}

func TestQueueRefusesWhatCannotBeEncoded(t *testing.T) {
	q := newQueue(1000)
	bad := request(1, "")
	bad.Text = "\xff"
	if v, err := q.put(&frame{kind: kindRequest}, bad, 0); v != unfit || err == nil {
		t.Fatal(v, err)
	}
	if out, _, _ := q.take(0, nil); len(out) > 1 || (len(out) == 1 && len(out[0].b) > 0) || q.bytes != 0 {
		t.Fatal("a part of it was queued")
	}
}

// An answer counts only if it comes from the node that was asked.
func TestPendingKnowsWhoWasAsked(t *testing.T) {
	p := newPending(10)
	id, _ := p.add(wait{waiter: &chunkWait{}, to: 1})
	if _, ok := p.get(id, 2); ok {
		t.Error("node 2 says ALIVE for node 1")
	}
	if _, ok := p.take(id, 2); ok {
		t.Error("node 2 answers for node 1")
	}
	if _, ok := p.get(id, 1); !ok {
		t.Error("node 1 may not say ALIVE")
	}
	if _, ok := p.take(id, 1); !ok {
		t.Error("node 1 may not answer")
	}
	if _, ok := p.take(id, 1); ok {
		t.Error("node 1 answers twice")
	}
}
