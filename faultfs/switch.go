package faultfs

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
)

// Disk is asked before a disk is used. *Switch is one, and a nil *Switch is a healthy one.
type Disk interface {
	BeforeWrite(n int) error // n bytes are to be written, or 0: a file or directory is to be made
	BeforeSync() error       // what was written is to be made durable; may wait
}

// ErrFull is what a disk says that is full by command.
var ErrFull = fmt.Errorf("%w (by command: `heal` makes room)", syscall.ENOSPC)

// Switch breaks and heals a disk at run time. The zero value is a healthy disk; any goroutine may use it.
type Switch struct {
	now atomic.Pointer[condition] // nil: healthy
}

var _ Disk = (*Switch)(nil)

// condition is what is wrong with a disk. A new one replaces it and closes over.
type condition struct {
	full bool
	slow time.Duration
	over chan struct{}
}

// Set makes the disk full or not, and every sync longer by slow. What waits in a sync goes on at once.
func (s *Switch) Set(full bool, slow time.Duration) {
	var c *condition
	if full || slow > 0 {
		c = &condition{full, slow, make(chan struct{})}
	}
	if old := s.now.Swap(c); old != nil {
		close(old.over)
	}
}

// State is what Set has set.
func (s *Switch) State() (full bool, slow time.Duration) {
	if c := s.condition(); c != nil {
		return c.full, c.slow
	}
	return false, 0
}

func (s *Switch) condition() *condition {
	if s == nil {
		return nil
	}
	return s.now.Load()
}

// BeforeWrite refuses with ErrFull while the disk is full (X1).
func (s *Switch) BeforeWrite(int) error {
	if c := s.condition(); c != nil && c.full {
		return ErrFull
	}
	return nil
}

// BeforeSync waits while the disk is slow (X2). It does not fail.
func (s *Switch) BeforeSync() error {
	if c := s.condition(); c != nil && c.slow > 0 {
		t := time.NewTimer(c.slow)
		defer t.Stop()
		select {
		case <-t.C:
		case <-c.over:
		}
	}
	return nil
}
