package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dmalloc/certs"
)

// live is a cluster with a shell on a pipe: a test says a line and reads the answer.
type live struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
	dir string
	err *bytes.Buffer
}

// start starts a cluster in a directory of its own, which is also its temporary directory.
func start(t *testing.T, args ...string) *live {
	t.Helper()
	l := &live{t: t, dir: t.TempDir(), err: new(bytes.Buffer)}
	l.cmd = exec.Command(binary, append([]string{"up", "-q", "-o", "json"}, args...)...)
	l.cmd.Dir, l.cmd.Env, l.cmd.Stderr = l.dir, append(os.Environ(), "HOME="+l.dir, "TMPDIR="+l.dir), l.err
	var err error
	if l.in, err = l.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	l.out = bufio.NewScanner(out)
	l.out.Buffer(nil, 16<<20)
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = l.in.Close()
		_ = l.cmd.Wait()
		if left := processes(l.dir); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	return l
}

// answer is what the shell prints for one command.
type answer struct {
	OK      bool   `json:"ok"`
	Address string `json:"address"`
	Data    []byte `json:"data"`
	Error   struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
	Nodes []struct {
		ID      int    `json:"id"`
		State   string `json:"state"`
		Address string `json:"address"`
		HTTP    string `json:"http"`

		Detector string `json:"detector"`
	} `json:"nodes"`
}

func (l *live) do(format string, args ...any) answer {
	l.t.Helper()
	if _, err := fmt.Fprintf(l.in, format+"\n", args...); err != nil {
		l.t.Fatalf("%v\n%s", err, l.err)
	}
	if !l.out.Scan() {
		l.t.Fatalf("no answer to %s: %v\n%s", fmt.Sprintf(format, args...), l.out.Err(), l.err)
	}
	var a answer
	var other *json.UnmarshalTypeError // a field that another command has in another form
	if err := json.Unmarshal(l.out.Bytes(), &a); err != nil && !errors.As(err, &other) {
		l.t.Fatalf("%s: %v", l.out.Text(), err)
	}
	return a
}

// Random bytes, half messages and silence on every port: nobody dies, and the heap goes on.
func TestHostileBytes(t *testing.T) {
	t.Run("plain", func(t *testing.T) { hostileBytes(t) })
	t.Run("certificates", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "certs")
		if err := certs.Make(dir, nil, 3); err != nil {
			t.Fatal(err)
		}
		hostileBytes(t, "--certs", dir)
	})
}

func hostileBytes(t *testing.T, args ...string) {
	l := start(t, append([]string{"-n", "3"}, args...)...)
	if a := l.do("m 100"); !a.OK {
		t.Fatal(a.Error)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	nodes := l.do("nodes").Nodes
	var silent []net.Conn
	for _, n := range nodes {
		for _, address := range []string{n.Address, n.HTTP} {
			for i := range 60 {
				c, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatalf("node %d: %v", n.ID, err)
				}
				junk := make([]byte, rng.IntN(4096))
				for j := range junk {
					junk[j] = byte(rng.Uint32())
				}
				switch i % 5 {
				case 1: // a huge length
					junk = append([]byte{0xff, 0xff, 0xff, 0xff, 1}, junk...)
				case 2:
					junk = append([]byte("DMAL"), junk...)
				case 3: // a hello's length, and then something else
					junk = append([]byte{40, 0, 0, 0, 0, 0}, junk...)
				case 4: // the head of a handshake of TLS
					junk = append([]byte{22, 3, 1, 2, 0, 1}, junk...)
				}
				_, _ = c.Write(junk)
				if i%10 == 0 {
					silent = append(silent, c)
				} else {
					_ = c.Close()
				}
			}
		}
	}
	for i := range 20 {
		if a := l.do("w 0x500000001000 5 hel%02d", i); !a.OK {
			t.Errorf("%+v", a.Error)
		}
	}
	for _, n := range l.do("nodes").Nodes {
		if n.State != "alive" {
			t.Errorf("node %d is %s\n%s", n.ID, n.State, l.err)
		}
	}
	for _, c := range silent {
		_ = c.Close()
	}
}

