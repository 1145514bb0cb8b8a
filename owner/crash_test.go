package owner

import (
	"io"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"sort"
	"sync"
	"testing"

	"github.com/lni/vfs"
)

// crashFS are files in memory that can stop at a moment: what was written until then, and what of it was synced.
type crashFS struct {
	*vfs.MemFS
	mu sync.RWMutex // held for reading by whatever changes something
}

func newCrashFS() *crashFS { return &crashFS{MemFS: vfs.NewStrictMem()} }

// tree are files by path; directories have no content and end in a slash.
type tree map[string]string

// crash stops the disk: nothing counts any more. It shows what was there and what of it was synced; stop must end
// whoever uses the files.
func (c *crashFS) crash(stop func()) (written, synced tree) {
	c.mu.Lock()
	c.SetIgnoreSyncs(true)
	written = c.tree()
	c.mu.Unlock()
	stop()
	c.ResetToSyncedState()
	return written, c.tree()
}

func (c *crashFS) tree() tree {
	t := tree{}
	var walk func(dir string)
	walk = func(dir string) {
		names, err := c.MemFS.List(dir)
		if err != nil {
			panic(err)
		}
		for _, name := range names {
			at := path.Join(dir, name)
			info, err := c.Stat(at)
			if err != nil {
				panic(err)
			}
			if info.IsDir() {
				t[at+"/"] = ""
				walk(at)
				continue
			}
			f, err := c.MemFS.Open(at)
			if err != nil {
				panic(err)
			}
			b, err := io.ReadAll(f)
			if err != nil {
				panic(err)
			}
			_ = f.Close()
			t[at] = string(b)
		}
	}
	walk("/")
	return t
}

func (t tree) paths() []string {
	all := make([]string, 0, len(t))
	for p := range t {
		all = append(all, p)
	}
	sort.Strings(all) // directories before what is in them
	return all
}

// afterPowerLoss is the disk after the power came back: what was synced, and some of what was appended and not synced.
func afterPowerLoss(t testing.TB, rnd *rand.Rand, written, synced tree) *crashFS {
	kept := tree{}
	for _, p := range synced.paths() {
		kept[p] = synced[p]
		if w := written[p]; len(w) > len(synced[p]) && w[:len(synced[p])] == synced[p] {
			kept[p] = w[:len(synced[p])+rnd.IntN(len(w)-len(synced[p])+1)]
		}
	}
	c := newCrashFS()
	c.put(t, kept)
	return c
}

// afterKill is the disk after only the process died: all that was written is there, and a power loss can still take
// what was not synced.
func afterKill(t testing.TB, written, synced tree) *crashFS {
	c := newCrashFS()
	c.put(t, synced)
	c.SetIgnoreSyncs(true)
	for _, p := range synced.paths() {
		if _, ok := written[p]; !ok && p[len(p)-1] != '/' {
			if err := c.MemFS.RemoveAll(p); err != nil {
				t.Fatal(err)
			}
		}
	}
	changed := tree{}
	for p, b := range written {
		if s, ok := synced[p]; !ok || s != b {
			changed[p] = b
		}
	}
	for _, p := range changed.paths() {
		if s := synced[p]; p[len(p)-1] != '/' && s != "" && len(s) < len(changed[p]) && changed[p][:len(s)] == s {
			f, err := c.MemFS.OpenForAppend(p)
			if err == nil {
				_, err = f.Write([]byte(changed[p][len(s):]))
			}
			if err != nil {
				t.Fatal(err)
			}
			_ = f.Close()
			delete(changed, p)
		}
	}
	c.put(t, changed)
	c.SetIgnoreSyncs(false)
	return c
}

// put writes files and syncs them with their directories.
func (c *crashFS) put(t testing.TB, files tree) {
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	sync := func(dir string) {
		d, err := c.MemFS.OpenDir(dir)
		check(err)
		check(d.Sync())
		check(d.Close())
	}
	for _, p := range files.paths() {
		if p[len(p)-1] == '/' {
			check(c.MemFS.MkdirAll(p[:len(p)-1], 0o700))
		} else {
			f, err := c.MemFS.Create(p)
			check(err)
			_, err = f.Write([]byte(files[p]))
			check(err)
			check(f.Sync())
			check(f.Close())
		}
		sync(path.Dir(path.Clean(p)) + "/")
	}
}

// save puts files into a directory of the system.
func (t tree) save(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for _, p := range t.paths() {
		at := filepath.Join(dir, p)
		if p[len(p)-1] == '/' {
			if err := os.MkdirAll(at, 0o700); err != nil {
				return err
			}
		} else if err := os.WriteFile(at, []byte(t[p]), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (c *crashFS) change(f func() error) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return f()
}

func (c *crashFS) opened(f func() (vfs.File, error)) (vfs.File, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	file, err := f()
	if err != nil {
		return nil, err
	}
	return &crashFile{file, c}, nil
}

func (c *crashFS) Create(p string) (vfs.File, error) {
	return c.opened(func() (vfs.File, error) { return c.MemFS.Create(p) })
}

func (c *crashFS) Open(p string, _ ...vfs.OpenOption) (vfs.File, error) {
	return c.opened(func() (vfs.File, error) { return c.MemFS.Open(p) })
}

func (c *crashFS) OpenDir(p string) (vfs.File, error) {
	return c.opened(func() (vfs.File, error) { return c.MemFS.OpenDir(p) })
}

func (c *crashFS) OpenForAppend(p string) (vfs.File, error) {
	return c.opened(func() (vfs.File, error) { return c.MemFS.OpenForAppend(p) })
}

func (c *crashFS) ReuseForWrite(from, to string) (vfs.File, error) {
	return c.opened(func() (vfs.File, error) { return c.MemFS.ReuseForWrite(from, to) })
}

func (c *crashFS) Link(from, to string) error {
	return c.change(func() error { return c.MemFS.Link(from, to) })
}

func (c *crashFS) Rename(from, to string) error {
	return c.change(func() error { return c.MemFS.Rename(from, to) })
}

func (c *crashFS) Remove(p string) error { return c.change(func() error { return c.MemFS.Remove(p) }) }

func (c *crashFS) RemoveAll(p string) error {
	return c.change(func() error { return c.MemFS.RemoveAll(p) })
}

func (c *crashFS) MkdirAll(p string, mode os.FileMode) error {
	return c.change(func() error { return c.MemFS.MkdirAll(p, mode) })
}

type crashFile struct {
	vfs.File
	fs *crashFS
}

func (f *crashFile) Write(p []byte) (n int, err error) {
	err = f.fs.change(func() error { n, err = f.File.Write(p); return err })
	return n, err
}

func (f *crashFile) Sync() error { return f.fs.change(f.File.Sync) }
