package boottime

import (
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// Tolerance is how far Now may be from Exact.
	Tolerance = 2 * time.Millisecond
	// fresh is how long Now goes on from one Exact.
	fresh = 100 * time.Millisecond
)

// Exact is how long the machine has been up, suspended or not.
func Exact() time.Duration {
	var ts unix.Timespec
	// The call never blocks, so the scheduler need not hear of it. It cannot fail: the clock is older than Go.
	unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano())
}

// anchor is one moment on all three clocks.
type anchor struct {
	boot time.Duration
	wall int64     // nanoseconds
	mono time.Time // only its monotonic reading is used
}

// Clock is a quick reader of the clock. Its zero value is ready, and any goroutine may use it.
type Clock struct {
	last atomic.Pointer[anchor]
}

// Now is Exact to within Tolerance, as B1 and B2 say.
func (c *Clock) Now() time.Duration {
	if a := c.last.Load(); a != nil {
		if boot, ok := a.after(time.Now()); ok {
			return boot
		}
	}
	return c.start(time.Now, Exact)
}

// after is the moment t on the clock of the anchor, if that can still be told.
func (a *anchor) after(t time.Time) (time.Duration, bool) {
	passed := t.Sub(a.mono)
	slept := time.Duration(t.UnixNano()-a.wall) - passed
	if passed < 0 || passed > fresh || slept > Tolerance/2 || slept < -Tolerance/2 {
		return 0, false
	}
	return a.boot + passed, true
}

// start reads all clocks. Where that took long, for another was given the processor, it serves only once.
func (c *Clock) start(now func() time.Time, exact func() time.Duration) time.Duration {
	before := now()
	boot := exact()
	if after := now(); after.Sub(before) <= Tolerance/2 {
		c.last.Store(&anchor{boot, before.UnixNano(), before})
	}
	return boot
}
