// Package boottime reads CLOCK_BOOTTIME, which unlike Go's monotonic time goes on while the machine is suspended:
// a lease that ended while its holder slept has ended. Package cache takes its times from here.
//
//	Exact   one system call
//	Now     time.Now, checked against the last Exact: some tens of nanoseconds
//
// # Why Now is safe
//
// Go reads CLOCK_REALTIME and CLOCK_MONOTONIC together, both without a system call. The two advance alike: the clock's
// discipline slews both. Only two things part them: a suspend, which the monotonic one does not count but the kernel
// adds to CLOCK_REALTIME and CLOCK_BOOTTIME, in the same amount; and somebody who sets the time of day. So while the
// difference of the two is what it was when Exact was last called, nothing was slept since then, and Exact of then
// plus the monotonic time since is Exact of now. Where the difference has moved by more than Tolerance, or a tenth of
// a second has passed, Now calls Exact and starts anew.
//
//	B1  Now is never more than Tolerance behind Exact, unless within a tenth of a second of running time the machine
//	    slept and somebody set the time of day back by the same amount, to within Tolerance.
//	B2  Now is ahead of Exact by at most as long as the call took that it starts from, and that is at most half of Tolerance.
//	B3  Exact never goes backwards; Now does, by Tolerance at most.
//
// The exception in B1 is why Now is not for deciding when a lease begins (use Exact: it is one call a lease), and why
// it is an option at all: who does not accept it takes Exact everywhere. Rule T1 leaves 20 ms, of which Tolerance is a
// tenth. Neither clock counts what a hypervisor does not tell its guest: a virtual machine that was paused, or moved
// with its memory, finds both as it left them unless the host corrects the guest's clocks.
package boottime
