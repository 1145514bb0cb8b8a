package repl

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"dmalloc/message"
)

// piece is how much is printed at once: memory stays bounded and progress is seen (P6).
const piece = 4 << 20

// fileError says what is wrong with a file that the user named.
func fileError(doing, name string, err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return message.Errorf(message.InvalidArgument, "cannot %s %s: %v", doing, message.Quote(name), err)
}

// openRegular opens a file to read it whole. Directories, devices and pipes have no size and are refused, and
// opening a pipe might wait for ever.
func openRegular(name string) (*os.File, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fileError("read", name, err)
	}
	if err := regular("read", name, info); err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fileError("read", name, err)
	}
	return f, nil
}

// readWhole reads a file of at most so many bytes into memory. what says what the bytes will be.
func readWhole(name, what string, most int64) ([]byte, error) {
	f, err := openRegular(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1)) // the file may be growing
	if err != nil {
		return nil, fileError("read", name, err)
	}
	if int64(len(data)) > most {
		return nil, message.Errorf(message.InvalidArgument, "%s is larger than %d bytes, the most that %s may have; nothing was written", message.Quote(name), most, what)
	}
	return data, nil
}

// openScript opens a file of commands, which may be a pipe: they are run as they come.
func openScript(name string) (*os.File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fileError("read", name, err)
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		_ = f.Close()
		return nil, regular("read", name, info)
	}
	return f, nil
}

func regular(doing, name string, info os.FileInfo) error {
	switch {
	case info.IsDir():
		return message.Errorf(message.InvalidArgument, "cannot %s %s: it is a directory; name a file", doing, message.Quote(name))
	case !info.Mode().IsRegular():
		return message.Errorf(message.InvalidArgument, "cannot %s %s: it is no regular file", doing, message.Quote(name))
	}
	return nil
}

// replaceFile writes a file so that its name shows the old content or all of the new (P5): it is written beside
// the old one and renamed. An existing file keeps its permissions; a link is followed.
func replaceFile(name string, mode os.FileMode, write func(*os.File) error) error {
	keep := false
	if info, err := os.Stat(name); err == nil {
		if err := regular("write", name, info); err != nil {
			return err
		}
		if real, err := filepath.EvalSymlinks(name); err == nil {
			name = real
		}
		mode, keep = info.Mode().Perm(), true
	}
	f, err := createBeside(name, mode)
	if err != nil {
		return fileError("write", name, err)
	}
	defer os.Remove(f.Name()) // what was renamed is no longer there
	defer f.Close()
	if keep {
		if err := f.Chmod(mode); err != nil {
			return fileError("write", name, err)
		}
	}
	if err := write(f); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return fileError("write", name, err)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return fileError("write", name, err)
	}
	return nil
}

// WriteFile puts data into a file that others may be reading: they see the old content or the new, never a part.
func WriteFile(name string, data []byte) error {
	return replaceFile(name, 0o666, func(f *os.File) error {
		if _, err := f.Write(data); err != nil {
			return fileError("write", name, err)
		}
		return nil
	})
}

// ReplaceFile has write make a file's content: those who read it see the old one or all of the new.
func ReplaceFile(name string, write func(io.Writer) error) error {
	return replaceFile(name, 0o666, func(f *os.File) error { return write(f) })
}

// createBeside makes a new file in the directory of name, with the permissions that a new file gets.
func createBeside(name string, mode os.FileMode) (*os.File, error) {
	for i := 0; ; i++ {
		beside := filepath.Join(filepath.Dir(name), fmt.Sprintf(".%.100s.%d-%d.tmp", filepath.Base(name), os.Getpid(), i))
		f, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if !errors.Is(err, os.ErrExist) || i == 100 {
			return f, err
		}
	}
}
