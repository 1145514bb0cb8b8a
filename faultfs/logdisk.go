package faultfs

import (
	"errors"
	"io"
	"os"
	"unsafe"

	"github.com/lni/vfs"
	"golang.org/x/sys/unix"
)

// logDisk is what a log asks of its file beyond what files do.
type logDisk interface {
	vfs.File
	Truncate(size int64) error
	// SetDirect turns O_DIRECT on or off.
	SetDirect(on bool) error
	// WriteDirect writes p and then more at a multiple of sector; both are whole sectors in memory that begins like one. If
	// sync is set they are durable when it returns, and so is what is needed to find them.
	WriteDirect(p, more []byte, at int64, sync bool) error
	// Datasync makes durable what was written before, and what is needed to find it.
	Datasync() error
}

// diskFile is a file of the system.
type diskFile struct{ *os.File }

func (d diskFile) SetDirect(on bool) error {
	flags, err := unix.FcntlInt(d.Fd(), unix.F_GETFL, 0)
	if err == nil {
		if flags &^= unix.O_DIRECT; on {
			flags |= unix.O_DIRECT
		}
		_, err = unix.FcntlInt(d.Fd(), unix.F_SETFL, flags)
	}
	return os.NewSyscallError("fcntl", err)
}

func (d diskFile) WriteDirect(p, more []byte, at int64, sync bool) error {
	flags := 0
	if sync {
		flags = unix.RWF_DSYNC
	}
	for len(p)+len(more) > 0 {
		parts := [][]byte{p, more}
		if len(more) == 0 {
			parts = parts[:1]
		}
		n, err := unix.Pwritev2(int(d.Fd()), parts, at, flags)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		n -= n % sector
		if err == nil && n <= 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			return &os.PathError{Op: "write", Path: d.Name(), Err: err}
		}
		at += int64(n)
		p, more = behindWritten(p, more, n)
	}
	return nil
}

// behindWritten is what is left to write once n bytes are.
func behindWritten(p, more []byte, n int) (left, then []byte) {
	if n >= len(p) {
		return more[n-len(p):], nil
	}
	return p[n:], more
}

func (d diskFile) Datasync() error {
	for {
		err := unix.Fdatasync(int(d.Fd()))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return &os.PathError{Op: "sync", Path: d.Name(), Err: err}
		default:
			return nil
		}
	}
}

// aligned is memory that begins at a multiple of sector.
func aligned(n int) []byte {
	b := make([]byte, n+sector)
	skip := int(-uintptr(unsafe.Pointer(&b[0])) & (sector - 1))
	return b[skip : skip+n : skip+n]
}

// roomOf is mostRoom bytes of room, of what it repeats; none: zeros.
func roomOf(mark []byte) []byte {
	room := aligned(mostRoom)
	for n := 0; len(mark) > 0 && n < len(room); {
		n += copy(room[n:], mark)
	}
	return room
}
