package peer

import "syscall"

// Bound has the kernel kill a process with the one that starts it, and keeps the terminal's Ctrl-C from it: who
// started it ends it.
func Bound() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
