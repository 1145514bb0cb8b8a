package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// However a comparison ends, its peers end, and nothing is left of their files.
func TestCompareLeavesNothing(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cmd := exec.Command(binary, "bench", "compare", "-q", "--rounds", "1000", "--rows", "writes-raw")
			cmd.Env = append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { _ = cmd.Wait(); close(ended) }()
			defer func() { _ = cmd.Process.Kill(); <-ended }()
			eventually(t, "raw Dragonboat does not start", func() bool {
				select {
				case <-ended:
					t.Fatal("the comparison ended by itself")
				default:
				}
				logs, _ := filepath.Glob(filepath.Join(dir, comparePrefix+"*", "raw-*", "2"))
				return len(logs) == 1
			})
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			<-ended
			eventually(t, "a process or a file is left", func() bool {
				files, err := os.ReadDir(dir)
				return err == nil && len(files) == 0 && len(processes(dir)) == 0
			})
		})
	}
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
