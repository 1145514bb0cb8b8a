package owner

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lni/dragonboat/v4"
	"github.com/lni/vfs"

	"dmalloc/faultfs"
	"dmalloc/message"
)

// A disk that fills up ends the node with one line, after everything that was acknowledged is kept.
func TestFullDiskEndsTheNode(t *testing.T) {
	dir := t.TempDir()
	var disk faultfs.Switch
	cfg := alone(dir)
	failed := make(chan error, 16)
	cfg.Disk, cfg.Failed = &disk, func(err error) { failed <- err }
	h, r, _, err := openAlone(cfg)
	if err != nil {
		t.Fatal(err)
	}
	caughtUp(t, r)
	for seq := range uint64(20) {
		if code := propose(r, seq, 100); code != message.Done {
			t.Fatalf("write %d: %s", seq, code)
		}
	}
	disk.Set(true, 0)
	var late sync.WaitGroup
	for seq := range uint64(8) {
		late.Go(func() {
			if code := propose(r, 100+seq, 100); code == message.Done {
				t.Errorf("write %d on a full disk was acknowledged", 100+seq)
			}
		})
	}
	err = <-failed
	late.Wait()
	if code := propose(r, 200, 1); code != message.NotLeader {
		t.Errorf("a write after the failure: %s", code)
	}
	h.Close()
	if len(failed) > 0 {
		t.Errorf("told again: %v", <-failed)
	}
	checkDiskError(t, err, dir, syscall.ENOSPC, "is full")

	if _, _, _, err := openAlone(cfg); err == nil {
		t.Error("it starts on a disk that is still full")
	} else {
		checkDiskError(t, err, dir, syscall.ENOSPC, "is full")
	}
}

func checkDiskError(t *testing.T, err error, dir string, cause error, what string) {
	t.Helper()
	if !errors.Is(err, cause) || message.CodeOf(err) != message.Unavailable {
		t.Errorf("%v is a %s", err, message.CodeOf(err))
	}
	checkDiskLine(t, err.Error(), dir, what)
}

func checkDiskLine(t *testing.T, text, dir, what string) {
	t.Helper()
	if strings.ContainsAny(text, "\n") || !strings.Contains(text, "the disk of node 0, directory "+dir+", "+what+": it could not ") || !strings.Contains(text, "run `revive 0`") {
		t.Errorf("the error does not name the disk, what is wrong and what to do: %+q", text)
	}
}

// Without the sentinel Dragonboat ends the process on a full disk by a panic in a goroutine of its own. Should this
// test fail, it has learned to return an error, and the sentinel can go.
func TestDragonboatPanicsOnFullDisk(t *testing.T) {
	if dir := os.Getenv("DMALLOC_FULL_DISK"); dir != "" {
		var disk faultfs.Switch
		cfg := alone(dir)
		cfg.Disk = &disk // and nobody is told
		_, r, _, err := openAlone(cfg)
		if err != nil {
			t.Fatal(err)
		}
		caughtUp(t, r)
		disk.Set(true, 0)
		propose(r, 1, 100)
		<-time.After(30 * time.Second) // the panic is another goroutine's, and may come later than the refusal
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestDragonboatPanicsOnFullDisk$", "-test.timeout", "60s")
	cmd.Env = append(os.Environ(), "DMALLOC_FULL_DISK="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no space left on device") || !strings.Contains(string(out), "\ngoroutine ") {
		t.Errorf("%v: %s", err, out)
	}
	t.Logf("%d lines of panic", strings.Count(string(out), "\n"))
}

// readOnly is a disk whose files can be read.
type readOnly struct{ vfs.FS }

func (readOnly) Create(path string) (vfs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.EROFS}
}

func TestReadOnlyDirectoryIsNamedAtTheStart(t *testing.T) {
	files := vfs.NewStrictMem()
	cfg := alone("/node")
	cfg.Files = files
	h, r, _, err := openAlone(cfg)
	if err != nil {
		t.Fatal(err)
	}
	caughtUp(t, r)
	h.Close()
	cfg.Files = readOnly{files}
	_, err = Open(cfg)
	if err == nil {
		t.Fatal("it starts")
	}
	checkDiskError(t, err, "/node", syscall.EROFS, "cannot be written")
	if !strings.Contains(err.Error(), "it could not create probe") {
		t.Error(err)
	}
}

