package faultfs

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/lni/vfs"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func isLog(path string) bool { return filepath.Ext(path) == ".log" }

// mark is the room of these tests.
const mark = "room for the log"

// watched is a disk that counts, and may refuse.
type watched struct {
	diskFile
	direct, cached, syncs, extended, room int
	refuse                                func(more int) error // a direct write
}

func (w *watched) WriteDirect(p, more []byte, at int64, sync bool) error {
	if w.refuse != nil {
		if err := w.refuse(len(more)); err != nil {
			return &os.PathError{Op: "write", Path: w.Name(), Err: err}
		}
	}
	w.direct++
	w.room += len(more)
	if info, err := w.diskFile.Stat(); err == nil && info.Size() < at+int64(len(p)) {
		w.extended++
	}
	return w.diskFile.WriteDirect(p, more, at, sync)
}

func (w *watched) WriteAt(p []byte, at int64) (int, error) {
	w.cached++
	return w.diskFile.WriteAt(p, at)
}

func (w *watched) Datasync() error {
	w.syncs++
	return w.diskFile.Datasync()
}

// createLog creates a log, and says how to watch it.
func createLog(t interface{ Fatal(...any) }, fsys vfs.FS, path string) (vfs.File, *watched) {
	f, err := fsys.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	l := f.(*file).File.(*logFile)
	w := &watched{diskFile: l.disk.(diskFile)}
	l.disk = w
	return f, w
}

const logBlock = 32 << 10 // Dragonboat's log writes a record as pieces that end at multiples of this, and the rest

// However a log is written, a reader by name, a reader by handle and its size tell the same as plain bytes would, and so
// does the closed file.
func TestLogIsWhatWasAppended(t *testing.T) {
	dir := t.TempDir()
	some := make([]byte, 6<<20)
	for i := range some {
		some[i] = byte(i>>16 ^ i>>8 ^ i)
	}
	direct, cached := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		fsys := Wrap(vfs.Default, Options{Log: isLog, Room: []byte(mark)})
		path := filepath.Join(dir, "a.log")
		f, w := createLog(t, fsys, path)
		defer func() { _ = os.Remove(path) }()
		var want []byte
		add := func(n int) {
			p := some[len(want)%97:][:n]
			if m, err := f.Write(p); m != n || err != nil {
				t.Fatal(m, err)
			}
			want = append(want, p...)
		}
		switch refuse := rapid.SampledFrom([]error{nil, nil, nil, unix.EINVAL, unix.EOPNOTSUPP, unix.ENOSYS}).Draw(t, "refuse"); {
		case refuse != nil:
			after := rapid.IntRange(0, 3).Draw(t, "after")
			w.refuse = func(int) error {
				if after--; after < 0 {
					return refuse
				}
				return nil
			}
		}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"record", "record", "record", "small", "small", "large", "sync", "sync", "open", "size", "at", "seek"}).Draw(t, "step") {
			case "small":
				add(rapid.IntRange(0, 5000).Draw(t, "bytes"))
			case "record": // as Dragonboat's log writes one: the rest of a block, blocks, and what is left
				n := rapid.SampledFrom([]int{1, 40, sector, ownBuffer, logBlock - 1, logBlock, 3*logBlock + 5, middleBuffer, 20 * logBlock, largeBuffer + 9, 2*largeBuffer + 3*logBlock}).Draw(t, "bytes")
				for n > 0 {
					part := min(n, logBlock-len(want)%logBlock)
					add(part)
					n -= part
				}
			case "large": // or another program, in one piece
				add(rapid.IntRange(0, 5<<20).Draw(t, "bytes"))
			case "sync":
				if err := f.Sync(); err != nil {
					t.Fatal(err)
				}
			case "open":
				if got := readAll(t, fsys, path); !bytes.Equal(got, want) {
					t.Fatalf("the file has %d bytes, want %d, or others", len(got), len(want))
				}
			case "size":
				for _, stat := range []func() (os.FileInfo, error){f.Stat, func() (os.FileInfo, error) { return fsys.Stat(path) }} {
					if info, err := stat(); err != nil || info.Size() != int64(len(want)) {
						t.Fatalf("size %v, %v, want %d", info, err, len(want))
					}
				}
			case "at":
				if n := len(want); n > 0 && rapid.Bool().Draw(t, "really") { // it is no log any more then
					b := []byte{0}
					if _, err := f.WriteAt([]byte{7}, int64(n-1)); err != nil {
						t.Fatal(err)
					}
					want[n-1] = 7
					if _, err := f.ReadAt(b, int64(n-1)); err != nil || b[0] != 7 {
						t.Fatal("what was written is not read")
					}
				}
			case "seek":
				if at, err := f.Seek(0, 1); err != nil || at != int64(len(want)) {
					t.Fatal(at, err)
				}
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		direct += w.direct
		cached += w.cached
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("the closed file has %d bytes, want %d, or others: %v", len(got), len(want), err)
		}
	})
	if t.Logf("%d writes around the page cache, %d by way of it", direct, cached); cached == 0 {
		t.Error("nothing went by way of the page cache")
	}
}

