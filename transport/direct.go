package transport

import (
	"bufio"
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// writesTo has flush write to the connection's socket. TLS has a state of its own and may have to wait: there
// the writer does it all.
func (q *queue) writesTo(c *conn) {
	tcp, ok := c.nc.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.direct = func(b []byte) (n int, all bool) {
		_ = raw.Control(func(fd uintptr) { // it is not blocking: what does not fit, and every error, is left to the writer
			for n < len(b) {
				wrote, err := unix.Write(int(fd), b[n:])
				if err == unix.EINTR {
					continue
				}
				if err != nil || wrote <= 0 {
					return
				}
				n += wrote
			}
		})
		c.t.add(bytesOut, n)
		return n, n == len(b)
	}
}

// whole says whether the next frame has been read from the socket already, so that it can be had without waiting.
func whole(r *bufio.Reader) bool {
	have := r.Buffered()
	if have < lengthSize {
		return false
	}
	head, err := r.Peek(lengthSize)
	return err == nil && uint64(have-lengthSize) >= uint64(binary.LittleEndian.Uint32(head))
}

// together gathers the answers of many requests that end at once: each connection gets its own in one write.
type together struct {
	under atomic.Int32 // functions that are running

	mu     sync.Mutex // guards what follows
	queues []*queue
}

// Together runs f; answers that f gives are written when it is done.
func (t *Transport) Together(f func()) {
	g := &t.together
	g.under.Add(1)
	f()
	g.under.Add(-1)
	g.mu.Lock()
	queues := g.queues
	g.queues = nil
	for _, q := range queues {
		q.gathered = false
	}
	g.mu.Unlock()
	for _, q := range queues {
		q.flush()
	}
}

// holds says that what was put into a queue is going to be flushed.
func (g *together) holds(q *queue) bool {
	if g.under.Load() == 0 {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.under.Load() == 0 {
		return false
	}
	if !q.gathered {
		q.gathered = true
		g.queues = append(g.queues, q)
	}
	return true
}
