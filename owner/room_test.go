package owner

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmalloc/owner/tanlog"
)

// A node that was killed, or lost its power in the middle of a write, left room in its log, and some sectors of that write.
// It starts with all that was acknowledged, and neither is in the log any more.
func TestStartCutsRoom(t *testing.T) {
	_, killed, next := keptImages(t)
	for _, unfinished := range []bool{false, true} {
		dir := t.TempDir()
		if err := killed.save(dir); err != nil {
			t.Fatal(err)
		}
		kept, err := tanlog.Check(filepath.Join(dir, "raft"))
		if err != nil {
			t.Fatal(err)
		}
		if len(kept.Room) == 0 {
			t.Skip("this file system writes logs through the page cache: there is no room")
		}
		room := kept.Room[0]
		if unfinished {
			halfWrite(t, room)
		}
		image := files(t, dir)
		if n, err := startFrom(t, image); err != nil || n != next {
			t.Errorf("unfinished %v: it starts with %d of %d numbers, %v", unfinished, n, next, err)
		}
		cfg := alone(dir)
		h, _, _, err := openAlone(cfg)
		if err != nil {
			t.Fatal(err)
		}
		after, err := os.ReadFile(room.File)
		h.Close()
		if before := image[strings.TrimPrefix(room.File, dir)]; err == nil && string(after) != before[:room.End] {
			t.Errorf("unfinished %v: of %d bytes before %d are left, want %d", unfinished, len(before), len(after), room.End)
		}
	}
}

// halfWrite writes a part of a record into the room of a log: all of its sectors but one in the middle.
func halfWrite(t *testing.T, room tanlog.Room) {
	t.Helper()
	f, err := os.OpenFile(room.File, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	body := make([]byte, 2000)
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range body {
		body[i] = byte(rnd.Uint32())
	}
	chunk := binary.LittleEndian.AppendUint32(nil, 1)
	chunk = binary.LittleEndian.AppendUint16(chunk, uint16(len(body)))
	chunk = append(append(chunk, 1), body...)
	const sector = 512
	lost := (room.End/sector + 2) * sector
	copy(chunk[lost-room.End:], bytes.Repeat(tanlog.RoomMark(), sector/len(tanlog.RoomMark())))
	if _, err := f.WriteAt(chunk, room.End); err != nil {
		t.Fatal(err)
	}
}

// noticed is a disk that notes how long a file is whenever something is synced.
type noticed struct {
	path  string
	sizes []int64
}

func (*noticed) BeforeWrite(int) error { return nil }

func (n *noticed) BeforeSync() error {
	info, err := os.Stat(n.path)
	if err == nil {
		n.sizes = append(n.sizes, info.Size())
	}
	return err
}

// What was cut does not come back with the power: Dragonboat builds upon a log that ends there, and what was torn in it would be
// taken for damage then.
func TestCutIsSynced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "000001.log")
	if err := os.WriteFile(path, make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	disk := &noticed{path: path}
	if err := newSentinel(Config{Dir: filepath.Dir(path), Disk: disk}).cut([]tanlog.Room{{File: path, End: 40}}); err != nil {
		t.Fatal(err)
	}
	if len(disk.sizes) != 1 || disk.sizes[0] != 40 {
		t.Errorf("it is cut to 40 bytes; what was synced had %v", disk.sizes)
	}
}
