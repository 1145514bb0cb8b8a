package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// However a measurement ends, all that it started ends, and nothing is left of its files.
func TestBenchLeavesNothing(t *testing.T) {
	for _, c := range []struct {
		begun string // what there is in its directory when it is at work
		args  []string
	}{
		{comparePrefix + "*/raw-*/2", []string{"compare", "--rounds", "1000", "--rows", "writes-raw"}},
		{"*/node-2/raft", []string{"scale", "--rounds", "1000", "--rows", "clients"}},
	} {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
			t.Run(c.args[0]+" "+sig.String(), func(t *testing.T) {
				t.Parallel()
				leavesNothing(t, c.begun, sig, c.args...)
			})
		}
	}
}

func leavesNothing(t *testing.T, begun string, sig syscall.Signal, args ...string) {
	dir := t.TempDir()
	cmd := exec.Command(binary, append([]string{"bench"}, append(args, "-q")...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	defer func() { _ = cmd.Process.Kill(); <-ended }()
	eventually(t, "it does not begin", func() bool {
		select {
		case <-ended:
			t.Fatal("it ended by itself")
		default:
		}
		there, _ := filepath.Glob(filepath.Join(dir, begun))
		return len(there) == 1
	})
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	<-ended
	eventually(t, "a process or a file is left", func() bool {
		files, err := os.ReadDir(dir)
		return err == nil && len(files) == 0 && len(processes(dir)) == 0
	})
}

// eventually waits for something on a machine that may be busy.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}
