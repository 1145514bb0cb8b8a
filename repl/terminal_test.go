package repl

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"dmalloc/client"
	"dmalloc/message"
)

// childVariable makes this test program a shell: a terminal's signals reach processes, not goroutines.
const childVariable = "DMALLOC_REPL_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	f := newFake()
	f.allocs[0x500000001000] = make([]byte, 16)
	f.next = 0x500000002000
	ctx, cancel := context.WithCancel(context.Background())
	control := &moody{fake: f, cancel: cancel}
	os.Exit(Run(ctx, Options{Heap: control, Control: control, Grapher: draw, Interactive: true}))
}

// moody is a fake whose Free waits until it is canceled; pausing node 1 takes company 2's leader away, resuming it
// ends the shell from outside.
type moody struct {
	*fake
	cancel func()
}

func (m *moody) Free(ctx context.Context, a message.Addr) error {
	m.mu.Lock()
	notice := m.notice
	m.mu.Unlock()
	notice("company 1 has no leader; waiting")
	<-ctx.Done()
	return ctx.Err()
}

func (m *moody) Companies(ctx context.Context) ([]client.Company, error) {
	companies, err := m.fake.Companies(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil && m.states[1] == "paused" {
		companies[2].Leader = nil
	}
	return companies, err
}

func (m *moody) Resume(context.Context, message.NodeID) error {
	m.cancel()
	return nil
}

// person types at a terminal and waits for what is shown.
type person struct {
	t     *testing.T
	tty   *os.File
	cmd   *exec.Cmd
	shown chan string
	seen  string // all that was shown
	from  int    // how far it was looked at
}

func sitDown(t *testing.T, history string, env ...string) *person {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), append([]string{childVariable + "=1", "DMALLOC_HISTORY=" + history, "TERM=xterm", "NO_COLOR="}, env...)...)
	cmd.Dir = t.TempDir()
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 100})
	if err != nil {
		t.Skip("no pseudo-terminal here:", err)
	}
	p := &person{t: t, tty: tty, cmd: cmd, shown: make(chan string, 100)}
	go func() {
		defer close(p.shown)
		buf := make([]byte, 4096)
		for {
			n, err := tty.Read(buf)
			if n > 0 {
				p.shown <- string(buf[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = tty.Close()
		for range p.shown {
		}
	})
	return p
}

// sees waits until something is shown behind what was seen before.
func (p *person) sees(pattern string) {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.After(20 * time.Second)
	for {
		if at := re.FindStringIndex(p.seen[p.from:]); at != nil {
			p.from += at[1]
			return
		}
		select {
		case s, ok := <-p.shown:
			p.seen += s
			if !ok {
				p.t.Fatalf("the shell ended before %q; shown: %q", pattern, p.seen[p.from:])
			}
		case <-deadline:
			p.t.Fatalf("waited in vain for %q; shown: %q", pattern, p.seen[p.from:])
		}
	}
}

func (p *person) types(keys string) {
	p.t.Helper()
	if _, err := p.tty.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// leaves waits for the end of the shell and returns its status.
func (p *person) leaves() int {
	p.t.Helper()
	quit, end := time.After(30*time.Second), time.After(40*time.Second)
	for open := true; open; {
		var s string
		select {
		case s, open = <-p.shown:
			p.seen += s
		case <-quit:
			_ = p.cmd.Process.Signal(syscall.SIGQUIT) // its goroutines tell why it stays
		case <-end:
			open = false
		}
	}
	select {
	case <-quit:
		p.t.Fatalf("the shell did not leave; shown: %q", p.seen[p.from:])
	default:
	}
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

const promptShown = `dmalloc (\x1b\[32m)?n0(\x1b\[0m)?> `

func TestInteractive(t *testing.T) {
	history := filepath.Join(t.TempDir(), "state", "history")
	p := sitDown(t, history)
	p.sees(promptShown)

	p.types("m 100\r")
	p.sees("0x500000002000\r\n")
	p.sees(promptShown)

	// Completion of a command, and of an address; a grey hint between them.
	p.types("comp\t")
	p.sees("companies ")
	p.types("\r")
	p.sees("directory")
	p.sees(promptShown)
	p.types("kill ")
	p.sees(`\x1b\[90mID \[--for DURATION\] \[--yes\]\x1b\[0m\x1b\[27D`)
	p.types("\x15who 0x500000001\t\r")
	p.sees(`0x500000001000  0x500000001000  16`)
	p.sees(promptShown)

	// Ctrl-C cancels what runs, is a hint on an empty line, and drops a line that was begun.
	p.types("f 0x500000001000\r")
	p.sees("note: company 1 has no leader; waiting")
	p.types("\x03")
	p.sees("canceled")
	p.sees(promptShown)
	p.types("\x03")
	p.sees("exit or Ctrl-D leaves")
	p.sees(promptShown)
	p.types("m 1\x03")
	p.sees(`\^C`)
	p.sees(promptShown)

	// Keys that the library mistakes leave the shell alive: NUL, Ctrl-Z, Delete on an empty line.
	p.types("\x00")
	p.types("\x1a")
	p.types("\x1b[3~")
	p.types("echo al")
	p.sees("echo al")
	p.types("ive\r")
	p.sees("alive\r\n")
	p.sees(promptShown)

	// Arrow up brings the last line back; it is kept once.
	p.types("\x1b[A")
	p.sees("echo alive")
	p.types("\r")
	p.sees("alive\r\n")
	p.sees(promptShown)

	// Asked first; the answer is no line of history.
	p.types("kill 2\r")
	p.sees("node 2 killed")
	p.types("kill 1\r")
	p.sees("Type yes to go on: ")
	p.types("no\r")
	p.sees("canceled; nothing was done")
	p.sees(promptShown)
	p.types("recover 2\r")
	p.sees("every acknowledged operation after index 41 may be lost")
	p.sees("Type yes to go on: ")
	p.types("no\r")
	p.sees("canceled; nothing was done")
	p.sees(promptShown)

	p.types("\x04")
	if status := p.leaves(); status != ExitOK {
		t.Errorf("status %d", status)
	}
	data, err := os.ReadFile(history)
	want := "m 100\ncompanies\nwho 0x500000001000\nf 0x500000001000\necho alive\nkill 2\nkill 1\nrecover 2\n"
	if err != nil || string(data) != want {
		t.Errorf("history %q, want %q (%v)", data, want, err)
	}
	if info, err := os.Stat(history); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}

	// The next run knows these lines.
	p = sitDown(t, history)
	p.sees(promptShown)
	p.types("\x1b[A\x1b[A\x1b[A\x1b[A")
	p.sees("echo alive")
	p.types("\x03")
	p.sees(promptShown)
	p.types("exit\r")
	if status := p.leaves(); status != ExitOK {
		t.Errorf("status %d", status)
	}
}

// The prompt is marked while the user sits still, and unmarked again; nothing that was typed is lost.
func TestPromptIsMarked(t *testing.T) {
	p := sitDown(t, os.DevNull, "NO_COLOR=1")
	p.sees("dmalloc n0> ")
	p.types("pause 1\r")
	p.sees("node 1 is frozen")
	p.types("echo he")
	p.sees(`dmalloc n0!> echo he`)
	p.types("re\r")
	p.sees("here\r\n")
	p.sees(`dmalloc n0!> `)
	if strings.Contains(p.seen, "\x1b[3") || strings.Contains(p.seen, "\x1b[9") {
		t.Errorf("NO_COLOR, but %q", p.seen)
	}
	// The end of the context ends the shell while it waits for a line.
	p.types("resume 1\r")
	if status := p.leaves(); status != ExitOK {
		t.Errorf("status %d", status)
	}
}

// A spinner shows that a command is alive, and goes without a trace.
func TestSpinner(t *testing.T) {
	p := sitDown(t, os.DevNull)
	p.sees(promptShown)
	p.types("sleep 1.3\r")
	p.sees(`\r\x1b\[K[|/\\-] sleep: still at it, 1s \(Ctrl-C cancels\)`)
	p.sees(`\r\x1b\[K`)
	p.sees(promptShown)
	p.types("exit\r")
	p.leaves()
}

// A piped shell never touches the history, also where its output is a terminal.
func TestPipedInputWritesNoHistory(t *testing.T) {
	history := filepath.Join(t.TempDir(), "h")
	p := sitDown(t, history)
	p.sees(promptShown)
	p.types("exit\r")
	p.leaves()
	before, _ := os.ReadFile(history)
	t.Setenv("DMALLOC_HISTORY", history)
	runOn(t, newFake(), Options{In: strings.NewReader("m 1\nm 2\n")})
	if after, _ := os.ReadFile(history); string(after) != string(before) || string(after) != "exit\n" {
		t.Errorf("history %q became %q", before, after)
	}
}

func Example() {
	h := newFake()
	Run(context.Background(), Options{Heap: h, Commands: []string{"m 100; w _ 5 hello; r _ 5"}})
	fmt.Println(len(h.allocs), "allocation")
	// Output:
	// 0x500000001000
	// wrote 5 bytes at 0x500000001000
	// hello
	// 1 allocation
}
