package member

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"dmalloc/message"
)

func discard([]byte) error { return nil }

// memberlist sets deadlines before it reads, while it reads, and closes from elsewhere.
func TestStreamDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(0, 1, discard, func() {})
		s.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("reading past the deadline: %v", err)
		}
		s.SetDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { s.SetDeadline(time.Now().Add(-1)) })
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("reading while a deadline is set: %v", err)
		}
		if _, err := s.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("writing past the deadline: %v", err)
		}
		s.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := s.Write([]byte("x")); n != 1 || err != nil {
			t.Errorf("writing in time: %d, %v", n, err)
		}
		s.SetDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { s.Close() })
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("reading while it is closed: %v", err)
		}
	})
}

func TestStreamMessages(t *testing.T) {
	ended := 0
	s := newStream(0, 7, discard, func() { ended++ })
	s.deliver([]byte("table"))
	s.deliver([]byte("another"))
	if got, err := io.ReadAll(s); string(got) != "table" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := s.Write(make([]byte, maxMessage+1)); message.CodeOf(err) != message.OutOfBounds {
		t.Errorf("a message too long: %v", err)
	}
	if _, err := s.Write([]byte("answer")); err != nil {
		t.Error(err)
	}
	if _, err := s.Write([]byte("more")); message.CodeOf(err) != message.OutOfBounds {
		t.Errorf("a second message: %v", err)
	}
	if s.RemoteAddr().String() != "10.0.0.7:7946" || s.LocalAddr().Network() != "gossip" {
		t.Errorf("from %v to %v", s.LocalAddr(), s.RemoteAddr())
	}
	s.Close()
	s.Close()
	if _, err := s.Write([]byte("late")); !errors.Is(err, net.ErrClosed) || ended != 1 {
		t.Errorf("closed: %v, ended %d times", err, ended)
	}
}

// A table of as many nodes as there can be fits a stream.
func TestLargestTable(t *testing.T) {
	list := make([][]byte, message.MaxNodes)
	for i := range list {
		id := message.NodeID(maxID - i)
		list[i] = stateNode("Name", name(id), "Addr", []byte(ip(id)))
	}
	m := state([]any{"Nodes", len(list), "UserStateLen", 0, "Join", true}, list...)
	if len(m) > maxMessage {
		t.Errorf("%d bytes; a stream's message has at most %d", len(m), maxMessage)
	}
	if got, ok := readState(m); !ok || len(got) != len(list) {
		t.Errorf("%d nodes are read, %v", len(got), ok)
	}
}

// Questions and dials have their bounds (M4), and closing gives the places back.
func TestStreamBounds(t *testing.T) {
	n := newNetwork(0, "c", carrier{}, func(id message.NodeID) bool { return id < 5 })
	var open []net.Conn
	for range maxStreams {
		c, err := n.DialTimeout(hostport(1), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	if _, err := n.DialTimeout(hostport(1), time.Second); message.CodeOf(err) != message.Busy {
		t.Errorf("one dial too many: %v", err)
	}
	for _, c := range open {
		c.Close()
	}
	if _, err := n.DialTimeout(hostport(9), time.Second); message.CodeOf(err) != message.NoSuchNode {
		t.Errorf("dial of a stranger: %v", err)
	}
	for i := range maxStreams {
		if !n.serve(1, ask, discard) {
			t.Fatalf("question %d is not served", i)
		}
	}
	if n.serve(1, ask, discard) {
		t.Error("one question too many is served")
	}
	(<-n.streams).Close()
	if !n.serve(1, ask, discard) {
		t.Error("no question is served, and there is room")
	}
	c, err := n.DialTimeout(hostport(1), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	n.Shutdown()
	n.Shutdown()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read from a stream of a network that ended: %v", err)
	}
	if _, err := n.DialTimeout(hostport(1), time.Second); err == nil {
		t.Error("dialled in a network that ended")
	}
	if len(n.serving)+len(n.dialed) > 0 {
		t.Errorf("%d served and %d dialled streams are left", len(n.serving), len(n.dialed))
	}
}

// Packets beyond what memberlist has room for are dropped, and so are more indirect probes than are done in a second.
func TestPacketBounds(t *testing.T) {
	n := newNetwork(0, "c", carrier{}, func(message.NodeID) bool { return true })
	ack := packetFrame(n.cluster, pack(typeAck, "SeqNo", 1, "Payload", nil))
	for range maxPackets + 3 {
		n.receive(1, ack)
	}
	if got := n.counts.dropped.Load(); got != 3 {
		t.Errorf("%d packets were dropped, not 3", got)
	}
	now := time.Now()
	for range maxIndirects {
		if !n.allow(1, now) {
			t.Fatal("an indirect probe within the bound is not done")
		}
	}
	if n.allow(1, now) || !n.allow(1, now.Add(time.Second)) {
		t.Error("the bound is not one of each second")
	}
}
