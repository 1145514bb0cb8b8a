package tanlog

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// A log file that is full gets its index and a successor; a snapshot lets old ones go.
func TestFullLogFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 140 MB")
	}
	dir := filepath.Join(t.TempDir(), "node")
	s := single(t, dir)
	rnd := newRand(6)
	data := randomBytes(rnd, 1<<20)
	for i := range 140 {
		s.write(data)
		if i == 70 {
			s.snapshot()
		}
	}
	crash := dir + "-crash"
	quietImage(t, dir, crash)
	s.snapshot()
	s.write(data)
	later := dir + "-later"
	quietImage(t, dir, later)
	s.close()
	start := time.Now()
	r := mustCheck(t, crash)
	t.Logf("%v in %v", r, time.Since(start))
	mustCheck(t, later)
	mustCheck(t, dir)
	logs := 0
	for i, path := range filesOf(t, crash) {
		if filepath.Ext(path) != ".log" {
			continue
		}
		logs++
		for _, a := range sample(t, path, uint64(i), 0)[:3] {
			a.apply(t)
			if _, err := Check(crash); err == nil {
				t.Errorf("accepted: %s offset %d mask %#x", path, a.offset, a.mask)
			}
			a.apply(t)
		}
	}
	if logs < 2 {
		t.Errorf("only %d log files", logs)
	}
}

// One of three replicas comes back late and gets a snapshot instead of the log.
func TestReplicaThatGotASnapshot(t *testing.T) {
	root := t.TempDir()
	members := map[uint64]string{}
	dirs := map[uint64]string{}
	for id := range uint64(3) {
		dirs[id+1] = filepath.Join(root, fmt.Sprint("late-", id+1))
		members[id+1] = address(dirs[id+1], id+1)
	}
	sites := map[uint64]*site{}
	for id := range dirs {
		sites[id] = openSite(t, dirs[id], id, members)
	}
	rnd := newRand(7)
	sites[1].writeMany(rnd, 20)
	sites[3].count() // it has caught up
	sites[3].close()
	mustCheck(t, dirs[3])
	sites[1].writeMany(rnd, 60)
	for id := range uint64(2) {
		sites[id+1].count()
		sites[id+1].snapshot()
	}
	sites[1].writeMany(rnd, 10)
	sites[3] = openSite(t, dirs[3], 3, members)
	want := sites[1].count()
	if got := sites[3].count(); got != want {
		t.Fatalf("the late replica has %d entries, want %d", got, want)
	}
	crash := dirs[3] + "-crash"
	quietImage(t, dirs[3], crash)
	for id := range sites {
		sites[id].close()
		mustCheck(t, dirs[id])
	}
	mustCheck(t, crash)
	one(t, crash, "*.gbsnap") // it did get one
}
