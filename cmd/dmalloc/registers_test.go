package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"dmalloc/message"
)

// ask sends a request to a node and returns the answer's status and object.
func (l *live) ask(method, address, path, body string) (int, map[string]any) {
	l.t.Helper()
	return l.askWithin(30*time.Second, method, address, path, body)
}

// askWithin is ask with a limit; an answer that has not come by then has the status 0.
func (l *live) askWithin(patience time.Duration, method, address, path, body string) (int, map[string]any) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil
	}
	defer a.Body.Close()
	b, _ := io.ReadAll(a.Body)
	var object map[string]any
	_ = json.Unmarshal(b, &object)
	return a.StatusCode, object
}

// Clients write and read a few registers over HTTP, each request at another node, while nodes are killed,
// frozen and wiped and the registers move: the whole history is one that a single memory could have had.
func TestRegistersLinearizableOverHTTP(t *testing.T) {
	l := start(t, "-n", "5")
	nodes := l.do("nodes").Nodes
	var (
		mu      sync.Mutex
		history []porcupine.Operation
		clients atomic.Int64
		stop    atomic.Bool
		done    atomic.Int64
		wg      sync.WaitGroup
		begin   = time.Now()
	)
	const frozen = 3 * time.Second // a frozen node answers nothing
	worker := func(n int) {
		rng := rand.New(rand.NewPCG(9, uint64(n)))
		id := int(clients.Add(1))
		for i := 0; !stop.Load(); i++ {
			in := word{key: rng.IntN(5), kind: []string{"read", "write"}[rng.IntN(2)], arg: uint64(n)<<32 | uint64(i) | 1<<52}
			node := nodes[rng.IntN(len(nodes))].HTTP
			call := time.Since(begin).Nanoseconds()
			var out outcome
			var status int
			if in.kind == "write" {
				status, _ = l.askWithin(frozen, "POST", node, "/write?timeout=2s", fmt.Sprintf(`{"addr":%d,"value":"%d"}`, in.key, in.arg))
			} else {
				var got map[string]any
				status, got = l.askWithin(frozen, "GET", node, fmt.Sprintf("/read/%d?timeout=2s", in.key), "")
				if s, ok := got["value"].(string); ok {
					_, _ = fmt.Sscan(s, &out.value)
				}
			}
			end := time.Since(begin).Nanoseconds()
			switch {
			case status == http.StatusOK, in.kind == "read" && status == http.StatusNotFound:
			case status >= 400 && status < 500 && status != http.StatusNotFound:
				t.Errorf("%+v: %d", in, status)
			case in.kind == "read":
				continue // it told nothing
			default:
				out, end = outcome{unknown: true}, math.MaxInt64
			}
			mu.Lock()
			history = append(history, porcupine.Operation{ClientId: id, Input: in, Call: call, Output: out, Return: end})
			mu.Unlock()
			if out.unknown {
				id = int(clients.Add(1))
			}
			done.Add(1)
		}
	}
	for n := range 8 {
		wg.Go(func() { worker(n) })
	}
	progress := func(n int64) {
		for target, deadline := done.Load()+n, time.Now().Add(30*time.Second); done.Load() < target && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
	}
	for i, fault := range [][2]string{{"kill 0", "revive 0"}, {"pause 1", "resume 1"}, {"reg spread 0 1 2 3", "reg spread 0 1 2 3 4"}, {"kill 4", "revive 4 --wipe --yes"}, {"pause 2", "reg spread 0 1 2 3"}, {"resume 2", "reg spread 0 1 2 3 4"}} {
		progress(150)
		for _, line := range fault {
			if a := l.do("%s", line); !a.OK {
				t.Errorf("round %d: %s: %+v", i, line, a.Error)
			}
			progress(100)
		}
	}
	stop.Store(true)
	wg.Wait()
	judge(t, history)
}

// Without a majority a register answers 503 in bounded time, wherever it is asked, and nothing is written.
func TestRegistersWithoutMajority(t *testing.T) {
	l := start(t, "-n", "3")
	nodes := l.do("nodes").Nodes
	if status, _ := l.ask("POST", nodes[0].HTTP, "/write", `{"addr":1,"value":"kept"}`); status != 200 {
		t.Fatal(status)
	}
	l.do("kill 0")
	l.do("pause 1")
	if status, got := l.ask("GET", nodes[2].HTTP, "/read/1?timeout=1s", ""); status != 503 || !strings.Contains(fmt.Sprint(got), "no quorum") {
		t.Error(status, got)
	}
	if status, got := l.ask("POST", nodes[2].HTTP, "/write?timeout=1s", `{"addr":1,"value":"lost"}`); status != 503 || !strings.Contains(fmt.Sprint(got), "nothing was written") {
		t.Error(status, got)
	}
	l.do("resume 1")
	if status, got := l.ask("GET", nodes[2].HTTP, "/read/1", ""); status != 200 || got["value"] != "kept" {
		t.Error(status, got)
	}
}

