package member

import (
	"bytes"
	"encoding/binary"
	"math"
)

// fields are what the guard looks at in a message; the rest it only measures.
type fields struct {
	node, from, addr, meta, vsn []byte
	incarnation, state, nodes   uint64
	user, port                  uint64
}

// agrees says whether an alive node is named and addressed as ours are, and speaks the version we speak.
// memberlist would panic on a shorter version, and an incompatible one would end all exchanges.
func (f *fields) agrees() bool {
	id, ok := parseName(f.node)
	if !ok || f.port != port || !bytes.Equal(f.addr, ip(id)) || len(f.vsn) != 6 {
		return false
	}
	return f.vsn[0] > 0 && f.vsn[0] <= speaks && f.vsn[1] >= speaks && f.vsn[2] == speaks && bytes.Equal(f.vsn[3:], []byte{0, 0, 0})
}

// value is one of the MessagePack values that memberlist's messages are made of.
type value struct {
	kind byte // 'n' number, 's' bytes, 'b' true or false
	n    uint64
	s    []byte
}

// limits of each field: what it is and how large, or how long.
var limits = map[string]struct {
	kind byte
	most uint64
}{
	"SeqNo": {'n', math.MaxUint32}, "Incarnation": {'n', maxIncarnation}, "Port": {'n', math.MaxUint16},
	"SourcePort": {'n', math.MaxUint16}, "State": {'n', 3}, "Nodes": {'n', math.MaxUint16}, "UserStateLen": {'n', 0},
	"Node": {'s', 16}, "Name": {'s', 16}, "From": {'s', 16}, "SourceNode": {'s', 16}, "Addr": {'s', 16}, "SourceAddr": {'s', 16},
	"Target": {'s', 16}, "Meta": {'s', 64}, "Payload": {'s', 64}, "Vsn": {'s', 6}, "Error": {'s', 1024},
	"Nack": {'b', 1}, "Join": {'b', 1},
}

// readFields reads a map with exactly the wanted keys, each once, of which the last few may be missing.
func readFields(b []byte, want []string, optional int) (f fields, rest []byte, ok bool) {
	if len(b) == 0 || b[0] < 0x80 || b[0] > 0x8f {
		return f, nil, false
	}
	count := int(b[0] & 0x0f)
	if count > len(want) || count < len(want)-optional {
		return f, nil, false
	}
	b = b[1:]
	found := uint(0) // a bit for each of want
	for range count {
		var key, v value
		if key, b, ok = readValue(b); !ok || key.kind != 's' {
			return f, nil, false
		}
		if v, b, ok = readValue(b); !ok {
			return f, nil, false
		}
		i := index(want, key.s)
		if i < 0 || found&(1<<i) != 0 || !f.set(want[i], v) {
			return f, nil, false
		}
		found |= 1 << i
	}
	needed := uint(1)<<(len(want)-optional) - 1
	return f, b, found&needed == needed
}

func index(want []string, key []byte) int {
	for i, w := range want {
		if w == string(key) {
			return i
		}
	}
	return -1
}

func (f *fields) set(key string, v value) bool {
	limit := limits[key]
	size := v.n
	if v.kind == 's' {
		size = uint64(len(v.s))
	}
	if v.kind != limit.kind || size > limit.most {
		return false
	}
	switch key {
	case "Node", "Name":
		f.node = v.s
	case "From":
		f.from = v.s
	case "Addr":
		f.addr = v.s
	case "Meta":
		f.meta = v.s
	case "Vsn":
		f.vsn = v.s
	case "Incarnation":
		f.incarnation = v.n
	case "State":
		f.state = v.n
	case "Nodes":
		f.nodes = v.n
	case "UserStateLen":
		f.user = v.n
	case "Port":
		f.port = v.n
	}
	return true
}

// readValue reads a value that is not made of others. Nil counts as no bytes.
func readValue(b []byte) (v value, rest []byte, ok bool) {
	if len(b) == 0 {
		return v, nil, false
	}
	c, b := b[0], b[1:]
	switch {
	case c <= 0x7f:
		return value{kind: 'n', n: uint64(c)}, b, true
	case c >= 0xa0 && c <= 0xbf:
		return take(b, uint64(c&0x1f))
	case c == 0xc0:
		return value{kind: 's'}, b, true
	case c == 0xc2 || c == 0xc3:
		return value{kind: 'b', n: uint64(c & 1)}, b, true
	case c >= 0xcc && c <= 0xcf: // 1, 2, 4 or 8 bytes of a number
		n, b, ok := number(b, 1<<(c-0xcc))
		return value{kind: 'n', n: n}, b, ok
	case c >= 0xd9 && c <= 0xdb: // as many of a length
		n, b, ok := number(b, 1<<(c-0xd9))
		if !ok {
			return v, nil, false
		}
		return take(b, n)
	case c >= 0xc4 && c <= 0xc6:
		n, b, ok := number(b, 1<<(c-0xc4))
		if !ok {
			return v, nil, false
		}
		return take(b, n)
	}
	return v, nil, false
}

func number(b []byte, size int) (n uint64, rest []byte, ok bool) {
	if len(b) < size {
		return 0, nil, false
	}
	var full [8]byte
	copy(full[8-size:], b)
	return binary.BigEndian.Uint64(full[:]), b[size:], true
}

func take(b []byte, n uint64) (value, []byte, bool) {
	if n > uint64(len(b)) {
		return value{}, nil, false
	}
	return value{kind: 's', s: b[:n]}, b[n:], true
}
