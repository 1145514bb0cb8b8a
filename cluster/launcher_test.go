package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"dmalloc/message"
)

func state(l *Launcher, id int) State { return l.States()[id] }

// nodeConfig is what a node was given at its latest start.
func nodeConfig(t *testing.T, dir string) (c NodeConfig) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func peersOf(dir string) (p Peers) {
	b, _ := os.ReadFile(filepath.Join(dir, "peers.json"))
	_ = json.Unmarshal(b, &p)
	return p
}

func TestFiveNodes(t *testing.T) {
	tmp := play(t)
	var seen []string
	var told [][]message.Node
	l := start(t, Config{Nodes: 5, Progress: func(p Progress) { seen = append(seen, p.String()) }})
	l.OnPeers(func(p []message.Node) { told = append(told, p) })
	ctx := within(t)
	if want := []string{"hosts 1/1", "started 1/5", "listening 1/5", "listening 5/5", "ready 5/5"}; !containsInOrder(seen, want) {
		t.Errorf("progress %v lacks some of %v", seen, want)
	}
	ports := map[string]bool{}
	for i, s := range l.States() {
		if s.State != Alive || s.Pid == 0 || !running(s.Pid) || int(s.ID) != i || s.Host != "localhost" {
			t.Errorf("%+v", s)
		}
		ports[s.Address], ports[s.HTTP] = true, true
	}
	if len(ports) != 10 {
		t.Errorf("10 ports, but they are %v", ports)
	}
	home := left(t, tmp)[0]
	c := nodeConfig(t, filepath.Join(home, "node-3"))
	if c.ID != 3 || c.Join || !c.Temporary || c.Settings.Nodes != 5 || c.Settings.Companies != 5 || len(c.Settings.Cluster) != 16 || len(c.Hosts) != 5 {
		t.Errorf("%+v", c)
	}

	before := state(l, 3)
	if err := l.Kill(ctx, 3); err != nil {
		t.Fatal(err)
	}
	if s := state(l, 3); running(before.Pid) || s.State != Dead || s.Pid != 0 || s.Reason != "killed" {
		t.Errorf("after the kill: %+v", s)
	}
	refused(t, l.Kill(ctx, 3), message.AlreadyDead, "node 3")
	refused(t, l.Pause(ctx, 3), message.AlreadyDead, "revive 3")
	refused(t, l.Resume(ctx, 3), message.AlreadyDead, "revive 3")
	var steps []string
	if err := l.Revive(ctx, 3, false, func(s string) { steps = append(steps, s) }); err != nil {
		t.Fatal(err)
	}
	if s := state(l, 3); s.State != Alive || s.Pid == before.Pid || s.Address != before.Address || s.HTTP != before.HTTP {
		t.Errorf("after the revive %+v; before %+v", s, before)
	}
	if len(steps) != 2 || len(told) != 2 {
		t.Errorf("steps %v, peers told %d times; want 2 and 2", steps, len(told))
	}
	refused(t, l.Revive(ctx, 3, false, nil), message.AlreadyAlive, "node 3")
	for _, err := range []error{l.Kill(ctx, 5), l.Revive(ctx, 5, true, nil), l.Pause(ctx, message.NoNode), l.Resume(ctx, 1000)} {
		refused(t, err, message.NoSuchNode, "0 to 4")
	}
}

func containsInOrder(all, want []string) bool {
	for _, s := range all {
		if len(want) > 0 && s == want[0] {
			want = want[1:]
		}
	}
	return len(want) == 0
}

