package disk

import (
	"runtime"
	"sync"

	"dmalloc/message"
)

// op is something for the writer to do.
type op struct {
	id    message.RegisterID // a put
	tag   message.Tag
	value []byte
	shard int

	alone func() error // anything else: the writer calls it between two groups

	done func(error)
	cost int
}

// queue is what waits for the writer, in order. What the writer has taken counts until it is done.
type queue struct {
	most int // bytes

	mu     sync.Mutex
	wake   sync.Cond // something waits, or nothing will come any more
	ops    []op
	bytes  int
	count  int
	closed error // why nothing is taken any more
}

func newQueue(most int) *queue {
	q := &queue{most: most}
	q.wake.L = &q.mu
	return q
}

// add queues an op or says why not. What is urgent is not refused for lack of room; the store has few of it.
func (q *queue) add(o op, urgent bool) error {
	o.cost = opCost + len(o.value)
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed != nil:
		return q.closed
	case !urgent && q.count > 0 && q.bytes+o.cost > q.most:
		return message.Errorf(message.Busy, "%d bytes wait for the disk already, and more than %d may not: nothing was done, try again", q.bytes, q.most)
	}
	q.ops = append(q.ops, o)
	q.bytes += o.cost
	q.count++
	q.wake.Signal()
	return nil
}

// take waits for ops and returns all, in order; none when the queue is closed and empty. The slice of before
// is used again.
func (q *queue) take(before []op) []op {
	if clear(before); cap(before) > 4*groupRecords { // lets the values go, and what a burst took
		before = nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ops) == 0 && q.closed == nil {
		q.wake.Wait()
	}
	q.mu.Unlock()
	runtime.Gosched() // who put the first is often followed by others that can run: one sync for all of them
	q.mu.Lock()
	taken := q.ops
	q.ops = before[:0]
	return taken
}

// finish gives back the room of what was taken.
func (q *queue) finish(ops []op) {
	bytes := 0
	for i := range ops {
		bytes += ops[i].cost
	}
	q.mu.Lock()
	q.bytes -= bytes
	q.count -= len(ops)
	q.mu.Unlock()
}

// close takes nothing more, for the first reason given.
func (q *queue) close(why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed == nil {
		q.closed = why
	}
	q.wake.Broadcast()
}

func (q *queue) idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.ops) == 0
}

func (q *queue) load() (count, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count, q.bytes
}
