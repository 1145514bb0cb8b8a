package tanlog

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// withRoom is a file of records with room behind them, as the owner of a log writes it.
func withRoom(file []byte, room int) []byte {
	file = slices.Clip(file)
	for n := (len(file)+diskSector-1)/diskSector*diskSector + room; len(file) < n; {
		file = append(file, roomMark[len(file)%len(roomMark)])
	}
	return file
}

func scanLog(file []byte) (records int, t tail, err error) {
	s := &scanner{r: bytes.NewReader(file), room: bytes.NewReader(file), size: int64(len(file)), each: func(_, _ int64, _ []byte) error {
		records++
		return nil
	}}
	t, err = s.scan()
	return records, t, err
}

// T6: room behind the records is no damage and no tear, and is where they end.
func TestRoomIsNoDamage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		file, ends := encode(drawRecords(t))
		room := rapid.IntRange(1, 300).Draw(t, "sectors") * diskSector
		n, tail, err := scanLog(withRoom(file, room))
		if err != nil || n != len(ends) || tail.torn || !tail.room || tail.end != int64(len(file)) {
			t.Fatalf("%d records that end at %d: %d, %+v, %v", len(ends), len(file), n, tail, err)
		}
	})
	if n, tail, err := scanLog(withRoom(nil, 1)); err != nil || n != 0 || tail.end != 0 || tail.torn {
		t.Errorf("nothing but room: %d, %+v, %v", n, tail, err)
	}
}

// T6: a power failure leaves any sectors of a write into room. Everything before that write is read, and it is said where
// it ends.
func TestUnfinishedWriteIsCut(t *testing.T) {
	torn := 0
	rapid.Check(t, func(t *rapid.T) {
		file, ends := encode(drawRecords(t))
		begin := 0 // of the record that is being written
		if len(ends) > 1 {
			begin = int(ends[len(ends)-2])
		}
		whole := withRoom(file, 64*diskSector)
		image := withRoom(file[:begin:begin], 0)
		image = withRoom(image, len(whole)-len(image))
		// A write that uses up the room goes on behind the file's end, and is longer only once all of it is there.
		if length := rapid.IntRange(len(withRoom(file[:begin:begin], 0))/diskSector, len(whole)/diskSector).Draw(t, "length"); rapid.Bool().Draw(t, "to its end") {
			whole, image = whole[:length*diskSector], image[:length*diskSector]
		}
		missing := false
		sectors := rapid.SliceOfN(rapid.Bool(), len(whole)/diskSector, len(whole)/diskSector).Draw(t, "written")
		for s, written := range sectors {
			at := s * diskSector
			if written {
				copy(image[at:at+diskSector], whole[at:at+diskSector])
			} else if at < len(file) && at+diskSector > begin {
				missing = true
			}
		}
		n, tail, err := scanLog(image)
		want, end := len(ends)-1, int64(begin)
		if !missing && len(image) >= len(file) {
			want, end = len(ends), int64(len(file))
		}
		if few := missing && len(image)-roomIn(image, 0)-begin < headerSize; few && err != nil {
			t.Skip("less than a header was written")
		}
		if err != nil || n != want || tail.end != end || !tail.room && (missing || len(image) > len(withRoom(file, 0))) {
			t.Fatalf("a record from %d to %d, sectors missing: %v: %d records, %+v, %v", begin, len(file), missing, n, tail, err)
		}
		if tail.torn {
			torn++
		}
	})
	if torn == 0 {
		t.Error("none was torn")
	}
}

