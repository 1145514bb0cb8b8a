package faultfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lni/vfs"
)

// told collects what Failed hears.
type told struct {
	mu  sync.Mutex
	all []string
}

func (l *told) hear(op, path string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, fmt.Sprintf("%s %s: %v", op, filepath.Base(path), errors.Is(err, syscall.ENOSPC)))
}

func (l *told) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.all
	l.all = nil
	return all
}

func write(t *testing.T, f vfs.FS, path, text string) vfs.File {
	t.Helper()
	file, err := f.Create(path)
	if err == nil {
		_, err = file.Write([]byte(text))
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func read(t *testing.T, f vfs.FS, path string) string {
	t.Helper()
	file, err := f.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(file)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// X1: each way to take room fails with ENOSPC and is told; everything else works, and all of it after Set.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	var s Switch
	var l told
	f := Wrap(vfs.Default, Options{Disk: &s, Failed: l.hear})
	a := write(t, f, filepath.Join(dir, "a"), "before")
	takes := []struct {
		name string
		do   func() error
		says string
	}{
		{"create", func() error { return make1(f.Create(filepath.Join(dir, "b"))) }, "create b: true"},
		{"write", func() error { return make2(a.Write([]byte(" after"))) }, "write a: true"},
		{"overwrite", func() error { return make2(a.WriteAt([]byte("B"), 0)) }, "write a: true"},
		{"link", func() error { return f.Link(filepath.Join(dir, "a"), filepath.Join(dir, "c")) }, "link c: true"},
		{"directory", func() error { return f.MkdirAll(filepath.Join(dir, "d", "e"), 0o700) }, "make e: true"},
		{"reuse", func() error { return make1(f.ReuseForWrite(filepath.Join(dir, "b"), filepath.Join(dir, "g"))) }, "create g: true"},
	}
	s.Set(true, 0)
	for _, c := range takes {
		if err := c.do(); !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, ErrFull) {
			t.Errorf("%s on a full disk: %v", c.name, err)
		}
		if got := l.take(); !reflect.DeepEqual(got, []string{c.says}) {
			t.Errorf("%s told %q, want %q", c.name, got, c.says)
		}
	}
	if err := errors.Join(a.Sync(), f.MkdirAll(dir, 0o700), f.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "h"))); err != nil {
		t.Error(err)
	}
	if got := read(t, f, filepath.Join(dir, "h")); got != "before" {
		t.Errorf("a full disk wrote, the file is %q", got)
	}
	if err := f.Rename(filepath.Join(dir, "h"), filepath.Join(dir, "a")); err != nil {
		t.Error(err)
	}
	if names, err := f.List(dir); err != nil || len(names) != 1 {
		t.Errorf("a full disk made %q, %v", names, err)
	}
	s.Set(false, 0)
	for _, c := range takes {
		if err := c.do(); err != nil {
			t.Errorf("%s after there is room: %v", c.name, err)
		}
	}
	if err := errors.Join(a.Close(), f.Remove(filepath.Join(dir, "c")), f.RemoveAll(filepath.Join(dir, "d"))); err != nil {
		t.Error(err)
	}
	if got := read(t, f, filepath.Join(dir, "a")); got != "Before after" {
		t.Errorf("the file is %q", got)
	}
	if got := l.take(); got != nil {
		t.Errorf("told of %q", got)
	}
}

func make1(f vfs.File, err error) error {
	if err == nil {
		err = f.Close()
	}
	return err
}

func make2(_ int, err error) error { return err }

