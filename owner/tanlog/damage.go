package tanlog

import (
	"errors"
	"fmt"
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
	return fmt.Sprintf("kept file %s was altered: at offset %d, %s. The node refuses to start from it, "+
		"for acknowledged writes could be lost without notice; the files are kept as they are. "+
		"Run `revive ID --wipe` to start the node empty and let it rejoin from the others", e.File, e.Offset, e.Why)
}

// Unwrap gives the error its class.
func (e *DamageError) Unwrap() error {
	return &message.Error{Op: "tanlog.Check", Code: message.Corrupt, Text: e.Why}
}

// flaw is damage in a file whose name the finder does not know.
type flaw struct {
	offset int64
	why    string
}

func (f *flaw) Error() string { return fmt.Sprintf("at offset %d, %s", f.offset, f.why) }

func flawf(offset int64, format string, args ...any) error {
	return &flaw{offset, fmt.Sprintf(format, args...)}
}

func damagef(file string, offset int64, format string, args ...any) error {
	return &DamageError{file, offset, fmt.Sprintf(format, args...)}
}

// named turns what went wrong with a file into the error that Check returns.
func named(file string, err error) error {
	var f *flaw
	var d *DamageError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &d):
		return err
	case errors.As(err, &f):
		return &DamageError{file, f.offset, f.why}
	case errors.Is(err, syscall.EIO):
		return damagef(file, 0, "the disk cannot read it (%v)", err)
	case errors.Is(err, fs.ErrNotExist):
		return damagef(file, 0, "the file is missing")
	}
	return &message.Error{Op: "tanlog.Check", Code: message.Unavailable,
		Text: fmt.Sprintf("cannot read kept file %s; make it readable and start again", file), Err: err}
}
