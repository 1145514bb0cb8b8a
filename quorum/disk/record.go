package disk

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"dmalloc/message"
)

// A record: checksum of all that follows (4 bytes), kind (1), space (1), zero (2), size of the value (4),
// address (8), tag: ts (8), writer (16), op (8); then the value. Numbers are little-endian.
const (
	recordHeader = 52
	valueRecord  = 1 // the one kind so far
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Why bytes are no record.
var (
	errShort    = errors.New("the record lacks its end")
	errLarge    = errors.New("the record is larger than any that is written")
	errChecksum = errors.New("the record's checksum differs from its bytes")
	errKind     = errors.New("the record is of no known kind")
)

type record struct {
	id    message.RegisterID
	tag   message.Tag
	value []byte // part of what was parsed
}

// recordSize is what a value takes in a file.
func recordSize(value int) int64 { return recordHeader + int64(value) }

func appendRecord(b []byte, id message.RegisterID, t message.Tag, value []byte) []byte {
	start, le := len(b), binary.LittleEndian
	b = append(b, 0, 0, 0, 0, valueRecord, byte(id.Space), 0, 0)
	b = le.AppendUint32(b, uint32(len(value)))
	b = le.AppendUint64(b, id.Address)
	b = le.AppendUint64(b, t.TS)
	b = append(b, t.Writer[:]...)
	b = le.AppendUint64(b, t.Op)
	b = append(b, value...)
	le.PutUint32(b[start:], crc32.Checksum(b[start+4:], castagnoli))
	return b
}

// parseRecord reads the record that b begins with. The record's size is that of its value and recordHeader.
func parseRecord(b []byte) (record, error) {
	if len(b) < recordHeader {
		return record{}, errShort
	}
	le := binary.LittleEndian
	size := le.Uint32(b[8:])
	switch {
	case size > MaxValue:
		return record{}, errLarge
	case recordSize(int(size)) > int64(len(b)):
		return record{}, errShort
	}
	b = b[:recordHeader+size]
	if crc32.Checksum(b[4:], castagnoli) != le.Uint32(b) {
		return record{}, errChecksum
	}
	if b[4] != valueRecord || b[6] != 0 || b[7] != 0 {
		return record{}, errKind
	}
	r := record{
		id:    message.RegisterID{Space: message.Space(b[5]), Address: le.Uint64(b[12:])},
		tag:   message.Tag{TS: le.Uint64(b[20:]), Op: le.Uint64(b[44:])},
		value: b[recordHeader:],
	}
	copy(r.tag.Writer[:], b[28:])
	return r, nil
}