// X2: a sync takes as long as it is told to, or until the disk is fast again; nothing else waits.
func TestSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Switch
		f := Wrap(vfs.NewMem(), Options{Disk: &s})
		a := write(t, f, "a", "x")
		took := func(do func() error) time.Duration {
			begin := time.Now()
			if err := do(); err != nil {
				t.Error(err)
			}
			return time.Since(begin)
		}
		if d := took(a.Sync); d != 0 {
			t.Errorf("a sync of a healthy disk took %s", d)
		}
		s.Set(false, time.Hour)
		if full, slow := s.State(); full || slow != time.Hour {
			t.Errorf("state is %v, %s", full, slow)
		}
		if d := took(a.Sync); d != time.Hour {
			t.Errorf("a sync of a slow disk took %s", d)
		}
		if d := took(func() error { return make2(a.Write([]byte("y"))) }); d != 0 {
			t.Errorf("a write to a slow disk took %s", d)
		}
		times := make(chan time.Duration, 3)
		for range cap(times) {
			go func() { times <- took(a.Sync) }()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		s.Set(true, 0)
		for range cap(times) {
			if d := <-times; d != time.Minute {
				t.Errorf("a sync took %s on a disk that was slow for a minute", d)
			}
		}
	})
}

// refusing is a disk on which nothing works, for a reason that is no full disk.
type refusing struct{ vfs.FS }

func (refusing) fail(path string) error {
	return &fs.PathError{Op: "open", Path: path, Err: syscall.EROFS}
}
func (r refusing) Create(path string) (vfs.File, error)                    { return nil, r.fail(path) }
func (r refusing) OpenDir(path string) (vfs.File, error)                   { return nil, r.fail(path) }
func (r refusing) OpenForAppend(path string) (vfs.File, error)             { return nil, r.fail(path) }
func (r refusing) ReuseForWrite(_, path string) (vfs.File, error)          { return nil, r.fail(path) }
func (r refusing) Open(path string, _ ...vfs.OpenOption) (vfs.File, error) { return nil, r.fail(path) }
func (r refusing) Link(_, path string) error                               { return r.fail(path) }
func (r refusing) Rename(_, path string) error                             { return r.fail(path) }
func (r refusing) Remove(path string) error                                { return r.fail(path) }
func (r refusing) RemoveAll(path string) error                             { return r.fail(path) }
func (r refusing) MkdirAll(path string, _ os.FileMode) error               { return r.fail(path) }
func (r refusing) List(path string) ([]string, error)                      { return nil, r.fail(path) }
func (r refusing) Stat(path string) (os.FileInfo, error)                   { return nil, r.fail(path) }

// badFile is an open file of a disk that broke meanwhile.
type badFile struct{ vfs.File }

func (badFile) Write([]byte) (int, error)          { return 0, syscall.EIO }
func (badFile) WriteAt([]byte, int64) (int, error) { return 0, syscall.EIO }
func (badFile) Read([]byte) (int, error)           { return 0, syscall.EIO }
func (badFile) ReadAt([]byte, int64) (int, error)  { return 0, syscall.EIO }
func (badFile) Sync() error                        { return syscall.EIO }
func (badFile) Close() error                       { return syscall.EIO }