// The failure detector finds a killed and a frozen node, and the frozen one alive again.
func TestDetector(t *testing.T) {
	l := start(t, "-n", "4")
	state := func(id int) string {
		a := l.do("nodes")
		return a.Nodes[id].Detector
	}
	eventually := func(id int, want ...string) {
		t.Helper()
		for end := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			have := state(id)
			for _, w := range want {
				if have == w {
					return
				}
			}
			if time.Now().After(end) {
				t.Fatalf("node %d is %q to the detector; want %v", id, have, want)
			}
		}
	}
	for id := range 4 {
		eventually(id, "alive")
	}
	l.do("pause 3")
	eventually(3, "suspect", "dead")
	l.do("kill 2")
	eventually(2, "suspect", "dead")
	l.do("resume 3")
	l.do("revive 2")
	for id := range 4 {
		eventually(id, "alive")
	}
}

// Jobs run where most of their data is; a module that loops or traps fails alone.
func TestJobs(t *testing.T) {
	l := start(t, "-n", "5")
	nodes := l.do("nodes").Nodes
	for a, v := range []string{"20", "22", "0.5"} {
		if status, got := l.ask("POST", nodes[a].HTTP, "/write", fmt.Sprintf(`{"addr":%d,"value":%q}`, a, v)); status != 200 {
			t.Fatal(status, got)
		}
	}
	holds := map[string]int{}
	for a := range 3 {
		_, got := l.ask("GET", nodes[0].HTTP, fmt.Sprintf("/v1/registers/%d/place", a), "")
		for _, n := range got["nodes"].([]any) {
			holds[fmt.Sprint(n)]++
		}
	}
	most := 0
	for _, n := range holds {
		most = max(most, n)
	}
	for i := range nodes { // whoever is asked
		status, got := l.ask("POST", nodes[i].HTTP, "/v1/jobs", `{"job":"sum","addresses":[0,1,2]}`)
		if status != 200 || !strings.Contains(fmt.Sprint(got["result"]), "42.5") {
			t.Fatalf("node %d: %d %v", i, status, got)
		}
		if ran := fmt.Sprint(got["node"]); holds[ran] != most {
			t.Errorf("it ran on node %s, which holds %d of the addresses; others hold %d", ran, holds[ran], most)
		}
	}
	heap := l.do("m 100000")
	if a := l.do("w %s 5 hello", heap.Address); !a.OK {
		t.Fatal(a.Error)
	}
	_, got := l.ask("POST", nodes[4].HTTP, "/v1/jobs", fmt.Sprintf(`{"job":"count","addresses":[%q]}`, heap.Address))
	if got["local_bytes"] != 100000.0 || got["remote_bytes"] != 0.0 {
		t.Errorf("%v", got)
	}

	module := filepath.Join(l.dir, "lines.wasm")
	build := exec.Command("go", "build", "-o", module, "../../job/testdata/lines")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if a := l.do("job add lines %s", module); !a.OK {
		t.Fatal(a.Error)
	}
	l.do("kill 0") // the module outlives a node
	if a := l.do("set timeout 60s"); !a.OK {
		t.Fatal(a.Error)
	}
	if a := l.do("job lines 1 2 --args {}"); !a.OK {
		t.Error(a.Error)
	}
	for name, code := range map[string][]byte{
		// (module (func (export "run") (loop br 0)))
		"loops": {0, 'a', 's', 'm', 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 7, 7, 1, 3, 'r', 'u', 'n', 0, 0, 10, 9, 1, 7, 0, 3, 0x40, 0xc, 0, 0xb, 0xb},
		// (module (func (export "run") unreachable))
		"traps": {0, 'a', 's', 'm', 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 7, 7, 1, 3, 'r', 'u', 'n', 0, 0, 10, 5, 1, 3, 0, 0, 0xb},
	} {
		r, _ := http.NewRequest("PUT", "http://"+nodes[1].HTTP+"/v1/jobs/"+name, bytes.NewReader(code))
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(a.Body)
		_ = a.Body.Close()
		if a.StatusCode != 200 {
			t.Fatalf("%s: %d %s", name, a.StatusCode, b)
		}
		if status, got := l.ask("POST", nodes[1].HTTP, "/v1/jobs", fmt.Sprintf(`{"job":%q,"addresses":[]}`, name)); status != message.JobFailed.HTTPStatus() {
			t.Errorf("%s: %d %v", name, status, got)
		}
	}
	if status, _ := l.ask("PUT", nodes[1].HTTP, "/v1/jobs/junk", "this is no module"); status != 400 {
		t.Error("junk is kept as a module:", status)
	}
	if a := l.do("job sum 0 1"); !a.OK {
		t.Error(a.Error)
	}
}
