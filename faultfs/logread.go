package faultfs

import (
	"io"
	"os"

	"github.com/lni/vfs"
)

// logReader is a log that is open for appending, as who opens it by name finds it: up to where it ended then, for there
// may be room behind.
type logReader struct {
	vfs.File
	at, end int64
}

func (r *logReader) Read(p []byte) (int, error) {
	n, err := r.ReadAt(p, r.at)
	r.at += int64(n)
	if n > 0 {
		err = nil // it is met again
	}
	return n, err
}

func (r *logReader) ReadAt(p []byte, at int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if at >= r.end {
		return 0, io.EOF
	}
	part := p[:min(int64(len(p)), r.end-at)]
	n, err := r.File.ReadAt(part, at)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

func (r *logReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.end
	}
	if offset < 0 {
		return 0, os.ErrInvalid
	}
	r.at = offset
	return offset, nil
}

func (r *logReader) Stat() (os.FileInfo, error) {
	info, err := r.File.Stat()
	if err == nil {
		info = sized{info, r.end}
	}
	return info, err
}

// sized is what is known of a file, with another size.
type sized struct {
	os.FileInfo
	size int64
}

func (s sized) Size() int64 { return s.size }
