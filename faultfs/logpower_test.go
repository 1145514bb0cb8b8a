package faultfs

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/lni/vfs"
	"pgregory.net/rapid"
)

// isErr says whether an error is the wanted one, or none if none is.
func isErr(err, want error) bool {
	return want == nil && err == nil || want != nil && errors.Is(err, want)
}

// powerDisk is a file in memory that may lose its power. The disk has written any of the sectors that no sync was for; a file is
// longer only when what is behind its end before was written.
type powerDisk struct {
	vfs.File
	now, synced []byte
	writes      int
}

const diskSector = 512 // what a disk writes as a whole or not at all

func (d *powerDisk) SetDirect(bool) error { return nil }

func (d *powerDisk) WriteDirect(p, more []byte, at int64, sync bool) error {
	for _, part := range [][]byte{p, more} {
		if at%sector != 0 || len(part)%sector != 0 {
			return errors.New("not aligned")
		}
		if end := int(at) + len(part); end > len(d.now) {
			d.now = append(d.now, make([]byte, end-len(d.now))...)
		}
		at += int64(copy(d.now[at:], part))
	}
	d.writes++
	if sync { // a disk that can write one thing for certain does not sync others with it
		from, to := int(at)-len(p)-len(more), int(at)
		if to > len(d.synced) {
			d.synced = append(d.synced, make([]byte, to-len(d.synced))...)
		}
		copy(d.synced[from:to], d.now[from:to])
	}
	return nil
}

func (d *powerDisk) Datasync() error {
	d.synced = bytes.Clone(d.now)
	return nil
}

func (d *powerDisk) Truncate(n int64) error {
	d.now = d.now[:n]
	return nil
}

func (d *powerDisk) Close() error { return nil }

func (d *powerDisk) Stat() (os.FileInfo, error) { return nil, errors.ErrUnsupported }

// lose is what the file has after the power was lost.
func (d *powerDisk) lose(t *rapid.T) []byte {
	image := bytes.Clone(d.synced)
	if rapid.Bool().Draw(t, "longer") {
		image = bytes.Clone(d.now)
	}
	for at := 0; at < min(len(image), len(d.synced)); at += diskSector {
		from := d.synced
		if bytes.Equal(from[at:at+diskSector], d.now[at:at+diskSector]) || rapid.Bool().Draw(t, "written") {
			from = d.now
		}
		copy(image[at:at+diskSector], from[at:at+diskSector])
	}
	return image
}

// X5: whatever was synced is there after a power failure, and what follows is, sector by sector, as it was appended, or room, or
// behind the end of the file.
func TestPowerFailureInALog(t *testing.T) {
	room := roomOf([]byte(mark))
	lost := 0
	rapid.Check(t, func(t *rapid.T) {
		d := &powerDisk{}
		f := newLogFile(d, room)
		var want []byte
		synced := 0
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			n := rapid.IntRange(1, 300).Draw(t, "bytes")
			switch rapid.IntRange(0, 30).Draw(t, "size") {
			case 0:
				n += largeBuffer
			case 1, 2:
				n += roomUpTo - sector
			case 3, 4, 5, 6, 7, 8, 9, 10:
				n *= 100
			}
			p := bytes.Repeat([]byte{byte(len(want)%250 + 1)}, n)
			if _, err := f.Write(p); err != nil {
				t.Fatal(err)
			}
			want = append(want, p...)
			if rapid.IntRange(0, 3).Draw(t, "sync") > 0 {
				if err := f.Sync(); err != nil {
					t.Fatal(err)
				}
				synced = len(want)
			}
		}
		// The last write may be under way: what it is to write is on the disk as far as the disk likes.
		before := bytes.Clone(d.synced)
		if rapid.Bool().Draw(t, "in a sync") {
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
			d.synced = before
		}
		image := d.lose(t)
		if len(image) < synced || !bytes.Equal(image[:synced], want[:synced]) {
			t.Fatalf("%d bytes were synced, and are not what the file of %d begins with", synced, len(image))
		}
		for at := synced; at < len(image); {
			to := min(len(image), at-at%diskSector+diskSector)
			asAppended := bytes.Equal(image[at:min(to, max(at, len(want)))], want[min(at, len(want)):min(to, len(want))]) &&
				bytes.Equal(image[max(at, min(to, len(want))):to], roomAt(room, max(at, min(to, len(want))), to))
			if !asAppended && !bytes.Equal(image[at:to], roomAt(room, at, to)) {
				t.Fatalf("%d bytes were synced, %d appended, the file has %d, and something else at %d", synced, len(want), len(image), at)
			}
			if !asAppended {
				lost++
			}
			at = to
		}
	})
	if t.Logf("%d sectors were not written", lost); lost == 0 {
		t.Error("no sector was ever lost")
	}
}

// roomAt is the room from one offset to another.
func roomAt(room []byte, from, to int) []byte {
	b := make([]byte, to-from)
	for n := 0; n < len(b); {
		n += copy(b[n:], room[(from+n)%sector:])
	}
	return b
}
