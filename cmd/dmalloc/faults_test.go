package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// must has the shell do what has to succeed.
func (l *live) must(line string) answer {
	l.t.Helper()
	a := l.do("%s", line)
	if !a.OK {
		l.t.Fatalf("%s: %+v\n%s", line, a.Error, l.err)
	}
	return a
}

// http asks a node, which has twice the time that it gives itself.
func (l *live) http(node int, verb, path, body string) (status int, text string) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, verb, "http://"+l.must("nodes").Nodes[node].HTTP+path, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		l.t.Fatalf("%s %s on node %d: %v\n%s", verb, path, node, err, l.err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

// until asks until the answer is right.
func (l *live) until(what string, right func() bool) {
	l.t.Helper()
	for deadline := time.Now().Add(time.Minute); !right(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Fatalf("never came: %s\n%s", what, l.err)
		}
	}
}

// Two of five nodes are cut off: they refuse in time, and the other three go on. Healed, all have what the three wrote.
func TestPartition(t *testing.T) {
	l := start(t, "-n", "5", "--replicas", "5", "--register-replicas", "5")
	at := l.must("m 100").Address
	l.must("w " + at + " 5 first")
	l.must("partition 0,1|2,3,4")
	for _, path := range []string{"/v1/memory/" + at, "/v1/memory/" + at + "?timeout=2s"} {
		if status, b := l.http(0, "PUT", path, "never"); status != 503 && status != 504 {
			t.Errorf("the minority answers %d %s", status, b)
		}
	}
	if status, b := l.http(1, "POST", "/write?timeout=2s", `{"addr":7,"value":"never"}`); status != 503 && status != 504 {
		t.Errorf("a register in the minority: %d %s", status, b)
	}
	l.until("a leader among the three", func() bool {
		status, _ := l.http(3, "PUT", "/v1/memory/"+at, "third")
		return status == 200
	})
	if status, b := l.http(4, "POST", "/write", `{"addr":7,"value":"third"}`); status != 200 {
		t.Errorf("a register in the majority: %d %s", status, b)
	}
	if status, b := l.http(0, "GET", "/v1/memory/"+at+"?size=5&timeout=2s", ""); status == 200 {
		t.Errorf("the minority reads %q", b)
	}
	// Without --for it lasts, whoever comes back.
	l.must("kill 4")
	l.must("revive 4")
	if status, b := l.http(0, "GET", "/v1/memory/"+at+"?size=5&timeout=1s", ""); status == 200 {
		t.Errorf("after a revive the minority reads %q", b)
	}
	l.must("heal")
	l.until("node 0 to read what the majority wrote", func() bool {
		status, b := l.http(0, "GET", "/v1/memory/"+at+"?size=5", "")
		if status == 200 && b != "third" {
			t.Fatalf("node 0 reads %q", b)
		}
		return status == 200
	})
	if status, b := l.http(1, "GET", "/read/7", ""); status != 200 || !strings.Contains(b, "third") {
		t.Errorf("the register is %d %s", status, b)
	}
}

// What one direction loses, both need: of two nodes, neither can write. It ends by itself.
func TestOneWayEndsByItself(t *testing.T) {
	l := start(t, "-n", "2", "--replicas", "2")
	at := l.must("m 100").Address
	l.must("partition 0>1 --for 3s")
	if status, b := l.http(0, "PUT", "/v1/memory/"+at+"?timeout=1s", "never"); status == 200 {
		t.Errorf("written through a cut link: %s", b)
	}
	l.until("the end of the cut", func() bool {
		status, _ := l.http(0, "PUT", "/v1/memory/"+at, "hello")
		return status == 200
	})
	if b := string(l.must("r " + at + " 5").Data); b != "hello" {
		t.Errorf("read %q", b)
	}
}

