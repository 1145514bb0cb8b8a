package member

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"dmalloc/message"
)

var errClosed = errors.New("the failure detector is closed")

// network is memberlist's transport over a Carrier.
type network struct {
	self    message.NodeID
	cluster uint32
	carrier Carrier
	known   func(message.NodeID) bool
	packets chan *memberlist.Packet
	streams chan net.Conn
	done    chan struct{}
	counts  counts

	// Of all that is sent and received. An answer comes after its question, and memberlist relies on that for what it
	// noted of the question without a lock; the way over other nodes shows it to nobody, this does.
	passing atomic.Uint64

	mu       sync.Mutex // guards what follows
	closed   bool
	dialed   map[uint64]*dialed   // questions of ours without an answer yet
	arriving map[asker]*question  // questions of others, of which parts are missing
	serving  map[*stream]struct{} // questions of others that memberlist is answering
	second   time.Time            // when the count of indirect probes began
	asked    int                  // indirect probes that others asked for since
}

type dialed struct {
	stream *stream
	assembly
}

type asker struct {
	peer   message.NodeID
	stream uint64
}

type question struct {
	since time.Time
	assembly
}

// counts are what became of packets.
type counts struct{ sent, unsent, received, dropped, refused atomic.Uint64 }

func newNetwork(self message.NodeID, cluster string, carrier Carrier, known func(message.NodeID) bool) *network {
	return &network{self: self, cluster: clusterSum(cluster), carrier: carrier, known: known,
		packets: make(chan *memberlist.Packet, maxPackets), streams: make(chan net.Conn, maxStreams), done: make(chan struct{}),
		dialed: map[uint64]*dialed{}, arriving: map[asker]*question{}, serving: map[*stream]struct{}{}}
}

// The methods that make it a memberlist.NodeAwareTransport.

func (n *network) FinalAdvertiseAddr(string, int) (net.IP, int, error) { return ip(n.self), port, nil }

func (n *network) PacketCh() <-chan *memberlist.Packet { return n.packets }

func (n *network) StreamCh() <-chan net.Conn { return n.streams }

func (n *network) WriteTo(b []byte, to string) (time.Time, error) {
	return n.WriteToAddress(b, memberlist.Address{Addr: to})
}

// WriteToAddress never fails: a packet that cannot be sent is a packet lost. memberlist would take an error
// for a fault of its own, and end its probe without a verdict.
func (n *network) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	if id, ok := parseAddress(to.Addr); ok {
		n.carry(id, packetFrame(n.cluster, b))
	}
	return time.Now(), nil
}

func (n *network) carry(to message.NodeID, frame []byte) {
	select {
	case <-n.done:
		return
	default:
	}
	if to == n.self || !n.known(to) {
		return // a node that was removed: the table of memberlist still has it for a while
	}
	n.passing.Add(1)
	if err := n.carrier.Send(to, frame); err != nil {
		n.counts.unsent.Add(1)
		return
	}
	n.counts.sent.Add(1)
}

func (n *network) DialTimeout(to string, timeout time.Duration) (net.Conn, error) {
	return n.DialAddressTimeout(memberlist.Address{Addr: to}, timeout)
}

// DialAddressTimeout opens a stream. Nothing is sent yet: the question opens it on the other side.
func (n *network) DialAddressTimeout(to memberlist.Address, _ time.Duration) (net.Conn, error) {
	peer, ok := parseAddress(to.Addr)
	if !ok || !n.known(peer) {
		return nil, message.Errorf(message.NoSuchNode, "%s is the address of no node of the directory", message.Quote(to.Addr))
	}
	// A random number, so that what is left of a stream of an earlier life of ours fits none.
	id := rand.Uint64()
	s := newStream(n.self, peer, func(m []byte) error {
		n.carryStream(peer, kindQuestion, id, m)
		return nil
	}, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.dialed, id)
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, errClosed
	}
	if len(n.dialed) >= maxStreams {
		return nil, message.Errorf(message.Busy, "%d exchanges are under way already; the next one is due soon", maxStreams)
	}
	n.dialed[id] = &dialed{stream: s}
	return s, nil
}

