package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"

	"dmalloc/message"
)

const (
	stopPatience   = time.Second            // between SIGTERM and SIGKILL
	pipePatience   = 300 * time.Millisecond // for the output of a process that has ended
	freezePatience = 5 * time.Second        // for every thread of a process to stop
	homePatience   = 4 * time.Second        // for the nodes of a launcher that has just died
	maxReports     = 1024                   // reports that wait for the launcher; beyond them the nodes' output waits
)

// RunWarden keeps the nodes of one host until the launcher, at the other end of in and out, stops it or
// is gone. It ends every process that it started and removes what is temporary before it returns. It is
// the whole of its process: it takes the process's signals, and a reader of in stays behind.
func RunWarden(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer cancel()
	// A broken pipe must be an error: its signal would end the warden before it has cleaned up. It is
	// taken and not ignored, for nodes would inherit that.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	defer signal.Stop(broken)

	w := &warden{reports: make(chan report, maxReports), quit: make(chan struct{}), spawn: make(chan func()), nodes: map[message.NodeID]*child{}}
	w.tasks.Go(w.spawner)
	written := make(chan struct{})
	go func() { // ends with quit, or with the process where the launcher is frozen
		defer close(written)
		w.write(out)
	}()
	w.report(report{Says: saysHello, Version: wardenVersion, Pid: os.Getpid()})
	orders := make(chan order)
	go func() { // ends with in, or with the process
		defer close(orders)
		w.read(in, orders)
	}()
	stopped := false
	for !stopped {
		var o order
		var ok bool
		select {
		case <-ctx.Done():
		case o, ok = <-orders:
		}
		if !ok {
			break
		}
		stopped = o.Do == doStop
		w.obey(o)
	}
	close(w.quit) // first, so that nothing waits for a launcher that reads no more
	w.kill()
	w.tasks.Wait()
	err := w.leave()
	select {
	case <-written:
	case <-time.After(pipePatience):
	}
	return err
}

// warden is one host's keeper of processes. Only the goroutine that obeys orders touches its fields,
// except where they say otherwise.
type warden struct {
	home    string
	temp    bool
	lock    *flock.Flock
	nodes   map[message.NodeID]*child
	reports chan report
	spawn   chan func()
	quit    chan struct{} // closed in the end: nothing more is reported
	tasks   sync.WaitGroup
}

// child is a node's process, started once.
type child struct {
	node   message.NodeID
	run    uint64
	cmd    *exec.Cmd
	input  *feeder
	output *splitter
	last   *tail
	ended  chan struct{} // closed when the process has ended and was waited for
	gone   chan struct{} // closed when that was reported too
}

// spawner starts processes. A parent-death signal comes when the thread that started a process ends, so
// this goroutine keeps its thread until no process is left.
func (w *warden) spawner() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		select {
		case f := <-w.spawn:
			f()
		case <-w.quit:
			return
		}
	}
}

func (w *warden) report(r report) {
	select {
	case w.reports <- r:
	case <-w.quit:
	}
}

// write sends reports until the end, and then those that wait. A launcher that is gone reads none.
func (w *warden) write(out io.Writer) {
	for {
		select {
		case r := <-w.reports:
			_ = writeLine(out, r)
			continue
		default:
		}
		select {
		case r := <-w.reports:
			_ = writeLine(out, r)
		case <-w.quit:
			if len(w.reports) == 0 {
				return
			}
		}
	}
}

func (w *warden) read(in io.Reader, orders chan<- order) {
	l := lines(in)
	for l.Scan() {
		var o order
		if err := json.Unmarshal(l.Bytes(), &o); err != nil {
			return // nobody whom we understand: end as if the launcher were gone
		}
		select {
		case orders <- o:
		case <-w.quit:
			return
		}
	}
}

// obey does an order and answers it.
func (w *warden) obey(o order) {
	table := map[string]func(order) (report, error){
		doHome: w.openHome, doStart: w.start, doSend: w.send, doSignal: w.signal, doAside: w.aside, doCorrupt: w.corrupt, doRemove: w.remove, doStop: w.stop,
	}
	var r report
	err := error(message.Errorf(message.Unsupported, "the warden does not know the order %s", message.Quote(o.Do)))
	if f := table[o.Do]; f != nil {
		r, err = f(o)
	}
	r.Number, r.Node, r.Run = o.Number, o.Node, o.Run
	if err != nil {
		r.Code, r.Text = message.CodeOf(err).String(), err.Error()
	}
	w.report(r)
}

