package tanlog

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmalloc/message"
)

// A node lives: it starts, ends, starts, is killed, starts, is killed again, with snapshots between.
func TestUnalteredFilesPass(t *testing.T) {
	rnd := newRand(1)
	dir := filepath.Join(t.TempDir(), "node")
	if r := mustCheck(t, dir); r.Files != 0 {
		t.Fatalf("no directory has %v", r)
	}
	s := single(t, dir)
	s.writeMany(rnd, 60)
	s.snapshot()
	s.writeMany(rnd, 20)
	s.close()
	mustCheck(t, dir)

	for range 3 {
		s = single(t, dir)
		s.writeMany(rnd, 20)
		s.snapshot()
		s.writeMany(rnd, 5)
		want := s.count()
		crash := dir + "-crash"
		quietImage(t, dir, crash)
		s.close()
		r := mustCheck(t, dir)
		if r.Logs != 1 || r.Bytes == 0 || len(r.Torn) != 0 {
			t.Fatalf("read %v", r)
		}
		mustCheck(t, crash)
		image(t, crash, dir)
		s = single(t, dir)
		if got := s.count(); got != want {
			t.Fatalf("%d of %d entries are left", got, want)
		}
		s.close()
		mustCheck(t, dir)
	}
}

// One file alone cannot tell of these; another one does (T4).
func TestMissingFilesAreRefused(t *testing.T) {
	base := filepath.Join(t.TempDir(), "node")
	s := single(t, base)
	rnd := newRand(2)
	s.writeMany(rnd, 20)
	s.snapshot()
	s.writeMany(rnd, 10)
	s.close()
	s = single(t, base)
	s.writeMany(rnd, 10)
	s.close()
	mustCheck(t, base)
	work := base + "-work"
	node := filepath.Dir(one(t, base, "CURRENT"))
	rel, _ := filepath.Rel(base, node)
	files := listDatabase(names(t, node))
	if len(files.logs) < 2 || len(files.indexes) != len(files.logs) {
		t.Fatalf("two runs left %+v", files)
	}
	first, last := files.logs[0], files.logs[len(files.logs)-1]
	remove := func(name string) func(string) error {
		return func(node string) error { return os.Remove(filepath.Join(node, name)) }
	}
	for _, c := range []struct {
		what  string
		alter func(node string) error
		file  string
	}{
		{"CURRENT", remove("CURRENT"), "CURRENT"},
		{"manifest", remove(manifestName(files.manifests[0])), "MANIFEST-"},
		{"first log", remove(logName(first)), logName(first)},
		{"last log", remove(logName(last)), logName(last)},
		{"first index", remove(indexName(first)), indexName(first)},
		{"bootstrap", func(n string) error { return os.RemoveAll(filepath.Join(n, "..", "bootstrap")) }, "BOOTSTRAP-1-1"},
		{"replica's log", os.RemoveAll, "node-1-1"},
		{"snapshot", func(n string) error { return os.RemoveAll(snapshotOf(t, n)) }, "snapshot-0"},
		{"snapshot's file", func(n string) error { return os.Remove(one(t, snapshotOf(t, n), "*.gbsnap")) }, "snapshot-0"},
		{"indexed log cut where a record ends", func(n string) error { return cutLast(filepath.Join(n, logName(last)), 2) }, logName(last)},
		{"manifest cut where a record ends", func(n string) error { return cutLast(one(t, n, "MANIFEST-*"), 1) }, "MANIFEST-"},
		{"index cut where a record ends", func(n string) error { return cutLast(filepath.Join(n, indexName(last)), 1) }, indexName(last)},
		{"log of another file", func(n string) error {
			return os.Rename(filepath.Join(n, logName(first)), filepath.Join(n, logName(last)))
		}, logName(last)},
	} {
		t.Run(c.what, func(t *testing.T) {
			image(t, base, work)
			if err := c.alter(filepath.Join(work, rel)); err != nil {
				t.Fatal(err)
			}
			_, err := Check(work)
			var d *DamageError
			if !errors.As(err, &d) || !strings.Contains(d.File, c.file) {
				t.Fatalf("%v", err)
			}
		})
	}
}

// snapshotOf is the directory of the newest snapshot of the replica whose log is at node.
func snapshotOf(t *testing.T, node string) string {
	return filepath.Dir(one(t, filepath.Join(node, "..", ".."), "*.gbsnap"))
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	for _, f := range filesOf(t, dir) {
		all = append(all, filepath.Base(f))
	}
	return all
}

// ends lists where the records of a file end.
func ends(path string) ([]int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []int64
	s := &scanner{r: f, each: func(_, end int64, _ []byte) error {
		all = append(all, end)
		return nil
	}}
	_, err = s.scan()
	return all, err
}

// cutLast drops a file's last n records. In a log every second one may be empty, which no index mentions.
func cutLast(path string, n int) error {
	all, err := ends(path)
	if err != nil || len(all) <= n {
		return errors.Join(err, errors.New("no record to drop"))
	}
	return os.Truncate(path, all[len(all)-1-n])
}

func TestDamageSaysWhatToDo(t *testing.T) {
	err := error(&DamageError{"kept/000003.log", 4711, "the record's checksum differs from its bytes"})
	for _, part := range []string{"kept/000003.log", "offset 4711", "checksum", "refuses to start", "files are kept", "revive ID --wipe"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q lacks %q", err, part)
		}
	}
	if message.CodeOf(err) != message.Corrupt || !errors.Is(err, &message.Error{Code: message.Corrupt}) {
		t.Errorf("%v has class %v", err, message.CodeOf(err))
	}
	if err := named("x", io.ErrClosedPipe); message.CodeOf(err) != message.Unavailable {
		t.Errorf("%v has class %v", err, message.CodeOf(err))
	}
}
