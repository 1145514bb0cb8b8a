package transport

import (
	"net"
	"sync"
	"sync/atomic"

	"dmalloc/message"
)

const (
	segmentSize = 64 << 10 // of the buffers that small frames share
	attachFrom  = 16 << 10 // payloads from here on are written from where they lie
	writeAtOnce = 1 << 20  // bytes between two write deadlines
)

var segments = sync.Pool{New: func() any { b := make([]byte, 0, segmentSize); return &b }}

// segment is a piece of the byte stream: many small frames, or a part of a large one.
type segment struct {
	b      []byte
	due    int64   // not to be written before; 0: at once
	asks   []asked // requests whose frames begin here
	pooled *[]byte // where b came from, if from the pool
}

// asked names a request: who made it, and under which id.
type asked struct {
	src message.NodeID
	id  uint64
}

// queue holds what waits to be written to a connection: frames already encoded, bounded in bytes. Many put. The
// connection's writer takes, or whoever put writes at once by flush, where that does not block: a goroutine less
// is woken then. Who knows that more is to come corks the queue meanwhile, so that all of it is one write.
//
//	put … put ── wake ──▶ take, written     the writer, which may wait for the other side
//	          └─ flush ─▶ direct            what the socket does not take at once is left to the writer
type queue struct {
	most int
	wake chan struct{} // one token: there is something to take, or the queue was closed
	open atomic.Int32  // requests that went into it and are not answered

	asking sync.RWMutex // read locked from a request's registration until it is in the queue or refused

	gathered bool // it is one of together's; guarded by that one's mutex

	mu      sync.Mutex // guards what follows
	list    []segment
	left    []segment // taken by flush and not written; goes before list
	bytes   int       // in left and list, and taken but not yet written
	direct  func([]byte) (int, bool)
	writing bool // somebody has taken, and writes
	corks   int
	closed  bool
	lost    []asked // requests that were never taken, once closed
}

type verdict uint8

const (
	queued verdict = iota
	full
	closed
	unfit   // the message cannot be encoded
	tooMany // requests are under way
)

func newQueue(most int) *queue { return &queue{most: most, wake: make(chan struct{}, 1)} }

// put appends a frame; its payload is m encoded, if there is one. What a frame points to must not change
// until it is written: payloads belong to the queue from here on, messages are copied. An empty queue
// takes a frame of any size, so that none is too large for ever.
func (q *queue) put(f *frame, m *message.Message, due int64) (verdict, error) {
	size := lengthSize + headSize + f.rest()
	if m != nil {
		size += estimate(m)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return closed, nil
	}
	if q.bytes > 0 && q.bytes+size > q.limit(f, size) {
		return full, nil
	}
	if m != nil {
		if err := q.encode(f, m, size, due); err != nil {
			return unfit, err
		}
	} else {
		q.copy(f, due)
	}
	return queued, nil
}

// rouse wakes the writer.
func (q *queue) rouse() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// tell wakes the writer for what was put, unless somebody will flush. It does not wait for that with more than flush
// writes: long answers would fill the queue, and be refused, with nobody to empty it.
func (q *queue) tell() {
	q.mu.Lock()
	held := q.writing || q.corks > 0 && q.bytes <= directMost
	q.mu.Unlock()
	if !held {
		q.rouse()
	}
}

// much says whether more waits than flush writes.
func (q *queue) much() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes > directMost
}

// cork has tell and flush wait for uncork.
func (q *queue) cork() {
	q.mu.Lock()
	q.corks++
	q.mu.Unlock()
}

// uncork flushes what was put meanwhile.
func (q *queue) uncork() {
	q.mu.Lock()
	q.corks--
	q.mu.Unlock()
	q.flush()
}

// directMost is how much is written without the writer: more may well not fit into the socket's buffer.
const directMost = 128 << 10

