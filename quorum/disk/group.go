package disk

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// A group: magic (4 bytes), checksum (4), number in its segment (8), length of its records (4), how many they
// are (4), checksum of the group before (4), checksum of the records (4), number of the manifest that was there
// (8); then the records. The group's own checksum is also over its segment's random number and its offset, so that no user can write a value in which
// we would find a group, and no misdirected write one.
const (
	groupHeader = 40
	groupMagic  = "RGrp"
	maxBody     = groupBytes + recordHeader + MaxValue
)

var (
	errNoGroup    = errors.New("no group begins here")
	errGroupSum   = errors.New("the group's checksum differs from its header")
	errGroupShort = errors.New("the group lacks its end")
	errGroupBody  = errors.New("the group's records are not those that its header tells of")
)

type group struct {
	seq           uint64 // in its segment, from 1
	length, count uint32 // both are 0 in a mark
	prev          uint32 // the checksum of the group before; of the segment's header for the first
	body          uint32
	manifest      uint64 // its serial number
	sum           uint32
}

func (g group) mark() bool { return g.count == 0 && g.length == 0 }

// putHeader writes the header over the first bytes of b and sets the group's checksum.
func (g *group) putHeader(b []byte, nonce uint64, offset int64) {
	le := binary.LittleEndian
	copy(b, groupMagic)
	le.PutUint64(b[8:], g.seq)
	le.PutUint32(b[16:], g.length)
	le.PutUint32(b[20:], g.count)
	le.PutUint32(b[24:], g.prev)
	le.PutUint32(b[28:], g.body)
	le.PutUint64(b[32:], g.manifest)
	g.sum = headerSum(b, nonce, offset)
	le.PutUint32(b[4:], g.sum)
}

func headerSum(b []byte, nonce uint64, offset int64) uint32 {
	var place [16]byte
	binary.LittleEndian.PutUint64(place[:], nonce)
	binary.LittleEndian.PutUint64(place[8:], uint64(offset))
	return crc32.Update(crc32.Checksum(b[8:groupHeader], castagnoli), castagnoli, place[:])
}

// parseGroup reads the header that b begins with, in the segment with this random number at this offset.
func parseGroup(b []byte, nonce uint64, offset int64) (group, error) {
	if len(b) < groupHeader || string(b[:4]) != groupMagic {
		return group{}, errNoGroup
	}
	le := binary.LittleEndian
	g := group{
		seq: le.Uint64(b[8:]), length: le.Uint32(b[16:]), count: le.Uint32(b[20:]),
		prev: le.Uint32(b[24:]), body: le.Uint32(b[28:]), manifest: le.Uint64(b[32:]), sum: le.Uint32(b[4:]),
	}
	if headerSum(b, nonce, offset) != g.sum {
		return group{}, errGroupSum
	}
	return g, nil
}

// records reads the group's records in order; each gets where in the body one begins.
func (g group) records(body []byte, each func(r record, at int)) error {
	count := uint32(0)
	for at := 0; at < len(body); count++ {
		r, err := parseRecord(body[at:])
		if err != nil {
			return err
		}
		each(r, at)
		at += recordHeader + len(r.value)
	}
	if count != g.count {
		return errGroupBody
	}
	return nil
}
