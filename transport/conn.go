package transport

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/message"
)

const (
	nodeBuffer   = 64 << 10 // bytes read at once from a node
	clientBuffer = 16 << 10 // and from a client: there may be thousands
)

// conn is an established connection: one goroutine reads, one writes, and run waits for both.
type conn struct {
	t           *Transport
	nc          net.Conn
	node        message.NodeID // at the other end; NoNode is a client
	role        Role           // of a client; what a node says goes by its frames
	incarnation uint64
	class       class
	link        *link // nil for a client
	queue       *queue
	address     string
	relaying    atomic.Int32 // requests of this client that are passed on and not answered
	answered    bool         // an answer has come in what was read last; the reader's

	ctx  context.Context // ends with the connection
	once sync.Once
	why  error // why it ended; set once, before queue is closed
}

var errHungUp = errors.New("closed by this side")

// run carries the connection until it breaks or ctx ends, and says why.
func (c *conn) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.ctx = ctx
	c.t.count(connectionsOpened)
	defer c.t.count(connectionsClosed)
	c.queue.writesTo(c)
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(ended); c.close(errHungUp) })
	var reader sync.WaitGroup
	reader.Go(func() { c.close(c.read()) })
	c.close(c.write())
	if stop() {
		cancel()
	} else {
		<-ended
	}
	reader.Wait()
	return c.why
}

// close ends the connection for the reason given, if it has not ended yet.
func (c *conn) close(why error) {
	c.once.Do(func() {
		c.why = why
		_ = c.nc.Close()
		c.queue.close()
	})
}

func (c *conn) read() error {
	size := nodeBuffer
	if c.link == nil && c.t.cfg.Self != message.NoNode {
		size = clientBuffer
	}
	r := bufio.NewReaderSize(c.nc, size)
	bound, next := c.class.bound(), nextFrame
	if c.class == classBulk {
		next = readFrame // who takes a chunk may keep it
	}
	if c.node == message.NoNode {
		bound = maxMessageFrame
	}
	corked := false
	for {
		if corked && !whole(r) {
			if c.answered {
				c.answered = false
				runtime.Gosched() // who got an answer may have the next question: all of them are one write
			}
			corked = false
			c.queue.uncork()
		}
		f, err := next(r, bound, c.class == classRaft)
		if err == nil {
			if !corked {
				corked = true
				c.queue.cork()
			}
			c.t.count(framesIn)
			c.t.add(bytesIn, lengthSize+headSize+f.rest())
			c.link.hear()
			err = c.dispatch(&f)
			if plantedDouble && err == nil {
				err = c.dispatch(&f)
			}
			if f.kind == kindRaft && f.dst == c.t.cfg.Self { // what is passed on is written from where it lies
				f.done()
			}
		}
		if err != nil {
			var bad *FrameError
			if errors.As(err, &bad) {
				c.t.count(malformedFrames)
			}
			if errors.Is(err, io.EOF) {
				err = errors.New("the other side closed it")
			}
			return err
		}
	}
}

func (c *conn) write() error {
	var taken []segment
	var out net.Buffers
	for {
		var next int64
		var ok bool
		taken, next, ok = c.queue.take(c.t.now(), taken[:0])
		if !ok {
			return errHungUp
		}
		if len(taken) == 0 {
			c.rest(next)
			runtime.Gosched() // who woke this goroutine is followed by others that have frames, too: one write for all
			continue
		}
		out = buffers(out[:0], taken)
		err := c.flush(out)
		clear(out)
		c.queue.written(taken)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.count(slowClosed)
			return message.Errorf(message.Unavailable, "the other side has not read for %v", c.t.cfg.Limits.Stall)
		}
		if err != nil {
			return err
		}
	}
}

// rest waits for something to write, until the moment next if there is one.
func (c *conn) rest(next int64) {
	if next == 0 {
		<-c.queue.wake // closing the queue wakes too
		return
	}
	timer := time.NewTimer(time.Duration(next - c.t.now()))
	defer timer.Stop()
	select {
	case <-c.queue.wake:
	case <-timer.C:
	}
}

// flush writes buffers, in pieces for which the other side has Limits.Stall each.
func (c *conn) flush(out net.Buffers) error {
	for len(out) > 0 {
		if err := c.nc.SetWriteDeadline(time.Now().Add(c.t.cfg.Limits.Stall)); err != nil {
			return err
		}
		if len(out[0]) > writeAtOnce {
			n, err := c.nc.Write(out[0][:writeAtOnce])
			if err != nil {
				return err
			}
			c.t.add(bytesOut, n)
			out[0] = out[0][n:]
			continue
		}
		n := 1
		for bytes := len(out[0]); n < len(out) && bytes+len(out[n]) <= writeAtOnce; n++ {
			bytes += len(out[n])
		}
		now := out[:n:n] // WriteTo uses its receiver up
		wrote, err := now.WriteTo(c.nc)
		if err != nil {
			return err
		}
		c.t.add(bytesOut, int(wrote))
		out = out[n:]
	}
	return nil
}

// send queues a frame on this very connection, as answers are.
func (c *conn) send(f *frame, m *message.Message) (verdict, error) {
	due, lost := c.link.judge(f.kind)
	if lost {
		return queued, nil
	}
	v, err := c.queue.put(f, m, due)
	switch v {
	case queued:
		c.t.count(framesOut)
		if !c.t.together.holds(c.queue) || c.queue.much() {
			c.queue.tell()
		}
	case closed:
		c.t.count(answersDropped)
	}
	return v, err
}

// must sends a short frame. Who does not even read those loses the connection (T2).
func (c *conn) must(f *frame, m *message.Message) {
	if v, _ := c.send(f, m); v == full {
		c.t.count(slowClosed)
		c.close(errors.New("the other side does not read its answers"))
	}
}
