package member

import (
	"io"
	"net"
	"os"
	"sync"
	"time"

	"dmalloc/message"
)

// stream is one side of a question and its answer: a net.Conn on which each side writes one message.
type stream struct {
	self, peer message.NodeID
	send       func([]byte) error // carries the one message that is written
	ended      func()             // forgets the stream; called once

	mu      sync.Mutex    // guards what follows
	changed chan struct{} // closed, and made anew, when something changes for a waiting Read
	in      []byte
	arrived bool
	wrote   bool
	closed  bool
	readBy  time.Time
	writeBy time.Time
}

func newStream(self, peer message.NodeID, send func([]byte) error, ended func()) *stream {
	return &stream{self: self, peer: peer, send: send, ended: ended, changed: make(chan struct{})}
}

// change wakes Read. The caller holds mu.
func (s *stream) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// deliver hands over the other side's message, which is the stream's from here on.
func (s *stream) deliver(m []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.arrived {
		s.in, s.arrived = m, true
		s.change()
	}
}

// Read waits for the other side's message and ends with io.EOF behind it.
func (s *stream) Read(p []byte) (int, error) {
	for {
		n, changed, by, err := s.tryRead(p)
		if changed == nil {
			return n, err
		}
		var late <-chan time.Time
		var timer *time.Timer
		if !by.IsZero() {
			timer = time.NewTimer(time.Until(by))
			late = timer.C
		}
		select {
		case <-changed:
		case <-late:
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// tryRead reads what is there. If there is nothing yet it returns what to wait for.
func (s *stream) tryRead(p []byte) (n int, changed <-chan struct{}, by time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return 0, nil, by, net.ErrClosed
	case len(p) == 0:
		return 0, nil, by, nil
	case s.arrived && len(s.in) == 0:
		return 0, nil, by, io.EOF
	case s.arrived:
		n = copy(p, s.in)
		s.in = s.in[n:]
		return n, nil, by, nil
	case !s.readBy.IsZero() && !time.Now().Before(s.readBy):
		return 0, nil, by, os.ErrDeadlineExceeded
	}
	return 0, s.changed, s.readBy, nil
}

// Write carries the side's message. There is one: a second is refused.
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	switch {
	case s.closed:
		s.mu.Unlock()
		return 0, net.ErrClosed
	case !s.writeBy.IsZero() && !time.Now().Before(s.writeBy):
		s.mu.Unlock()
		return 0, os.ErrDeadlineExceeded
	case s.wrote || len(p) > maxMessage:
		s.mu.Unlock()
		return 0, message.Errorf(message.OutOfBounds, "a stream carries one message of at most %d bytes each way, not %d more", maxMessage, len(p))
	}
	s.wrote = true
	s.mu.Unlock()
	if err := s.send(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close forgets the stream. The other side is not told: it has its deadline.
func (s *stream) Close() error {
	s.mu.Lock()
	was := s.closed
	s.closed = true
	if !was {
		s.change()
	}
	s.mu.Unlock()
	if !was {
		s.ended()
	}
	return nil
}

func (s *stream) LocalAddr() net.Addr  { return address(s.self) }
func (s *stream) RemoteAddr() net.Addr { return address(s.peer) }

func (s *stream) SetDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readBy, s.writeBy = t, t
	s.change()
	return nil
}

func (s *stream) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readBy = t
	s.change()
	return nil
}

func (s *stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeBy = t
	return nil
}
