package owner

import (
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/message"
)

// Bounds of a replica's queues, and of all of a node's together. Beyond them Do and Read answer Busy.
const (
	maxQueued      = 16384    // messages
	maxQueuedBytes = 64 << 20 // bytes of data
	maxQueuedAll   = 96 << 20 // bytes of data in all queues of a node
)

// request is a message that waits, and where its answer goes.
type request struct {
	m     *message.Message
	reply func(*message.Message)
	at    time.Time
}

// queue holds requests until a lane takes all of them at once: that is the whole of group commit.
//
// How long it gathers them before a lane may is for gather to say. A full entry does not wait.
type queue struct {
	mu     sync.Mutex
	ready  sync.Cond
	items  []request
	bytes  int
	under  int         // requests that lanes have taken and not yet done
	first  bool        // one must not wait: it came by putFirst
	gather gather      // knows of no crowd where rest is nil
	rest   *time.Timer // since nothing is under way; nil where nobody is waited for
	rested bool        // it has fired
	closed bool
	all    *atomic.Int64 // bytes in all queues of the node
}

func newQueue(all *atomic.Int64) *queue {
	q := &queue{all: all}
	q.ready.L = &q.mu
	return q
}

// newGathering makes a queue that waits for those who come back.
func newGathering(all *atomic.Int64) *queue {
	q := newQueue(all)
	q.rest = time.AfterFunc(time.Hour, q.hasRested)
	q.rest.Stop()
	return q
}

// hasRested takes no part in what has begun meanwhile: each done that leaves nothing under way says anew.
func (q *queue) hasRested() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.rested = true
	q.tell()
}

// put says whether there was room.
func (q *queue) put(r request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.items) >= maxQueued || q.bytes+len(r.m.Data) > maxQueuedBytes {
		return false
	}
	if q.all.Add(int64(len(r.m.Data))) > maxQueuedAll {
		q.all.Add(-int64(len(r.m.Data)))
		return false
	}
	q.items = append(q.items, r)
	q.bytes += len(r.m.Data)
	if q.rest != nil {
		q.gather.seen(len(q.items), q.under)
	}
	q.tell()
	return true
}

// due says whether a lane may take what waits.
func (q *queue) due() bool {
	if len(q.items) > 0 && (q.first || q.bytes >= message.MaxBatch || len(q.items) >= message.MaxMessages) {
		return true
	}
	return q.gather.due(len(q.items), q.bytes, q.under, q.rested)
}

// tell wakes a lane if there is something for it.
func (q *queue) tell() {
	if q.due() {
		q.ready.Signal()
	}
}

// done says that n of the requests that were taken are answered, and how long after that.
func (q *queue) done(n int, took time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.under -= n
	q.gather.done(took)
	if q.rest != nil && q.under == 0 && q.gather.many() && !q.closed {
		q.rested = false
		q.rest.Reset(q.gather.lag())
	}
	q.tell()
}

// putFirst goes before all others and always has room: a new leader's first entry.
func (q *queue) putFirst(r request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = append([]request{r}, q.items...)
	q.first = true
	q.ready.Signal()
}

// headroom is what a message costs in a batch besides its data: all its other fields at their usual size.
const headroom = 512

// take waits for requests and gives as many as fit in one Raft entry, none when the queue was closed.
// It reuses buf. Who took them says when they are done.
func (q *queue) take(buf []request) []request {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.due() && !q.closed {
		q.ready.Wait()
	}
	if q.rest != nil {
		q.rest.Stop()
		q.gather.taking(len(q.items), q.under)
	}
	q.first = false
	n, size := 0, 0
	for n < len(q.items) && n < message.MaxMessages {
		m := q.items[n].m
		more := headroom + len(m.Data) + len(m.Blocks)*40
		if n > 0 && size+more > message.MaxBatch {
			break
		}
		size += more
		q.bytes -= len(m.Data)
		q.all.Add(-int64(len(m.Data)))
		n++
	}
	q.under += n
	buf = append(buf[:0], q.items[:n]...)
	rest := copy(q.items, q.items[n:])
	clear(q.items[rest:])
	q.items = q.items[:rest]
	q.tell() // another lane
	return buf
}

// close wakes the lanes and gives back what still waited.
func (q *queue) close() []request {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if q.rest != nil {
		q.rest.Stop()
	}
	left := q.items
	q.items = nil
	q.all.Add(-int64(q.bytes))
	q.bytes = 0
	q.ready.Broadcast()
	return left
}

// load is about how many bytes the waiting requests take.
func (q *queue) load() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return uint64(q.bytes + headroom*len(q.items))
}
