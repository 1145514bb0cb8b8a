//go:build !linux

package peer

import "syscall"

// Bound keeps the terminal's Ctrl-C from a process. Without a parent-death signal it outlives a killed parent.
func Bound() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
