package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"dmalloc/message"
)

// A segment's header: magic (8 bytes), checksum of all that follows (4), its own size (2), version (2), number
// (4), checksum of the last group of the segment before (4), node (4), incarnation (8), random number (8),
// cluster.
const (
	segmentMagic  = "dmallocR"
	segmentFormat = 1
	segmentFixed  = 44
)

// segment is a file of groups. What changes is the writer's; seal, which Stats reads, changes under the
// index's lock.
type segment struct {
	number uint32
	file   file
	path   string
	nonce  uint64
	prev   uint32 // the last checksum of the segment before
	start  int64  // where the groups begin

	seal            // how far it goes
	marked   bool   // a mark lies behind its end
	manifest uint64 // the number of the newest manifest that a group or the mark tells of
	damaged  bool   // the compactor met something that it cannot read

	live int64 // bytes of records that count; under the index's lock
}

// seal says how far a segment goes: exactly in one that is full, at least in the newest one.
type seal struct {
	End int64  `json:"end"`
	Seq uint64 `json:"groups"`
	Sum uint32 `json:"sum"` // of the last group, or of the header
}

func segmentName(number uint32) string { return fmt.Sprintf("%08d.reg", number) }

func parseSegmentName(name string) (uint32, bool) {
	digits, ok := strings.CutSuffix(name, ".reg")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), err == nil && segmentName(uint32(n)) == name
}

// header encodes the segment's header and sets where the groups begin, and the seal of a segment without any.
func (s *segment) header(id Identity) []byte {
	le := binary.LittleEndian
	b := append([]byte(segmentMagic), 0, 0, 0, 0)
	b = le.AppendUint16(b, uint16(segmentFixed+len(id.Cluster)))
	b = le.AppendUint16(b, segmentFormat)
	b = le.AppendUint32(b, s.number)
	b = le.AppendUint32(b, s.prev)
	b = le.AppendUint32(b, uint32(id.Node))
	b = le.AppendUint64(b, id.Incarnation)
	b = le.AppendUint64(b, s.nonce)
	b = append(b, id.Cluster...)
	sum := crc32.Checksum(b[12:], castagnoli)
	le.PutUint32(b[8:], sum)
	s.start = int64(len(b))
	s.seal = seal{End: s.start, Sum: sum}
	return b
}

// parseHeader reads the header that b begins with. Its string says what is wrong.
func (s *segment) parseHeader(b []byte, id Identity) string {
	le := binary.LittleEndian
	if len(b) < segmentFixed || string(b[:8]) != segmentMagic {
		return "no segment begins here"
	}
	size := int(le.Uint16(b[12:]))
	if size < segmentFixed || size > len(b) || crc32.Checksum(b[12:size], castagnoli) != le.Uint32(b[8:]) {
		return "the checksum of the segment's header differs from its bytes"
	}
	if v := le.Uint16(b[14:]); v != segmentFormat {
		return fmt.Sprintf("the segment has format %d; this program knows %d", v, segmentFormat)
	}
	if n := le.Uint32(b[16:]); n != s.number {
		return fmt.Sprintf("it is segment %d under the name of %d", n, s.number)
	}
	s.nonce, s.prev = le.Uint64(b[36:]), le.Uint32(b[20:])
	want := s.header(id)
	if !bytes.Equal(want, b[:size]) {
		return fmt.Sprintf("the segment belongs to %s, not to %s",
			Identity{string(b[segmentFixed:size]), message.NodeID(le.Uint32(b[24:])), le.Uint64(b[28:])}, id)
	}
	return ""
}

func (i Identity) String() string {
	return fmt.Sprintf("cluster %s node %s incarnation %d", message.Quote(i.Cluster), i.Node, i.Incarnation)
}

// read is one record's value, from its file. It is right, or there is an error (D2).
func (s *segment) read(e entry) ([]byte, error) {
	b := make([]byte, recordSize(int(e.size)))
	if _, err := s.file.ReadAt(b, int64(e.offset)); err != nil {
		return nil, err
	}
	r, err := parseRecord(b)
	if err != nil {
		return nil, damagef(s.path, int64(e.offset), "%v", err)
	}
	if r.id != e.id || r.tag != e.tag || len(r.value) != int(e.size) {
		return nil, damagef(s.path, int64(e.offset), "there is another record (%s, tag %s) than was written (%s, tag %s)", r.id, r.tag, e.id, e.tag)
	}
	return r.value, nil
}
