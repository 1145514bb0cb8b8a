package cluster

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"

	"dmalloc/message"
)

const (
	maxLast      = 4 << 10 // bytes of a process's last words
	maxNodeLine  = 64 << 10
	maxLastLines = 12
)

// start runs a node in its directory, which it makes.
func (w *warden) start(o order) (report, error) {
	if c := w.nodes[o.Node]; c != nil && c.alive() {
		return report{}, message.Errorf(message.AlreadyAlive, "node %s runs already, as process %d", o.Node, c.cmd.Process.Pid)
	}
	if o.Kept {
		if entries, err := os.ReadDir(o.Dir); err != nil || len(entries) == 0 {
			return report{}, message.Errorf(message.Corrupt, "the files of node %s in %s are gone; start it with revive %s --wipe", o.Node, o.Dir, o.Node)
		}
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return report{}, message.Errorf(message.InvalidArgument, "node %s cannot use %s: %v; give a directory that can be written", o.Node, o.Dir, err)
	}
	path, err := program("")
	if err != nil {
		return report{}, err
	}
	c := &child{node: o.Node, run: o.Run, last: &tail{}, ended: make(chan struct{}), gone: make(chan struct{})}
	c.cmd = exec.Command(path, o.Args...)
	if name, err := executable(); err == nil {
		c.cmd.Args[0] = name // what ps shows
	}
	c.output = &splitter{line: func(line string) { w.report(report{Says: saysLine, Node: o.Node, Run: o.Run, Line: line}) }}
	c.cmd.Dir, c.cmd.SysProcAttr, c.cmd.WaitDelay = o.Dir, nodeAttr(), pipePatience
	c.cmd.Stdout, c.cmd.Stderr = c.output, c.last
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return report{}, message.Errorf(message.Busy, "node %s cannot be started: %v", o.Node, err)
	}
	started := make(chan error, 1)
	w.spawn <- func() { started <- c.cmd.Start() }
	if err := <-started; err != nil {
		return report{}, message.Errorf(message.Busy, "node %s cannot be started: %v", o.Node, err)
	}
	c.input = newFeeder(in)
	c.input.put(o.Line)
	w.nodes[o.Node] = c
	w.tasks.Go(func() { w.await(c) })
	return report{Pid: c.cmd.Process.Pid}, nil
}

// await reaps a process and tells how it ended.
func (w *warden) await(c *child) {
	err := c.cmd.Wait()
	how := "ended by itself"
	var status *exec.ExitError
	if errors.As(err, &status) {
		how = status.Error()
	}
	c.input.close()
	close(c.ended)
	w.report(report{Says: saysExited, Node: c.node, Run: c.run, Text: how, Last: c.last.String()})
	close(c.gone)
}

func (c *child) alive() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// program is the path of a program to run, by default this one.
func program(path string) (string, error) {
	if path != "" {
		return path, nil
	}
	if selfPath != "" {
		if _, err := os.Stat(selfPath); err == nil {
			return selfPath, nil
		}
	}
	return executable()
}

func executable() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", message.Errorf(message.Unsupported, "the program cannot find itself to start nodes: %v", err)
	}
	return path, nil
}

// feeder writes lines to a process that may not read: it keeps the first and the latest unread one, and
// makes nobody wait. The first is the configuration, and each later line replaces the one before.
type feeder struct {
	mu     sync.Mutex
	first  *string
	latest *string
	closed bool
	wake   chan struct{}
	done   chan struct{}
	in     io.WriteCloser
}

func newFeeder(in io.WriteCloser) *feeder {
	f := &feeder{in: in, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go f.run() // ends with close, which waits for it
	return f
}

func (f *feeder) put(line string) {
	f.mu.Lock()
	if f.first == nil {
		f.first = &line
	} else {
		f.latest = &line
	}
	f.mu.Unlock()
	f.nudge()
}

func (f *feeder) nudge() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *feeder) run() {
	defer close(f.done)
	began := false
	for range f.wake {
		f.mu.Lock()
		var out []string
		if f.first != nil && !began {
			out, began = append(out, *f.first), true
		}
		if f.latest != nil {
			out, f.latest = append(out, *f.latest), nil
		}
		closed := f.closed
		f.mu.Unlock()
		if closed {
			return
		}
		for _, line := range out {
			if _, err := io.WriteString(f.in, line+"\n"); err != nil {
				return // the process is gone or closed its input
			}
		}
	}
}

// close gives up what is unread. A Write under way ends because the pipe's reader is gone or it is closed.
func (f *feeder) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	_ = f.in.Close()
	f.nudge()
	<-f.done
}

// splitter cuts what a process prints into lines, and lines that are too long into pieces.
type splitter struct {
	line func(string)
	rest []byte
}

func (s *splitter) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i >= 0 && len(s.rest)+i <= maxNodeLine {
			s.line(string(append(s.rest, b[:i]...)))
			s.rest, b = s.rest[:0], b[i+1:]
			continue
		}
		take := min(len(b), maxNodeLine-len(s.rest))
		s.rest, b = append(s.rest, b[:take]...), b[take:]
		if len(s.rest) == maxNodeLine {
			s.line(string(s.rest))
			s.rest = s.rest[:0]
		}
	}
	return n, nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b[max(0, len(b)-maxLast):]...)
	if over := len(t.text) - maxLast; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(b), nil
}

// String is the last lines.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.ToValidUTF8(strings.TrimSpace(string(t.text)), "?")
	all := strings.Split(text, "\n")
	return strings.Join(all[max(0, len(all)-maxLastLines):], "\n")
}