func readAll(t *rapid.T, fsys vfs.FS, path string) []byte {
	f, err := fsys.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What is written of a log that is open by name is bounded by its end, for who reads on or seeks, too.
func TestReaderDoesNotSeeRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	fsys := Wrap(vfs.Default, Options{Log: isLog, Room: []byte(mark)})
	f, _ := createLog(t, fsys, path)
	defer f.Close()
	if _, err := f.Write(make([]byte, 5000)); err != nil {
		t.Fatal(err)
	}
	r, err := fsys.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if whole, err := os.ReadFile(path); err == nil && len(whole) == 5000 {
		t.Skip("this file system writes through the page cache: there is no room")
	}
	if info, err := r.Stat(); err != nil || info.Size() != 5000 {
		t.Errorf("size %d, %v", info.Size(), err)
	}
	p := make([]byte, 100)
	for _, c := range []struct {
		name string
		do   func() (int, error)
		n    int
		err  error
	}{
		{"across the end", func() (int, error) { return r.ReadAt(p, 4950) }, 50, io.EOF},
		{"up to the end", func() (int, error) { return r.ReadAt(p, 4900) }, 100, nil},
		{"behind the end", func() (int, error) { return r.ReadAt(p, 5000) }, 0, io.EOF},
		{"seek behind", func() (int, error) { n, err := r.Seek(10, io.SeekEnd); return int(n), err }, 5010, nil},
		{"read there", func() (int, error) { return r.Read(p) }, 0, io.EOF},
		{"seek back", func() (int, error) { n, err := r.Seek(-60, io.SeekCurrent); return int(n), err }, 4950, nil},
		{"read the rest", func() (int, error) { return r.Read(p) }, 50, nil},
		{"and on", func() (int, error) { return r.Read(p) }, 0, io.EOF},
		{"nothing", func() (int, error) { return r.Read(nil) }, 0, nil},
		{"before the file", func() (int, error) { n, err := r.Seek(-1, io.SeekStart); return int(n), err }, 0, os.ErrInvalid},
	} {
		if n, err := c.do(); n != c.n || err != c.err {
			t.Errorf("%s: %d, %v, want %d, %v", c.name, n, err, c.n, c.err)
		}
	}
}