// O6: what a killed process wrote and did not sync is on the disk when the next one has begun, and so are the names.
func TestStartSyncsWhatItReads(t *testing.T) {
	log := "/node/raft/host/00c0ffee/tandb/node-1-1/000002.log"
	synced := tree{log: "synced"}
	for dir := filepath.Dir(log); dir != "/"; dir = filepath.Dir(dir) {
		synced[dir+"/"] = ""
	}
	written := tree{log: "synced, and not", filepath.Dir(log) + "/000002.index": "new"}
	for p, b := range synced {
		if p != log {
			written[p] = b
		}
	}
	cfg := alone("/node")
	for _, start := range []bool{false, true} {
		files := afterKill(t, written, synced)
		if cfg.Files = files; start {
			if err := newSentinel(cfg).prepare("/node/raft"); err != nil {
				t.Fatal(err)
			}
		}
		read, kept := files.crash(func() {})
		want := synced
		if start {
			want = written
		}
		if !maps.Equal(read, written) || !maps.Equal(kept, want) {
			t.Errorf("after a start %v: read %v, kept %v; want %v, %v", start, read, kept, written, want)
		}
	}
}

// What a first start left that did not come to a replica is begun anew; a trace of a replica is not touched.
func TestHalfStart(t *testing.T) {
	for name, want := range map[string]bool{
		"raft/dragonboat.ds":                                       true,
		"raft/host/00c0ffee/tandb/LOCK":                            true,
		"raft/node-7/00c0ffee/tandb/bootstrap/LOCK":                true, // a host may have any name
		"raft/host/00c0ffee/tandb/bootstrap/BOOTSTRAP-1-1":         false,
		"raft/host/00c0ffee/tandb/node-1-1/000001.log":             false,
		"raft/host/00c0ffee/snapshot-part-1/snapshot-1-1/anything": false,
	} {
		files := newCrashFS()
		cfg := alone("/node")
		cfg.Files = files
		content := tree{"/node/" + name: "half"}
		for dir := filepath.Dir("/node/" + name); dir != "/"; dir = filepath.Dir(dir) {
			content[dir+"/"] = ""
		}
		files.put(t, content)
		if err := newSentinel(cfg).prepare("/node/raft"); err != nil {
			t.Error(err)
		}
		if _, there := files.tree()["/node/"+name]; there == want {
			t.Errorf("%s is still there: %v", name, there)
		}
	}
}

// What was acknowledged before the disk was full is there when it has room again.
func TestFullDiskKeepsWhatItHad(t *testing.T) {
	var disk faultfs.Switch
	files := newCrashFS()
	cfg := alone("/node")
	failed := make(chan error, 1)
	cfg.Files, cfg.Disk, cfg.Failed = files, &disk, func(err error) { failed <- err }
	h, r, _, err := openAlone(cfg)
	if err != nil {
		t.Fatal(err)
	}
	caughtUp(t, r)
	w := &world{t: t, acked: map[uint64]bool{}}
	for ; w.next < 50; w.next++ {
		disk.Set(w.next >= 40, 0)
		if propose(r, w.next, 100) == message.Done {
			w.acked[w.next] = true
		}
	}
	checkDiskError(t, <-failed, "/node", syscall.ENOSPC, "is full")
	if len(w.acked) != 40 {
		t.Errorf("%d writes were acknowledged, 40 before the disk was full", len(w.acked))
	}
	written, synced := files.crash(h.Close)
	disk.Set(false, 0)
	cfg.Files = afterKill(t, written, synced)
	h, r, state, err := openAlone(cfg)
	if err != nil {
		t.Fatal(err)
	}
	caughtUp(t, r)
	r.View(func(Machine) { w.check(state.seqs) })
	if code := propose(r, w.next, 100); code != message.Done {
		t.Errorf("a write with room again: %s", code)
	}
	h.Close()
}

// Wherever in its life the disk of a node fails, at its start, under load, in a snapshot or at its end, the node says
// so once and in one line, and does not panic; the next start has all that was acknowledged. Each node is a process:
// what is held ends with it, and Dragonboat has locks that all hosts of a process share.
func TestDiskFailsAnywhere(t *testing.T) {
	if dir := os.Getenv("DMALLOC_DISK_FAILS"); dir != "" {
		lifeOn(dir)
		return
	}
	const (
		start = 48      // writes and syncs of the first start, of which each is another one
		never = 1 << 30 // more of them than any life has
	)
	total := never - life(t, never, nil).left
	said := map[string]int{}
	tried := 0
	for n := 0; n < total && !t.Failed(); n++ {
		if n < start && n%2 == 1 || n > start && n%7 != 0 {
			continue
		}
		tried++
		which := tried % len(diskCauses)
		l := life(t, n, diskCauses[which].err)
		if l.end == "" {
			continue // it came to its end before
		}
		checkDiskLine(t, l.end, l.dir, diskCauses[which].is)
		_, what, _ := strings.Cut(l.end, "could not ")
		said[strings.Fields(what + " ")[0]]++
	}
	t.Logf("the disk failed at %d of %d writes and syncs: %v", tried, total, said)
	for _, op := range []string{"make", "create", "write", "sync"} {
		if said[op] == 0 {
			t.Errorf("no failure of %s was met", op)
		}
	}
}

