package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"dmalloc/message"
)

// strangers are connections that have not said hello, oldest first. There is room for a few; when more
// come the oldest goes, because an honest hello takes a moment and a silent one for ever.
type strangers struct {
	most int

	mu   sync.Mutex // guards what follows
	list []net.Conn
}

// enter takes a newcomer in and returns who has to go for it.
func (s *strangers) enter(nc net.Conn) (oldest net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) >= s.most {
		oldest = s.list[0]
		s.list = append(s.list[:0], s.list[1:]...)
	}
	s.list = append(s.list, nc)
	return oldest
}

func (s *strangers) leave(nc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, have := range s.list {
		if have == nc {
			s.list = append(s.list[:i], s.list[i+1:]...)
			return
		}
	}
}

// accept takes connections until the listener is closed. A full table of descriptors, or whatever else the
// kernel has to say, ends nothing: it waits a little and goes on (T3).
func (t *Transport) accept() {
	pause := time.Duration(0)
	for {
		nc, err := t.cfg.Listener.Accept()
		if err != nil {
			if t.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			t.count(acceptErrors)
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			select {
			case <-time.After(pause):
			case <-t.ctx.Done():
				return
			}
			continue
		}
		pause = 0
		if oldest := t.strangers.enter(nc); oldest != nil {
			t.count(strangersDropped)
			_ = oldest.Close()
		}
		if !t.spawn(func() { t.receive(nc) }) {
			t.strangers.leave(nc)
			_ = nc.Close()
		}
	}
}

// receive carries an accepted connection from its hello to its end.
func (t *Transport) receive(raw net.Conn) {
	nc, h, ok := t.greet(raw)
	if !ok {
		_ = raw.Close()
		return
	}
	defer t.open.Add(-1)
	c := &conn{t: t, nc: nc, node: h.from, role: t.role(nc, h), incarnation: h.incarnation, class: h.class,
		queue: newQueue(t.cfg.Limits.queue(h.class)), address: nc.RemoteAddr().String()}
	if isNode(h.from) {
		c.link = t.link(h.from)
		c.link.hear()
		for i := range c.link.outlets {
			c.link.outlets[i].reset(false) // it lives: what failed before may work now
		}
	}
	_ = c.run(t.ctx) // nobody waits for this connection in particular: why it ended is the other side's to know
}

// greet reads the hello and answers it, within Limits.Hello, with TLS after the handshake. Of a stranger nothing
// is kept but a few bytes, and what the handshake needs.
func (t *Transport) greet(raw net.Conn) (net.Conn, hello, bool) {
	defer t.strangers.leave(raw)
	closed := make(chan struct{})
	stop := context.AfterFunc(t.ctx, func() { defer close(closed); _ = raw.Close() })
	defer func() {
		if !stop() {
			<-closed
		}
	}()
	keep(raw)
	if err := raw.SetDeadline(time.Now().Add(t.cfg.Limits.Hello)); err != nil {
		return nil, hello{}, false
	}
	nc, ok := t.shake(raw)
	if !ok {
		return nil, hello{}, false
	}
	h, err := readHello(nc)
	var why *message.Error
	var bad *FrameError
	switch {
	case errors.As(err, &bad):
		why = message.Errorf(message.InvalidArgument, "%s; this port is for dmalloc's nodes and clients", bad.Why)
	case err != nil: // gone, silent, or a refusal: there is nobody to talk to
		t.count(hellosRefused)
		return nil, hello{}, false
	default:
		if why = t.judge(h); why == nil {
			why = t.entitled(nc, h)
		}
	}
	if why == nil && int(t.open.Add(1)) > t.cfg.Limits.Connections {
		t.open.Add(-1)
		why = message.Errorf(message.Busy, "node %s has %d connections; close some", t.cfg.Self, t.cfg.Limits.Connections)
	}
	if why != nil {
		t.count(hellosRefused)
		refuse(nc, refusalFrame(t.cfg.Self, why))
		return nil, hello{}, false
	}
	own := hello{from: t.cfg.Self, to: h.from, version: Version, class: h.class, cluster: t.cfg.Cluster, incarnation: t.cfg.Incarnation}
	_, err = nc.Write(own.frame().append(nil))
	if err == nil {
		err = nc.SetDeadline(time.Time{})
	}
	if err != nil {
		t.open.Add(-1)
		return nil, hello{}, false
	}
	return nc, h, true
}

// refuse says why.
func refuse(nc net.Conn, f *frame) {
	if _, err := nc.Write(f.append(nil)); err == nil {
		drain(nc)
	}
}

// drain reads away what a stranger had sent, at most a little: a connection closed over unread bytes is reset,
// and what was said last would be lost.
func drain(nc net.Conn) {
	if half, ok := nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, nc, segmentSize)
	}
}