// flush writes what waits, if nobody else does and the socket takes it at once. Otherwise that is the writer's.
func (q *queue) flush() {
	q.mu.Lock()
	if q.corks > 0 || q.writing || q.closed || len(q.left)+len(q.list) == 0 {
		q.mu.Unlock() // who writes looks again
		return
	}
	n, bytes := 0, 0
	for n < len(q.list) && q.list[n].due == 0 {
		bytes += len(q.list[n].b)
		n++
	}
	if q.direct == nil || len(q.left) > 0 || n < len(q.list) || bytes > directMost {
		q.mu.Unlock()
		q.rouse()
		return
	}
	q.writing = true
	q.left, q.list = q.list, q.left // left is empty
	q.mu.Unlock()

	done, all := 0, true
	for i := range q.left { // nobody else touches left while writing is set
		s := &q.left[i]
		var wrote int
		wrote, all = q.direct(s.b)
		done += wrote
		if !all {
			s.b = s.b[wrote:]
			q.left = append(q.left[:0], q.left[i:]...)
			break
		}
		s.recycle()
	}
	if all {
		clear(q.left)
		q.left = q.left[:0]
	}
	q.mu.Lock()
	q.writing = false
	q.bytes -= done
	more := len(q.left)+len(q.list) > 0 || q.closed
	q.mu.Unlock()
	if more {
		q.rouse()
	}
}

// limit is how much may wait once a frame is queued. Short answers have room of their own, so that a long
// one that finds none can be replaced by a short one that says so.
func (q *queue) limit(f *frame, size int) int {
	switch f.kind {
	case kindAlive, kindAnswer, kindFailed, kindTaken:
		if size <= attachFrom {
			return 2 * q.most
		}
	}
	return q.most
}

// estimate is at least the length of a message's encoding.
func estimate(m *message.Message) int {
	return 256 + len(m.Data) + len(m.Text) + len(m.Blocks)*40 + len(m.Path)*5
}

func (q *queue) encode(f *frame, m *message.Message, size int, due int64) error {
	if f.kind == kindAnswer && len(m.Data) >= attachFrom {
		return q.around(f, m, size-len(m.Data), due)
	}
	s := q.room(size, due)
	start := len(s.b)
	b, err := m.Append(f.appendHead(s.b, 0))
	if err != nil {
		return err // s.b is as it was: what was written behind its end is not seen
	}
	b = append(b, f.trail...)
	putLength(b[start:], len(b)-start-lengthSize)
	s.b = b
	q.bytes += len(b) - start
	if f.kind == kindRequest {
		s.asks = append(s.asks, asked{f.src, f.id})
	}
	return nil
}

// around encodes an answer with much data, which is written from where it lies: nobody changes an answer's data.
func (q *queue) around(f *frame, m *message.Message, size int, due int64) error {
	s := q.room(size, due)
	start := len(s.b)
	b, at, err := m.AppendAround(f.appendHead(s.b, 0))
	if err != nil {
		return err
	}
	rest := append(append([]byte(nil), b[at:]...), f.trail...)
	length := at - start + len(m.Data) + len(rest)
	putLength(b[start:], length-lengthSize)
	s.b = b[:at]
	q.bytes += length
	q.list = append(q.list, segment{b: m.Data, due: due})
	if len(rest) > 0 {
		s = q.room(len(rest), due)
		s.b = append(s.b, rest...)
	}
	return nil
}

func putLength(b []byte, n int) {
	b[0], b[1], b[2], b[3] = byte(n), byte(n>>8), byte(n>>16), byte(n>>24)
}

// copy appends an encoded frame. A large payload becomes a segment of its own, where it lies.
func (q *queue) copy(f *frame, due int64) {
	if len(f.more) > 0 {
		q.parts(f, due)
		return
	}
	rest := f.rest()
	q.bytes += lengthSize + headSize + rest
	need := lengthSize + headSize + rest
	large := len(f.payload) >= attachFrom
	if large {
		need -= len(f.payload) + len(f.trail)
	}
	s := q.room(need, due)
	if f.kind.asks() {
		s.asks = append(s.asks, asked{f.src, f.id})
	}
	s.b = append(f.appendHead(s.b, rest), f.prefix...)
	if !large {
		s.b = append(append(s.b, f.payload...), f.trail...)
		return
	}
	q.list = append(q.list, segment{b: f.payload, due: due})
	if len(f.trail) > 0 {
		s = q.room(len(f.trail), due)
		s.b = append(s.b, f.trail...)
	}
}

