package owner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/lni/dragonboat/v4"
	"github.com/lni/dragonboat/v4/config"
	"github.com/lni/vfs"

	"dmalloc/faultfs"
	"dmalloc/message"
	"dmalloc/owner/tanlog"
)

// sentinel stands between Dragonboat and the disk. Dragonboat panics on a write that failed, in a goroutine
// where nobody can recover. The sentinel reports the failure instead, once, and does not let the call return:
// what was not written is never acknowledged, and the process ends by its own will and with one line.
// Goroutines that are held so end with the process.
type sentinel struct {
	node   message.NodeID
	dir    string
	report func(error) // nil: failures pass on to Dragonboat
	armed  atomic.Bool // holds the caller of what failed; not while the caller is ours
	failed chan struct{}

	inner vfs.FS // that the failures are not told of
	fs    vfs.FS

	mu  sync.Mutex
	err error // the first failure
}

// reserved is what Dragonboat's log reserves for each of its files: as much as it writes before it begins
// the next one.
const reserved = 64<<20 + 128<<10

func newSentinel(cfg Config) *sentinel {
	s := &sentinel{node: cfg.Node, dir: cfg.Dir, report: cfg.Failed, failed: make(chan struct{})}
	s.inner = cfg.Files
	if s.inner == nil {
		s.inner = vfs.Default
	}
	log := func(path string) bool { return filepath.Ext(path) == ".log" }
	s.fs = faultfs.Wrap(s.inner, faultfs.Options{Disk: cfg.Disk, Failed: s.heard, Log: log, Room: tanlog.RoomMark(), Reserve: func(path string) int64 {
		if log(path) {
			return reserved
		}
		return 0
	}})
	return s
}

// heard is told of each failure, in the goroutine that met it.
func (s *sentinel) heard(op, path string, cause error) {
	held := s.report != nil && s.armed.Load()
	s.mu.Lock()
	if s.err == nil {
		s.err = s.explain(op, path, cause)
		if held { // before anyone else can see the failure: who gets it as an error finds it reported
			s.report(s.err)
		}
		close(s.failed)
	}
	s.mu.Unlock()
	if held {
		select {} // see sentinel
	}
}

func (s *sentinel) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// remedies say what a failure is and what to do about it.
var remedies = []struct {
	causes []error
	is, do string
}{
	{[]error{syscall.ENOSPC, syscall.EDQUOT}, "is full", "make room there and run `revive %s`; nothing that was acknowledged is lost"},
	{[]error{syscall.EROFS, syscall.EACCES, syscall.EPERM}, "cannot be written", "make it writable and run `revive %s`; nothing that was acknowledged is lost"},
	{[]error{syscall.EMFILE, syscall.ENFILE}, "cannot be used, for too many files are open", "raise the limit of open files and run `revive %s`"},
	{[]error{nil}, "failed", "check it and run `revive %s`, with --wipe if it is broken"},
}

func (s *sentinel) explain(op, path string, cause error) error {
	if rel, err := filepath.Rel(s.dir, path); err == nil {
		path = rel
	}
	for _, r := range remedies {
		for _, c := range r.causes {
			if c == nil || errors.Is(cause, c) {
				return &message.Error{Code: message.Unavailable, Err: plain(cause), Text: fmt.Sprintf(
					"the disk of node %s, directory %s, %s: it could not %s %s; "+r.do, s.node, s.dir, r.is, op, path, s.node)}
			}
		}
	}
	return cause
}

// plain takes the path, which is named already, out of an error.
func plain(err error) error {
	for range 16 { // a bound, should an error contain itself
		var next error
		switch e := err.(type) {
		case interface{ Cause() error }: // a stack around the error
			next = e.Cause()
		case interface{ Unwrap() error }:
			next = e.Unwrap()
		}
		if next == nil || errors.Is(err, faultfs.ErrFull) && !errors.Is(next, faultfs.ErrFull) {
			return err
		}
		err = next
	}
	return err
}

// prepare readies the directory, of which dir below it is Dragonboat's.
func (s *sentinel) prepare(dir string) error {
	err := s.probe()
	if err == nil {
		s.name()
		err = s.clear(dir)
	}
	if err == nil {
		err = s.settle(dir)
	}
	if failure := s.failure(); failure != nil {
		return failure
	}
	return err
}

// clear removes what a first start left that ended before there was a replica: Dragonboat writes its flag files in
// place, and does not start from half of one. Whoever knows that there was a replica finds it missing.
func (s *sentinel) clear(dir string) error {
	if had, err := s.hasReplica(dir); had || err != nil {
		return err
	}
	return s.fs.RemoveAll(dir)
}

