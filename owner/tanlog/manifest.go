package tanlog

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Tags in a manifest's records.
const (
	nextFileTag = 1
	dropFileTag = 2
	newFileTag  = 3
)

// manifest is what the records of a manifest add up to.
type manifest struct {
	number  uint64
	live    map[uint64]bool // log files in use
	dropped map[uint64]bool // log files that were, and may still lie around
	records int
	end     int64 // of its last whole record
}

func (m *manifest) name() string { return manifestName(m.number) }

func manifestName(n uint64) string { return fmt.Sprintf("MANIFEST-%06d", n) }

// liveLogs lists the log files in use, oldest first.
func (m *manifest) liveLogs() []uint64 {
	all := make([]uint64, 0, len(m.live))
	for n := range m.live {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

// manifest reads CURRENT and the manifest that it names.
func (c *checker) manifest(dir string) (*manifest, error) {
	current := filepath.Join(dir, "CURRENT")
	content, err := c.oneRecord(current)
	if err != nil {
		return nil, err
	}
	name, _ := strings.CutSuffix(string(content), "\n")
	number, ok := parseNumbered(name, "MANIFEST-", "")
	if !ok || name == string(content) {
		return nil, damagef(current, headerSize, "it names no manifest")
	}
	m := &manifest{number: number, live: map[uint64]bool{}, dropped: map[uint64]bool{}}
	path := filepath.Join(dir, name)
	t, err := c.records(path, true, func(begin, _ int64, data []byte) error { return m.apply(begin, data) })
	if err != nil {
		return nil, err
	}
	m.end = t.end
	// The first manifest begins with one record. Each later one is named by CURRENT only after it
	// got a second, the change for which it was made.
	if m.records < 1 || m.number > 1 && m.records < 2 {
		return nil, damagef(path, t.end, "it ends after %d records, before it was in use", m.records)
	}
	if t.torn {
		c.report.Torn = append(c.report.Torn, Torn{path, t.end, t.why})
	}
	return m, nil
}

// apply takes one record, which begins at an offset.
func (m *manifest) apply(begin int64, data []byte) error {
	m.records++
	d := decoder{data}
	var added []uint64
	for !d.done() {
		tag, n, ok := d.pair()
		switch {
		case !ok:
			return flawf(begin, "its record ends within a number")
		case tag == nextFileTag:
		case tag == dropFileTag && (m.live[n] || m.dropped[n]):
			delete(m.live, n)
			m.dropped[n] = true
		case tag == dropFileTag:
			return flawf(begin, "it drops log file %d, which it never named", n)
		case tag == newFileTag:
			added = append(added, n)
		default:
			return flawf(begin, "it has a change of unknown kind %d", tag)
		}
	}
	for _, n := range added {
		if m.dropped[n] {
			return flawf(begin, "it adds log file %d, which it dropped before", n)
		}
		m.live[n] = true
	}
	return nil
}

// decoder reads the variable-length numbers of manifests and indexes.
type decoder struct{ b []byte }

func (d *decoder) done() bool { return len(d.b) == 0 }

func (d *decoder) number() (uint64, bool) {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		return 0, false
	}
	d.b = d.b[size:]
	return n, true
}

func (d *decoder) pair() (a, b uint64, ok bool) {
	if a, ok = d.number(); !ok {
		return 0, 0, false
	}
	b, ok = d.number()
	return a, b, ok
}