// X3: a real failure is told and passed on as it is; answers about files are not told.
func TestFailuresAreTold(t *testing.T) {
	var l told
	f := Wrap(refusing{vfs.NewMem()}, Options{Failed: l.hear})
	b := &file{badFile{}, f.(*filesystem), "b"}
	for _, c := range []struct {
		says string
		want error
		err  error
	}{
		{"create a: false", syscall.EROFS, make1(f.Create("a"))},
		{"open a: false", syscall.EROFS, make1(f.Open("a"))},
		{"open a: false", syscall.EROFS, make1(f.OpenDir("a"))},
		{"open a: false", syscall.EROFS, make1(f.OpenForAppend("a"))},
		{"create a: false", syscall.EROFS, make1(f.ReuseForWrite("b", "a"))},
		{"link a: false", syscall.EROFS, f.Link("b", "a")},
		{"rename a: false", syscall.EROFS, f.Rename("b", "a")},
		{"remove a: false", syscall.EROFS, f.Remove("a")},
		{"remove a: false", syscall.EROFS, f.RemoveAll("a")},
		{"make a: false", syscall.EROFS, f.MkdirAll("a", 0o700)},
		{"list a: false", syscall.EROFS, make3(f.List("a"))},
		{"stat a: false", syscall.EROFS, make4(f.Stat("a"))},
		{"write b: false", syscall.EIO, make2(b.Write(nil))},
		{"write b: false", syscall.EIO, make2(b.WriteAt(nil, 0))},
		{"read b: false", syscall.EIO, make2(b.Read(nil))},
		{"read b: false", syscall.EIO, make2(b.ReadAt(nil, 0))},
		{"sync b: false", syscall.EIO, b.Sync()},
		{"close b: false", syscall.EIO, b.Close()},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", c.says, c.err, c.want)
		}
		if len(l.all) == 0 || l.all[0] != c.says {
			t.Fatalf("told %q, want %q next", l.all, c.says)
		}
		l.all = l.all[1:]
	}
	if got := l.take(); len(got) != 0 {
		t.Errorf("told too much: %q", got)
	}

	for _, inner := range []vfs.FS{vfs.Default, vfs.NewMem()} {
		f := Wrap(inner, Options{Failed: l.hear})
		dir := t.TempDir()
		if err := f.MkdirAll(dir, 0o700); err != nil && inner == vfs.Default {
			t.Fatal(err)
		}
		if inner != vfs.Default {
			dir = ""
		}
		a := write(t, f, filepath.Join(dir, "a"), "x")
		r, err := f.Open(filepath.Join(dir, "a"))
		if err != nil {
			t.Fatal(err)
		}
		l.take()
		_, missing := f.Open(filepath.Join(dir, "none"))
		_, gone := f.Stat(filepath.Join(dir, "none"))
		there := f.Link(filepath.Join(dir, "a"), filepath.Join(dir, "a"))
		_, end := r.ReadAt(make([]byte, 9), 1)
		for i, err := range []error{missing, gone, there, end, errors.Join(a.Close(), r.Close())} {
			if (err == nil) != (i == 4) {
				t.Errorf("answer %d is %v", i, err)
			}
		}
		if got := l.take(); got != nil {
			t.Errorf("told of %q", got)
		}
	}
}

func make3(_ []string, err error) error    { return err }
func make4(_ os.FileInfo, err error) error { return err }

// Room is reserved for the files of the system that ask for it, and without changing their size.
func TestReserve(t *testing.T) {
	dir := t.TempDir()
	f := Wrap(vfs.Default, Options{Reserve: func(path string) int64 {
		if filepath.Ext(path) == ".log" {
			return 1 << 20
		}
		return 0
	}})
	for name, want := range map[string]bool{"a.log": true, "a.index": false} {
		if err := make1(f.Create(filepath.Join(dir, name))); err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat(filepath.Join(dir, name))
		if err != nil || info.Size() != 0 {
			t.Fatal(info.Size(), err)
		}
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || (st.Blocks*512 >= 1<<20) != want {
			t.Errorf("%s has %d blocks", name, st.Blocks)
		}
	}
	if err := make1(Wrap(vfs.NewMem(), Options{Reserve: func(string) int64 { return 1 << 20 }}).Create("a")); err != nil {
		t.Error(err)
	}
}

// The Switch may be turned while the disk is in use.
func TestSwitchIsSafe(t *testing.T) {
	var s Switch
	f := Wrap(vfs.NewMem(), Options{Disk: &s})
	var tasks sync.WaitGroup
	for i := range 4 {
		tasks.Go(func() {
			for range 500 {
				if file, err := f.Create(fmt.Sprint(i)); err == nil {
					_, _ = file.Write([]byte("x"))
					_ = file.Sync()
					_ = file.Close()
				}
				s.Set(i%2 == 0, time.Duration(i))
			}
		})
	}
	tasks.Wait()
	s.Set(false, 0)
	if err := make1(f.Create("end")); err != nil {
		t.Error(err)
	}
	var none *Switch
	if err := errors.Join(none.BeforeWrite(1), none.BeforeSync()); err != nil {
		t.Error(err)
	}
}
