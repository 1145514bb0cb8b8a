package transport

import (
	"encoding/binary"
	"io"
	"net"

	"dmalloc/message"
)

const (
	magic       = "DMAL"
	helloSize   = len(magic) + 1 + 1 + 8 + 8
	helloLength = headSize + helloSize // the one length that a hello can have
	maxRefusal  = headSize + 2 + 1024
)

// hello is the first thing that each side says.
type hello struct {
	from, to    message.NodeID // to is NoNode where whoever listens is meant
	version     uint8
	class       class
	cluster     uint64 // 0: a client that does not know it yet
	incarnation uint64
}

func (h hello) frame() *frame {
	b := append(make([]byte, 0, helloSize), magic...)
	b = append(b, h.version, byte(h.class))
	b = binary.LittleEndian.AppendUint64(b, h.cluster)
	b = binary.LittleEndian.AppendUint64(b, h.incarnation)
	return &frame{kind: kindHello, src: h.from, dst: h.to, payload: b}
}

// parseHello reads a hello that fills b, which has no length before it.
func parseHello(b []byte) (hello, error) {
	f, err := parseFrame(b)
	if err != nil {
		return hello{}, err
	}
	if f.kind != kindHello || f.id != 0 || len(f.trail) != 0 || len(f.payload) != helloSize || string(f.payload[:len(magic)]) != magic {
		return hello{}, malformed("not a dmalloc hello")
	}
	p := f.payload[len(magic):]
	return hello{from: f.src, to: f.dst, version: p[0], class: class(p[1]),
		cluster: binary.LittleEndian.Uint64(p[2:]), incarnation: binary.LittleEndian.Uint64(p[10:])}, nil
}

// readHello reads a hello, or the refusal that came instead, without any buffer that outlives it.
func readHello(nc net.Conn) (hello, error) {
	var head [lengthSize]byte
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		return hello{}, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if likeTLS(head[:]) {
		return hello{}, malformed("this is not dmalloc's protocol but TLS, which this side was not given certificates for")
	}
	if n < headSize || n > maxRefusal {
		return hello{}, malformed("this is not dmalloc's protocol")
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(nc, b[:1]); err != nil {
		return hello{}, err
	}
	if k := kind(b[0]); k != kindRefuse && (k != kindHello || n != uint32(helloLength)) {
		return hello{}, malformed("this is not dmalloc's protocol")
	}
	if _, err := io.ReadFull(nc, b[1:]); err != nil {
		return hello{}, err
	}
	if kind(b[0]) == kindHello {
		return parseHello(b)
	}
	f, err := parseFrame(b)
	if err == nil {
		err = refusal(&f)
	}
	return hello{}, err
}

// refusalFrame carries an error of the hello.
func refusalFrame(self message.NodeID, err *message.Error) *frame {
	return &frame{kind: kindRefuse, src: self, dst: message.NoNode, payload: append([]byte{byte(err.Code)}, err.Text...)}
}

// refusal is the error that a refuse frame carries.
func refusal(f *frame) error {
	if len(f.payload) == 0 || !message.Code(f.payload[0]).Valid() {
		return malformed("a refusal without a reason")
	}
	return message.Errorf(message.Code(f.payload[0]), "refused: %s", clean(f.payload[1:]))
}

// clean makes a stranger's words fit for an error: valid UTF-8 of moderate length, without control characters.
func clean(b []byte) string {
	const most = 300
	runes := []rune(string(b[:min(len(b), most)]))
	for i, r := range runes {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			runes[i] = '?'
		}
	}
	return string(runes)
}

// judge says why a hello is refused, nil if it is welcome.
func (t *Transport) judge(h hello) *message.Error {
	self := t.cfg.Self
	switch {
	case h.version != Version:
		return message.Errorf(message.Unsupported, "version %d of the protocol was offered, node %s speaks %d; use the same dmalloc on both sides", h.version, self, Version)
	case h.class >= classes || (h.from == message.NoNode && h.class != classMessage):
		return message.Errorf(message.InvalidArgument, "%s connections are not for a client", h.class)
	case h.cluster != t.cfg.Cluster && (h.cluster != 0 || h.from != message.NoNode):
		return message.Errorf(message.Forbidden, "node %s belongs to cluster %016x, not to %016x; check the address", self, t.cfg.Cluster, h.cluster)
	case h.to != self && h.to != message.NoNode:
		return message.Errorf(message.NoSuchNode, "node %s listens here, not node %s; check the address", self, h.to)
	case h.from == self:
		return message.Errorf(message.Forbidden, "a node that calls itself %s, as this one does, was here; two nodes have one id", self)
	}
	return nil
}
