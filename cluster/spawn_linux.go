package cluster

import "syscall"

// selfPath is this very program, also after its file has been replaced by a newer build.
const selfPath = "/proc/self/exe"

// nodeAttr puts a node in its own process group and has the kernel kill it when the thread that started
// it ends, whatever state the node is in.
func nodeAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
