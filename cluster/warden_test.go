package cluster

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"dmalloc/message"
)

// wardenByHand is a warden whose orders the test writes itself.
type wardenByHand struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
	// unasked are the reports that came while an answer was awaited.
	unasked []report
	number  uint64
}

func byHand(t *testing.T) *wardenByHand {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := &wardenByHand{t: t, cmd: exec.CommandContext(within(t), binary, "warden")}
	w.cmd.Stderr = os.Stderr
	w.in, err = w.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.out = lines(out)
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if r := w.next(); r.Says != saysHello || r.Version != wardenVersion || r.Pid != w.cmd.Process.Pid {
		t.Fatalf("the warden says %+v", r)
	}
	return w
}

func (w *wardenByHand) next() (r report) {
	w.t.Helper()
	if !w.out.Scan() {
		w.t.Fatalf("the warden says no more (%v)", w.out.Err())
	}
	if err := json.Unmarshal(w.out.Bytes(), &r); err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *wardenByHand) ask(o order) report {
	w.t.Helper()
	w.number++
	o.Number = w.number
	if err := writeLine(w.in, o); err != nil {
		w.t.Fatal(err)
	}
	for {
		r := w.next()
		if r.Number == o.Number {
			return r
		}
		w.unasked = append(w.unasked, r)
	}
}

