package tanlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"
)

func TestChecksumIsXXH64(t *testing.T) {
	rnd := newRand(8)
	data := randomBytes(rnd, blockSize)
	for n := range len(data) + 1 {
		if n > 200 && n%997 != 0 {
			continue
		}
		if got, want := checksum(data[:n]), uint32(xxhash.Sum64(data[:n])); got != want {
			t.Fatalf("%d bytes: %08x, want %08x", n, got, want)
		}
	}
}

// encode writes records as tan does. It is the model that the scanner is compared with.
func encode(records [][]byte) (file []byte, ends []int64) {
	for _, r := range records {
		if room := blockSize - len(file)%blockSize; room < headerSize {
			file = append(file, make([]byte, room)...)
		}
		for first := true; ; first = false {
			n := min(len(r), blockSize-len(file)%blockSize-headerSize)
			last := n == len(r)
			kind := byte(middleChunk)
			switch {
			case first && last:
				kind = fullChunk
			case first:
				kind = firstChunk
			case last:
				kind = lastChunk
			}
			body := append([]byte{kind}, r[:n]...)
			file = binary.LittleEndian.AppendUint32(file, uint32(xxhash.Sum64(body)))
			file = binary.LittleEndian.AppendUint16(file, uint16(n))
			file = append(file, body...)
			if r = r[n:]; last {
				break
			}
		}
		ends = append(ends, int64(len(file)))
	}
	return file, ends
}

func scanBytes(file []byte) (records [][]byte, t tail, err error) {
	s := &scanner{r: bytes.NewReader(file), keep: true, each: func(_, _ int64, data []byte) error {
		records = append(records, bytes.Clone(data))
		return nil
	}}
	t, err = s.scan()
	return records, t, err
}

func drawRecords(t *rapid.T) [][]byte {
	rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	sizes := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(4, 60), rapid.IntRange(blockSize-40, blockSize+40), rapid.IntRange(4, 4*blockSize)), 1, 8).Draw(t, "sizes")
	var all [][]byte
	for _, n := range sizes {
		r := randomBytes(rnd, n)
		r[0], r[n-1] = r[0]|1, r[n-1]|1 // so that zeros never complete a record
		all = append(all, r)
	}
	return all
}

// T3: what a cut leaves is torn or clean, and everything whole is read.
func TestCutFiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := drawRecords(t)
		file, ends := encode(records)
		cut := rapid.IntRange(0, len(file)).Draw(t, "cut")
		whole, end := 0, int64(0)
		for whole < len(ends) && ends[whole] <= int64(cut) {
			end = ends[whole]
			whole++
		}
		got, tail, err := scanBytes(file[:cut])
		if err != nil || len(got) != whole || tail.end != end {
			t.Fatalf("cut at %d of %d, behind record %d that ends at %d: %d records, %+v, %v", cut, len(file), whole, end, len(got), tail, err)
		}
		for i := range got {
			if !bytes.Equal(got[i], records[i]) {
				t.Fatalf("record %d was read as something else", i)
			}
		}
		if padded := append(file[:cut:cut], make([]byte, 70000)...); int64(cut) == end {
			if got, tail, err := scanBytes(padded); err != nil || !tail.torn || tail.end != end || len(got) != whole {
				t.Fatalf("zeros behind a record: %d records, %+v, %v", len(got), tail, err)
			}
		}
	})
}

// T3: one altered byte in a file of whole records is damage, wherever it is.
func TestAlteredFiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		file, _ := encode(drawRecords(t))
		at := rapid.IntRange(0, len(file)-1).Draw(t, "at")
		file[at] ^= rapid.ByteRange(1, 255).Draw(t, "mask")
		_, tail, err := scanBytes(file)
		var f *flaw
		if !errors.As(err, &f) {
			t.Fatalf("byte %d of %d: %+v, %v", at, len(file), tail, err)
		}
	})
}

// T3: without a whole block in the middle, or with zeros in its place, nothing is taken for torn.
func TestLostBlocks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		file, _ := encode(drawRecords(t))
		if len(file) <= 2*blockSize {
			t.Skip("too short")
		}
		at := rapid.IntRange(0, len(file)/blockSize-1).Draw(t, "block") * blockSize
		if bytes.Equal(file[at:at+blockSize], zeros[:]) || len(file)-at-blockSize <= slackSize {
			t.Skip("nothing behind it")
		}
		zeroed := bytes.Clone(file)
		clear(zeroed[at : at+blockSize])
		if _, tail, err := scanBytes(zeroed); err == nil {
			t.Fatalf("zeros at %d of %d: %+v", at, len(file), tail)
		}
	})
}

func TestChunksOutOfOrder(t *testing.T) {
	long, _ := encode([][]byte{bytes.Repeat([]byte{1}, 3*blockSize)})
	short, _ := encode([][]byte{{1, 2, 3, 4}})
	wrongType := bytes.Clone(short)
	wrongType[6] = 5
	binary.LittleEndian.PutUint32(wrongType, checksum(wrongType[6:]))
	early := bytes.Clone(short)
	early[6] = firstChunk
	binary.LittleEndian.PutUint32(early, checksum(early[6:]))
	for _, c := range []struct {
		what string
		file []byte
		why  string
	}{
		{"middle gone", append(bytes.Clone(long[:blockSize]), long[3*blockSize:]...), ""}, // as a shorter record: no trace
		{"beginning gone", long[blockSize:], "the beginning of a record is missing"},
		{"end gone", append(bytes.Clone(long[:blockSize]), short...), "the end of the record before is missing"},
		{"type of another format", wrongType, "no part of a record has type 5"},
		{"part too short", append(early, short...), "part of a record ends before its block"},
		{"longer than its block", append(short, 1, 2, 3, 4, 0xff, 0xff, 1), "a record's part is longer than its block"},
		{"zeros, then data", append(append(bytes.Clone(short), make([]byte, blockSize)...), 1), "there are zeros instead of a record, and data behind them"},
	} {
		_, tail, err := scanBytes(c.file)
		var f *flaw
		if errors.As(err, &f) != (c.why != "") || f != nil && f.why != c.why {
			t.Errorf("%s: %+v, %v", c.what, tail, err)
		}
	}
}

type brokenDisk struct{ after io.Reader }

func (b brokenDisk) Read(p []byte) (int, error) {
	if n, err := b.after.Read(p); err == nil {
		return n, nil
	}
	return 0, errBroken
}

var errBroken = errors.New("broken")

// An unreadable file is not a torn one.
func TestReadErrors(t *testing.T) {
	long, _ := encode([][]byte{bytes.Repeat([]byte{1}, 3*blockSize)})
	for _, file := range [][]byte{nil, long[:blockSize], long, make([]byte, 2*blockSize)} {
		s := &scanner{r: brokenDisk{bytes.NewReader(file)}}
		if tail, err := s.scan(); !errors.Is(err, errBroken) {
			t.Errorf("%d bytes: %+v, %v", len(file), tail, err)
		}
	}
}
