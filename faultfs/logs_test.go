package faultfs

import (
	"bytes"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/lni/vfs"
)

// Logs that are written beside each other share memory, but never while one of them has something in it.
func TestLogsShareNoMemoryInUse(t *testing.T) {
	fsys := Wrap(vfs.Default, Options{Log: isLog, Room: []byte(mark)})
	dir := t.TempDir()
	const rounds, part = 60, middleBuffer - ownBuffer // two of them need a large buffer, after a middle one
	var all sync.WaitGroup
	for i := range 8 {
		path := filepath.Join(dir, fmt.Sprint(i, ".log"))
		f, _ := createLog(t, fsys, path)
		all.Go(func() {
			defer f.Close()
			l := f.(*file).File.(*logFile)
			p := bytes.Repeat([]byte{byte(i + 1)}, part)
			for range rounds {
				for range 2 {
					if _, err := f.Write(p); err != nil {
						t.Error(err)
						return
					}
				}
				l.mu.Lock()
				foreign := len(l.buffer) - bytes.Count(l.buffer, p[:1])
				l.mu.Unlock()
				if foreign > 0 {
					t.Errorf("%d gathered bytes of log %d are of another", foreign, i)
				}
				if err := f.Sync(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// A write of which the system does only a part goes on behind that part.
func TestBehindWritten(t *testing.T) {
	p, more := []byte("abc"), []byte("defg")
	for n, want := range []string{"abc defg", "bc defg", "c defg", "defg ", "efg ", "fg ", "g ", " "} {
		left, then := behindWritten(p, more, n)
		if got := fmt.Sprintf("%s %s", left, then); got != want {
			t.Errorf("%d bytes are written: left is %q, want %q", n, got, want)
		}
	}
	if left, then := behindWritten(p, nil, 1); string(left) != "bc" || then != nil {
		t.Errorf("left is %q, %q", left, then)
	}
}

// A log that is closed is forgotten, and who comes upon it just then, to sync it before what tells of it, is not told of a failure.
func TestClosedLogIsForgotten(t *testing.T) {
	dir := t.TempDir()
	fsys := Wrap(vfs.Default, Options{Log: isLog})
	log, _ := createLog(t, fsys, filepath.Join(dir, "1.log"))
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	logs := &fsys.(*filesystem).logs
	logs.Range(func(name, _ any) bool {
		t.Errorf("%s is still known", name)
		return true
	})
	logs.Store(filepath.Join(dir, "1.log"), log.(*file).File)
	beside, err := fsys.Create(filepath.Join(dir, "1.index"))
	if err != nil {
		t.Fatal(err)
	}
	defer beside.Close()
	if err := beside.Sync(); err != nil {
		t.Error(err)
	}
}
