package client

import (
	"context"
	"net"
	"testing"

	"dmalloc/message"
	"dmalloc/transport"
)

// told keeps under which tag, and with what, a request ended.
type told struct {
	tag  uint64
	err  error
	over chan struct{}
}

func (*told) Alive(uint64) {}

func (s *told) Done(tag uint64, _ *message.Message, err error) {
	s.tag, s.err = tag, err
	close(s.over)
}

// In a topology a client speaks to one node only, and to the next one when that is gone. Whoever waits is told of it as ever.
func TestAnEntryNodeThatIsGoneIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		topology []message.Edge
		moves    int64
	}{
		"with a topology": {[]message.Edge{{A: 0, B: 1}, {A: 1, B: 2}}, 1},
		"without":         {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tr, err := transport.New(transport.Config{Self: message.NoNode, Dial: func(context.Context, string) (net.Conn, error) { return nil, errGone }})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tr.Close() }()
			d := three()
			d.Settings.Topology = c.topology
			for i := range d.Nodes {
				d.Nodes[i].Address = "127.0.0.1:1"
			}
			w := &wire{Transport: tr}
			w.SetDirectory(d)
			s := &told{over: make(chan struct{})}
			w.Ask(0, message.New(message.TEST), s, 7)
			<-s.over
			if s.tag != 7 || s.err == nil || w.entry.Load() != c.moves {
				t.Errorf("told of %d: %v; moved %d times, want %d", s.tag, s.err, w.entry.Load(), c.moves)
			}
		})
	}
}
