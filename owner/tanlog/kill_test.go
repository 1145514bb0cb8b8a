package tanlog

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// childEnv makes the test program a node: it opens the directory that it names, says what it counts and
// then writes and takes snapshots until it is killed.
const childEnv = "TANLOG_TEST_NODE"

func TestMain(m *testing.M) {
	dir := os.Getenv(childEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	t := &childT{}
	s := single(t, dir)
	fmt.Println(s.count())
	rnd := newRand(uint64(os.Getpid()))
	data := randomBytes(rnd, 4<<20)
	for i := 1; ; i++ {
		n := rnd.IntN(len(data)) >> rnd.IntN(12) // the large ones take long enough to be hit
		fmt.Println(s.write(data[:n+1]))
		if i%4 == 0 {
			s.snapshot() // which lets old log files and snapshots go
		}
	}
}

// childT fails by ending the process.
type childT struct{ testing.TB }

func (*childT) Helper()        {}
func (*childT) Cleanup(func()) {}
func (*childT) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, args...)
	os.Exit(3)
}

// child starts a node in dir and kills it a while after it acknowledged that many entries. It returns
// what it counted first and last.
func child(t *testing.T, dir string, acknowledged int, pause time.Duration) (first, last uint64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for i := 0; lines.Scan(); i++ {
		n, err := strconv.ParseUint(lines.Text(), 10, 64)
		if err != nil {
			t.Fatalf("the node says %q", lines.Text())
		}
		if last = n; i == 0 {
			first = n
		}
		if i == acknowledged {
			time.Sleep(pause)
			_ = cmd.Process.Kill() // in the middle of a later write, for nobody waits for it
		}
	}
	_ = cmd.Wait() // it was killed
	if last == 0 && first == 0 && stderr.Len() > 0 {
		t.Logf("the node: %.300s", stderr.String())
	}
	return first, last
}

// Kill after kill, all that was acknowledged stays, and Check never refuses.
func TestKilledNodesPass(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "node")
	rnd := newRand(5)
	torn, last := 0, uint64(0)
	for i := range 10 {
		first, now := child(t, dir, 5+rnd.IntN(20), time.Duration(rnd.IntN(20000))*time.Microsecond)
		if first < last {
			t.Fatalf("start %d: %d entries were acknowledged, %d are left", i, last, first)
		}
		last = now
		torn += len(mustCheck(t, dir).Torn)
	}
	t.Logf("%d entries, %d torn ends in 10 kills", last, torn)
}

// A power failure may leave a last record of which zeros took the place of what did not reach the
// disk. Dragonboat does not start from one, so Check may as well say why.
func TestZerosInLastRecord(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "node")
	child(t, dir, 20, 0)
	path := one(t, dir, "*.log")
	all, err := ends(path)
	if err != nil || len(all) < 2 {
		t.Fatal(all, err)
	}
	begin, end := all[len(all)-2], all[len(all)-1]
	if err := os.Truncate(path, (begin+end)/2); err != nil {
		t.Fatal(err)
	}
	mustCheck(t, dir)
	if err := os.Truncate(path, end); err != nil {
		t.Fatal(err)
	}
	if r, err := Check(dir); err == nil {
		t.Fatalf("accepted: %v", r)
	}
	if first, _ := child(t, dir, 1, 0); first != 0 {
		t.Fatalf("the node starts, with %d entries", first)
	}
}