// parts is copy for a payload of several parts.
func (q *queue) parts(f *frame, due int64) {
	rest := f.rest()
	q.bytes += lengthSize + headSize + rest
	s := q.room(lengthSize+headSize+len(f.prefix), due)
	if f.kind.asks() {
		s.asks = append(s.asks, asked{f.src, f.id})
	}
	s.b = append(f.appendHead(s.b, rest), f.prefix...)
	add := func(p []byte) {
		switch {
		case len(p) >= attachFrom:
			q.list = append(q.list, segment{b: p, due: due})
		case len(p) > 0:
			s := q.room(len(p), due)
			s.b = append(s.b, p...)
		}
	}
	add(f.payload)
	for _, p := range f.more {
		add(p)
	}
	add(f.trail)
}

// room is the last segment if size more bytes fit there and go at the same moment, or else a new one.
func (q *queue) room(size int, due int64) *segment {
	if n := len(q.list); n > 0 {
		if s := &q.list[n-1]; s.pooled != nil && s.due == due && cap(s.b)-len(s.b) >= size {
			return s
		}
	}
	s := segment{due: due}
	if size > attachFrom {
		s.b = make([]byte, 0, size)
	} else {
		s.pooled = segments.Get().(*[]byte)
		s.b = (*s.pooled)[:0]
	}
	q.list = append(q.list, s)
	return &q.list[len(q.list)-1]
}

// take moves what is due to out, about writeAtOnce bytes of it. With nothing due it says when the first
// will be, 0 if there is none. ok is false once the queue is closed.
func (q *queue) take(now int64, out []segment) (_ []segment, next int64, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return out, 0, false
	}
	if q.writing { // flush, which wakes the writer if it leaves something
		return out, 0, true
	}
	if len(q.left) > 0 {
		out = append(out, q.left...)
		clear(q.left)
		q.left = q.left[:0]
		q.writing = true
		return out, 0, true
	}
	n, bytes := 0, 0
	for n < len(q.list) && bytes < writeAtOnce && q.list[n].due <= now {
		bytes += len(q.list[n].b)
		n++
	}
	if n == 0 && len(q.list) > 0 {
		return out, q.list[0].due, true
	}
	out = append(out, q.list[:n]...)
	rest := copy(q.list, q.list[n:])
	clear(q.list[rest:])
	q.list = q.list[:rest]
	q.writing = n > 0
	return out, 0, true
}

// written gives taken segments back.
func (q *queue) written(taken []segment) {
	bytes := 0
	for i := range taken {
		bytes += len(taken[i].b)
	}
	q.mu.Lock()
	q.bytes -= bytes
	q.writing = false
	q.mu.Unlock()
	for i := range taken {
		taken[i].recycle()
		taken[i] = segment{}
	}
}

func (s *segment) recycle() {
	if s.pooled != nil && cap(s.b) == segmentSize {
		*s.pooled = s.b[:0]
		segments.Put(s.pooled)
	}
}

// close ends the queue; what nobody took is dropped. It may be called again.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.closed = true
	for i := range q.list {
		q.lost = append(q.lost, q.list[i].asks...)
		q.list[i].recycle()
	}
	q.list = nil
	q.rouse()
}

// ended says whether the queue is closed.
func (q *queue) ended() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// settled lists the requests of a closed queue of which no byte was taken. Before, it waits for those that have registered
// and came too late for the queue: they find it closed, and are not registered any more.
func (q *queue) settled() []asked {
	q.asking.Lock()
	defer q.asking.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lost
}

// buffers are the bytes of segments, for one vectored write.
func buffers(out net.Buffers, taken []segment) net.Buffers {
	for i := range taken {
		out = append(out, taken[i].b)
	}
	return out
}
