package member

import (
	"bytes"
	"encoding/binary"

	"dmalloc/message"
)

// memberlist's message types, as far as it sends them here.
const (
	typePing     = 0
	typeIndirect = 1
	typeAck      = 2
	typeSuspect  = 3
	typeAlive    = 4
	typeDead     = 5
	typePushPull = 6
	typeCompound = 7
	typeNack     = 11
	typeCRC      = 12
	typeError    = 13
)

// maxIncarnation is the largest that is believed: refuting must be able to go further without an overflow.
const maxIncarnation = 1 << 30

// shape is a message's fields: all of these and no other, but for the optional.
var shapes = map[byte]struct {
	fields   []string
	optional int // how many at the end may be missing
}{
	typePing:     {[]string{"SeqNo", "Node", "SourceAddr", "SourcePort", "SourceNode"}, 3},
	typeIndirect: {[]string{"SeqNo", "Target", "Port", "Node", "Nack", "SourceAddr", "SourcePort", "SourceNode"}, 3},
	typeAck:      {[]string{"SeqNo", "Payload"}, 0},
	typeNack:     {[]string{"SeqNo"}, 0},
	typeSuspect:  {[]string{"Incarnation", "Node", "From"}, 0},
	typeDead:     {[]string{"Incarnation", "Node", "From"}, 0},
	typeAlive:    {[]string{"Incarnation", "Node", "Addr", "Port", "Meta", "Vsn"}, 0},
}

var (
	stateHeader = []string{"Nodes", "UserStateLen", "Join"}
	stateEntry  = []string{"Name", "Addr", "Port", "Meta", "Incarnation", "State", "Vsn"}
	errorFields = []string{"Error"}
)

// checkPacket says whether a packet is one that memberlist sends, and how many indirect probes it asks for (M3).
func checkPacket(b []byte) (indirects int, ok bool) {
	if len(b) > maxPacket {
		return 0, false
	}
	if len(b) > 5 && b[0] == typeCRC {
		b = b[5:] // memberlist compares the sum
	}
	if len(b) == 0 || b[0] != typeCompound {
		return checkMessage(b)
	}
	if b = b[1:]; len(b) == 0 {
		return 0, false
	}
	count := int(b[0])
	if b = b[1:]; len(b) < 2*count {
		return 0, false
	}
	sizes, rest := b[:2*count], b[2*count:]
	for ; len(sizes) > 0; sizes = sizes[2:] {
		size := int(binary.BigEndian.Uint16(sizes))
		if size > len(rest) {
			return 0, false
		}
		n, ok := checkMessage(rest[:size])
		if !ok {
			return 0, false
		}
		indirects, rest = indirects+n, rest[size:]
	}
	return indirects, len(rest) == 0
}

func checkMessage(b []byte) (indirects int, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	shape, known := shapes[b[0]]
	if !known {
		return 0, false
	}
	f, rest, ok := readFields(b[1:], shape.fields, shape.optional)
	if !ok || len(rest) > 0 {
		return 0, false
	}
	switch b[0] {
	case typeIndirect:
		indirects = 1
	case typeDead:
		// A node that says so of itself has left. Ours never do: they come back.
		ok = !bytes.Equal(f.node, f.from)
	case typeAlive:
		ok = f.agrees()
	}
	return indirects, ok
}

// entry is one node in memberlist's table.
type entry struct {
	node        message.NodeID
	state       State
	load        uint16
	incarnation uint32
}

// readState reads the table of memberlist as a stream carries it.
func readState(b []byte) ([]entry, bool) {
	if len(b) == 0 || b[0] != typePushPull {
		return nil, false
	}
	head, rest, ok := readFields(b[1:], stateHeader, 0)
	if !ok || head.user != 0 || head.nodes > message.MaxNodes {
		return nil, false
	}
	list := make([]entry, 0, head.nodes)
	for range head.nodes {
		var f fields
		if f, rest, ok = readFields(rest, stateEntry, 0); !ok || !f.agrees() || f.state > 2 {
			return nil, false
		}
		id, _ := parseName(f.node)
		list = append(list, entry{id, Alive + State(f.state), readMeta(f.meta), uint32(f.incarnation)})
	}
	return list, len(rest) == 0
}

// checkQuestion and checkAnswer say whether a stream's message is one that memberlist sends (M3).
func checkQuestion(b []byte) bool { _, ok := readState(b); return ok }

func checkAnswer(b []byte) bool {
	if len(b) > 0 && b[0] == typeError {
		_, rest, ok := readFields(b[1:], errorFields, 0)
		return ok && len(rest) == 0
	}
	return checkQuestion(b)
}

const metaVersion = 1

func writeMeta(load uint16) []byte { return []byte{metaVersion, byte(load), byte(load >> 8)} }

func readMeta(b []byte) uint16 {
	if len(b) < 3 || b[0] != metaVersion {
		return 0
	}
	return binary.LittleEndian.Uint16(b[1:])
}
