//go:build linux

package owner

import (
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"
)

// Logs of earlier starts take as much of the disk as they hold: Dragonboat reserves 64 MiB for each.
func TestOldLogsAreTrimmed(t *testing.T) {
	dir := t.TempDir()
	const starts = 4
	for range starts {
		h, r, _, err := openAlone(alone(dir))
		if err != nil {
			t.Fatal(err)
		}
		caughtUp(t, r)
		propose(r, 1, 100)
		h.Close()
	}
	logs, large := 0, 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".log" {
			return err
		}
		var stat syscall.Stat_t
		if err := syscall.Stat(path, &stat); err != nil {
			return err
		}
		if logs++; stat.Blocks*512 > stat.Size+(1<<20) {
			large++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// The last start's log is reserved still, and the file system may have reserved none.
	if logs < starts || large > 1 {
		t.Errorf("of %d logs %d take more of the disk than they hold", logs, large)
	}
}
