package main

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dmalloc/health"
)

// With a majority of the nodes killed, the one that is left still says what is missing: over HTTP, to doctor and
// to sysdump.
func TestStatusWithoutAQuorum(t *testing.T) {
	c := start(t, "-n", "3")
	last := c.do("nodes").Nodes[2]
	for _, line := range []string{"kill 0", "kill 1"} {
		if a := c.do("%s", line); !a.OK {
			t.Fatalf("%s: %+v", line, a)
		}
	}
	answer, err := http.Get("http://" + last.HTTP + "/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var r health.Report
	if err := json.NewDecoder(answer.Body).Decode(&r); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", answer.Status, err)
	}
	if r.State != health.Unavailable || len(r.Revive) != 2 || !strings.HasSuffix(r.Verdict, "; revive 0 or 1") {
		t.Errorf("%+v", r)
	}
	out, err := exec.Command(binary, "doctor", "-n", "3", "--connect", last.Address).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "FAIL  cluster    unavailable: companies 0,1,2,3 have no majority") {
		t.Errorf("doctor: %v\n%s", err, out)
	}
	file := filepath.Join(c.dir, "dump.tar.gz")
	if out, err := exec.Command(binary, "sysdump", "--connect", last.Address, file).CombinedOutput(); err != nil || !strings.Contains(string(out), "from 1 nodes") {
		t.Errorf("sysdump: %v\n%s", err, out)
	}
	if out, err := exec.Command("tar", "-tzf", file).CombinedOutput(); err != nil || !strings.Contains(string(out), "nodes/2/goroutines.txt") || strings.Contains(string(out), "nodes/0/") {
		t.Errorf("tar: %v\n%s", err, out)
	}
	if a := c.do("revive 0"); !a.OK {
		t.Errorf("%+v", a)
	}
	if a := c.do("status"); !a.OK || !strings.Contains(c.out.Text(), `"verdict":"degraded: node 1 does not answer`) {
		t.Errorf("after the revival: %s", c.out.Text())
	}
}
