package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"dmalloc/message"
)

// DamageError says that a kept file is not what was written. Its class is message.Corrupt.
type DamageError struct {
	File   string
	Offset int64
	Why    string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("kept file %s was altered: at offset %d, %s. What it held is not served from here, for it would be wrong "+
		"or too old; the files are kept as they are. Run `revive ID --wipe` to start the node empty and let it catch up from the others",
		e.File, e.Offset, e.Why)
}

// Unwrap gives the error its class.
func (e *DamageError) Unwrap() error {
	return &message.Error{Op: "disk", Code: message.Corrupt, Text: e.Why}
}

func damagef(file string, offset int64, format string, args ...any) error {
	return &DamageError{file, offset, fmt.Sprintf(format, args...)}
}

// unreadable is the error for a file that the system does not let us read.
func unreadable(file string, offset int64, err error) error {
	var d *DamageError
	switch {
	case errors.As(err, &d):
		return err
	case errors.Is(err, syscall.EIO):
		return damagef(file, offset, "the disk cannot read it (%v)", err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return damagef(file, offset, "the file ends too early")
	case errors.Is(err, fs.ErrNotExist):
		return damagef(file, offset, "the file is missing")
	}
	return &message.Error{Op: "disk", Code: message.Unavailable,
		Text: fmt.Sprintf("cannot read kept file %s; make it readable and start again", file), Err: err}
}

// noRoom says whether an error of a write means that the disk, or what we may use of it, is full, and nothing
// worse.
func noRoom(err error) bool {
	if errors.As(err, new(syncError)) {
		return false
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// fullError refuses what found no room. Nothing of it is kept.
func fullError(dir string, err error) error {
	return &message.Error{Op: "disk.Put", Code: message.OutOfMemory,
		Text: fmt.Sprintf("the disk below %s is full: nothing of this was stored, all that was stored before is kept and served. Make room there, then try again", dir), Err: err}
}

// brokenError refuses everything after a failed write or sync.
func brokenError(dir, doing string, err error) error {
	return &message.Error{Op: "disk", Code: message.Unavailable,
		Text: fmt.Sprintf("the disk below %s failed to %s: nobody can tell what it has, so registers are neither taken nor served here until the node starts again. "+
			"If it fails again, replace the disk and run `revive ID --wipe`", dir, doing), Err: err}
}

func closedError(dir string) error {
	return &message.Error{Op: "disk", Code: message.Unavailable, Text: fmt.Sprintf("the registers below %s are closed: the node ends; ask another replica", dir)}
}