// The heap over HTTP, on each node, beside the shell on the same cluster.
func TestHTTP(t *testing.T) {
	l := start(t, "-n", "3")
	nodes := l.do("nodes").Nodes
	call := func(node int, verb, path, body string, want int) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), verb, "http://"+nodes[node].HTTP+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != want {
			t.Errorf("%s %s on node %d: %d %s, want %d", verb, path, node, resp.StatusCode, b, want)
		}
		return string(b)
	}
	var got struct{ Address string }
	if err := json.Unmarshal([]byte(call(0, "POST", "/v1/malloc", `{"size":100}`, 201)), &got); err != nil {
		t.Fatal(err)
	}
	call(1, "PUT", "/v1/memory/"+got.Address, "over http", 200)
	if b := call(2, "GET", "/v1/memory/"+got.Address+"?size=9", "", 200); b != "over http" {
		t.Errorf("read %q", b)
	}
	if a := l.do("r %s 9", got.Address); string(a.Data) != "over http" {
		t.Errorf("the shell reads %q", a.Data)
	}
	call(0, "GET", "/v1/memory/"+got.Address+"?size=101", "", 400)
	call(0, "POST", "/v1/malloc", `{"size":0}`, 400)
	call(0, "POST", "/v1/malloc", `{"size":`, 400)
	call(0, "POST", "/v1/malloc", `{"size":1099511627776}`, 507)
	call(0, "PATCH", "/v1/malloc", ``, 405)
	call(0, "GET", "/nosuch", ``, 404)
	call(1, "DELETE", "/v1/allocations/"+got.Address, "", 204)
	call(2, "DELETE", "/v1/allocations/"+got.Address, "", 409)
	call(0, "POST", "/v1/nodes/1/kill", "", 200)
	if a := l.do("nodes"); a.Nodes[1].State != "dead" {
		t.Errorf("node 1 is %s after it was killed over HTTP", a.Nodes[1].State)
	}
	call(0, "POST", "/v1/nodes/1/revive", "", 200)
	for node := range 3 {
		if node != 1 { // its port may be a new one
			call(node, "GET", "/healthz", "", 200)
			call(node, "GET", "/readyz", "", 200)
			call(node, "GET", "/openapi.json", "", 200)
			if m := call(node, "GET", "/metrics", "", 200); !strings.Contains(m, "dmalloc_company_applied_index") {
				t.Error("metrics lack the companies")
			}
			if d := call(node, "GET", "/v1/graph.dot?what=cluster", "", 200); !strings.Contains(d, "graph") {
				t.Errorf("graph: %s", d)
			}
		}
	}
}

// However the launcher dies, no process and no temporary file of the cluster outlives it by more than a
// moment, not even a frozen node.
func TestLauncherKilled(t *testing.T) {
	l := start(t, "-n", "3")
	if a := l.do("pause 1"); !a.OK {
		t.Fatal(a.Error)
	}
	if len(processes(l.dir)) < 4 {
		t.Fatalf("running: %v", processes(l.dir))
	}
	if err := l.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		left := processes(l.dir)
		files, err := filepath.Glob(filepath.Join(l.dir, "*", "node-*"))
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 && len(files) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left behind: %v %v", left, files)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Two nodes of three on "another host", which an agent reaches; here it runs the command on this machine.
func TestAgent(t *testing.T) {
	dir := t.TempDir()
	agent, hosts := filepath.Join(dir, "agent"), filepath.Join(dir, "hosts")
	for name, text := range map[string]string{agent: "#!/bin/sh\nshift\nexec \"$@\"\n", hosts: "localhost slots=1\n127.0.0.2 slots=2\n"} {
		if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	l := start(t, "-n", "3", "--hostfile", hosts, "--agent", agent, "--remote-binary", binary)
	if a := l.do("m 100"); !a.OK {
		t.Fatalf("%+v\n%s", a, l.err)
	}
	for _, line := range []string{"w _ 5 hello", "kill 2", "r _ 5", "revive 2", "pause 1", "r _ 5", "resume 1"} {
		if a := l.do("%s", line); !a.OK {
			t.Errorf("%s: %+v", line, a.Error)
		}
	}
}
