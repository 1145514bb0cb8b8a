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

// plant is a bug of the planted build, and a drill in which it shows: what asks for much from many clients at
// the moments in which the bug matters.
type plant struct {
	bug     string
	cluster string // options of up
	before  string // commands
	options string // of drill
}

func plants() []plant {
	return []plant{
		// Reads come between the acknowledgement and the entry.
		{"early-ack", "-n 3", "", "--seed 8 --for 5s --faults kill,pause --clients 8"},
		// A follower that is asked while its leader is frozen has not applied what was acknowledged last.
		{"stale-read", "-n 3", "", "--replay pauses.txt --clients 12"},
		// A frozen leader does not answer what its followers have; the client asks again. What was allocated twice is
		// never freed, and the drill waits for that as long as for a heal: a minute.
		{"double-apply", "-n 3", "", "--replay pauses.txt --clients 12"},
		// One of three replicas is a quorum: who asks another one does not see the write.
		{"half-quorum", "-n 3", "", "--seed 8 --for 5s --faults kill,pause --clients 8"},
		// Clients at the far node write to one replica long before the others: who reads that one, and then
		// the others, sees the write and then does not.
		{"no-write-back", "far.dot -n 4", "reg spread 0 1 2; ", "--seed 1 --for 8s --faults pause --clients 32"},
		{"write-to-one", "far.dot -n 4", "reg spread 0 1 2; ", "--seed 1 --for 8s --faults pause --clients 32"},
	}
}

// verdict is what a drill printed.
type verdict struct {
	Verdict    string
	Operations int
	Example    []string
	Findings   []struct{ Check, Key, Text string }
}

// runDrill runs a drill of a program and returns what it says and its exit status.
func runDrill(t *testing.T, program, bug, cluster, before, options string) (v verdict, status int) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"pauses.txt", "far.dot"} {
		b, err := os.ReadFile(filepath.Join("testdata/drill", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
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

// go test -tags planted -run TestPlantedBugsFail ./cmd/dmalloc takes about three minutes. A drill of real processes
// is a search by chance: it may miss a bug, so this is run on purpose and not with every change.
//
// Each planted bug fails its drill, with calls that show it. The bugs of registers that need a rarer moment
// are found by the simulation of package register, one by one.
func TestPlantedBugsFail(t *testing.T) {
	planted := filepath.Join(t.TempDir(), "dmalloc")
	if out, err := exec.Command("go", "build", "-tags", "planted", "-o", planted, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, p := range plants() {
		t.Run(p.bug, func(t *testing.T) {
			v, status := runDrill(t, planted, p.bug, p.cluster, p.before, p.options)
			if v.Verdict != "fail" || status != exitFailed || len(v.Example) == 0 || len(v.Findings) == 0 || v.Findings[0].Key == "" {
				t.Errorf("%+v, exit status %d; the bug was not found", v, status)
			}
		})
	}
	// The same program without a bug passes, so that it is the bugs that are found.
	t.Run("none", func(t *testing.T) {
		if v, status := runDrill(t, planted, "", "-n 3", "", "--replay pauses.txt --clients 16"); v.Verdict != "pass" || status != exitOK {
			t.Errorf("%+v, exit status %d", v, status)
		}
	})
}
