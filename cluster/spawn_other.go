//go:build !linux

package cluster

import "syscall"

// selfPath is left to os.Executable.
const selfPath = ""

// nodeAttr puts a node in its own process group. Without a parent-death signal a node outlives a killed
// warden until it sees the end of its standard input.
func nodeAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
