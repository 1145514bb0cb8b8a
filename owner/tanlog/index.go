package tanlog

import (
	"math"
	"path/filepath"
)

// place is where a record must begin, and the index that says so.
type place struct {
	offset int64
	index  uint64
}

// places collects what indexes say about log files that are still to be read.
type places struct{ of map[uint64][]place }

func (p *places) take(log uint64) []place {
	at := p.of[log]
	delete(p.of, log)
	return at
}

// Ends that mark an index entry as one of the latest state or snapshot.
const (
	stateEnd    = math.MaxUint64
	snapshotEnd = math.MaxUint64 - 1
)

// indexEntry says where a log keeps the Raft entries from start to end, or the latest state or snapshot.
type indexEntry struct{ start, end, log, offset, length uint64 }

// An index has one record with the number of its replicas, and then four a replica.
const (
	whoPart      = iota // shard and replica
	entriesPart         // entries in this log file
	snapshotPart        // latest snapshot, in this log file or an earlier
	statePart           // latest state, likewise
	partCount
)

// indexReader takes the records of the index of one log file.
type indexReader struct {
	log      uint64
	manifest *manifest
	places   *places
	final    bool // nothing was written after it: all that it points at must be there

	replicas uint64
	records  uint64
	snapshot uint64 // Raft index of the latest snapshot
}

// index reads an index into r.places and returns the Raft index of the latest snapshot that it knows.
func (c *checker) index(dir string, r *indexReader) (uint64, error) {
	path := filepath.Join(dir, indexName(r.log))
	err := c.finished(path, true, func(begin, _ int64, data []byte) error { return r.record(begin, data) })
	if err != nil {
		return 0, err
	}
	if r.records == 0 || (r.records-1)%partCount != 0 || (r.records-1)/partCount != r.replicas {
		return 0, damagef(path, 0, "it has %d records for %d replicas", r.records, r.replicas)
	}
	return r.snapshot, nil
}

func (r *indexReader) record(begin int64, data []byte) error {
	d := decoder{data}
	part := (r.records - 1) % partCount // of no meaning for the first record
	first := r.records == 0
	r.records++
	ok := true
	switch {
	case first:
		r.replicas, ok = d.number()
	case part == whoPart:
		_, _, ok = d.pair()
	default:
		return r.entries(begin, part, d)
	}
	if !ok || !d.done() {
		return flawf(begin, "its record %d cannot be read", r.records)
	}
	return nil
}

func (r *indexReader) entries(begin int64, part uint64, d decoder) error {
	count, ok := d.number()
	if !ok || part != entriesPart && count > 1 {
		return flawf(begin, "its record %d cannot be read", r.records)
	}
	for ; count > 0 && ok; count-- {
		var e indexEntry
		if e, ok = d.entry(); !ok {
			break
		}
		if err := r.entry(begin, part, e); err != nil {
			return err
		}
	}
	if ok {
		_, ok = d.number() // up to where the log was compacted
	}
	if !ok || !d.done() {
		return flawf(begin, "its record %d cannot be read", r.records)
	}
	return nil
}

// entry notes where the record of an entry must begin.
func (r *indexReader) entry(begin int64, part uint64, e indexEntry) error {
	if part != entriesPart && e.log == 0 {
		return nil // no snapshot or state yet
	}
	right := e.log == r.log && e.start <= e.end && e.end < snapshotEnd
	switch part {
	case snapshotPart:
		right = e.log <= r.log && e.end == snapshotEnd
	case statePart:
		right = e.log <= r.log && e.end == stateEnd
	}
	if !right || e.offset > math.MaxInt64 {
		return flawf(begin, "it points at entries %d to %d in log file %d, which cannot be", e.start, e.end, e.log)
	}
	if part == snapshotPart {
		r.snapshot = max(r.snapshot, e.start)
	}
	if !r.manifest.live[e.log] {
		if r.final {
			return flawf(begin, "it points at log file %d, which %s does not name", e.log, r.manifest.name())
		}
		return nil // the state or snapshot was written anew since
	}
	r.places.of[e.log] = append(r.places.of[e.log], place{int64(e.offset), r.log})
	return nil
}

func (d *decoder) entry() (indexEntry, bool) {
	var n [5]uint64
	for i := range n {
		var ok bool
		if n[i], ok = d.number(); !ok {
			return indexEntry{}, false
		}
	}
	return indexEntry{n[0], n[1], n[2], n[3], n[4]}, true
}