// A node whose disk is full ends with a line that says so, and stays dead until there is room; the others go on.
func TestFullDisk(t *testing.T) {
	l := start(t, "-n", "3")
	at := l.must("m 100").Address
	l.must("disk slow 1 20ms")
	l.must("disk full 2")
	l.must("w " + at + " 5 hello")
	l.until("the end of node 2", func() bool {
		l.must("w " + at + " 5 hello")
		return l.must("nodes").Nodes[2].State == "dead"
	})
	if a := l.do("revive 2"); a.OK || a.Error.Code != "unavailable" || !strings.Contains(a.Error.Message, "is full") || !strings.Contains(a.Error.Message, "heal") {
		t.Errorf("a node on a full disk starts: %+v", a)
	}
	l.must("heal disk full")
	l.must("revive 2")
	l.must("heal")
	l.must("kill 0")
	if b := string(l.must("r " + at + " 5").Data); b != "hello" {
		t.Errorf("read %q", b)
	}
	_ = l.in.Close()
	_ = l.cmd.Wait()
	if n := strings.Count(l.err.String(), "node 2"); !strings.Contains(l.err.String(), "is dead: the disk of node 2") || strings.Contains(l.err.String(), "panic") || n == 0 {
		t.Errorf("it said %s", l.err)
	}
}

// The same faults over HTTP, on any node, and from a shell that came later.
func TestFaultsFromElsewhere(t *testing.T) {
	l := start(t, "-n", "3")
	var f struct {
		ID    uint64
		Fault string
	}
	status, b := l.http(1, "POST", "/v1/faults", `{"fault":"slow 0 1 5ms","for":"1h"}`)
	if err := json.Unmarshal([]byte(b), &f); err != nil || status != 201 || f.ID != 1 || f.Fault != "slow 0 1 5ms" {
		t.Errorf("%d %s", status, b)
	}
	shell := func(commands string) string {
		out, err := exec.Command(binary, "shell", "--connect", l.must("nodes").Nodes[2].Address, "-o", "json", "-c", commands).Output()
		if err != nil {
			t.Errorf("%s: %v\n%s", commands, err, out)
		}
		return string(out)
	}
	if out := shell("faults; drop 1 2 5%"); !strings.Contains(out, `"fault":"slow 0 1 5ms","left_ms":`) || !strings.Contains(out, `"id":2`) {
		t.Errorf("the other shell says %s", out)
	}
	if status, b := l.http(0, "GET", "/v1/faults", ""); status != 200 || !strings.Contains(b, "drop 1 2 5%") {
		t.Errorf("%d %s", status, b)
	}
	if status, b := l.http(2, "DELETE", "/v1/faults/1", ""); status != 200 || !strings.Contains(b, `"id":1`) {
		t.Errorf("%d %s", status, b)
	}
	if status, b := l.http(2, "DELETE", "/v1/faults", ""); status != 200 || strings.Contains(b, `"id":1`) || !strings.Contains(b, `"id":2`) {
		t.Errorf("%d %s", status, b)
	}
	if status, b := l.http(0, "POST", "/v1/faults", `{"fault":"slow 0 7 5ms"}`); status != 404 || !strings.Contains(b, "no_such_node") {
		t.Errorf("%d %s", status, b)
	}
	if status, b := l.http(0, "POST", "/v1/nodes/1/corrupt", ""); status != 409 {
		t.Errorf("%d %s", status, b)
	}
	l.must("kill 1")
	if status, b := l.http(0, "POST", "/v1/nodes/1/corrupt", `{"seed":7}`); status != 200 || !strings.Contains(b, `"flips":[{"file":`) {
		t.Errorf("%d %s", status, b)
	}
	if a := l.do("revive 1"); a.OK || a.Error.Code != "corrupt" {
		t.Errorf("%+v", a)
	}
	l.must("revive 1 --wipe")
}

// What is killed or frozen for a time comes back by itself.
func TestKillForAWhile(t *testing.T) {
	l := start(t, "-n", "3")
	at := l.must("m 100").Address
	l.must("kill 1 --for 300ms")
	l.must("pause 2 --for 300ms")
	l.until("all to be alive", func() bool {
		for _, n := range l.must("nodes").Nodes {
			if n.State != "alive" {
				return false
			}
		}
		return true
	})
	l.must("kill 0")
	l.must("w " + at + " 5 hello")
}
