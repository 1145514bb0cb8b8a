package member

import (
	"encoding/binary"
	"hash/crc32"
)

// What a carried packet begins with; doc.go has the format.
const (
	wireVersion = 1

	kindPacket   = 1
	kindQuestion = 2
	kindAnswer   = 3

	headSize = 6
	partHead = headSize + 12
)

// frame is a carried packet, read.
type frame struct {
	kind        byte
	stream      uint64
	part, parts int
	payload     []byte
}

func clusterSum(name string) uint32 { return crc32.ChecksumIEEE([]byte(name)) }

func appendHead(b []byte, kind byte, cluster uint32) []byte {
	return binary.LittleEndian.AppendUint32(append(b, wireVersion, kind), cluster)
}

// packetFrame is a packet as it is carried.
func packetFrame(cluster uint32, packet []byte) []byte {
	return append(appendHead(make([]byte, 0, headSize+len(packet)), kindPacket, cluster), packet...)
}

// streamFrames are a stream's message as it is carried.
func streamFrames(cluster uint32, kind byte, stream uint64, m []byte) [][]byte {
	parts := max(1, (len(m)+partSize-1)/partSize)
	all := make([][]byte, parts)
	for i := range all {
		part := m[i*partSize : min(len(m), (i+1)*partSize)]
		b := appendHead(make([]byte, 0, partHead+len(part)), kind, cluster)
		b = binary.LittleEndian.AppendUint64(b, stream)
		b = binary.LittleEndian.AppendUint16(b, uint16(i))
		b = binary.LittleEndian.AppendUint16(b, uint16(parts))
		all[i] = append(b, part...)
	}
	return all
}

// readFrame reads what the two above write. All parts but the last are full, so places need no offsets.
func readFrame(cluster uint32, b []byte) (f frame, ok bool) {
	if len(b) < headSize || b[0] != wireVersion || binary.LittleEndian.Uint32(b[2:]) != cluster {
		return f, false
	}
	f.kind, f.payload = b[1], b[headSize:]
	switch f.kind {
	case kindPacket:
		return f, true
	case kindQuestion, kindAnswer:
	default:
		return f, false
	}
	if len(b) < partHead {
		return f, false
	}
	f.stream = binary.LittleEndian.Uint64(b[headSize:])
	f.part = int(binary.LittleEndian.Uint16(b[headSize+8:]))
	f.parts = int(binary.LittleEndian.Uint16(b[headSize+10:]))
	f.payload = b[partHead:]
	last := f.part == f.parts-1
	return f, f.parts <= maxParts && f.part < f.parts && len(f.payload) <= partSize && (last || len(f.payload) == partSize)
}

// assembly puts the parts of a message together, in whatever order they arrive.
type assembly struct {
	parts [][]byte
	have  int
}

// add takes a part, and returns the message when it was the last that was missing. Parts that disagree or repeat are ignored.
func (a *assembly) add(f frame) []byte {
	if a.parts == nil {
		a.parts = make([][]byte, f.parts)
	}
	if len(a.parts) != f.parts || a.parts[f.part] != nil {
		return nil
	}
	a.parts[f.part] = append([]byte{}, f.payload...) // never nil: an empty part has arrived, too
	if a.have++; a.have < f.parts {
		return nil
	}
	var m []byte
	for _, p := range a.parts {
		m = append(m, p...)
	}
	return m
}
