package faultfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/lni/vfs"
	"golang.org/x/sys/unix"
)

// Options says what Wrap adds to a file system.
type Options struct {
	Disk Disk // nil: healthy
	// Failed hears of each failure, from the goroutine that met it, before the caller does (X3); nil: nobody hears.
	Failed func(op, path string, err error)
	// Reserve is how many bytes a new file will surely need. They are reserved where the system can do it;
	// nil and 0: none. Dragonboat reserves only for files that it knows to be the system's, not for wrapped ones.
	Reserve func(path string) int64
	// Log says which new files are logs: only appended to, and seldom read. What is appended to them goes around the
	// page cache where the system can do it. Before another file of a log's directory is synced, the log is: such a file
	// says where in the log something is, or that it is nowhere else any more. nil: none.
	Log func(path string) bool
	// Room is repeated, from the beginning of a log, wherever the log's file has room for what comes; a power of two of bytes,
	// at most 512. Who reads the file itself must know it for room. nil: zeros.
	Room []byte
}

// Wrap makes a file system that may fail of one that does not.
func Wrap(inner vfs.FS, o Options) vfs.FS {
	if o.Disk == nil {
		o.Disk = (*Switch)(nil)
	}
	if o.Failed == nil {
		o.Failed = func(string, string, error) {}
	}
	return &filesystem{FS: inner, o: o, room: sync.OnceValue(func() []byte { return roomOf(o.Room) })}
}

// filesystem passes on what only reads names: PathBase, PathDir, PathJoin, GetDiskUsage, and Lock, whose
// failure is another process.
type filesystem struct {
	vfs.FS
	o    Options
	logs sync.Map // path -> *logFile that is open
	room func() []byte
}

// told passes an error on after it was told.
func (f *filesystem) told(op, path string, err error) error {
	if err != nil && isFailure(err) {
		f.o.Failed(op, path, err)
	}
	return err
}

// isFailure tells a broken disk from an answer about files (X3).
func isFailure(err error) bool {
	return !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, os.ErrClosed) &&
		!errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist)
}

// hasRoom asks whether n more bytes have room.
func (f *filesystem) hasRoom(op, path string, n int) error {
	if err := f.o.Disk.BeforeWrite(n); err != nil {
		return f.told(op, path, &fs.PathError{Op: op, Path: path, Err: err})
	}
	return nil
}

func (f *filesystem) opened(op, path string, inner vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, f.told(op, path, err)
	}
	return &file{inner, f, path}, nil
}

func (f *filesystem) Create(path string) (vfs.File, error) {
	if err := f.hasRoom("create", path, 0); err != nil {
		return nil, err
	}
	inner, err := f.FS.Create(path)
	if err == nil {
		if err = f.reserve(path, inner); err != nil {
			return nil, errors.Join(f.told("reserve room for", path, err), inner.Close())
		}
		inner = f.log(path, inner)
	}
	return f.opened("create", path, inner, err)
}

