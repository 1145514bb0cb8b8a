package faultfs

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/lni/vfs"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func isLog(path string) bool { return filepath.Ext(path) == ".log" }

// watched is a file that knows what of it is in the page cache alone.
type watched struct {
	*os.File
	cached   map[int64]bool // sectors
	directly int
	holes    []int64
}

func (w *watched) WriteAt(p []byte, at int64) (int, error) {
	flags, err := unix.FcntlInt(w.Fd(), unix.F_GETFL, 0)
	if err != nil {
		return 0, err
	}
	direct := flags&unix.O_DIRECT != 0
	for s := at / sector; s*sector < at+int64(len(p)); s++ {
		if !direct {
			w.cached[s] = true
		} else {
			delete(w.cached, s)
		}
	}
	if direct {
		w.directly++
		for s := range w.cached {
			if s*sector < at {
				w.holes = append(w.holes, s*sector)
			}
		}
	}
	return w.File.WriteAt(p, at)
}

func (w *watched) Sync() error {
	clear(w.cached)
	return w.File.Sync()
}

// However a log is written, a reader by name, a reader by handle and its size tell the same as plain bytes would. And
// a power failure leaves no hole in it: when something is written directly, nothing before it is in the page cache alone.
func TestLogIsWhatWasAppended(t *testing.T) {
	dir := t.TempDir()
	some := make([]byte, 6<<20)
	for i := range some {
		some[i] = byte(i>>16 ^ i>>8 ^ i)
	}
	directly := 0
	rapid.Check(t, func(t *rapid.T) {
		fsys := Wrap(vfs.Default, Options{Log: isLog})
		path := filepath.Join(dir, "a.log")
		f, err := fsys.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.Remove(path) }()
		var want []byte
		add := func(n int) {
			p := some[len(want)%97:][:n]
			if m, err := f.Write(p); m != n || err != nil {
				t.Fatal(m, err)
			}
			want = append(want, p...)
		}
		log := f.(*file).File.(*bulkFile)
		log.indirect = rapid.Bool().Draw(t, "indirect")
		w := &watched{File: log.file.(*os.File), cached: map[int64]bool{}}
		log.file = w
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"record", "record", "record", "large", "sync", "open", "size", "at", "seek"}).Draw(t, "step") {
			case "record": // as Dragonboat's log writes one: the rest of a block, blocks, and what is left
				n := rapid.SampledFrom([]int{1, 40, sector, logBlock - 1, logBlock, 3*logBlock + 5, 20 * logBlock, bulkBuffer + 9, 2*bulkBuffer + 3*logBlock}).Draw(t, "bytes")
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
				if info, err := f.Stat(); err != nil || info.Size() != int64(len(want)) {
					t.Fatalf("size %v, %v, want %d", info, err, len(want))
				}
			case "at":
				if n := len(want); n > 0 {
					b := []byte{0}
					if _, err := f.WriteAt([]byte{7}, int64(n-1)); err != nil {
						t.Fatal(err)
					}
					want[n-1] = 7
					if _, err := f.ReadAt(b, int64(n-1)); err == nil && b[0] != 7 {
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
		if directly += w.directly; len(w.holes) > 0 {
			t.Fatalf("something was written directly while what is before it, at %d, could be lost", w.holes)
		}
		if got := readAll(t, fsys, path); !bytes.Equal(got, want) {
			t.Fatalf("the closed file has %d bytes, want %d, or others", len(got), len(want))
		}
	})
	t.Logf("%d direct writes", directly)
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

// A disk that wants another alignment than ours gets everything through the page cache, from where it refuses on.
func TestLogOfAnotherAlignment(t *testing.T) {
	real, err := os.Create(filepath.Join(t.TempDir(), "a"))
	if err != nil {
		t.Fatal(err)
	}
	odd := aligned(bulkBuffer + sector + 1)[1:]
	f := &bulkFile{file: real, buffer: &odd, closed: func() {}}
	want := bytes.Repeat([]byte("0123456789"), 1<<20)
	if n, err := f.Write(want); n != len(want) || err != nil {
		t.Fatal(n, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(real.Name()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
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
		if _, is := f.(*file).File.(*bulkFile); is != log {
			t.Errorf("%s is a log: %v", name, is)
		}
		_ = f.Close()
	}
	readOnly, err := os.Open(filepath.Join(dir, "a.log"))
	if err != nil {
		t.Fatal(err)
	}
	f := &file{&bulkFile{file: readOnly, closed: func() {}}, fsys.(*filesystem), "a.log"}
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
	create := func(dir, name string) vfs.File {
		t.Helper()
		f, err := fsys.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	watch := func(f vfs.File) *watched {
		log := f.(*file).File.(*bulkFile)
		w := &watched{File: log.file.(*os.File), cached: map[int64]bool{}}
		log.file = w
		return w
	}
	log, beside, elsewhere := create(dir, "1.log"), create(dir, "1.index.tmp"), create(other, "1.log")
	w, far := watch(log), watch(elsewhere)
	for _, f := range []vfs.File{log, elsewhere} {
		for _, p := range [][]byte{make([]byte, 100), make([]byte, logBlock-100)} { // the second is gathered
			if _, err := f.Write(p); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := beside.Sync(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "1.log"))
	if err != nil || info.Size() != logBlock || len(w.cached) > 0 {
		t.Errorf("an index is synced, and of its log %v bytes are written (%v), sectors %v in the page cache alone", info.Size(), err, w.cached)
	}
	if len(far.cached) == 0 {
		t.Error("another log was synced, too")
	}
}

// What is gathered may be written, and fail, for somebody who opens the log. Who writes it must hear of that, too: the sync
// would else vouch for bytes that are not there.
func TestFailureOfLogStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	fsys := Wrap(vfs.Default, Options{Log: isLog})
	f, err := fsys.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	log := f.(*file).File.(*bulkFile)
	good := log.file
	readOnly, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	log.file = readOnly
	if _, err := f.Write(make([]byte, logBlock)); err != nil {
		t.Fatalf("what is gathered failed: %v", err)
	}
	if _, err := fsys.Open(path); err == nil {
		t.Error("a log is opened that cannot be written")
	}
	log.file = good // as if there were room again
	if _, err := f.Write(make([]byte, 100)); err == nil {
		t.Error("something was written behind what is missing")
	}
	if err := f.Sync(); err == nil {
		t.Error("a log is synced of which something is missing")
	}
}
