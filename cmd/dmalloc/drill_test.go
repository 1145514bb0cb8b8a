//go:build planted || soak

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// verdict is what a drill printed.
type verdict struct {
	Verdict    string
	Operations int
	Findings   []struct{ Check, Key, Text string }
}

// runDrill runs a drill of a program and returns what it says and its exit status.
func runDrill(t *testing.T, program, bug, cluster, before, options string) (v verdict, status int) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/drill")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append([]string{"up", "-q", "-o", "json", "-c", before + "drill --html picture.html " + options}, strings.Fields(cluster)...)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir, "TMPDIR="+dir, "DMALLOC_PLANT="+bug)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if len(out) == 0 {
		t.Fatalf("%v\n%s", err, said.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &v); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	if page, err := os.ReadFile(filepath.Join(dir, "picture.html")); err != nil || !strings.Contains(string(page), "<html") {
		t.Errorf("no picture: %v", err)
	}
	t.Logf("%d operations: %s %v", v.Operations, v.Verdict, v.Findings[:min(1, len(v.Findings))])
	return v, cmd.ProcessState.ExitCode()
}
