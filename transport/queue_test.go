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
		// pass takes bytes off the model, which must be due.
		pass := func(bytes int) {
			held -= bytes
			for bytes > 0 {
				if model[0].due > now {
					t.Fatalf("%d: taken at %d, due at %d", model[0].ask.id, now, model[0].due)
				}
				n := min(bytes, len(model[0].encoded))
				bytes -= n
				model[0].ask.id = 0
				if model[0].encoded = model[0].encoded[n:]; len(model[0].encoded) == 0 {
					model = model[1:]
				}
			}
		}
		// gone is after a flush, which takes all or nothing: what was taken may have been sent.
		gone := func() {
			for i := range model {
				if len(q.list) == 0 {
					model[i].ask.id = 0
				}
			}
		}
		room := 0 // in the socket
		q.direct = func(b []byte) (int, bool) {
			n := min(len(b), room)
			room -= n
			got = append(got, b[:n]...)
			return n, n == len(b)
		}
		steps := rapid.IntRange(1, 60).Draw(t, "steps")
		for i := 1; i <= steps; i++ {
			switch rapid.IntRange(0, 5).Draw(t, "what") {
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
				pass(taken)
			case 4:
				room = rapid.SampledFrom([]int{0, 1, 1000, 1 << 20}).Draw(t, "room")
				before := len(got)
				q.flush()
				gone()
				pass(len(got) - before)
				if q.bytes != held {
					t.Fatalf("%d bytes are counted, %d wait", q.bytes, held)
				}
			case 5:
				room = 1 << 20
				before := len(got)
				q.cork()
				q.flush()
				if len(got) > before {
					t.Fatal("a corked queue is written")
				}
				q.uncork()
				gone()
				pass(len(got) - before)
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
		if fmt.Sprint(left) != fmt.Sprint(q.settled()) {
			t.Fatalf("unsent %v, want %v", q.settled(), left)
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
	id, _ := p.add(&wait{waiter: &chunkWait{}, to: 1, via: newQueue(1)})
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

// What is put while many are answered together is written when all are answered, in one write for each connection.
func TestTogether(t *testing.T) {
	tr := start(t, Config{Self: 0, Cluster: testCluster, Incarnation: 1, Listener: listen(t)})
	queues := []*queue{newQueue(1 << 20), newQueue(1 << 20)}
	writes := make([]int, len(queues))
	for i, q := range queues {
		q.direct = func(b []byte) (int, bool) { writes[i]++; return len(b), true }
	}
	put := func() {
		for _, q := range queues {
			if v, err := q.put(&frame{kind: kindAnswer, payload: []byte("x")}, nil, 0); v != queued || err != nil {
				t.Fatal(v, err)
			}
			if !tr.together.holds(q) {
				t.Error("an answer is not held back")
			}
		}
	}
	tr.Together(func() {
		for range 5 {
			put()
		}
		tr.Together(put) // its end does not wait for the other's
		if writes[0] != 1 || writes[1] != 1 {
			t.Errorf("%d writes, want 1 for each connection when the first is done", writes)
		}
		put()
	})
	if writes[0] != 2 || writes[1] != 2 {
		t.Errorf("%d writes, want 2 for each connection", writes)
	}
	if tr.together.holds(queues[0]) {
		t.Error("an answer is held back with nobody to send it")
	}
}

// Whoever writes without waiting leaves what does not fit to the writer, and what comes meanwhile goes behind it.
func TestFlushLeavesTheRest(t *testing.T) {
	q := newQueue(1 << 20)
	var got []byte
	room := 3
	q.direct = func(b []byte) (int, bool) {
		n := min(len(b), room)
		room -= n
		got = append(got, b[:n]...)
		return n, n == len(b)
	}
	first, second := &frame{kind: kindRaft, payload: []byte("first")}, &frame{kind: kindRaft, payload: []byte("second")}
	if v, _ := q.put(first, nil, 0); v != queued {
		t.Fatal(v)
	}
	q.flush()
	if len(got) != 3 {
		t.Fatalf("%d bytes were written", len(got))
	}
	select {
	case <-q.wake:
	default:
		t.Error("the writer is not told")
	}
	if v, _ := q.put(second, nil, 0); v != queued {
		t.Fatal(v)
	}
	room = 1 << 20
	q.flush() // may not overtake
	for range 2 {
		out, _, ok := q.take(0, nil)
		if !ok {
			t.Fatal("closed")
		}
		for i := range out {
			got = append(got, out[i].b...)
		}
		q.written(out)
	}
	if want := second.append(first.append(nil)); !bytes.Equal(got, want) || q.bytes != 0 {
		t.Errorf("%d bytes still counted; got\n%q, want\n%q", q.bytes, got, want)
	}
}

// The writer does not wait for who answers many at once when their answers are long: there may be more than the queue takes.
func TestLongAnswersAreNotHeldBack(t *testing.T) {
	tr := start(t, Config{Self: 0, Cluster: testCluster, Incarnation: 1, Listener: listen(t)})
	for name, during := range map[string]func(q *queue, f func()){
		"together": func(_ *queue, f func()) { tr.Together(f) },
		"corked":   func(q *queue, f func()) { q.cork(); f(); q.uncork() },
	} {
		c := &conn{t: tr, queue: newQueue(1 << 20)}
		woken := func() bool {
			select {
			case <-c.queue.wake:
				return true
			default:
				return false
			}
		}
		during(c.queue, func() {
			for _, n := range []int{10, directMost} {
				if v, err := c.send(&frame{kind: kindAnswer, payload: make([]byte, n)}, nil); v != queued || err != nil {
					t.Fatal(v, err)
				}
				if long := n == directMost; woken() != long {
					t.Errorf("%s: after an answer of %d bytes the writer was woken: %v", name, n, !long)
				}
			}
		})
	}
}
