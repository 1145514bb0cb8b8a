package transport

import (
	"encoding/binary"
	"fmt"

	"dmalloc/message"
)

// Version of the frames.
const Version = 1

// kind is what a frame carries. Numbers are part of the wire format: append only.
type kind uint8

const (
	kindHello   kind = iota + 1
	kindRefuse       // code and reason, instead of a hello
	kindRequest      // a message to be answered
	kindAlive        // an ALIVE: the answer is still to come
	kindAnswer       // the answer
	kindFailed       // a relay could not pass the request on: code, whether it may have been sent, reason
	kindRaft         // a Raft batch; nobody answers
	kindChunk        // a piece of a snapshot
	kindTaken        // whether the chunk was taken: one byte
	kindGuest        // a request of a client that the source passes on: a byte for its role, and the message

	kindEnd
)

// class is what a connection is for.
type class uint8

const (
	classMessage class = iota
	classRaft
	classBulk

	classes
)

func (c class) String() string {
	if c < classes {
		return [...]string{"message", "raft", "bulk"}[c]
	}
	return fmt.Sprintf("class_%d", uint8(c))
}

// class on which a kind travels.
func (k kind) class() class {
	switch k {
	case kindRaft:
		return classRaft
	case kindChunk, kindTaken:
		return classBulk
	}
	return classMessage
}

const (
	lengthSize = 4
	headSize   = 1 + 1 + 4 + 4 + 8 // what every frame has behind its length
	hopSize    = 4
	maxHops    = min(message.MaxPath, 255)

	// MaxRaft bounds a Raft batch or chunk.
	MaxRaft = 64 << 20

	maxMessageFrame = message.MaxMessage + 64
	maxRaftFrame    = MaxRaft + 64
	incarnations    = 16 // bytes before Raft's own: for whom and from whom
)

// bound is the largest frame of a class, hops included.
func (c class) bound() int {
	if c == classMessage {
		return maxMessageFrame + maxHops*hopSize
	}
	return maxRaftFrame + maxHops*hopSize
}

// frame is one unit on a connection. payload and trail point into the bytes it was read from.
type frame struct {
	kind     kind
	src, dst message.NodeID
	id       uint64
	prefix   []byte // of the payload, when a frame is made; nil in one that was read
	payload  []byte
	more     [][]byte // of the payload, when a frame is made; what is long is written from where it lies
	trail    []byte   // hopSize bytes a relay
	body     *[]byte  // what payload and trail point into, if it is to be used again
	passing  bool     // payload and trail are valid until the next frame is read
}

// FrameError says why bytes are not a frame.
type FrameError struct{ Why string }

func (e *FrameError) Error() string { return "frame: " + e.Why }

func malformed(format string, args ...any) error { return &FrameError{fmt.Sprintf(format, args...)} }

// appendHead encodes length and head of a frame whose payload and trail have rest bytes.
func (f *frame) appendHead(b []byte, rest int) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(headSize+rest))
	b = append(b, byte(f.kind), byte(len(f.trail)/hopSize))
	b = binary.LittleEndian.AppendUint32(b, uint32(f.src))
	b = binary.LittleEndian.AppendUint32(b, uint32(f.dst))
	return binary.LittleEndian.AppendUint64(b, f.id)
}

// rest is how many bytes follow the head.
func (f *frame) rest() int {
	n := len(f.prefix) + len(f.payload) + len(f.trail)
	for _, p := range f.more {
		n += len(p)
	}
	return n
}

// append encodes the frame.
func (f *frame) append(b []byte) []byte {
	b = f.appendHead(b, f.rest())
	b = append(append(b, f.prefix...), f.payload...)
	for _, p := range f.more {
		b = append(b, p...)
	}
	return append(b, f.trail...)
}

// path lists the nodes that relayed the frame.
func (f *frame) path() []message.NodeID {
	if len(f.trail) == 0 {
		return nil
	}
	nodes := make([]message.NodeID, len(f.trail)/hopSize)
	for i := range nodes {
		nodes[i] = message.NodeID(binary.LittleEndian.Uint32(f.trail[i*hopSize:]))
	}
	return nodes
}

// passed says whether a node relayed the frame.
func (f *frame) passed(n message.NodeID) bool {
	for t := f.trail; len(t) > 0; t = t[hopSize:] {
		if message.NodeID(binary.LittleEndian.Uint32(t)) == n {
			return true
		}
	}
	return false
}

// lastHop is the node that sent the frame on its last link.
func (f *frame) lastHop() message.NodeID {
	if n := len(f.trail); n > 0 {
		return message.NodeID(binary.LittleEndian.Uint32(f.trail[n-hopSize:]))
	}
	return f.src
}

// asks says whether a frame of the kind is answered.
func (k kind) asks() bool { return k == kindRequest || k == kindGuest || k == kindChunk }

func isNode(n message.NodeID) bool { return n < message.MaxNodes }

// parseFrame reads a frame that fills b, which has no length before it.
func parseFrame(b []byte) (frame, error) {
	if len(b) < headSize {
		return frame{}, malformed("%d bytes are no frame", len(b))
	}
	f := frame{
		kind: kind(b[0]),
		src:  message.NodeID(binary.LittleEndian.Uint32(b[2:])),
		dst:  message.NodeID(binary.LittleEndian.Uint32(b[6:])),
		id:   binary.LittleEndian.Uint64(b[10:]),
	}
	if f.kind == 0 || f.kind >= kindEnd {
		return frame{}, malformed("unknown kind %d", b[0])
	}
	for _, n := range [...]message.NodeID{f.src, f.dst} {
		if !isNode(n) && n != message.NoNode {
			return frame{}, malformed("%d is no node", uint32(n))
		}
	}
	rest := b[headSize:]
	hops := int(b[1]) * hopSize
	if hops > len(rest) {
		return frame{}, malformed("%d hops in %d bytes", b[1], len(rest))
	}
	cut := len(rest) - hops
	f.payload, f.trail = rest[:cut:cut], rest[cut:]
	for _, n := range f.path() {
		if !isNode(n) {
			return frame{}, malformed("%d is no node that relays", uint32(n))
		}
	}
	return f, nil
}