func (n *network) carryStream(peer message.NodeID, kind byte, id uint64, m []byte) {
	for _, f := range streamFrames(n.cluster, kind, id, m) {
		n.carry(peer, f)
	}
}

// Shutdown ends all streams, and with them whatever in memberlist waits for one.
func (n *network) Shutdown() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	close(n.done)
	var open []*stream
	for _, d := range n.dialed {
		open = append(open, d.stream)
	}
	for s := range n.serving {
		open = append(open, s)
	}
	clear(n.arriving)
	n.mu.Unlock()
	for _, s := range open {
		s.Close()
	}
	return nil
}

// receive takes what the carrier brought. It keeps nothing of b.
func (n *network) receive(from message.NodeID, b []byte) {
	select {
	case <-n.done:
		return
	default:
	}
	n.passing.Add(1)
	n.counts.received.Add(1)
	f, ok := readFrame(n.cluster, b)
	if !ok || from == n.self || !n.known(from) {
		n.counts.refused.Add(1)
		return
	}
	switch f.kind {
	case kindPacket:
		n.packet(from, f.payload)
	case kindQuestion:
		n.question(from, f)
	case kindAnswer:
		n.answer(from, f)
	}
}

func (n *network) packet(from message.NodeID, b []byte) {
	now := time.Now()
	indirects, ok := checkPacket(b)
	if !ok {
		n.counts.refused.Add(1)
		return
	}
	if indirects > 0 && !n.allow(indirects, now) {
		n.counts.dropped.Add(1)
		return
	}
	// memberlist keeps pieces of a packet until it has digested them.
	select {
	case n.packets <- &memberlist.Packet{Buf: append([]byte(nil), b...), From: address(from), Timestamp: now}:
	default:
		n.counts.dropped.Add(1)
	}
}

// allow bounds the indirect probes that are done for others.
func (n *network) allow(indirects int, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now.Sub(n.second) >= time.Second {
		n.second, n.asked = now, 0
	}
	n.asked += indirects
	return n.asked <= maxIndirects
}

func (n *network) question(from message.NodeID, f frame) {
	m := n.assemble(from, f)
	if m == nil {
		return
	}
	if !checkQuestion(m) {
		n.counts.refused.Add(1)
		return
	}
	n.serve(from, m, func(answer []byte) error {
		n.carryStream(from, kindAnswer, f.stream, answer)
		return nil
	})
}

// assemble adds a part of a question, and returns the question when it is complete.
func (n *network) assemble(from message.NodeID, f frame) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	key, now := asker{from, f.stream}, time.Now()
	q := n.arriving[key]
	if q == nil {
		for k, old := range n.arriving {
			if now.Sub(old.since) > streamTime {
				delete(n.arriving, k) // a part was lost, or its sender
			}
		}
		if len(n.arriving) >= maxStreams {
			n.counts.dropped.Add(1)
			return nil
		}
		q = &question{since: now}
		n.arriving[key] = q
	}
	m := q.add(f)
	if m != nil {
		delete(n.arriving, key)
	}
	return m
}

// serve has memberlist answer a question, and says whether it will.
func (n *network) serve(peer message.NodeID, question []byte, send func([]byte) error) bool {
	var s *stream
	s = newStream(n.self, peer, send, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.serving, s)
	})
	s.deliver(question)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	if len(n.serving) < maxStreams {
		select {
		case n.streams <- s:
			n.serving[s] = struct{}{}
			return true
		default:
		}
	}
	n.counts.dropped.Add(1)
	return false
}

func (n *network) answer(from message.NodeID, f frame) {
	n.mu.Lock()
	d := n.dialed[f.stream]
	if d == nil || d.stream.peer != from {
		n.mu.Unlock()
		return // late: whoever asked has given up
	}
	m := d.add(f)
	n.mu.Unlock()
	if m == nil {
		return
	}
	if !checkAnswer(m) {
		n.counts.refused.Add(1)
		return
	}
	d.stream.deliver(m)
}
