package cluster

import (
	"context"
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"dmalloc/message"
)

const (
	helloPatience = 30 * time.Second // for a host to answer: an agent may have to log in
	byePatience   = 5 * time.Second  // for a warden to end when it was told to
	firePatience  = 2 * time.Second  // for one to end that is no longer spoken to
	maxOrders     = 1024             // orders that wait for a warden; beyond them the caller waits
)

// agent is the launcher's end of the conversation with one host's warden. Its goroutines end with the
// warden's process, which fire waits for.
type agent struct {
	host  string
	cmd   *exec.Cmd
	in    io.Closer
	out   io.Closer
	last  *tail
	queue chan order
	gone  chan struct{} // closed when the process has ended
	tasks sync.WaitGroup

	mu      sync.Mutex
	number  uint64
	pending map[uint64]chan report // nil once the process has ended
}

// hire starts a host's warden and waits for its first words. event gets what it reports of its own
// accord, and ended is called when it is gone.
func hire(ctx context.Context, c *Config, host string, event func(*agent, report), ended func(*agent)) (*agent, error) {
	path, err := program(c.Binary)
	if err != nil {
		return nil, err
	}
	command := append([]string{path}, c.WardenArgs...)
	if !isLocal(host) {
		remote := c.RemoteBinary
		if remote == "" {
			if remote, err = remotePath(c.Binary); err != nil {
				return nil, err
			}
		}
		command = append(append(strings.Fields(c.Agent), host, remote), c.WardenArgs...)
	}
	a := &agent{host: host, last: &tail{}, queue: make(chan order, maxOrders), gone: make(chan struct{}), pending: map[uint64]chan report{}}
	a.cmd = exec.Command(command[0], command[1:]...)
	if name, err := executable(); err == nil && command[0] == selfPath {
		a.cmd.Args[0] = name // what ps shows
	}
	// A session of its own: Ctrl-C in the terminal is for the shell and must not reach the nodes.
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	a.cmd.Stderr, a.cmd.WaitDelay = a.last, pipePatience
	in, err := a.cmd.StdinPipe()
	if err != nil {
		return nil, a.failed(err.Error())
	}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		return nil, a.failed(err.Error())
	}
	a.in, a.out = in, out
	if err := a.cmd.Start(); err != nil {
		return nil, a.failed(err.Error())
	}
	hello := make(chan report, 1)
	a.tasks.Go(func() { a.write(in) })
	a.tasks.Go(func() { a.read(out, hello, event, ended) })
	ctx, cancel := context.WithTimeout(ctx, helloPatience)
	defer cancel()
	select {
	case r := <-hello:
		if r.Version == wardenVersion {
			return a, nil
		}
		err = message.Errorf(message.InvalidArgument, "dmalloc on host %s speaks version %d to its launcher, this one %d; install the same program there", host, r.Version, wardenVersion)
	case <-a.gone:
		err = a.failed("it ended before it was ready")
	case <-ctx.Done():
		err = a.failed(context.Cause(ctx).Error())
	}
	a.fire()
	return nil, err
}

// remotePath is where the program is expected on other hosts: where it is here.
func remotePath(binary string) (string, error) {
	if binary == "" {
		var err error
		if binary, err = executable(); err != nil {
			return "", err
		}
	}
	if !plainPath(binary) {
		return "", message.Errorf(message.InvalidArgument, "%s cannot be run on another host, for a shell would read its path otherwise; give --remote-binary", message.Quote(binary))
	}
	return binary, nil
}

func (a *agent) failed(why string) error {
	if last := a.last.String(); last != "" {
		why += ": " + last
	}
	return message.Errorf(message.Unavailable, "the nodes of host %s cannot be reached: %s", a.host, why)
}

func (a *agent) write(in io.WriteCloser) {
	defer in.Close()
	for {
		select {
		case o := <-a.queue:
			if writeLine(in, o) != nil {
				return
			}
		case <-a.gone:
			return
		}
	}
}

func (a *agent) read(out io.Reader, hello chan<- report, event func(*agent, report), ended func(*agent)) {
	l := lines(out)
	greeted := false
	for l.Scan() {
		var r report
		if json.Unmarshal(l.Bytes(), &r) != nil {
			_, _ = a.last.Write(append(l.Bytes(), '\n')) // an agent's banner, or what a shell says
			continue
		}
		switch {
		case r.Says == saysHello:
			if !greeted {
				hello <- r
			}
			greeted = true
		case r.Number != 0:
			a.mu.Lock()
			answer := a.pending[r.Number]
			delete(a.pending, r.Number)
			a.mu.Unlock()
			if answer != nil {
				answer <- r
			}
		default:
			event(a, r)
		}
	}
	_, _ = io.Copy(io.Discard, out) // a line that is too long ends the conversation, not the warden's writing
	_ = a.cmd.Wait()
	a.mu.Lock()
	a.pending = nil
	a.mu.Unlock()
	close(a.gone)
	ended(a)
}

// ask gives an order and waits for the answer.
func (a *agent) ask(ctx context.Context, o order) (report, error) {
	answer := make(chan report, 1)
	a.mu.Lock()
	if a.pending == nil {
		a.mu.Unlock()
		return report{}, a.failed("its warden has ended")
	}
	a.number++
	o.Number = a.number
	a.pending[o.Number] = answer
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		delete(a.pending, o.Number)
		a.mu.Unlock()
	}()
	select {
	case a.queue <- o:
	case <-a.gone:
		return report{}, a.failed("its warden has ended")
	case <-ctx.Done():
		return report{}, ctx.Err()
	}
	select {
	case r := <-answer:
		return r, r.err()
	case <-a.gone:
		select {
		case r := <-answer:
			return r, r.err()
		default:
			return report{}, a.failed("its warden has ended")
		}
	case <-ctx.Done():
		return report{}, ctx.Err()
	}
}

// tell gives an order whose answer nobody waits for.
func (a *agent) tell(o order) {
	select {
	case a.queue <- o:
	case <-a.gone:
	}
}

// dismiss has the warden end its nodes and go, and waits for that.
func (a *agent) dismiss() error {
	ctx, cancel := context.WithTimeout(context.Background(), byePatience)
	defer cancel()
	_, err := a.ask(ctx, order{Do: doStop})
	if message.CodeOf(err) == message.Unavailable {
		err = nil // it is gone already, and its nodes with it
	}
	a.fire()
	return err
}

// fire stops speaking to the warden, which is its sign to end all and go, and waits until it is gone.
// One that does not go is killed, or the agent in front of it; its output may then be held by others.
func (a *agent) fire() {
	_ = a.in.Close()
	select {
	case <-a.gone:
	case <-time.After(firePatience):
		_ = a.cmd.Process.Kill()
		_ = a.out.Close()
	}
	a.tasks.Wait()
}
