package tanlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Report says what Check has read.
type Report struct {
	Logs  int   // replicas' logs
	Files int   // files read
	Bytes int64 // bytes read
	Torn  []Torn
	Room  []Room
}

// Room is a log file that holds nothing behind End but room, and what a power failure left of an unfinished write into it. It
// must be cut there before Dragonboat reads it.
type Room struct {
	File string
	End  int64
}

// Torn is a file that ends as a crash leaves it. What follows End was never acknowledged.
type Torn struct {
	File string
	End  int64 // where its last whole record ends
	Why  string
}

func (t Torn) String() string {
	return fmt.Sprintf("%s ends torn after offset %d: %s; a crash cut its last write", t.File, t.End, t.Why)
}

func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d logs, %d files, %d bytes", r.Logs, r.Files, r.Bytes)
	for _, t := range r.Torn {
		fmt.Fprintf(&b, "; %s", t)
	}
	return b.String()
}

// Check reads every file that Dragonboat kept below dir, which nothing may have open. No directory is a
// clean one. A *DamageError means that what is kept is not what was written. leaving are the replicas whose deletion has
// begun: of those any part may be gone already.
func Check(dir string, leaving ...Pair) (Report, error) {
	c := &checker{replicas: map[replicaKey]*replica{}, leaving: leaving}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return c.report, nil
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return named(path, err)
		}
		if d.IsDir() {
			return c.directory(path)
		}
		return nil
	})
	if err == nil {
		err = c.replicasAgree()
	}
	return c.report, err
}

type checker struct {
	report   Report
	replicas map[replicaKey]*replica
	order    []replicaKey // of replicas, as met
	leaving  []Pair
}

// Pair names a replica of a Raft group, wherever its files are.
type Pair struct{ Shard, Replica uint64 }

// replicaKey names a replica. Its files lie in several directories below host.
type replicaKey struct {
	host             string
	shard, replicaID uint64
}

// replica is what the directories of one replica told.
type replica struct {
	bootstrap bool   // its founders are recorded
	log       bool   // it has a log
	records   bool   // with something in it
	snapshots bool   // it has a directory of snapshots
	deleted   bool   // which says that the replica was removed from here
	newest    uint64 // index of its newest snapshot
	wanted    uint64 // index of the snapshot that its log starts from
}

func (c *checker) replica(host string, shard, id uint64) *replica {
	k := replicaKey{host, shard, id}
	r := c.replicas[k]
	if r == nil {
		r = &replica{}
		c.replicas[k] = r
		c.order = append(c.order, k)
	}
	return r
}

// directory checks the files that lie in one directory.
func (c *checker) directory(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return named(dir, err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		switch shard, id, bootstrap := parsePair("BOOTSTRAP-", name); {
		case name == "NODEHOST.ID" || name == "dragonboat.ds":
			err = c.flagFile(path)
		case bootstrap:
			c.replica(filepath.Dir(filepath.Dir(dir)), shard, id).bootstrap = true
			_, err = c.oneRecord(path)
		}
		if err != nil {
			return err
		}
	}
	if shard, id, ok := parsePair("snapshot-", filepath.Base(dir)); ok {
		return c.snapshots(dir, c.replica(filepath.Dir(filepath.Dir(dir)), shard, id))
	}
	if files := listDatabase(names); files.any() {
		return c.database(dir, files)
	}
	return nil
}

// replicasAgree compares what the directories of a replica told about each other (T4).
func (c *checker) replicasAgree() error {
	for _, k := range c.order {
		r := c.replicas[k]
		if r.deleted || slices.Contains(c.leaving, Pair{k.shard, k.replicaID}) {
			continue
		}
		name := fmt.Sprintf("%d-%d", k.shard, k.replicaID)
		switch {
		case r.snapshots && r.records && !r.bootstrap:
			return damagef(filepath.Join(k.host, "tandb", "bootstrap", "BOOTSTRAP-"+name), 0,
				"the file is missing, though the replica has a log")
		case r.bootstrap && r.newest > 0 && !r.log:
			return damagef(filepath.Join(k.host, "tandb", "node-"+name), 0,
				"the log is missing, though the replica has a snapshot")
		case r.wanted > r.newest:
			return damagef(filepath.Join(k.host, "snapshot-part-*", "snapshot-"+name, snapshotDir(r.wanted)), 0,
				"the snapshot that the log starts from is missing")
		}
	}
	return nil
}

// open opens a file for one reading and counts it.
func (c *checker) open(path string) (*os.File, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = errors.New("it is not a file")
	}
	if err != nil {
		_ = f.Close() // opened for reading only
		return nil, 0, err
	}
	c.report.Files++
	c.report.Bytes += st.Size()
	return f, st.Size(), nil
}

// records scans a file of records.
func (c *checker) records(path string, keep bool, each func(begin, end int64, data []byte) error) (tail, error) {
	f, size, err := c.open(path)
	if err != nil {
		return tail{}, named(path, err)
	}
	defer func() { _ = f.Close() }() // opened for reading only
	s := &scanner{r: f, keep: keep, each: each}
	if filepath.Ext(path) == ".log" {
		s.room, s.size = f, size
	}
	t, err := s.scan()
	return t, named(path, err)
}

// finished scans a file of records that was synced before it got its name, so that it cannot be torn (T2).
func (c *checker) finished(path string, keep bool, each func(begin, end int64, data []byte) error) error {
	t, err := c.records(path, keep, each)
	if err == nil && t.torn {
		err = damagef(path, t.end, "%s, although it was finished", t.why)
	}
	return err
}

// oneRecord reads a file that consists of a single record.
func (c *checker) oneRecord(path string) ([]byte, error) {
	var content []byte
	count := 0
	err := c.finished(path, true, func(begin, _ int64, data []byte) error {
		if count++; count > 1 {
			return flawf(begin, "there is a second record")
		}
		content = append(content, data...)
		return nil
	})
	if err == nil && count == 0 {
		err = damagef(path, 0, "it is empty")
	}
	return content, err
}