// openHome makes or takes the directory that the nodes' directories are in. Its lock keeps a second
// warden out until the nodes of the first are gone, also those of a launcher that was killed just now.
// It bears the host's name, for hosts may share a file system.
func (w *warden) openHome(o order) (report, error) {
	home := o.Dir
	if home == "" {
		var err error
		if home, err = os.MkdirTemp("", "dmalloc-*"); err != nil {
			return report{}, message.Errorf(message.InvalidArgument, "no temporary directory can be made: %v; set TMPDIR, or give --data", err)
		}
	} else if err := os.MkdirAll(home, 0o700); err != nil {
		return report{}, message.Errorf(message.InvalidArgument, "%s cannot be used: %v; give a directory that can be written", home, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), homePatience)
	defer cancel()
	lock := flock.New(filepath.Join(home, "warden-"+o.Host+".lock"))
	ok, err := lock.TryLockContext(ctx, 10*time.Millisecond)
	if !ok {
		if err == nil || errors.Is(err, context.DeadlineExceeded) {
			err = errors.New("nodes of another launcher still use it; end that one first")
		}
		return report{}, message.Errorf(message.InvalidArgument, "%s cannot be used: %v", home, err)
	}
	w.home, w.temp, w.lock = home, o.Temp, lock
	return report{Dir: home}, nil
}

func (w *warden) send(o order) (report, error) {
	c := w.nodes[o.Node]
	if c == nil || c.run != o.Run || !c.alive() {
		return report{}, message.Errorf(message.AlreadyDead, "node %s has no process", o.Node)
	}
	c.input.put(o.Line)
	return report{}, nil
}

func (w *warden) signal(o order) (report, error) {
	s, ok := map[string]syscall.Signal{"KILL": syscall.SIGKILL, "STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT}[o.Signal]
	if !ok {
		return report{}, message.Errorf(message.Unsupported, "the warden does not send the signal %s", message.Quote(o.Signal))
	}
	c := w.nodes[o.Node]
	if c == nil || c.run != o.Run || !c.alive() {
		return report{}, message.Errorf(message.AlreadyDead, "node %s has no process", o.Node)
	}
	if err := c.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return report{}, fmt.Errorf("send SIG%s to node %s: %w", o.Signal, o.Node, err)
	}
	if s == syscall.SIGSTOP {
		return report{}, c.stopped()
	}
	return report{}, nil
}

// stopped waits until a stop signal has reached every thread: until then the others run on, and a node
// that was told to be frozen would still answer. Both a process that ends meanwhile and one that somebody
// else lets go on end the wait.
func (c *child) stopped() error {
	for end := time.Now().Add(freezePatience); c.alive(); time.Sleep(100 * time.Microsecond) {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, c.cmd.Process.Pid, &info, unix.WSTOPPED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err == unix.ECHILD || err == nil && info.Signo != 0 {
			return nil
		}
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("see node %s stop: %w", c.node, err)
		}
		if time.Now().After(end) {
			return fmt.Errorf("node %s was sent SIGSTOP and does not stop", c.node)
		}
	}
	return nil
}

// aside moves a directory to the first free name with .lost-1, .lost-2, …
func (w *warden) aside(o order) (report, error) {
	if c := w.nodes[o.Node]; c != nil && c.alive() {
		return report{}, message.Errorf(message.AlreadyAlive, "node %s runs in %s", o.Node, o.Dir)
	}
	if _, err := os.Lstat(o.Dir); errors.Is(err, os.ErrNotExist) {
		return report{}, nil
	}
	for i := 1; ; i++ {
		to := fmt.Sprintf("%s.lost-%d", o.Dir, i)
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		if err := os.Rename(o.Dir, to); err != nil {
			return report{}, message.Errorf(message.InvalidArgument, "the old files of node %s cannot be moved aside: %v", o.Node, err)
		}
		return report{Dir: to}, nil
	}
}

// remove ends a node that has left for good and deletes its files. Nothing else waits for it here but orders.
func (w *warden) remove(o order) (report, error) {
	if c := w.nodes[o.Node]; c != nil {
		_ = c.cmd.Process.Signal(syscall.SIGCONT)
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-c.gone:
		case <-time.After(stopPatience):
			_ = c.cmd.Process.Kill()
			<-c.gone
		}
		delete(w.nodes, o.Node)
	}
	if err := os.RemoveAll(o.Dir); err != nil {
		return report{}, message.Errorf(message.InvalidArgument, "the files of node %s cannot be deleted: %v", o.Node, err)
	}
	return report{}, nil
}

// stop ends every node, politely first. Frozen ones are woken for that.
func (w *warden) stop(order) (report, error) {
	for _, c := range w.nodes {
		_ = c.cmd.Process.Signal(syscall.SIGCONT)
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
	}
	patience := time.NewTimer(stopPatience)
	defer patience.Stop()
	for _, c := range w.nodes {
		select {
		case <-c.gone:
			continue
		case <-patience.C:
		}
		break
	}
	w.kill()
	return report{}, w.leave()
}

// kill ends every node at once and waits until they are gone.
func (w *warden) kill() {
	for _, c := range w.nodes {
		_ = c.cmd.Process.Kill() // of a process that has ended it knows that, and signals nobody else
	}
	for _, c := range w.nodes {
		<-c.gone
	}
}

// leave removes the temporary directory and gives the lock back.
func (w *warden) leave() error {
	var err error
	if w.temp && w.home != "" {
		if err = os.RemoveAll(w.home); err != nil {
			err = fmt.Errorf("remove the temporary directory: %w", err)
		}
	}
	w.temp = false
	if w.lock != nil {
		err = errors.Join(err, w.lock.Unlock())
		w.lock = nil
	}
	return err
}