// hasReplica says whether there is a trace of any replica: founders, a log, a snapshot.
func (s *sentinel) hasReplica(dir string) (bool, error) {
	names, err := s.fs.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	for _, name := range names {
		for _, trace := range []string{"bootstrap/BOOTSTRAP-", "tandb/node-", "/snapshot-part-"} { // below HOST/DEPLOYMENT
			in, prefix, _ := strings.Cut(trace, "/")
			if strings.HasPrefix(name, prefix) && (in == "" || in == filepath.Base(dir)) {
				return true, nil
			}
		}
		path := filepath.Join(dir, name)
		if info, err := s.fs.Stat(path); err == nil && info.IsDir() {
			if had, err := s.hasReplica(path); had || err != nil {
				return had, err
			}
		}
	}
	return false, err
}

// probe writes, syncs and removes a file: what cannot be written is found before anything counts on it.
func (s *sentinel) probe() error {
	path := filepath.Join(s.dir, "probe")
	if err := s.fs.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	f, err := s.fs.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte("can this directory be written?\n"))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), s.fs.Remove(path))
}

// settle makes durable what the process before this one wrote. When that one was killed, the end of its log may be
// only in the system's memory: Dragonboat reads it, builds upon it, and does not sync it. A power loss then takes
// from the middle of the log what was taken for granted.
func (s *sentinel) settle(dir string) error {
	names, err := s.fs.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, name := range names {
		if name == "LOCK" { // closing it would give up a lock that this process may hold
			continue
		}
		path := filepath.Join(dir, name)
		info, err := s.fs.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case info.IsDir():
			if err := s.settle(path); err != nil {
				return err
			}
		case info.Mode().IsRegular():
			s.trim(path, info.Size())
			if err := s.sync(path); err != nil {
				return err
			}
		}
	}
	return errors.Join(err, s.sync(dir))
}

// trim gives back what was reserved behind the end of a log that nobody writes any more: each start begins a new one,
// and a node that is killed every few seconds would fill the disk with 64 MiB a company and start. What cannot be given
// back stays reserved, which hurts nobody else.
func (s *sentinel) trim(path string, size int64) {
	if filepath.Ext(path) == ".log" && s.inner == vfs.Default {
		_ = os.Truncate(path, size)
	}
}

// cut takes the room out of logs of which a process was killed, and what a power failure left of a write into it: Dragonboat
// would take both for records, and is told neither. It is durable before Dragonboat notes where in the log everything is.
func (s *sentinel) cut(rooms []tanlog.Room) error {
	for _, r := range rooms {
		err := os.Truncate(r.File, r.End)
		if err == nil {
			err = s.sync(r.File)
		}
		if err != nil {
			return s.explain("shorten", r.File, err)
		}
	}
	return nil
}

func (s *sentinel) sync(path string) error {
	f, err := s.fs.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// name makes the names of the directory and of those above it durable: who made them may not have done it, and
// all that is acknowledged would go with a name. Directories that are not ours to open are somebody else's to keep.
func (s *sentinel) name() {
	for dir := s.dir; ; dir = filepath.Dir(dir) {
		if d, err := s.inner.OpenDir(dir); err == nil {
			_ = d.Sync()
			_ = d.Close()
		}
		if dir == filepath.Dir(dir) {
			return
		}
	}
}

// open opens Dragonboat's files. Our own goroutine does it, so that failures may return, and panics too.
func (s *sentinel) open(cfg config.NodeHostConfig) (nh *dragonboat.NodeHost, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = message.Errorf(message.Internal, "Dragonboat gave up: %v", r)
		}
		if err == nil && nh == nil { // it recovers from some of its panics and returns nothing at all
			err = message.Errorf(message.Internal, "Dragonboat did not start and did not say why")
		}
		if failure := s.failure(); failure != nil {
			nh, err = nil, failure // whatever it started has nothing to do, and ends with the process
		} else if err != nil {
			err = fmt.Errorf("open the log in %s: %w", cfg.NodeHostDir, err)
		}
		s.armed.Store(err == nil)
	}()
	cfg.Expert.FS = s.fs
	return dragonboat.NewNodeHost(cfg)
}

// run has Dragonboat do what may use the disk, and comes back also if it is held.
func (s *sentinel) run(f func() error) error {
	if s.report == nil {
		return f()
	}
	if err := s.failure(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-s.failed:
		return s.failure()
	}
}

// resign ends the leadership of all replicas when the disk failed: requests that wait are answered, and
// no new ones are taken.
func (h *Host) resign() {
	select {
	case <-h.ctx.Done():
	case <-h.disk.failed:
		for _, r := range h.Replicas() {
			r.setLeader(message.NoNode, 0, false)
		}
	}
}
