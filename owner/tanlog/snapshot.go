package tanlog

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	snapshotHeaderSize = 1 << 10
	snapshotTailSize   = 16      // bytes of blocks with their checksums 8, magic 8
	snapshotBlockSize  = 2 << 20 // followed by a checksum of 4 bytes; the last one may be shorter
	snapshotFormat     = 2
	checksumSize       = 4

	digestSize  = 8       // of a flag file
	maxFlagFile = 1 << 20 // bytes; what Dragonboat writes there is far smaller
)

var snapshotMagic = []byte{0x3F, 0x5B, 0xCB, 0xF1, 0xFA, 0xBA, 0x81, 0x9F}

func snapshotDir(index uint64) string { return fmt.Sprintf("snapshot-%016X", index) }

// snapshots checks the finished snapshots of a replica. Dragonboat removes the unfinished ones.
func (c *checker) snapshots(dir string, r *replica) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return named(dir, err)
	}
	r.snapshots = true
	for _, e := range entries {
		if e.Name() == "DELETED.dragonboat" {
			r.deleted = true
		}
	}
	for _, e := range entries {
		index, err := strconv.ParseUint(strings.TrimPrefix(e.Name(), "snapshot-"), 16, 64)
		if r.deleted || !e.IsDir() || err != nil || snapshotDir(index) != e.Name() {
			continue
		}
		file := filepath.Join(dir, e.Name(), e.Name()+".gbsnap")
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
			continue // a crash came while Dragonboat removed it; if it is the one needed, replicasAgree says so
		}
		if err := c.snapshot(file); err != nil {
			return err
		}
		r.newest = max(r.newest, index)
	}
	return nil
}

func (c *checker) snapshot(path string) error {
	for _, name := range []string{"snapshot.metadata", "dragonboat.snapshot.message"} {
		path := filepath.Join(filepath.Dir(path), name)
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			continue // the first is not written for a snapshot that was received, the second goes when the log knows it
		}
		if err := c.flagFile(path); err != nil {
			return err
		}
	}
	f, size, err := c.open(path)
	if err != nil {
		return named(path, err)
	}
	defer func() { _ = f.Close() }() // opened for reading only
	return named(path, checkSnapshot(f, size))
}

// checkSnapshot reads a snapshot of that many bytes: header, blocks, tail.
func checkSnapshot(r io.Reader, size int64) error {
	blocks := size - snapshotHeaderSize - snapshotTailSize
	if blocks < 0 {
		return flawf(size, "it ends before its header and tail")
	}
	head := make([]byte, snapshotHeaderSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return err
	}
	want, err := snapshotHeader(head)
	if err != nil {
		return err
	}
	sum, err := snapshotBlocks(r, blocks)
	if err != nil {
		return err
	}
	if !bytes.Equal(sum, want) {
		return flawf(0, "the checksum of its blocks differs from its header's")
	}
	end := make([]byte, snapshotTailSize)
	if _, err := io.ReadFull(r, end); err != nil {
		return err
	}
	if binary.LittleEndian.Uint64(end) != uint64(blocks) || !bytes.Equal(end[8:], snapshotMagic) {
		return flawf(size-snapshotTailSize, "its last %d bytes are not the end of a snapshot of this size", snapshotTailSize)
	}
	return nil
}

// snapshotBlocks reads the blocks and returns the checksum over their checksums.
func snapshotBlocks(r io.Reader, left int64) ([]byte, error) {
	at := int64(snapshotHeaderSize)
	all, one := crc32.NewIEEE(), crc32.NewIEEE()
	buf := make([]byte, blockSize)
	for left > 0 {
		n := min(left, snapshotBlockSize+checksumSize)
		if n <= checksumSize {
			return nil, flawf(at, "its last block is cut")
		}
		one.Reset()
		if _, err := io.CopyBuffer(one, io.LimitReader(r, n-checksumSize), buf); err != nil {
			return nil, err
		}
		var sum [checksumSize]byte
		if _, err := io.ReadFull(r, sum[:]); err != nil {
			return nil, err
		}
		if binary.BigEndian.Uint32(sum[:]) != one.Sum32() {
			return nil, flawf(at, "the checksum of a block differs from its bytes")
		}
		_, _ = all.Write(sum[:]) // a hash never fails
		at += n
		left -= n
	}
	return all.Sum(nil), nil
}

// Fields of a snapshot's header, in the numbers that protocol buffers give a field and its form.
const (
	headerChecksumTag = 5<<3 | 2
	blocksChecksumTag = 6<<3 | 2
	checksumKindTag   = 7 << 3
	formatTag         = 8 << 3
)

// snapshotHeader checks the header and returns the checksum over the blocks' checksums. Its own
// checksum was taken before it was put in, so it is cut out again.
func snapshotHeader(head []byte) ([]byte, error) {
	size := binary.LittleEndian.Uint64(head)
	if size > snapshotHeaderSize-8-checksumSize {
		return nil, flawf(0, "the header is longer than its place")
	}
	body := head[8 : 8+size]
	if !zero(head[8+size:]) {
		return nil, flawf(int64(8+size), "the place behind the header is not zero")
	}
	var own, blocks []byte
	var format, kind uint64
	own1, own2 := 0, 0 // from where to where the header's own checksum is
	d := decoder{body}
	for !d.done() {
		from := len(body) - len(d.b)
		tag, n, ok := d.pair()
		var field []byte
		if ok && tag&7 == 2 {
			if ok = n <= uint64(len(d.b)); ok {
				field, d.b = d.b[:n], d.b[n:]
			}
		}
		if !ok || tag&7 != 2 && tag&7 != 0 {
			return nil, flawf(int64(8+from), "the header cannot be read")
		}
		switch tag {
		case headerChecksumTag:
			own, own1, own2 = field, from, len(body)-len(d.b)
		case blocksChecksumTag:
			blocks = field
		case checksumKindTag:
			kind = n
		case formatTag:
			format = n
		}
	}
	sum := crc32.Update(crc32.ChecksumIEEE(body[:own1]), crc32.IEEETable, body[own2:])
	if len(own) != checksumSize || binary.BigEndian.Uint32(own) != sum {
		return nil, flawf(0, "the header's checksum differs from its bytes")
	}
	if format != snapshotFormat || kind != 0 {
		return nil, flawf(0, "it has format %d and checksums of kind %d, which this version does not write", format, kind)
	}
	return blocks, nil
}

// flagFile checks a file that begins with a digest of the rest.
func (c *checker) flagFile(path string) error {
	f, _, err := c.open(path)
	if err != nil {
		return named(path, err)
	}
	defer func() { _ = f.Close() }() // opened for reading only
	b, err := io.ReadAll(io.LimitReader(f, maxFlagFile+1))
	switch {
	case err != nil:
		return named(path, err)
	case len(b) > maxFlagFile:
		return damagef(path, maxFlagFile, "it is longer than any that is written")
	case len(b) < digestSize:
		return damagef(path, 0, "it ends within its digest")
	}
	sum := md5.Sum(b[digestSize:])
	if !bytes.Equal(sum[md5.Size-digestSize:], b[:digestSize]) {
		return damagef(path, 0, "its digest differs from its bytes")
	}
	return nil
}
