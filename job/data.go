package job

import (
	"context"
	"errors"
	"io"

	"dmalloc/message"
)

// Data is what a job may touch. The node implements it with its client. Its methods are called from one
// goroutine at a time for one job, and must return soon after ctx ends.
type Data interface {
	// Size is how many bytes there are: the value's length, or the allocation's from the address on.
	// NotWritten and NotAllocated say that there is nothing.
	Size(ctx context.Context, a message.JobAddress) (size uint64, err error)
	// ReadAt fills p from offset on and says how much it got: less than len(p) only at the end of what
	// there is, with io.EOF or without. It does not keep p.
	ReadAt(ctx context.Context, p []byte, a message.JobAddress, offset uint64) (int, error)
	// WriteAt replaces a register's value, with an offset of 0, or bytes within a heap block. It may keep p.
	WriteAt(ctx context.Context, p []byte, a message.JobAddress, offset uint64) error
}

// Bytes counts the bytes that a job read, by the position of the address in its request.
type Bytes []uint64

// Sum is all of them.
func (b Bytes) Sum() (n uint64) {
	for _, read := range b {
		n += read
	}
	return n
}

const (
	pieceSize = 256 << 10       // bytes that a built-in reads at a time
	readSize  = message.MaxData // bytes that a module reads at a time: one linearizable read
)

// task is one job that runs: the only way by which its code reaches data, and where it is counted.
type task struct {
	request message.JobRequest
	data    Data
	read    Bytes
	stopped func(cause error) // ends the job's context
}

// size is what Data says, with the address in the error.
func (t *task) size(ctx context.Context, i int) (uint64, error) {
	n, err := t.data.Size(ctx, t.request.Addresses[i])
	return n, t.name(i, err)
}

// readAt reads and counts. At the end of the data it returns 0 and no error.
func (t *task) readAt(ctx context.Context, i int, p []byte, offset uint64) (int, error) {
	n, err := t.data.ReadAt(ctx, p, t.request.Addresses[i], offset)
	n = max(0, min(n, len(p)))
	t.read[i] += uint64(n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, t.name(i, err)
}

// writeAt hands a copy on, for Data may keep what it gets longer than the job's memory exists.
func (t *task) writeAt(ctx context.Context, i int, p []byte, offset uint64) error {
	a := t.request.Addresses[i]
	if !a.Heap && offset != 0 {
		return message.Errorf(message.OutOfBounds, "a register is written as a whole, from offset 0: offset %d of register %s cannot be", offset, a)
	}
	return t.name(i, t.data.WriteAt(ctx, append([]byte(nil), p...), a, offset))
}

// name says in an error which address it is about.
func (t *task) name(i int, err error) error {
	if err == nil {
		return nil
	}
	a := t.request.Addresses[i]
	kind := "register"
	if a.Heap {
		kind = "heap address"
	}
	return &message.Error{Code: message.CodeOf(err), Text: kind + " " + a.String(), Err: err}
}

// pieces reads the whole of address i in order and hands it on; p is valid until use returns.
func (t *task) pieces(ctx context.Context, i int, buf []byte, use func(p []byte) error) error {
	size, err := t.size(ctx, i)
	if err != nil {
		return err
	}
	for offset := uint64(0); offset < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := t.readAt(ctx, i, buf[:min(uint64(len(buf)), size-offset)], offset)
		if err != nil {
			return err
		}
		if n == 0 {
			return nil // it became shorter meanwhile
		}
		if err := use(buf[:n]); err != nil {
			return t.name(i, err)
		}
		offset += uint64(n)
	}
	return nil
}