var diskCauses = []struct {
	err error
	is  string
}{{syscall.EIO, "failed"}, {syscall.ENOSPC, "is full"}, {syscall.EROFS, "cannot be written"}}

// ended is what a process told before it ended.
type ended struct {
	dir  string
	end  string // why it ended early
	left int    // writes and syncs that the disk had still worked for
}

// life has a process live on a disk that works n times, and checks what it leaves.
func life(t *testing.T, n int, cause error) (l ended) {
	t.Helper()
	l.dir = t.TempDir()
	number := 0
	if cause != nil {
		number = int(cause.(syscall.Errno))
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestDiskFailsAnywhere$", "-test.timeout", "60s")
	cmd.Env = append(os.Environ(), "DMALLOC_DISK_FAILS="+l.dir, fmt.Sprintf("DMALLOC_DISK_LEFT=%d %d", n, number))
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Contains(string(out), "panic") {
		t.Fatalf("the disk fails after %d: %v: %.3000s", n, err, out)
	}
	w := &world{t: t, acked: map[uint64]bool{}, next: lifeWrites}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if seq, ok := strings.CutPrefix(line, "done "); ok {
			var n uint64
			fmt.Sscan(seq, &n)
			w.acked[n] = true
		}
		if text, ok := strings.CutPrefix(line, "left "); ok {
			fmt.Sscan(text, &l.left)
		}
		if text, ok := strings.CutPrefix(line, "end "); ok {
			if l.end != "" {
				t.Errorf("told twice: %s; %s", l.end, text)
			}
			l.end = text
		}
	}
	if l.end == "" && len(w.acked) != lifeWrites {
		t.Errorf("only %d writes were acknowledged, and nothing is said: %.3000s", len(w.acked), out)
	}
	h, r, state, err := openAlone(alone(l.dir))
	if err != nil {
		t.Fatalf("the disk, which failed after %d, works again, and the node does not start: %v", n, err)
	}
	caughtUp(t, r)
	r.View(func(Machine) { w.check(state.seqs) })
	h.Close()
	return l
}

const lifeWrites = 6

// lifeOn is the process of life.
func lifeOn(dir string) {
	disk := &failing{}
	var left, cause int
	fmt.Sscan(os.Getenv("DMALLOC_DISK_LEFT"), &left, &cause)
	disk.left.Store(int64(left))
	disk.err = syscall.Errno(cause)
	cfg := alone(dir)
	failed := make(chan error, 16)
	cfg.Disk, cfg.Failed = disk, func(err error) { failed <- err }
	h, r, _, err := openAlone(cfg)
	if err == nil {
		liveOn(h, r, failed)
		h.Close()
	} else if len(failed) == 0 {
		failed <- err
	}
	for len(failed) > 0 {
		fmt.Printf("end %v\n", <-failed)
	}
	fmt.Printf("left %d\n", disk.left.Load())
}

func liveOn(h *Host, r *Replica, failed chan error) {
	for !r.Leads() && len(failed) == 0 {
		time.Sleep(time.Millisecond)
	}
	for seq := range uint64(lifeWrites) {
		if propose(r, seq, 100) == message.Done {
			fmt.Printf("done %d\n", seq)
		}
		if seq != lifeWrites/2 {
			continue
		}
		if s, err := h.nh.RequestSnapshot(1, dragonboat.SnapshotOption{}, time.Second); err == nil {
			select {
			case <-s.ResultC():
			case err := <-failed:
				failed <- err
			}
		}
	}
}

// failing is a disk that works for a while and then never again.
type failing struct {
	left atomic.Int64
	err  error
}

func (f *failing) BeforeWrite(int) error { return f.BeforeSync() }

func (f *failing) BeforeSync() error {
	if f.left.Add(-1) < 0 {
		return f.err
	}
	return nil
}
