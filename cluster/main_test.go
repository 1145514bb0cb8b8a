package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dmalloc/message"
)

// TestMain makes the test's own program play the other parts, by its first argument.
func TestMain(m *testing.M) {
	if os.Getenv("DMALLOC_TEST_PARTS") == "" || len(os.Args) < 2 {
		os.Exit(m.Run())
	}
	parts := map[string]func() error{
		"warden":   func() error { return RunWarden(context.Background(), os.Stdin, os.Stdout) },
		"node":     fakeNode,
		"launcher": orphan,
	}
	part := parts[os.Args[1]]
	if part == nil {
		os.Exit(m.Run())
	}
	if err := part(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// fakeNode speaks a node's part. Files in its directory make it misbehave. It does not end with its
// input: that is for the warden to see to.
func fakeNode() error {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	tell := func(e Event) { _ = json.NewEncoder(os.Stdout).Encode(e) }
	fail := func(err error) error {
		tell(Event{Event: Failed, Code: message.CodeOf(err).String(), Message: err.Error()})
		return err
	}
	first, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	var c NodeConfig
	if err := json.Unmarshal(first, &c); err != nil {
		return err
	}
	if has("corrupt") {
		return fail(message.Errorf(message.Corrupt, "the files of node %s were altered", c.ID))
	}
	if has("crash") {
		fmt.Fprintln(os.Stderr, "something burst")
		os.Exit(7)
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fail(message.Errorf(message.InvalidArgument, "node %s: %v", c.ID, err))
	}
	h, err := net.Listen("tcp", c.HTTPListen)
	if err != nil {
		return fail(message.Errorf(message.InvalidArgument, "node %s: %v", c.ID, err))
	}
	fmt.Println("this line is no event")
	tell(Event{Event: Listening, Address: l.Addr().String(), HTTP: h.Addr().String()})
	if has("stubborn") {
		signal.Ignore(syscall.SIGTERM)
	}
	for ready := false; ; ready = true {
		line, err := in.ReadBytes('\n')
		if err != nil {
			select {} // its launcher is gone, and it does not care
		}
		if err := os.WriteFile("config.json", first, 0o600); err != nil {
			return err
		}
		if err := ReplaceFile("peers.json", line); err != nil {
			return err
		}
		var p Peers
		if err := json.Unmarshal(line, &p); err != nil {
			return err
		}
		if !has("deaf") {
			tell(Event{Event: Faulted, Turn: p.Turn})
		}
		if !ready && !has("slow") {
			tell(Event{Event: Ready})
		}
	}
}

func has(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// orphan launches a cluster, freezes a node, says who is there and waits to be killed.
func orphan() error {
	l, err := Start(context.Background(), Config{Nodes: 3, Data: os.Getenv("DMALLOC_TEST_DATA")})
	if err != nil {
		return err
	}
	if err := l.Pause(context.Background(), 1); err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(l.States()); err != nil {
		return err
	}
	select {}
}

// play prepares a test in which the program plays several parts. What they leave is the test's failure.
func play(t *testing.T) (tmp string) {
	t.Helper()
	tmp = t.TempDir()
	t.Setenv("DMALLOC_TEST_PARTS", "1")
	t.Setenv("TMPDIR", tmp)
	return tmp
}

// start launches a cluster that the test's end closes.
func start(t *testing.T, c Config) *Launcher {
	t.Helper()
	l, err := Start(within(t), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pids := pidsOf(l)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		for _, pid := range pids {
			if running(pid) {
				t.Errorf("L1: process %d is left", pid)
			}
		}
	})
	return l
}

// within bounds a test, generously.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for what other processes do.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ctx := within(t)
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatalf("never came: %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// running says whether a process exists and is no zombie.
func running(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func pidsOf(l *Launcher) (pids []int) {
	for _, s := range l.States() {
		if s.Pid != 0 {
			pids = append(pids, s.Pid)
		}
	}
	return pids
}

// left lists the temporary directories of clusters.
func left(t *testing.T, tmp string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(tmp, "dmalloc-*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// refused checks an error's class and that it says each of the words.
func refused(t *testing.T, err error, code message.Code, words ...string) {
	t.Helper()
	if message.CodeOf(err) != code || err == nil {
		t.Errorf("%v is %s; want %s", err, message.CodeOf(err), code)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}
