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
