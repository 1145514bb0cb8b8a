package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
)

const plainStep = 1 << 20 // bytes at a time

// plain hides everything but reading and writing, so that bytes are copied as programs do and not by the kernel alone.
type plain struct{ io.ReadWriter }

// copyFile does what dd conv=fsync does: as many copies of a file as there are replicas, each synced, all at once.
// The copies stay in the order's directory: deleting them is no part of the work.
func copyFile(ctx context.Context, o *Order) error {
	failures := make([]error, o.Replicas)
	var wg sync.WaitGroup
	for i := range failures {
		wg.Go(func() { failures[i] = copyOnce(ctx, o.File, filepath.Join(o.Dir, fmt.Sprint(i))) })
	}
	wg.Wait()
	return errors.Join(failures...)
}

func copyOnce(ctx context.Context, from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.CopyBuffer(plain{out}, plain{in}, make([]byte, plainStep)); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return out.Sync()
}

// receive takes all that comes through one connection, and puts it into a file if the order names one. It ends
// with the connection.
func receive(ctx context.Context, o *Order) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", o.Addresses[0])
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	to := io.Writer(io.Discard)
	if o.File != "" {
		f, err := os.Create(o.File)
		if err != nil {
			return err
		}
		defer f.Close()
		to = f
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{to}, plain{c}, make([]byte, plainStep))
	if err == nil && uint64(n) != o.Size {
		err = fmt.Errorf("%d of %d bytes came", n, o.Size)
	}
	return err
}

// Sender gives a file to everyone who connects, once each, until it is closed.
type Sender struct {
	listener net.Listener
	file     string
	wg       sync.WaitGroup
}

// Send starts one.
func Send(file string) (*Sender, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Sender{listener: l, file: file}
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.give(c) // one after the other: nothing else is measured meanwhile
		}
	})
	return s, nil
}

func (s *Sender) give(c net.Conn) {
	defer c.Close()
	f, err := os.Open(s.file)
	if err != nil {
		return // the receiver says that nothing came
	}
	defer f.Close()
	_, _ = io.CopyBuffer(plain{c}, plain{f}, make([]byte, plainStep))
}

// Address is where to connect.
func (s *Sender) Address() string { return s.listener.Addr().String() }

// Close ends it, and waits for a receiver that is being served.
func (s *Sender) Close() {
	_ = s.listener.Close()
	s.wg.Wait()
}