// reserve asks the system for room, which spares later syncs the search for it.
func (f *filesystem) reserve(path string, inner vfs.File) error {
	real, ok := inner.(*os.File)
	if !ok || f.o.Reserve == nil {
		return nil
	}
	size := f.o.Reserve(path)
	if size <= 0 {
		return nil
	}
	err := unix.Fallocate(int(real.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil // a file system that cannot reserve can still write
	}
	return err
}

// log makes a log of a new file if it is to be one.
func (f *filesystem) log(path string, inner vfs.File) vfs.File {
	real, ok := inner.(*os.File)
	if !ok || f.o.Log == nil || !f.o.Log(path) {
		return inner
	}
	l := newLogFile(diskFile{real}, f.room())
	l.closed = func() { f.logs.CompareAndDelete(path, l) }
	f.logs.Store(path, l)
	return l
}

// logsFirst syncs the logs that a file may tell of. Dragonboat's log does not: it has the index say where in a log the latest
// state is, and closes that log, when the state was written and not synced.
func (f *filesystem) logsFirst(path string) error {
	if f.o.Log == nil || f.o.Log(path) {
		return nil
	}
	var err error
	f.logs.Range(func(name, log any) bool {
		if filepath.Dir(name.(string)) == filepath.Dir(path) {
			err = f.told("sync", name.(string), log.(*logFile).durable())
		}
		return err == nil
	})
	return err
}

// Open finds in a file all that was written to it, also what a log has not passed on yet.
func (f *filesystem) Open(path string, opts ...vfs.OpenOption) (vfs.File, error) {
	end, limited, err := f.endOf(path)
	if err != nil {
		return nil, f.told("write", path, err)
	}
	inner, err := f.FS.Open(path, opts...)
	if err == nil && limited {
		inner = &logReader{File: inner, end: end}
	}
	return f.opened("open", path, inner, err)
}

// endOf says where a log ends that is being written.
func (f *filesystem) endOf(path string) (end int64, limited bool, err error) {
	if l, ok := f.logs.Load(path); ok {
		return l.(*logFile).settle()
	}
	return 0, false, nil
}

func (f *filesystem) OpenDir(path string) (vfs.File, error) {
	inner, err := f.FS.OpenDir(path)
	return f.opened("open", path, inner, err)
}

func (f *filesystem) OpenForAppend(path string) (vfs.File, error) {
	inner, err := f.FS.OpenForAppend(path)
	return f.opened("open", path, inner, err)
}

func (f *filesystem) ReuseForWrite(from, to string) (vfs.File, error) {
	if err := f.hasRoom("create", to, 0); err != nil {
		return nil, err
	}
	inner, err := f.FS.ReuseForWrite(from, to)
	return f.opened("create", to, inner, err)
}

func (f *filesystem) MkdirAll(dir string, mode os.FileMode) error {
	if _, err := f.FS.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := f.hasRoom("make", dir, 0); err != nil {
			return err
		}
	}
	return f.told("make", dir, f.FS.MkdirAll(dir, mode))
}

func (f *filesystem) Link(from, to string) error {
	if err := f.hasRoom("link", to, 0); err != nil {
		return err
	}
	return f.told("link", to, f.FS.Link(from, to))
}

func (f *filesystem) Rename(from, to string) error {
	return f.told("rename", to, f.FS.Rename(from, to))
}
func (f *filesystem) Remove(path string) error { return f.told("remove", path, f.FS.Remove(path)) }
func (f *filesystem) RemoveAll(path string) error {
	return f.told("remove", path, f.FS.RemoveAll(path))
}

func (f *filesystem) List(dir string) ([]string, error) {
	names, err := f.FS.List(dir)
	return names, f.told("list", dir, err)
}

func (f *filesystem) Stat(path string) (os.FileInfo, error) {
	end, limited, err := f.endOf(path)
	if err != nil {
		return nil, f.told("write", path, err)
	}
	info, err := f.FS.Stat(path)
	if err == nil && limited {
		info = sized{info, end}
	}
	return info, f.told("stat", path, err)
}

// file is an open file of a filesystem.
type file struct {
	vfs.File
	fs   *filesystem
	path string
}

func (f *file) Write(p []byte) (int, error) {
	if err := f.fs.hasRoom("write", f.path, len(p)); err != nil {
		return 0, err
	}
	n, err := f.File.Write(p)
	return n, f.fs.told("write", f.path, err)
}

func (f *file) WriteAt(p []byte, at int64) (int, error) {
	if err := f.fs.hasRoom("write", f.path, len(p)); err != nil {
		return 0, err
	}
	n, err := f.File.WriteAt(p, at)
	return n, f.fs.told("write", f.path, err)
}

func (f *file) Sync() error {
	if err := f.fs.o.Disk.BeforeSync(); err != nil {
		return f.fs.told("sync", f.path, &fs.PathError{Op: "sync", Path: f.path, Err: err})
	}
	if err := f.fs.logsFirst(f.path); err != nil {
		return err
	}
	return f.fs.told("sync", f.path, f.File.Sync())
}

func (f *file) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	return n, f.fs.told("read", f.path, err)
}

func (f *file) ReadAt(p []byte, at int64) (int, error) {
	n, err := f.File.ReadAt(p, at)
	return n, f.fs.told("read", f.path, err)
}

func (f *file) Close() error { return f.fs.told("close", f.path, f.File.Close()) }