func (w *wardenByHand) startNode(dir string, run uint64) report {
	w.t.Helper()
	c := NodeConfig{ID: 1, Dir: dir, Listen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0"}
	return w.ask(order{Do: doStart, Node: 1, Run: run, Dir: dir, Args: []string{"node"}, Line: string(message.JSON(c))})
}

// ended waits for the warden's end.
func (w *wardenByHand) ended() {
	w.t.Helper()
	for w.out.Scan() {
	}
	if err := w.cmd.Wait(); err != nil {
		w.t.Error(err)
	}
}

func TestWardenRefuses(t *testing.T) {
	tmp := play(t)
	w := byHand(t)
	home := w.ask(order{Do: doHome, Temp: true, Host: "a"})
	if names := left(t, tmp); home.Code != "" || !slices.Equal(names, []string{home.Dir}) {
		t.Fatalf("%+v, there is %v", home, names)
	}
	dir := filepath.Join(home.Dir, "node-1")
	if r := w.startNode(dir, 1); r.Code != "" || !running(r.Pid) {
		t.Fatalf("%+v", r)
	}
	for _, c := range []struct {
		order order
		code  message.Code
	}{
		{order{Do: "dance"}, message.Unsupported},
		{order{Do: doStart, Node: 1, Run: 2, Dir: dir}, message.AlreadyAlive},
		{order{Do: doStart, Node: 2, Run: 1, Dir: dir + "/x", Kept: true}, message.Corrupt},
		{order{Do: doStart, Node: 2, Run: 1, Dir: "/proc/nowhere"}, message.InvalidArgument},
		{order{Do: doAside, Node: 1, Dir: dir}, message.AlreadyAlive},
		{order{Do: doSignal, Node: 1, Run: 1, Signal: "HUP"}, message.Unsupported},
		{order{Do: doSignal, Node: 1, Run: 2, Signal: "KILL"}, message.AlreadyDead},
		{order{Do: doSignal, Node: 9, Run: 1, Signal: "KILL"}, message.AlreadyDead},
		{order{Do: doSend, Node: 1, Run: 2, Line: "{}"}, message.AlreadyDead},
		{order{Do: doHome, Dir: "/proc/nowhere"}, message.InvalidArgument},
	} {
		if r := w.ask(c.order); r.Code != c.code.String() || r.Text == "" {
			t.Errorf("%+v was answered %+v; want %s", c.order, r, c.code)
		}
	}
	if r := w.ask(order{Do: doStop}); r.Code != "" {
		t.Errorf("%+v", r)
	}
	w.ended()
	if names := left(t, tmp); len(names) > 0 {
		t.Errorf("L1: left: %v", names)
	}
}

// A node that reads nothing must not hold up its warden, however much it is sent.
func TestWardenWaitsForNoNode(t *testing.T) {
	tmp := play(t)
	w := byHand(t)
	home := w.ask(order{Do: doHome, Temp: true, Host: "a"}).Dir
	dir := filepath.Join(home, "node-1")
	pid := w.startNode(dir, 1).Pid
	if r := w.ask(order{Do: doSignal, Node: 1, Run: 1, Signal: "STOP"}); r.Code != "" {
		t.Fatalf("%+v", r)
	}
	long := `{"peers":[` + strings.Repeat(" ", 100<<10) + `]}`
	for range 20 {
		if r := w.ask(order{Do: doSend, Node: 1, Run: 1, Line: long}); r.Code != "" {
			t.Fatalf("%+v", r)
		}
	}
	last := `{"peers":[{"id":77}]}`
	w.ask(order{Do: doSend, Node: 1, Run: 1, Line: last})
	w.ask(order{Do: doSignal, Node: 1, Run: 1, Signal: "CONT"})
	eventually(t, "the node has the latest peers", func() bool {
		p := peersOf(dir)
		return len(p.Peers) == 1 && p.Peers[0].ID == 77
	})
	w.ask(order{Do: doSignal, Node: 1, Run: 1, Signal: "STOP"})
	_ = w.in.Close()
	w.ended()
	if running(pid) || len(left(t, tmp)) > 0 {
		t.Errorf("L1: the frozen node runs: %v; left: %v", running(pid), left(t, tmp))
	}
}

func TestWardenEnds(t *testing.T) {
	for name, end := range map[string]func(*wardenByHand){
		"its input":     func(w *wardenByHand) { _ = w.in.Close() },
		"a signal":      func(w *wardenByHand) { _ = w.cmd.Process.Signal(syscall.SIGTERM) },
		"no order":      func(w *wardenByHand) { _, _ = io.WriteString(w.in, "this is no order\n") },
		"the last word": func(w *wardenByHand) { w.ask(order{Do: doStop}) },
	} {
		t.Run(name, func(t *testing.T) {
			tmp := play(t)
			w := byHand(t)
			home := w.ask(order{Do: doHome, Temp: true, Host: "a"}).Dir
			dir := filepath.Join(home, "node-1")
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "stubborn"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			pid := w.startNode(dir, 1).Pid
			end(w)
			w.ended()
			if running(pid) || len(left(t, tmp)) > 0 {
				t.Errorf("L1: the node runs: %v; left: %v", running(pid), left(t, tmp))
			}
		})
	}
}

// L2: a warden waits for the nodes of the one before, and not for ever.
func TestWardensOfOneDirectory(t *testing.T) {
	play(t)
	data := t.TempDir()
	first, second := byHand(t), byHand(t)
	if r := first.ask(order{Do: doHome, Dir: data, Host: "a"}); r.Code != "" {
		t.Fatalf("%+v", r)
	}
	if r := second.ask(order{Do: doHome, Dir: data, Host: "b"}); r.Code != "" {
		t.Errorf("hosts that share a file system: %+v", r)
	}
	if r := second.ask(order{Do: doHome, Dir: data, Host: "a"}); r.Code == "" || !strings.Contains(r.Text, "another launcher") {
		t.Errorf("%+v", r)
	}
	_ = first.in.Close()
	if r := second.ask(order{Do: doHome, Dir: data, Host: "a"}); r.Code != "" {
		t.Errorf("%+v", r)
	}
	_ = second.in.Close()
	first.ended()
	second.ended()
}

func TestSplitter(t *testing.T) {
	long := strings.Repeat("x", maxNodeLine)
	for _, c := range []struct{ writes, want []string }{
		{[]string{"a\nb\n"}, []string{"a", "b"}},
		{[]string{"a", "b\n", "\n", "c"}, []string{"ab", ""}},
		{[]string{long + "y\n"}, []string{long, "y"}},
		{[]string{long[1:], "\nz\n"}, []string{long[1:], "z"}},
		{[]string{long + long + "\n"}, []string{long, long}},
	} {
		var got []string
		s := &splitter{line: func(line string) { got = append(got, line) }}
		for _, w := range c.writes {
			if n, err := s.Write([]byte(w)); n != len(w) || err != nil {
				t.Fatal(n, err)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%d lines; want %d", len(got), len(c.want))
		}
	}
}

func TestTail(t *testing.T) {
	var l tail
	for range 1000 {
		_, _ = l.Write([]byte("one line\n"))
	}
	_, _ = l.Write([]byte("the last\n"))
	got := strings.Split(l.String(), "\n")
	if len(got) != maxLastLines || got[maxLastLines-1] != "the last" || cap(l.text) > 4*maxLast {
		t.Errorf("%q", got)
	}
	_, _ = l.Write([]byte(strings.Repeat("x", 3*maxLast)))
	if s := l.String(); s != strings.Repeat("x", maxLast) {
		t.Errorf("%d bytes", len(s))
	}
}
