package tanlog

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// databaseFiles are the files that make up one replica's log.
type databaseFiles struct {
	current   bool
	manifests []uint64
	logs      []uint64
	indexes   []uint64
}

func (f databaseFiles) any() bool {
	return f.current || len(f.manifests)+len(f.logs)+len(f.indexes) > 0
}

// listDatabase picks the files of a log by name. Temporary ones are not among them: tan removes those.
func listDatabase(names []string) databaseFiles {
	var f databaseFiles
	for _, name := range names {
		if name == "CURRENT" {
			f.current = true
		} else if n, ok := parseNumbered(name, "MANIFEST-", ""); ok {
			f.manifests = append(f.manifests, n)
		} else if n, ok := parseNumbered(name, "", ".log"); ok {
			f.logs = append(f.logs, n)
		} else if n, ok := parseNumbered(name, "", ".index"); ok {
			f.indexes = append(f.indexes, n)
		}
	}
	return f
}

// parseNumbered reads a name as tan writes it, with six digits or more.
func parseNumbered(name, prefix, suffix string) (uint64, bool) {
	s, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return 0, false
	}
	s, ok = strings.CutSuffix(s, suffix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 63)
	return n, err == nil && fmt.Sprintf("%06d", n) == s
}

// parsePair reads a name that ends in a shard and a replica.
func parsePair(prefix, name string) (shard, id uint64, ok bool) {
	s, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return 0, 0, false
	}
	a, b, ok := strings.Cut(s, "-")
	if !ok {
		return 0, 0, false
	}
	shard, err1 := strconv.ParseUint(a, 10, 64)
	id, err2 := strconv.ParseUint(b, 10, 64)
	return shard, id, err1 == nil && err2 == nil && fmt.Sprintf("%d-%d", shard, id) == s
}

// database checks the log of a replica: CURRENT names the manifest, the manifest the log files.
func (c *checker) database(dir string, files databaseFiles) error {
	c.report.Logs++
	r := &replica{}
	if shard, id, ok := parsePair("node-", filepath.Base(dir)); ok {
		r = c.replica(filepath.Dir(filepath.Dir(dir)), shard, id)
	}
	r.log = true
	if !files.current {
		// tan names its first manifest by CURRENT before it writes anything else.
		if len(files.logs)+len(files.indexes) > 0 || !slices.Equal(files.manifests, []uint64{1}) {
			return damagef(filepath.Join(dir, "CURRENT"), 0, "the file is missing, though there is a log")
		}
		return nil
	}
	m, err := c.manifest(dir)
	if err != nil {
		return err
	}
	if err := unnamedLogs(dir, files, m); err != nil {
		return err
	}
	return c.logs(dir, files, m, r)
}

// unnamedLogs refuses a log file with records that the manifest does not know: tan would delete it as
// left over. Left over are those of before the manifest; a crash can also leave one that is empty yet.
func unnamedLogs(dir string, files databaseFiles, m *manifest) error {
	for _, n := range files.logs {
		if m.live[n] || m.dropped[n] || n < m.number {
			continue
		}
		path := filepath.Join(dir, logName(n))
		st, err := os.Stat(path)
		if err != nil {
			return named(path, err)
		}
		if st.Size() > 0 {
			return damagef(filepath.Join(dir, m.name()), m.end, "it does not name %s, which holds records", logName(n))
		}
	}
	return nil
}

// logs checks the log files that the manifest names, the last first, because an index may point into an
// earlier log file: at the latest state and snapshot.
func (c *checker) logs(dir string, files databaseFiles, m *manifest, r *replica) error {
	live := m.liveLogs()
	places := &places{of: map[uint64][]place{}}
	newest := true // until an index was read
	for i, n := range slices.Backward(live) {
		last := i == len(live)-1
		indexed := slices.Contains(files.indexes, n)
		if !slices.Contains(files.logs, n) {
			return damagef(filepath.Join(dir, logName(n)), 0, "the file is missing, though %s names it", m.name())
		}
		if !indexed && !last {
			return damagef(filepath.Join(dir, indexName(n)), 0, "the file is missing, though a newer log file exists")
		}
		if indexed {
			// A last log file without index may have moved state and snapshot away from where the newest index has them.
			snapshot, err := c.index(dir, &indexReader{log: n, manifest: m, places: places, final: last})
			if err != nil {
				return err
			}
			if newest {
				r.wanted, newest = snapshot, false
			}
		}
		records, err := c.logFile(dir, n, !indexed, places.take(n))
		if err != nil {
			return err
		}
		r.records = r.records || records
	}
	return nil
}

// logFile checks one log file and that a record begins at each place. It returns whether there are records.
func (c *checker) logFile(dir string, n uint64, mayBeTorn bool, at []place) (bool, error) {
	path := filepath.Join(dir, logName(n))
	slices.SortFunc(at, func(a, b place) int { return cmp.Compare(a.offset, b.offset) })
	records := false
	t, err := c.records(path, false, func(begin, _ int64, _ []byte) error {
		records = true
		for len(at) > 0 && at[0].offset == begin {
			at = at[1:]
		}
		if len(at) > 0 && at[0].offset < begin {
			return flawf(begin, "%s names offset %d, where no record begins", indexName(at[0].index), at[0].offset)
		}
		return nil
	})
	switch {
	case err != nil:
		return false, err
	case t.torn && !mayBeTorn:
		return false, damagef(path, t.end, "%s, although the file was finished", t.why)
	case len(at) > 0:
		return false, damagef(path, t.end, "it ends, but %s names a record at offset %d", indexName(at[0].index), at[0].offset)
	case t.torn:
		c.report.Torn = append(c.report.Torn, Torn{path, t.end, t.why})
	}
	if t.room {
		c.report.Room = append(c.report.Room, Room{path, t.end})
	}
	return records, nil
}

func logName(n uint64) string   { return fmt.Sprintf("%06d.log", n) }
func indexName(n uint64) string { return fmt.Sprintf("%06d.index", n) }