// What is asked of the disk for small synced appends is one write each, which leaves the file as long as it is; and
// seldom one that makes it longer.
func TestSmallSyncedAppends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	f, w := createLog(t, Wrap(vfs.Default, Options{Log: isLog, Room: []byte(mark)}), path)
	defer f.Close()
	const n = 2000
	for range n {
		if _, err := f.Write(make([]byte, 700)); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		if w.cached > 0 {
			t.Skip("this file system writes through the page cache")
		}
	}
	if w.direct != n || w.syncs > 1 || w.extended > n/100 {
		t.Errorf("%d appends: %d writes, %d of them made the file longer, %d syncs", n, w.direct, w.extended, w.syncs)
	}
	before := *w
	for range 3 {
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if w.direct != before.direct || w.syncs != before.syncs {
		t.Error("a sync of nothing reached the disk")
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() > 2*700*n+2*leastRoom || int64(w.room) > info.Size() {
		t.Errorf("%d bytes take %d, of which %d were written as room: it is out of proportion (%v)", 700*n, info.Size(), w.room, err)
	}
}

// A large append brings no room, and one that brings some does without when the disk has none left for it.
func TestRoomIsNotForced(t *testing.T) {
	for name, c := range map[string]struct {
		size int
		err  error
		want error
	}{
		"large":   {size: roomUpTo + 1},
		"full":    {size: 100, err: syscall.ENOSPC},
		"quota":   {size: 100, err: syscall.EDQUOT},
		"broken":  {size: 100, err: syscall.EIO, want: syscall.EIO},
		"healthy": {size: 100},
	} {
		path := filepath.Join(t.TempDir(), "a.log")
		f, w := createLog(t, Wrap(vfs.Default, Options{Log: isLog, Room: []byte(mark)}), path)
		asked := 0
		w.refuse = func(more int) error {
			if asked += more; more > 0 {
				return c.err
			}
			return nil
		}
		_, err := f.Write(make([]byte, c.size))
		if err == nil {
			err = f.Sync()
		}
		if !isErr(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if w.cached == 0 && (asked > 0) != (c.size <= roomUpTo) {
			t.Errorf("%s: %d bytes of room were asked for", name, asked)
		}
		if err := f.Close(); !isErr(err, c.want) {
			t.Errorf("%s: close: %v", name, err)
		}
		if info, err := os.Stat(path); c.want == nil && (err != nil || info.Size() != int64(c.size)) {
			t.Errorf("%s: the closed file has %d bytes, %v", name, info.Size(), err)
		}
	}
}

// Who syncs, opens and asks for the size while another appends sees all that was appended before, and never room.
func TestLogIsReadWhileItIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	fsys := Wrap(vfs.Default, Options{Log: isLog, Room: []byte(mark)})
	f, _ := createLog(t, fsys, path)
	const n, size = 600, 333
	var tasks sync.WaitGroup
	stop := make(chan struct{})
	for i := range 3 {
		tasks.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var err error
				switch i {
				case 0:
					err = f.Sync()
				case 1:
					_, err = fsys.Stat(path)
				case 2:
					var r vfs.File
					if r, err = fsys.Open(path); err == nil {
						var b bytes.Buffer
						_, err = b.ReadFrom(r)
						for at, c := range b.Bytes() {
							if c != byte(at/size) {
								err = fmt.Errorf("byte %d of %d is %d", at, b.Len(), c)
								break
							}
						}
						_ = r.Close()
					}
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range n {
		if _, err := f.Write(bytes.Repeat([]byte{byte(i)}, size)); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(stop)
	tasks.Wait()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil || len(got) != n*size {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	for i, c := range got {
		if c != byte(i/size) {
			t.Fatalf("byte %d is %d", i, c)
		}
	}
}

// X3: a failure is heard also where what failed was gathered before, and only logs are gathered.
func TestFailuresOfLogsAreTold(t *testing.T) {
	dir := t.TempDir()
	var l told
	fsys := Wrap(vfs.Default, Options{Log: isLog, Failed: l.hear})
	for name, log := range map[string]bool{"a.log": true, "a.index": false} {
		f, err := fsys.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, is := f.(*file).File.(*logFile); is != log {
			t.Errorf("%s is a log: %v", name, is)
		}
		_ = f.Close()
	}
	readOnly, err := os.Open(filepath.Join(dir, "a.log"))
	if err != nil {
		t.Fatal(err)
	}
	f := &file{newLogFile(diskFile{readOnly}, roomOf(nil)), fsys.(*filesystem), "a.log"}
	if _, err := f.Write(make([]byte, logBlock)); err != nil {
		t.Errorf("what is gathered failed: %v", err)
	}
	if err := f.Sync(); err == nil {
		t.Error("a sync of what cannot be written succeeded")
	}
	if got := l.take(); len(got) != 1 || got[0] != "sync a.log: false" {
		t.Errorf("told %q", got)
	}
	if _, err := f.Write(make([]byte, 100)); err == nil {
		t.Error("a write that cannot be done succeeded")
	}
	if got := l.take(); len(got) != 1 || got[0] != "write a.log: false" {
		t.Errorf("told %q", got)
	}
	_ = f.Close()
}

// An index or a manifest is not on the disk before what it says of the log beside it. Dragonboat's log writes both when
// it has not synced the last state.
func TestLogIsSyncedBeforeWhatTellsOfIt(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	fsys := Wrap(vfs.Default, Options{Log: isLog})
	log, _ := createLog(t, fsys, filepath.Join(dir, "1.log"))
	elsewhere, _ := createLog(t, fsys, filepath.Join(other, "1.log"))
	beside, err := fsys.Create(filepath.Join(dir, "1.index.tmp"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _, _ = log.Close(), elsewhere.Close(), beside.Close() })
	for _, f := range []vfs.File{log, elsewhere} {
		if _, err := f.Write(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if err := beside.Sync(); err != nil {
		t.Fatal(err)
	}
	if l := log.(*file).File.(*logFile); l.written != 100 || l.unsynced {
		t.Errorf("an index is synced, and of its log %d bytes are written, synced: %v", l.written, !l.unsynced)
	}
	if elsewhere.(*file).File.(*logFile).written > 0 {
		t.Error("another log was synced, too")
	}
}

// What is gathered may be written, and fail, for somebody who opens the log. Who writes it must hear of that, too: the sync
// would else vouch for bytes that are not there.
func TestFailureOfLogStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	fsys := Wrap(vfs.Default, Options{Log: isLog})
	f, w := createLog(t, fsys, path)
	defer f.Close()
	good := w.diskFile
	readOnly, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	w.diskFile = diskFile{readOnly}
	if _, err := f.Write(make([]byte, logBlock)); err != nil {
		t.Fatalf("what is gathered failed: %v", err)
	}
	if _, err := fsys.Open(path); err == nil {
		t.Error("a log is opened that cannot be written")
	}
	w.diskFile = good // as if there were room again
	if _, err := f.Write(make([]byte, 100)); err == nil {
		t.Error("something was written behind what is missing")
	}
	if err := f.Sync(); err == nil {
		t.Error("a log is synced of which something is missing")
	}
}