// T6: with room behind, too, an altered byte is damage, wherever it is, and so are zeros in the place of a sector.
func TestAlteredBeforeRoom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		file, ends := encode(drawRecords(t))
		image := withRoom(file, 3*diskSector)
		what := rapid.SampledFrom([]string{"byte", "header", "length", "sector", "room", "into room"}).Draw(t, "what")
		switch what {
		case "byte":
			image[rapid.IntRange(0, len(file)-1).Draw(t, "at")] ^= rapid.ByteRange(1, 255).Draw(t, "mask")
		case "length": // of the last record
			at := 0
			if len(ends) > 1 {
				at = int(ends[len(ends)-2])
			}
			if left := blockSize - at%blockSize; left < headerSize {
				at += left
			}
			image[at+4+rapid.IntRange(0, 1).Draw(t, "byte")] ^= rapid.ByteRange(1, 255).Draw(t, "mask")
		case "room": // as `corrupt` does, anywhere
			rnd := newRand(rapid.Uint64().Draw(t, "room"))
			for range rapid.IntRange(1, 8).Draw(t, "bytes") {
				image[len(file)+rnd.IntN(len(image)-len(file))] ^= byte(1 + rnd.IntN(255))
			}
			if bytes.Equal(image, withRoom(file, 3*diskSector)) {
				t.Skip("altered twice")
			}
		case "into room": // with a whole record behind it
			if len(ends) < 2 || ends[len(ends)-2] < diskSector {
				t.Skip("there is none")
			}
			at := rapid.IntRange(0, int(ends[len(ends)-2])/diskSector-1).Draw(t, "at") * diskSector
			copy(image[at:], withRoom(nil, diskSector))
		case "header":
			image[rapid.IntRange(0, headerSize-1).Draw(t, "at")] ^= rapid.ByteRange(1, 255).Draw(t, "mask")
		case "sector":
			at := rapid.IntRange(0, (len(file)-1)/diskSector).Draw(t, "at") * diskSector
			clear(image[at:min(len(file), at+diskSector)])
			if bytes.Equal(image, withRoom(file, 3*diskSector)) {
				t.Skip("it was zero")
			}
		}
		_, tail, err := scanLog(image)
		var f *flaw
		if !errors.As(err, &f) {
			t.Fatalf("%s altered in a file of %d bytes: %+v, %v", what, len(file), tail, err)
		}
	})
	image := withRoom(nil, 3*diskSector)
	image[diskSector] ^= 1 // as if a write had only come to that
	if _, tail, err := scanLog(image); err == nil {
		t.Errorf("the first byte of a sector of room is altered: %+v", tail)
	}
}

// T6: a log that is finished may have room, and nothing torn; the index still knows what must be there.
func TestRoomInFinishedLogs(t *testing.T) {
	for name, c := range map[string]struct {
		log    string
		finish bool
		change func(file []byte) []byte
		rooms  int
		ok     bool
	}{
		"the last":                 {"000003.log", false, func(f []byte) []byte { return withRoom(f, diskSector) }, 1, true},
		"the last, finished":       {"000003.log", true, func(f []byte) []byte { return withRoom(f, diskSector) }, 1, true},
		"an earlier one":           {"000002.log", true, func(f []byte) []byte { return withRoom(f, diskSector) }, 1, true},
		"room for an indexed one":  {"000002.log", true, func(f []byte) []byte { return withRoom(f[:0], diskSector) }, 0, false},
		"room for the last one":    {"000003.log", true, func(f []byte) []byte { return withRoom(f[:0], diskSector) }, 0, false},
		"nothing but a new record": {"000003.log", false, func(f []byte) []byte { return withRoom(f[:0], diskSector) }, 1, true},
	} {
		f := handmade()
		if c.finish {
			f["000003.index"] = file(indexOf(3, 37)...)
		}
		f[c.log] = c.change(f[c.log])
		dir := t.TempDir()
		writeFiles(t, dir, f)
		r, err := Check(dir)
		if (err == nil) != c.ok || len(r.Torn) > 0 || c.ok && len(r.Room) != c.rooms {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// Cut at its room, a log is what it was without, for Dragonboat, too.
func TestDragonboatReadsWhatIsCut(t *testing.T) {
	live, _, killed := images(t)
	path := one(t, killed, "*.log")
	all := entriesIn(t, killed)
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, withRoom(log, 100*diskSector), 0o600); err != nil {
		t.Fatal(err)
	}
	r := mustCheck(t, killed)
	if len(r.Room) != 1 || r.Room[0].File != path || filepath.Base(path) != filepath.Base(r.Room[0].File) || len(r.Torn) > 0 {
		t.Fatalf("%+v", r)
	}
	if err := os.Truncate(path, r.Room[0].End); err != nil {
		t.Fatal(err)
	}
	startsWith(t, live, killed, all)
}
