package directory

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"
)

// sealed is a snapshot with this body and right sums, so that what is behind the checksum is tried, too.
func sealed(index uint64, body []byte) []byte {
	b := append([]byte(magic), make([]byte, 12)...)
	binary.LittleEndian.PutUint64(b[4:], index)
	binary.LittleEndian.PutUint32(b[12:], uint32(len(body)))
	b = append(b, body...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, table))
}

// Whatever a snapshot holds, it is refused, or it is a directory that keeps its invariants and comes back the same.
func FuzzLoad(f *testing.F) {
	var whole bytes.Buffer
	if _, err := New(sample()).Snapshot().WriteTo(&whole); err != nil {
		f.Fatal(err)
	}
	f.Add(uint64(1), whole.Bytes()[16:whole.Len()-4])
	f.Add(uint64(0), []byte(`{}`))
	f.Add(uint64(0), []byte(`{"companies":[{"id":0,"owners":[{"node":9,"replica":1}],"next":2}]}`))
	f.Add(uint64(0), []byte(`null`))
	f.Fuzz(func(t *testing.T, index uint64, body []byte) {
		_, _ = Load(bytes.NewReader(body)) // as it stands, without sums: it must not panic
		s, err := Load(bytes.NewReader(sealed(index, body)))
		if err != nil {
			return
		}
		if err := s.Check(); err != nil || s.Index() != index {
			t.Fatalf("index %d, %v", s.Index(), err)
		}
		var one, two bytes.Buffer
		if _, err := s.Snapshot().WriteTo(&one); err != nil {
			t.Fatal(err)
		}
		again, err := Load(bytes.NewReader(one.Bytes()))
		if err != nil {
			t.Fatalf("what was written is refused: %v", err)
		}
		if _, err := again.Snapshot().WriteTo(&two); err != nil || !bytes.Equal(one.Bytes(), two.Bytes()) {
			t.Fatalf("%v\n%s\n%s", err, one.Bytes(), two.Bytes())
		}
	})
}
