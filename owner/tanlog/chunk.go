package tanlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

const (
	blockSize  = 32 << 10
	headerSize = 7  // checksum 4, length 2, type 1
	slackSize  = 10 // so many zeros at the end of a block or file hold no chunk for tan's reader

	maxKept = 256 << 20 // bytes of one record that is held in memory; tan's index of a full log is below 50 MiB
)

// Types of a chunk.
const (
	fullChunk   = 1 // a record in one chunk
	firstChunk  = 2
	middleChunk = 3
	lastChunk   = 4
)

var zeros [blockSize]byte

// tail is how a file of records ends.
type tail struct {
	torn bool
	end  int64  // where the last whole record ends
	room bool   // behind which the file has room, and no record, whole or not, that counts
	why  string // what a torn end looks like
}

// scanner reads a file of records and tells where each begins and ends.
type scanner struct {
	r    io.Reader
	keep bool // whether each gets the record's bytes
	// each is called once a record, with the end of the record before it (which is how tan's index
	// names a record, whether padding follows or not) and its own end. The bytes are the scanner's.
	each func(begin, end int64, data []byte) error
	// room is the file again, if it may have room behind its records, and size its size.
	room io.ReaderAt
	size int64

	refused bool // by each
	block   [blockSize]byte
	base    int64 // offset of the block in the file
	end     int64 // of the last whole record
	inside  bool  // between a record's first chunk and its last
	data    []byte
}

// scan reads to the end. A *flaw means damage; other errors come from the file or from each.
func (s *scanner) scan() (tail, error) {
	for {
		n, err := io.ReadFull(s.r, s.block[:])
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return tail{}, err
		}
		torn, err := s.scanBlock(n)
		var bad *flaw
		if s.room != nil && (torn != "" || errors.As(err, &bad) && !s.refused) {
			if t, ok, err := behind(s.room, s.size, s.end); ok || err != nil {
				return t, err
			}
		}
		if err != nil {
			return tail{}, err
		}
		if torn != "" {
			return tail{torn: true, end: s.end, why: torn}, nil
		}
		s.base += int64(n)
		if n < blockSize {
			break
		}
	}
	if s.inside {
		return tail{torn: true, end: s.end, why: "the last record lacks its end"}, nil
	}
	return tail{end: s.end}, nil
}

// scanBlock reads the chunks of a block of which n bytes are there. It returns how the file is torn, if it is.
func (s *scanner) scanBlock(n int) (torn string, err error) {
	for p := 0; p < n; {
		rest := s.block[p:n]
		at := s.base + int64(p)
		if len(rest) <= slackSize && zero(rest) {
			return "", nil
		}
		if len(rest) < headerSize {
			if n == blockSize {
				return "", flawf(at, "the padding at the end of the block is not zero")
			}
			return "the file ends within the header of a record", nil
		}
		if zero(rest[:headerSize]) {
			return s.zeroTail(rest, at)
		}
		size := headerSize + int(binary.LittleEndian.Uint16(rest[4:6]))
		if size > len(rest) {
			return s.cut(rest, at, p+size)
		}
		if err := s.chunk(rest[:size], at, p+size == blockSize); err != nil {
			return "", err
		}
		p += size
	}
	return "", nil
}

// chunk takes a chunk of which every byte is there.
func (s *scanner) chunk(c []byte, at int64, atBlockEnd bool) error {
	kind := c[6]
	switch {
	case kind < fullChunk || kind > lastChunk:
		return flawf(at, "no part of a record has type %d", kind)
	case checksum(c[6:]) != binary.LittleEndian.Uint32(c):
		return flawf(at, "the record's checksum differs from its bytes")
	case !s.inside && kind != fullChunk && kind != firstChunk:
		return flawf(at, "the beginning of a record is missing")
	case s.inside && kind != middleChunk && kind != lastChunk:
		return flawf(at, "the end of the record before is missing")
	case (kind == firstChunk || kind == middleChunk) && !atBlockEnd:
		return flawf(at, "part of a record ends before its block")
	}
	if s.keep {
		if len(s.data)+len(c) > maxKept {
			return flawf(at, "the record is longer than any that is written")
		}
		s.data = append(s.data, c[headerSize:]...)
	}
	s.inside = kind == firstChunk || kind == middleChunk
	if s.inside {
		return nil
	}
	begin := s.end
	s.end = at + int64(len(c))
	if s.each == nil {
		return nil
	}
	err := s.each(begin, s.end, s.data)
	s.refused = err != nil
	s.data = s.data[:0]
	return err
}

// zeroTail judges a block that goes on with a header of zeros: torn if nothing else follows in the file.
func (s *scanner) zeroTail(rest []byte, at int64) (string, error) {
	if !zero(rest) {
		return "", flawf(at, "there are zeros instead of a record, and data behind them")
	}
	for {
		n, err := io.ReadFull(s.r, s.block[:])
		if !zero(s.block[:n]) {
			return "", flawf(at, "there are zeros instead of a record, and data behind them")
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return "the file ends in zeros", nil
		}
		if err != nil {
			return "", err
		}
	}
}

// cut judges a chunk that would end, at end of its block, beyond the bytes that are there: torn, unless
// its length is what was altered (T3).
func (s *scanner) cut(rest []byte, at int64, end int) (string, error) {
	if end > blockSize {
		return "", flawf(at, "a record's part is longer than its block")
	}
	if kind := rest[6]; kind < fullChunk || kind > lastChunk {
		return "", flawf(at, "no part of a record has type %d", kind)
	}
	if lengthAltered(rest) {
		return "", flawf(at, "the length of a record differs from its bytes")
	}
	if behind, ok := findChunk(rest[1:]); ok {
		return "", flawf(at, "a record's length leads beyond the end of the file, but a whole one begins at offset %d",
			at+1+int64(behind))
	}
	return "the file ends within a record", nil
}

// lengthAltered says whether a chunk's checksum is right for another length than it has: for all that is
// there, or one that differs in a byte. More are not tried, for each is a chance to be right by accident.
func lengthAltered(c []byte) bool {
	want, has := binary.LittleEndian.Uint32(c), int(binary.LittleEndian.Uint16(c[4:6]))
	for n := range len(c) - headerSize + 1 {
		near := n>>8 == has>>8 || n&0xff == has&0xff || headerSize+n == len(c)
		if near && checksum(c[6:headerSize+n]) == want {
			return true
		}
	}
	return false
}

// findChunk looks for a chunk with a right checksum, beginning anywhere.
func findChunk(b []byte) (int, bool) {
	for p := 0; p+headerSize <= len(b); p++ {
		kind := b[p+6]
		end := p + headerSize + int(binary.LittleEndian.Uint16(b[p+4:p+6]))
		if kind >= fullChunk && kind <= lastChunk && end <= len(b) &&
			checksum(b[p+6:end]) == binary.LittleEndian.Uint32(b[p:]) {
			return p, true
		}
	}
	return 0, false
}

// zero says whether all of b, at most a block, is zero.
func zero(b []byte) bool { return bytes.Equal(b, zeros[:len(b)]) }
