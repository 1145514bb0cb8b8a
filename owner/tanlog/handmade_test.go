package tanlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// numbers writes what manifests and indexes consist of.
func numbers(all ...uint64) (b []byte) {
	for _, n := range all {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func file(records ...[]byte) []byte {
	b, _ := encode(records)
	return b
}

// An index of one replica: entries 1 to 9 at offset 0 and 10 to 19 at second, no snapshot, the state at second.
func indexOf(log, second uint64) [][]byte {
	return [][]byte{numbers(1), numbers(1, 1), numbers(2, 1, 9, log, 0, 0, 10, 19, log, second, 0, 0),
		numbers(1, 0, 0, 0, 0, 0, 0), numbers(1, 19, math.MaxUint64, log, second, 0, 0)}
}

// handmade is a directory with two log files, of which the first is finished.
func handmade() map[string][]byte {
	entry := bytes.Repeat([]byte{9}, 30)
	return map[string][]byte{
		"CURRENT":         file([]byte("MANIFEST-000001\n")),
		"MANIFEST-000001": file(numbers(1, 2), numbers(1, 3, 3, 2), numbers(1, 4, 3, 3)),
		"000002.log":      file(entry, entry),
		"000002.index":    file(indexOf(2, 37)...),
		"000003.log":      file(entry, entry, entry),
	}
}

func writeFiles(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(dir, name), files[name], 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHandmadeLogs(t *testing.T) {
	type files = map[string][]byte
	cut := func(name string, n int) func(files) {
		return func(f files) { f[name] = f[name][:len(f[name])-n] }
	}
	set := func(name string, records ...[]byte) func(files) {
		return func(f files) { f[name] = file(records...) }
	}
	replace := func(part int, with ...uint64) func(files) {
		return func(f files) {
			parts := indexOf(2, 37)
			parts[1+part] = numbers(with...)
			f["000002.index"] = file(parts...)
		}
	}
	finished := func(change func(files)) func(files) {
		return func(f files) {
			f["000003.index"] = file(indexOf(3, 37)...)
			change(f)
		}
	}
	for _, c := range []struct {
		what   string
		change func(files)
		why    string // part of the refusal, "" if it passes
		torn   int
	}{
		{"as it is", func(files) {}, "", 0},
		{"finished", finished(func(files) {}), "", 0},
		{"the last log is torn (T2)", cut("000003.log", 5), "", 1},
		{"an indexed last log is torn (T2)", finished(cut("000003.log", 5)), "although the file was finished", 0},
		{"an earlier log is torn (T2)", cut("000002.log", 5), "although the file was finished", 0},
		{"an index is torn (T2)", cut("000002.index", 2), "although it was finished", 0},
		{"CURRENT is torn (T2)", cut("CURRENT", 2), "although it was finished", 0},
		{"CURRENT is empty", func(f files) { f["CURRENT"] = nil }, "it is empty", 0},
		{"CURRENT has two records", set("CURRENT", []byte("MANIFEST-000001\n"), []byte("x")), "a second record", 0},
		{"CURRENT names something else", set("CURRENT", []byte("MANIFEST-1\n")), "names no manifest", 0},
		{"CURRENT lacks its last byte", set("CURRENT", []byte("MANIFEST-000001")), "names no manifest", 0},
		{"CURRENT is missing", func(f files) { delete(f, "CURRENT") }, "the file is missing", 0},
		{"nothing but a manifest", func(f files) {
			clear(f)
			f["MANIFEST-000001"] = nil
		}, "", 0},
		{"the manifest is torn, the log yet empty (T2)", func(f files) {
			cut("MANIFEST-000001", 1)(f)
			f["000003.log"] = nil
		}, "", 1},
		{"the manifest is torn, the log is not empty (T4)", cut("MANIFEST-000001", 1), "does not name 000003.log", 1},
		{"the manifest drops a log that lies around", func(f files) {
			set("MANIFEST-000001", numbers(1, 2), numbers(1, 3, 3, 2), numbers(1, 4, 3, 3), numbers(2, 2))(f)
			f["000002.log"] = []byte("whatever")
		}, "", 0},
		{"the manifest drops what it never named", set("MANIFEST-000001", numbers(1, 2, 3, 2, 3, 3), numbers(2, 7)), "never named", 0},
		{"the manifest adds what it dropped", set("MANIFEST-000001", numbers(1, 2, 3, 2), numbers(2, 2, 3, 3), numbers(3, 2)), "dropped before", 0},
		{"the manifest has an unknown change", set("MANIFEST-000001", numbers(1, 2, 3, 2, 3, 3), numbers(9, 9)), "unknown kind 9", 0},
		{"the manifest's number is cut", set("MANIFEST-000001", numbers(1, 2, 3, 2, 3, 3), numbers(3)), "ends within a number", 0},
		{"the manifest names a log that is gone (T4)", set("MANIFEST-000001", numbers(1, 2, 3, 2, 3, 3), numbers(3, 4)), "though MANIFEST-000001 names it", 0},
		{"logs of before the manifest lie around", func(f files) {
			f["MANIFEST-000005"] = file(numbers(1, 5, 3, 2), numbers(3, 3))
			f["CURRENT"] = file([]byte("MANIFEST-000005\n"))
			f["000001.log"] = []byte("whatever")
		}, "", 0},
		{"an earlier log has no index (T4)", func(f files) { delete(f, "000002.index") }, "though a newer log file exists", 0},
		{"an index points between records (T4)", replace(entriesPart, 1, 1, 9, 2, 20, 0, 0), "names offset 20", 0},
		{"an index points beyond the end (T4)", replace(statePart, 1, 19, math.MaxUint64, 2, 74, 0, 0), "names a record at offset 74", 0},
		{"an index points into another log", replace(entriesPart, 1, 1, 9, 3, 0, 0, 0), "which cannot be", 0},
		{"an index names a log that went since", replace(statePart, 1, 19, math.MaxUint64, 1, 0, 0, 0), "", 0},
		{"the last index names a log that is gone (T4)", finished(func(f files) {
			parts := indexOf(3, 37)
			parts[1+statePart] = numbers(1, 19, math.MaxUint64, 1, 0, 0, 0)
			f["000003.index"] = file(parts...)
		}), "which MANIFEST-000001 does not name", 0},
		{"an index has a replica less than it says", set("000002.index", numbers(2), numbers(1, 1), numbers(0, 0), numbers(0, 0), numbers(0, 0)), "records for 2 replicas", 0},
		{"an index has a record more than it says", set("000002.index", append(indexOf(2, 37), numbers(1, 2))...), "records for 1 replicas", 0},
		{"an index is empty", func(f files) { f["000002.index"] = nil }, "0 records", 0},
		{"an index's record goes on", replace(whoPart, 1, 1, 1), "cannot be read", 0},
		{"an index's entry is cut", replace(entriesPart, 1, 1, 9), "cannot be read", 0},
		{"two states", replace(statePart, 2), "cannot be read", 0},
	} {
		t.Run(c.what, func(t *testing.T) {
			f := handmade()
			c.change(f)
			dir := t.TempDir()
			writeFiles(t, dir, f)
			r, err := Check(dir)
			var d *DamageError
			if errors.As(err, &d) != (c.why != "") || d != nil && !strings.Contains(d.Why, c.why) || len(r.Torn) != c.torn {
				t.Fatalf("%v, %v", r, err)
			}
		})
	}
}

// encodeSnapshot writes a snapshot as Dragonboat does.
func encodeSnapshot(payload []byte) []byte {
	b := make([]byte, snapshotHeaderSize)
	all := crc32.NewIEEE()
	for p := payload; len(p) > 0; {
		n := min(len(p), snapshotBlockSize)
		sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(p[:n]))
		all.Write(sum)
		b = append(append(b, p[:n]...), sum...)
		p = p[n:]
	}
	size := len(b) - snapshotHeaderSize
	b = append(binary.LittleEndian.AppendUint64(b, uint64(size)), snapshotMagic...)
	before := []byte{8, 0, 0x10, 0, 0x18, 1, 0x22, 0}
	behind := append(append([]byte{blocksChecksumTag, 4}, all.Sum(nil)...), checksumKindTag, 0, formatTag, 2, 0x48, 0)
	own := binary.BigEndian.AppendUint32([]byte{headerChecksumTag, 4}, crc32.ChecksumIEEE(slices.Concat(before, behind)))
	head := slices.Concat(before, own, behind)
	binary.LittleEndian.PutUint64(b, uint64(len(head)))
	copy(b[8:], head)
	return b
}

// Every altered byte of a snapshot is found, and so is every cut.
func TestHandmadeSnapshots(t *testing.T) {
	big := encodeSnapshot(append(bytes.Repeat([]byte{1}, snapshotBlockSize), make([]byte, snapshotBlockSize+1)...))
	if err := checkSnapshot(bytes.NewReader(big), int64(len(big))); err != nil {
		t.Fatal(err)
	}
	const block = snapshotBlockSize + checksumSize
	first, second := big[snapshotHeaderSize:][:block], big[snapshotHeaderSize+block:][:block]
	swapped := slices.Concat(big[:snapshotHeaderSize], second, first, big[snapshotHeaderSize+2*block:])
	if err := checkSnapshot(bytes.NewReader(swapped), int64(len(swapped))); err == nil {
		t.Error("two blocks that changed places are accepted")
	}
	for _, size := range []int{0, 1, 300} {
		b := encodeSnapshot(bytes.Repeat([]byte{3}, size))
		if err := checkSnapshot(bytes.NewReader(b), int64(len(b))); err != nil {
			t.Fatal(err)
		}
		for i := range b {
			for _, mask := range []byte{1, 0x80, 0xff} {
				b[i] ^= mask
				if checkSnapshot(bytes.NewReader(b), int64(len(b))) == nil {
					t.Errorf("byte %d of %d altered by %#x is accepted", i, len(b), mask)
				}
				b[i] ^= mask
			}
			if checkSnapshot(bytes.NewReader(b[:i]), int64(i)) == nil {
				t.Errorf("%d of %d bytes are accepted", i, len(b))
			}
		}
	}
}

func TestPadding(t *testing.T) {
	b := file(bytes.Repeat([]byte{1}, blockSize-headerSize-5), []byte{1, 2, 3, 4})
	if _, tail, err := scanBytes(b); err != nil || tail.torn {
		t.Fatalf("%+v, %v", tail, err)
	}
	if _, tail, err := scanBytes(b[:blockSize-2]); err != nil || tail.torn {
		t.Fatalf("cut within the padding: %+v, %v", tail, err)
	}
	b[blockSize-1] = 1
	if _, tail, err := scanBytes(b); err == nil {
		t.Fatalf("altered padding: %+v", tail)
	}
	long := file(bytes.Repeat([]byte{1}, 3*blockSize))
	if _, tail, err := scanBytes(long[:2*blockSize]); err != nil || !tail.torn || tail.end != 0 {
		t.Fatalf("cut between blocks: %+v, %v", tail, err)
	}
}
