package doctor

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"dmalloc/message"
)

var rewrite = flag.Bool("rewrite", false, "write the golden file anew")

func durations(n int, d time.Duration, slow time.Duration) []time.Duration {
	out := make([]time.Duration, n)
	for i := range out {
		out[i] = d
	}
	out[n/2] = slow
	return out
}

// Each case is one world and what is said of it; testdata/findings.txt has the words.
func TestJudge(t *testing.T) {
	type ids = map[message.NodeID]string
	type offs = map[message.NodeID]Offset
	ms := time.Millisecond
	cases := []struct {
		name  string
		f     Facts
		worst Level
	}{
		{"nothing asked", Facts{}, Pass},
		{"all well", Facts{Nodes: 3, Ports: []Port{{Address: "127.0.0.1:7000"}, {Address: "127.0.0.1:7001"}}, Disk: &Disk{Dir: "/data", Free: 1 << 40, Total: 1 << 41, Syncs: durations(50, ms, 3*ms)},
			Clock: &Clock{Drift: ms}, Limits: &Limits{Files: 1024, Memory: 8 << 30, Cores: 4}, Tools: []Tool{{"graphviz", "x", true}}, Hosts: []Host{{Name: "a"}},
			Cluster: &Cluster{Verdict: "healthy: 3 nodes", State: "healthy", Own: "v1", Versions: ids{0: "v1", 1: "v1"}, Clocks: offs{0: {2 * ms, ms}}}}, Pass},
		{"port taken", Facts{Ports: []Port{{Address: "127.0.0.1:7000"}, {Address: "127.0.0.1:7001", Err: "address already in use"}}}, Fail},
		{"data not writable", Facts{Disk: &Disk{Dir: "/data", Err: "permission denied"}}, Fail},
		{"disk full", Facts{Disk: &Disk{Dir: "/data", Free: 1 << 20, Total: 1 << 40}}, Fail},
		{"disk nearly full", Facts{Disk: &Disk{Dir: "/data", Free: 500 << 20, Total: 1 << 40}}, Warn},
		{"less disk than memory", Facts{Memory: 8 << 30, Disk: &Disk{Dir: "/data", Free: 4 << 30, Total: 1 << 40}}, Warn},
		{"slow syncs", Facts{Disk: &Disk{Dir: "/data", Free: 1 << 40, Total: 1 << 41, Syncs: durations(50, ms, 21*ms)}}, Warn},
		{"clock goes back", Facts{Clock: &Clock{Backwards: 2}}, Fail},
		{"clock is set", Facts{Clock: &Clock{Drift: -3 * time.Second}}, Warn},
		{"few files", Facts{Nodes: 20, Limits: &Limits{Files: 256, Cores: 4}}, Warn},
		{"too few files", Facts{Nodes: 20, Limits: &Limits{Files: 128, Cores: 4}}, Fail},
		{"little memory", Facts{Nodes: 20, Limits: &Limits{Files: 4096, Memory: 1 << 30, Cores: 4}}, Warn},
		{"few cores", Facts{Nodes: 20, Limits: &Limits{Files: 4096, Cores: 1}}, Warn},
		{"no tool", Facts{Tools: []Tool{{"xdot", "watch pictures", false}}}, Warn},
		{"bad hostfile", Facts{HostErr: "hosts:3: slots=many"}, Fail},
		{"unreachable host", Facts{Hosts: []Host{{Name: "a"}, {Name: "b", Err: "ssh: no route to host"}}}, Fail},
		{"no cluster", Facts{Cluster: &Cluster{Err: "no node of a cluster answers at 127.0.0.1:1"}}, Fail},
		{"degraded", Facts{Cluster: &Cluster{Verdict: "degraded: node 1 does not answer", State: "degraded", Own: "v1", Versions: ids{0: "v1"}}}, Warn},
		{"unavailable", Facts{Cluster: &Cluster{Verdict: "unavailable: …", State: "unavailable", Own: "v1", Versions: ids{0: "v1"}}}, Fail},
		{"mixed versions", Facts{Cluster: &Cluster{State: "healthy", Own: "v1", Versions: ids{2: "v1", 0: "v1", 1: "v2"}}}, Warn},
		{"another program", Facts{Cluster: &Cluster{State: "healthy", Own: "v3", Versions: ids{0: "v1"}}}, Warn},
		{"clocks apart", Facts{Cluster: &Cluster{State: "healthy", Own: "v1", Versions: ids{0: "v1"}, Clocks: offs{0: {ms, ms}, 1: {-2 * time.Second, 5 * ms}, 2: {600 * ms, 500 * ms}}}}, Warn},
		{"a node's disk", Facts{Cluster: &Cluster{State: "healthy", Own: "v1", Versions: ids{0: "v1"}, Warnings: []string{"node 0 has 5MiB left on its disk"}}}, Warn},
	}
	var b strings.Builder
	for _, c := range cases {
		got := Judge(c.f)
		if again := Judge(c.f); !reflect.DeepEqual(got, again) {
			t.Errorf("E1: %s: judged again it is %v, not %v", c.name, again, got)
		}
		if Worst(got) != c.worst {
			t.Errorf("%s: %s, want %s: %v", c.name, Worst(got), c.worst, got)
		}
		fmt.Fprintf(&b, "# %s\n", c.name)
		for _, x := range got {
			if (x.Level == Pass) != (x.Do == "") {
				t.Errorf("E2: %s: %+v", c.name, x)
			}
			fmt.Fprintf(&b, "%s %s: %s", x.Level, x.Check, x.Says)
			if x.Do != "" {
				fmt.Fprintf(&b, " -- %s", x.Do)
			}
			b.WriteByte('\n')
		}
	}
	golden := filepath.Join("testdata", "findings.txt")
	if *rewrite {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || string(want) != b.String() {
		t.Errorf("differs from %s (%v; run with -rewrite, then read the diff):\n%s", golden, err, b.String())
	}
}

func TestQuantile(t *testing.T) {
	all := []time.Duration{5, 1, 4, 2, 3}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 3, 0.99: 5, 1: 5} {
		if got := Quantile(all, q); got != want {
			t.Errorf("%g: %d, want %d", q, got, want)
		}
	}
	if Quantile(nil, 0.5) != 0 || all[0] != 5 {
		t.Error("of nothing, or the argument was sorted")
	}
}