func TestPause(t *testing.T) {
	play(t)
	l := start(t, Config{Nodes: 3})
	ctx := within(t)
	pid := state(l, 1).Pid
	stopped := func() bool { // every thread
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, name := range tasks {
			b, _ := os.ReadFile(name)
			_, rest, _ := strings.Cut(string(b), ") ")
			if !strings.HasPrefix(rest, "T") {
				return false
			}
		}
		return err == nil && len(tasks) > 0
	}
	refused(t, l.Resume(ctx, 1), message.AlreadyAlive, "not paused")
	if err := l.Pause(ctx, 1); err != nil || state(l, 1).State != Paused {
		t.Fatal(err, state(l, 1))
	}
	if !stopped() {
		t.Error("paused, and a thread still runs")
	}
	refused(t, l.Pause(ctx, 1), message.InvalidArgument, "paused already")
	refused(t, l.Revive(ctx, 1, false, nil), message.InvalidArgument, "resume 1")
	if err := l.Resume(ctx, 1); err != nil || state(l, 1).State != Alive {
		t.Fatal(err, state(l, 1))
	}
	eventually(t, "the process goes on", func() bool { return !stopped() })
	for range 50 {
		if err := l.Pause(ctx, 1); err != nil || !stopped() {
			t.Fatal("paused again, and a thread still runs:", err)
		}
		if err := l.Resume(ctx, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Pause(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if err := l.Kill(ctx, 1); err != nil || running(pid) {
		t.Fatalf("a paused node is killed like any other: %v", err)
	}
	if err := l.Pause(ctx, 2); err != nil {
		t.Fatal(err) // Close, at the test's end, has to stop this one
	}
}

func TestTheLastNodeIsNotKilled(t *testing.T) {
	play(t)
	l := start(t, Config{Nodes: 4})
	ctx := within(t)
	results := make(chan error, 4)
	var all sync.WaitGroup
	for id := range message.NodeID(4) {
		all.Go(func() { results <- l.Kill(ctx, id) })
	}
	all.Wait()
	failed := 0
	for range 4 {
		if err := <-results; err != nil {
			failed++
			refused(t, err, message.InvalidArgument, "the last one", "exit")
		}
	}
	if failed != 1 || len(pidsOf(l)) != 1 {
		t.Errorf("L6: %d kills were refused, %d nodes live; want 1 and 1", failed, len(pidsOf(l)))
	}
}

func TestWipe(t *testing.T) {
	play(t)
	data := filepath.Join(t.TempDir(), "data")
	broken := true
	var told []uint64
	c := Config{Nodes: 3, Data: data, Retire: func(_ context.Context, id message.NodeID, incarnation uint64) error {
		if broken {
			return message.Errorf(message.Unavailable, "the directory has no leader")
		}
		told = append(told, incarnation)
		return nil
	}}
	l := start(t, c)
	ctx := within(t)
	refused(t, l.Revive(ctx, 2, true, nil), message.AlreadyAlive)
	if err := l.Kill(ctx, 2); err != nil {
		t.Fatal(err)
	}
	refused(t, l.Revive(ctx, 2, true, nil), message.Unavailable, "no leader")
	if s := state(l, 2); s.State != Dead || s.Incarnation != 1 {
		t.Errorf("L4: %+v", s)
	}
	if _, err := os.Stat(filepath.Join(data, "node-2.lost-1", "config.json")); err != nil {
		t.Error(err)
	}

	// The launcher ends before the directory knows: the next one must not start the node without it.
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var notices []string
	c.Notice = func(s string) { notices = append(notices, s) }
	l = start(t, c)
	if s := state(l, 2); s.State != Dead || s.Incarnation != 1 || len(notices) != 1 || !strings.Contains(notices[0], "revive 2") {
		t.Errorf("L4: %+v, notices %v", s, notices)
	}
	broken = false
	if err := l.Revive(ctx, 2, false, nil); err != nil {
		t.Fatal(err)
	}
	if got := nodeConfig(t, filepath.Join(data, "node-2")); !got.Join || got.Incarnation != 1 || !slices.Equal(told, []uint64{1}) {
		t.Errorf("%+v, the directory was told of %v", got, told)
	}
	if err := l.Kill(ctx, 2); err != nil {
		t.Fatal(err)
	}
	if err := l.Revive(ctx, 2, true, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(data, "node-2.lost-2", "config.json")); err != nil {
		t.Error(err)
	}
	eventually(t, "the others know the incarnation", func() bool {
		p := peersOf(filepath.Join(data, "node-0"))
		return len(p.Peers) == 3 && p.Peers[2].Incarnation == 2
	})
}

func TestUnexpectedEnd(t *testing.T) {
	tmp := play(t)
	notices := make(chan string, 10)
	l := start(t, Config{Nodes: 3, Notice: func(s string) { notices <- s }})
	ctx := within(t)
	if err := syscall.Kill(state(l, 1).Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if s := <-notices; !strings.Contains(s, "node 1") || !strings.Contains(s, "killed") {
		t.Errorf("notice %q", s)
	}
	dir := filepath.Join(left(t, tmp)[0], "node-1")
	if err := os.WriteFile(filepath.Join(dir, "crash"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, l.Revive(ctx, 1, false, nil), message.Unavailable, "node 1", "exit status 7", "something burst")
	if err := os.Rename(filepath.Join(dir, "crash"), filepath.Join(dir, "corrupt")); err != nil {
		t.Fatal(err)
	}
	refused(t, l.Revive(ctx, 1, false, nil), message.Corrupt, "node 1", "were altered")
	if s := state(l, 1); s.State != Dead || !strings.Contains(s.Reason, "were altered") {
		t.Errorf("%+v", s)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	refused(t, l.Revive(ctx, 1, false, nil), message.Corrupt, "gone", "revive 1 --wipe")
	if err := l.Revive(ctx, 1, true, nil); err != nil {
		t.Fatal(err)
	}
}

func TestReviveIsGivenUpAndKilled(t *testing.T) {
	tmp := play(t)
	l := start(t, Config{Nodes: 3})
	ctx := within(t)
	if err := l.Kill(ctx, 1); err != nil {
		t.Fatal(err)
	}
	slow := filepath.Join(left(t, tmp)[0], "node-1", "slow")
	if err := os.WriteFile(slow, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithCancel(ctx)
	result := make(chan error, 1)
	go func() { result <- l.Revive(short, 1, false, nil) }()
	eventually(t, "the node listens again", func() bool { s := state(l, 1); return s.State == Starting && s.Pid != 0 })
	refused(t, l.Pause(ctx, 1), message.InvalidArgument, "still starting")
	refused(t, l.Revive(ctx, 1, false, nil), message.AlreadyAlive, "starting")
	cancel()
	refused(t, <-result, message.Canceled, "node 1", "still starting")
	go func() { result <- l.Kill(ctx, 1) }()
	if err := <-result; err != nil || state(l, 1).State != Dead {
		t.Fatal(err, state(l, 1))
	}
	go func() { result <- l.Revive(ctx, 1, false, nil) }()
	eventually(t, "the node has a process", func() bool { return state(l, 1).Pid != 0 })
	if err := l.Kill(ctx, 1); err != nil {
		t.Fatal(err)
	}
	refused(t, <-result, message.Unavailable, "node 1", "killed")
}

func TestCloseEndsWhatWaits(t *testing.T) {
	tmp := play(t)
	l := start(t, Config{Nodes: 2})
	ctx := within(t)
	if err := l.Kill(ctx, 1); err != nil {
		t.Fatal(err)
	}
	home := left(t, tmp)[0]
	for _, name := range []string{"slow", "stubborn"} {
		if err := os.WriteFile(filepath.Join(home, "node-1", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	result := make(chan error, 1)
	go func() { result <- l.Revive(ctx, 1, false, nil) }()
	eventually(t, "the stubborn node listens", func() bool { return peersOf(filepath.Join(home, "node-1")).Peers != nil && state(l, 1).Pid != 0 })
	pids := pidsOf(l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err == nil {
		t.Error("the revive succeeded in a cluster that was stopped")
	}
	if slices.ContainsFunc(pids, running) || len(left(t, tmp)) > 0 {
		t.Errorf("L1: of %v some run, or %v is left", pids, left(t, tmp))
	}
	refused(t, l.Revive(ctx, 1, false, nil), message.Canceled, "stopped")
}

// freePorts finds neighbouring free ports, below those that the kernel gives to others meanwhile.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	for port := 20000 + os.Getpid()%500*20; port < 32000; port += n {
		free := true
		for i := range n {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+i))
			if err != nil {
				free = false
				break
			}
			defer l.Close()
		}
		if free {
			return port
		}
	}
	t.Fatal("no free ports")
	return 0
}

func TestPorts(t *testing.T) {
	play(t)
	data := filepath.Join(t.TempDir(), "data")
	port := freePorts(t, 6) + 1
	taken, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Start(within(t), Config{Nodes: 3, Port: port - 1, Data: data})
	refused(t, err, message.InvalidArgument, "node 1", strconv.Itoa(port), "in use")
	_, err = Start(within(t), Config{Nodes: 3, HTTP: taken.Addr().String(), Data: data})
	refused(t, err, message.InvalidArgument, "node 0", strconv.Itoa(port), "in use")
	_ = taken.Close()
	_, err = Start(within(t), Config{Nodes: 3, Port: port, HTTP: fmt.Sprintf("127.0.0.1:%d", port+2)})
	refused(t, err, message.InvalidArgument, "nodes 0 and 2", "further apart")
	_, err = Start(within(t), Config{Nodes: 3, Port: 65534})
	refused(t, err, message.InvalidArgument, "65536")
	for _, address := range []string{"x", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000"} {
		_, err = Start(within(t), Config{Nodes: 3, HTTP: address})
		refused(t, err, message.InvalidArgument, address)
	}

	// What a refused start was asked for binds nobody.
	l := start(t, Config{Nodes: 2, Port: port, Data: data})
	if s := state(l, 0); s.Address != fmt.Sprintf("127.0.0.1:%d", port) {
		t.Errorf("%+v", s)
	}
	ctx := within(t)
	if err := l.Kill(ctx, 0); err != nil {
		t.Fatal(err)
	}
	again, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := l.Revive(ctx, 0, false, nil); err != nil {
		t.Fatal(err)
	}
	if s := state(l, 0); s.State != Alive || s.Address == again.Addr().String() {
		t.Errorf("its port is taken, and it is %+v", s)
	}
}

func TestBadConfig(t *testing.T) {
	play(t)
	for _, c := range []Config{{Nodes: -1}, {Nodes: message.MaxNodes + 1}, {Nodes: 3, Companies: -1}, {Nodes: 3, Companies: message.MaxCompany + 1}, {Nodes: 3, Replicas: -1}, {Nodes: 3, Replicas: 10}, {Nodes: 3, Acks: "one"}, {Nodes: 3, Agent: "  "},
		{Nodes: 3, Hosts: []Host{{"localhost", 2, 0}}}, {Nodes: 3, Memory: 100}, {Nodes: 3, Tick: -1}, {Nodes: 3, Election: 4, Heartbeat: 2}, {Nodes: 3, Port: -5},
		{Nodes: 3, RemoteBinary: "/opt/my programs/dmalloc"}, {Nodes: 3, Data: "/proc/nowhere"}} {
		l, err := Start(within(t), c)
		if err == nil {
			t.Errorf("%+v was started", c)
			_ = l.Close()
			continue
		}
		refused(t, err, message.InvalidArgument)
	}
}

func TestStartFails(t *testing.T) {
	tmp := play(t)
	_, err := Start(within(t), Config{Nodes: 3, WardenArgs: []string{"-test.run=^$"}})
	refused(t, err, message.Unavailable, "localhost", "before it was ready")
	_, err = Start(within(t), Config{Nodes: 3, Binary: "/nonexistent/dmalloc"})
	refused(t, err, message.Unavailable, "localhost", "/nonexistent/dmalloc")
	_, err = Start(within(t), Config{Nodes: 3, NodeArgs: []string{"-test.run=^$"}})
	refused(t, err, message.Unavailable, "did not start", "ended by itself")
	ctx, cancel := context.WithCancel(within(t))
	_, err = Start(ctx, Config{Nodes: 3, Progress: func(p Progress) {
		if p.Stage == Listening {
			cancel()
		}
	}})
	if err != nil { // or it was ready before it looked
		refused(t, err, message.Canceled)
	}
	if names := left(t, tmp); len(names) > 0 && err != nil {
		t.Errorf("L1: left: %v", names)
	}
}

func TestAnotherAgentsHosts(t *testing.T) {
	tmp := play(t)
	script := filepath.Join(t.TempDir(), "agent")
	log := filepath.Join(t.TempDir(), "log")
	text := "#!/bin/sh\n# agent [option] HOST COMMAND...\nshift\nhost=$1; shift\necho welcome to $host\necho $host $* >> " + log + "\n\"$@\"\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Nodes: 5, Hosts: []Host{{"alpha.example", 2, 0}, {"beta.example", 2, 0}, {"localhost", 4, 0}}, Agent: script + " -q", RemoteBinary: binary,
		Bind: func(string) string { return "127.0.0.1" }}
	l := start(t, c)
	ctx := within(t)
	var hosts []string
	for _, s := range l.States() {
		hosts = append(hosts, s.Host)
	}
	if want := []string{"alpha.example", "alpha.example", "beta.example", "beta.example", "localhost"}; !slices.Equal(hosts, want) {
		t.Errorf("hosts %v; want %v", hosts, want)
	}
	if b, err := os.ReadFile(log); err != nil || !strings.Contains(string(b), "beta.example "+binary+" warden") {
		t.Errorf("the agent ran %q (%v)", b, err)
	}
	if err := l.Kill(ctx, 2); err != nil {
		t.Fatal(err)
	}
	if err := l.Revive(ctx, 2, false, nil); err != nil {
		t.Fatal(err)
	}
	pids := pidsOf(l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(pids, running) || len(left(t, tmp)) > 0 {
		t.Errorf("L1: of %v some run, or %v is left", pids, left(t, tmp))
	}

	c.Agent = "false"
	_, err = Start(ctx, c)
	refused(t, err, message.Unavailable, "alpha.example", "beta.example")
}

func wardenOf(l *Launcher) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.agents[localHost].cmd.Process.Pid
}

func TestLostWarden(t *testing.T) {
	tmp := play(t)
	notices := make(chan string, 10)
	l := start(t, Config{Nodes: 3, Notice: func(s string) { notices <- s }})
	ctx := within(t)
	pids := pidsOf(l)
	if err := syscall.Kill(wardenOf(l), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if s := <-notices; !strings.Contains(s, "localhost") {
		t.Errorf("notice %q", s)
	}
	eventually(t, "L1: the kernel kills the nodes", func() bool { return !slices.ContainsFunc(pids, running) })
	for id := range message.NodeID(3) {
		if err := l.Revive(ctx, id, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Kill(wardenOf(l), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-notices
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if names := left(t, tmp); len(names) > 0 {
		t.Errorf("L1: left: %v", names)
	}
}

func TestKilledLauncher(t *testing.T) {
	for _, data := range []bool{false, true} {
		t.Run(fmt.Sprintf("data=%v", data), func(t *testing.T) {
			tmp := play(t)
			dir := ""
			if data {
				dir = filepath.Join(t.TempDir(), "data")
			}
			t.Setenv("DMALLOC_TEST_DATA", dir)
			binary, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(within(t), binary, "launcher")
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var states []State
			if err := json.NewDecoder(out).Decode(&states); err != nil || len(states) != 3 || states[1].State != Paused {
				t.Fatalf("%v, %+v", err, states)
			}
			if data {
				_, err := Start(within(t), Config{Data: dir})
				refused(t, err, message.InvalidArgument, dir, "process id "+strconv.Itoa(cmd.Process.Pid))
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if data { // L2: at once, while the nodes may still be there
				l := start(t, Config{Data: dir})
				if n := len(pidsOf(l)); n != 3 {
					t.Errorf("%d nodes", n)
				}
			}
			eventually(t, "L1: nothing is left", func() bool {
				return !slices.ContainsFunc(states, func(s State) bool { return running(s.Pid) }) && len(left(t, tmp)) == 0
			})
		})
	}
}
