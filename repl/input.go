package repl

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// input reads a file such as standard input and can be stopped while it waits, by the end of a context or
// by Close, without a goroutine that stays behind in a read.
type input struct {
	file  *os.File
	wake  *os.File // read end of a pipe: readable, for good, once stop has closed the other
	stop  func()
	done  func() bool // takes back the context's call of stop
	close sync.Once
}

// newInput wraps a file. The file itself stays open.
func newInput(ctx context.Context, f *os.File) (*input, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("prepare to read commands: %w", err)
	}
	in := &input{file: f, wake: r, stop: sync.OnceFunc(func() { _ = w.Close() })}
	in.done = context.AfterFunc(ctx, in.stop)
	return in, nil
}

// Read waits for bytes; io.EOF once it is stopped.
func (i *input) Read(p []byte) (int, error) {
	for {
		fds := []unix.PollFd{{Fd: int32(i.wake.Fd()), Events: unix.POLLIN}, {Fd: int32(i.file.Fd()), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil {
			if err == unix.EINTR {
				continue
			}
			return 0, fmt.Errorf("wait for input: %w", err)
		}
		if fds[0].Revents != 0 {
			return 0, io.EOF
		}
		if fds[1].Revents != 0 {
			return i.file.Read(p)
		}
	}
}

// Stop ends Read, now and for good. Any goroutine may call it.
func (i *input) Stop() { i.stop() }

// Close stops it and frees what it holds. Nobody may be in Read any more.
func (i *input) Close() error {
	i.close.Do(func() {
		i.done()
		i.stop()
		_ = i.wake.Close()
	})
	return nil
}
