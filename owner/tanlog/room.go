package tanlog

import (
	"encoding/binary"
	"io"
)

// roomMark is what a log's file repeats, from its beginning, where it has room for what comes. A letter is no type of
// a chunk, so room begins no record; and it is nothing that a disk makes up when it loses something.
const roomMark = "room for the log"

// RoomMark is what the owner of a log repeats where nothing is written yet (package faultfs).
func RoomMark() []byte { return []byte(roomMark) }

const diskSector = 512 // what a disk writes wholly or not at all

// behind judges what follows the last whole record of a log, at end, if it is not the beginning of a record: room, which
// says that there is nothing, or what a power failure left of a write into room. The disk had sectors of that write and not
// others, in any order; what it had not is room still. That is how an unfinished write differs from an altered record,
// of which every sector is there. ok is false if it is neither.
func behind(file io.ReaderAt, size, end int64) (t tail, ok bool, err error) {
	stop, err := lastWritten(file, size, end)
	if err != nil {
		return tail{}, false, err
	}
	if stop == end && stop < size {
		return tail{end: end, room: true}, true, nil
	}
	ok, err = unfinished(file, size, end, stop)
	return tail{end: end, torn: true, room: true, why: "sectors of the last record were not written"}, ok, err
}

// lastWritten is where the room begins in which a file ends, end at least.
func lastWritten(file io.ReaderAt, size, end int64) (int64, error) {
	block := make([]byte, blockSize)
	for to := size; to > end; {
		from := max(end, (to-1)/blockSize*blockSize)
		b := block[:to-from]
		if err := readAt(file, b, from); err != nil {
			return 0, err
		}
		for i := len(b) - 1; i >= 0; i-- {
			if b[i] != roomMark[(from+int64(i))%int64(len(roomMark))] {
				return from + int64(i) + 1, nil
			}
		}
		to = from
	}
	return end, nil
}

// unfinished says whether a write into room that went from end to stop, or beyond, was not finished: at least a sector of it
// is room, the others are not, and no record begins behind the first one that is. A write that used up the room was to make
// the file longer as well: then the last sector of the file may be there, and what lacks is before it.
func unfinished(file io.ReaderAt, size, end, stop int64) (bool, error) {
	begin := end
	if left := blockSize - end%blockSize; left < headerSize {
		begin += left // the end of a block that is too short for a header
	}
	block := make([]byte, blockSize)
	written, lacking := 0, 0
	for at := end; at < stop; {
		from := at / blockSize * blockSize
		to := min(from+blockSize, stop)
		b := block[:to-at]
		if err := readAt(file, b, at); err != nil {
			return false, err
		}
		for p := at; p < to; p = p/diskSector*diskSector + diskSector {
			part := b[p-at : min(to, p/diskSector*diskSector+diskSector)-at]
			room := roomIn(part, p)
			switch {
			case room == len(part):
				lacking++
			case 2*room > len(part): // bytes were altered where nothing was written
				return false, nil
			}
			written += len(part) - room
		}
		rest := b[min(int64(len(b)), max(0, begin+1-at)):]
		for {
			p, found := findChunk(rest)
			if !found {
				break
			}
			if kind := rest[p+6]; kind == fullChunk || kind == firstChunk {
				return false, nil
			}
			rest = rest[p+headerSize:]
		}
		at = to
	}
	if written < headerSize {
		return false, nil
	}
	if lacking > 0 || stop == size {
		return lacking > 0, nil
	}
	return goesOn(file, begin, stop)
}

// goesOn says whether a record that begins at p goes on in the sectors behind stop, which are room.
func goesOn(file io.ReaderAt, p, stop int64) (bool, error) {
	sectors := (stop + diskSector - 1) / diskSector * diskSector
	block := make([]byte, blockSize)
	for p+headerSize <= stop {
		b := block[:min(stop, p/blockSize*blockSize+blockSize)-p]
		if err := readAt(file, b, p); err != nil {
			return false, err
		}
		kind, size := b[6], headerSize+int(binary.LittleEndian.Uint16(b[4:6]))
		end := p + int64(size)
		inBlock := end <= p/blockSize*blockSize+blockSize
		switch {
		case !inBlock || kind < fullChunk || kind > lastChunk:
			return false, nil
		case end > sectors:
			return !lengthAltered(b), nil
		case size > len(b) || checksum(b[6:size]) != binary.LittleEndian.Uint32(b) || kind == fullChunk || kind == lastChunk:
			return false, nil
		}
		p = end
	}
	return p+headerSize > sectors, nil
}

// roomIn counts the bytes of b, at an offset of a file, that are as room has them.
func roomIn(b []byte, at int64) (n int) {
	for i, c := range b {
		if c == roomMark[(at+int64(i))%int64(len(roomMark))] {
			n++
		}
	}
	return n
}

func readAt(file io.ReaderAt, b []byte, at int64) error {
	n, err := file.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	return err
}
