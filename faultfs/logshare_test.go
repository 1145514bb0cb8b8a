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
