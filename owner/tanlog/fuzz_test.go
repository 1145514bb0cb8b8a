package tanlog

import (
	"bytes"
	"testing"
)

// Any bytes end in a verdict.
func FuzzRecords(f *testing.F) {
	short, _ := encode([][]byte{{1, 2, 3, 4}, bytes.Repeat([]byte{5}, 100)})
	long, _ := encode([][]byte{bytes.Repeat([]byte{1}, 2*blockSize)})
	f.Add(short)
	f.Add(long)
	f.Add(append(short, make([]byte, 40)...))
	f.Add(withRoom(short, diskSector))
	f.Add(withRoom(long[:3*diskSector], diskSector))
	f.Fuzz(func(t *testing.T, file []byte) {
		if n, tail, err := scanLog(file); tail.end < 0 || tail.end > int64(len(file)) || tail.room && (err != nil || tail.end == int64(len(file))) {
			t.Fatalf("a log of %d bytes: %d records, %+v, %v", len(file), n, tail, err)
		}
		records, tail, err := scanBytes(file)
		if tail.end < 0 || tail.end > int64(len(file)) {
			t.Fatalf("a file of %d bytes ends at %+v", len(file), tail)
		}
		if err == nil && !tail.torn {
			if again, _ := encode(records); !bytes.HasPrefix(file, again) || !zero(file[len(again):]) {
				t.Fatalf("%d records were read that were not written so", len(records))
			}
		}
	})
}

func FuzzManifestAndIndex(f *testing.F) {
	f.Add([]byte{3, 2, 1, 3}, uint8(0))
	f.Add([]byte{1, 5, 5, 2, 0, 9, 0}, uint8(2))
	f.Add([]byte{2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, records uint8) {
		m := &manifest{number: 1, live: map[uint64]bool{2: true}, dropped: map[uint64]bool{}}
		_ = m.apply(0, data)
		r := &indexReader{log: 2, manifest: m, places: &places{of: map[uint64][]place{}}, records: uint64(records), final: true}
		_ = r.record(0, data)
		for _, at := range r.places.of {
			for _, p := range at {
				if p.offset < 0 {
					t.Fatalf("a place at %d", p.offset)
				}
			}
		}
	})
}

func FuzzSnapshot(f *testing.F) {
	head := make([]byte, snapshotHeaderSize)
	head[0] = 4
	copy(head[8:], []byte{8, 0, 0x2a, 0})
	f.Add(head, int64(0))
	f.Add(append(head, 1, 2, 3, 4, 5), int64(3))
	f.Fuzz(func(t *testing.T, file []byte, more int64) {
		_ = checkSnapshot(bytes.NewReader(file), int64(len(file)))
		if more > 0 {
			_ = checkSnapshot(bytes.NewReader(file), more)
		}
	})
}
