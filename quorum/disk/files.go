package disk

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"
)

// file is what the store needs of an open file.
type file interface {
	io.ReaderAt
	io.WriterAt
	Size() (int64, error)
	Truncate(size int64) error
	Sync() error // what was written, and the size
	Close() error
}

// layer is what the store needs of a file system. Tests have one that forgets what was not synced.
type layer interface {
	MakeDir(dir string) error               // with all above it, durably
	List(dir string) ([]string, error)      // names of files, sorted
	Create(path string) (file, error)       // an empty file, whatever was there
	Open(path string) (file, error)         // to read and write
	Rename(from, to string) error           //
	Remove(path string) error               //
	SyncDir(dir string) error               // makes names durable
	Lock(path string) (func() error, error) // for one store at a time; the result unlocks
}

type system struct{}

// MakeDir syncs the parent of the directory also if it is there: who made it may have been killed before that.
func (l system) MakeDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, os.ErrNotExist) {
		if err = l.MakeDir(filepath.Dir(dir)); err == nil {
			err = os.Mkdir(dir, 0o700)
		}
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return l.SyncDir(filepath.Dir(dir))
}

func (system) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (system) Create(path string) (file, error) {
	return opened(os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600))
}

func (system) Open(path string) (file, error) { return opened(os.OpenFile(path, os.O_RDWR, 0)) }

func opened(f *os.File, err error) (file, error) {
	if err != nil {
		return nil, err
	}
	return systemFile{f}, nil
}

func (system) Rename(from, to string) error { return os.Rename(from, to) }
func (system) Remove(path string) error     { return os.Remove(path) }

func (system) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (system) Lock(path string) (func() error, error) {
	lock := flock.New(path)
	ok, err := lock.TryLock()
	if err == nil && !ok {
		err = errLocked
	}
	return lock.Unlock, err
}

var errLocked = errors.New("another process has it open")

type systemFile struct{ *os.File }

func (f systemFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// Sync is fdatasync: the size comes along, the times do not.
func (f systemFile) Sync() error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = c.Control(func(fd uintptr) {
		for {
			if failed = unix.Fdatasync(int(fd)); !errors.Is(failed, unix.EINTR) {
				return
			}
		}
	})
	return errors.Join(err, failed)
}
