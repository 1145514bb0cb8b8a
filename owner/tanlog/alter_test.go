package tanlog

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lni/dragonboat/v4/raftpb"
)

// images makes what a clean end leaves and what a kill leaves, of a node that was started twice and took a snapshot.
func images(t *testing.T) (live, ended, killed string) {
	t.Helper()
	rnd := newRand(3)
	live = filepath.Join(t.TempDir(), "node")
	s := single(t, live)
	s.writeMany(rnd, 60)
	s.snapshot()
	s.close()
	s = single(t, live)
	s.writeMany(rnd, 60)
	killed = live + "-killed"
	quietImage(t, live, killed)
	s.close()
	ended = live + "-ended"
	image(t, live, ended)
	mustCheck(t, ended)
	mustCheck(t, killed)
	return live, ended, killed
}

// alteration changes one byte of a file, and back.
type alteration struct {
	file   string
	offset int64
	mask   byte
}

func (a alteration) apply(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile(a.file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], a.offset); err != nil {
		t.Fatal(err)
	}
	b[0] ^= a.mask
	if _, err := f.WriteAt(b[:], a.offset); err != nil {
		t.Fatal(err)
	}
}

// kind is what a file is for, to count by.
func kind(path string) string {
	name := filepath.Base(path)
	if ext := filepath.Ext(name); ext == ".log" || ext == ".index" || ext == ".gbsnap" {
		return ext
	}
	name, _, _ = strings.Cut(name, "-")
	return name
}

// sample picks bytes to alter: some anywhere, all headers of some records, and every byte of the last 64.
func sample(t *testing.T, path string, seed uint64, n int) []alteration {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	rnd := newRand(seed)
	var all []alteration
	add := func(offset int64) {
		if offset >= 0 && offset < st.Size() {
			mask := byte(1) << rnd.IntN(8)
			if rnd.IntN(4) == 0 {
				mask = byte(1 + rnd.IntN(255))
			}
			all = append(all, alteration{path, offset, mask})
		}
	}
	for range n {
		if st.Size() > 0 {
			add(rnd.Int64N(st.Size()))
		}
	}
	for i := range int64(64) {
		add(st.Size() - 1 - i)
	}
	if filepath.Ext(path) != ".log" {
		return all
	}
	records, err := ends(path)
	if err != nil {
		t.Fatal(err)
	}
	for range min(n, len(records)) {
		begin := records[rnd.IntN(len(records))]
		add(begin + rnd.Int64N(headerSize))
	}
	return all
}

// Nothing in these images is torn, so that an altered byte anywhere must be refused.
func TestEveryAlteredByteIsRefused(t *testing.T) {
	_, ended, killed := images(t)
	tried, found := map[string]int{}, map[string]int{}
	for _, dir := range []string{ended, killed} {
		for i, path := range filesOf(t, dir) {
			for _, a := range sample(t, path, uint64(i), 60) {
				a.apply(t)
				r, err := Check(dir)
				a.apply(t)
				tried[kind(path)]++
				var d *DamageError
				switch {
				case errors.As(err, &d):
					found[kind(path)]++
				default:
					t.Errorf("accepted: %s offset %d mask %#x: %v, %v", path, a.offset, a.mask, r, err)
				}
			}
		}
		mustCheck(t, dir) // what was altered was put back
	}
	for _, k := range []string{".log", ".index", ".gbsnap", "CURRENT", "MANIFEST", "BOOTSTRAP", "NODEHOST.ID", "dragonboat.ds", "snapshot.metadata"} {
		if tried[k] == 0 {
			t.Errorf("no %s was altered", k)
		}
		t.Logf("%-18s refused %d of %d altered bytes", k, found[k], tried[k])
	}
}

// A torn end hides nothing that is whole: an altered byte before it is refused, the last record's length too.
func TestAlteredBytesBeforeTornEnd(t *testing.T) {
	_, _, killed := images(t)
	path := one(t, killed, "*.log")
	records, err := ends(path)
	if err != nil {
		t.Fatal(err)
	}
	cut := records[len(records)-1] - 4
	if err := os.Truncate(path, cut); err != nil {
		t.Fatal(err)
	}
	end := mustCheck(t, killed).Torn[0].End
	last := records[len(records)-3]
	rnd := newRand(9)
	for i := range 1000 {
		offset := last + rnd.Int64N(headerSize)
		if i%4 == 0 {
			offset = rnd.Int64N(end)
		}
		a := alteration{path, offset, byte(1 + rnd.IntN(255))}
		a.apply(t)
		if r, err := Check(killed); err == nil {
			t.Errorf("accepted: offset %d of %d mask %#x: %v", offset, end, a.mask, r)
		}
		a.apply(t)
	}
}

// A crash cuts the last log file anywhere. Dragonboat must start from what Check lets pass, and with
// every entry that was whole.
func TestCutLastLogPasses(t *testing.T) {
	live, _, killed := images(t)
	path := one(t, killed, "*.log")
	full, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	records, err := ends(path)
	if err != nil {
		t.Fatal(err)
	}
	rnd := newRand(4)
	for i := range 150 {
		cut := rnd.Int64N(int64(len(full)) + 1)
		if i%3 == 0 { // at and around where a record ends
			cut = min(int64(len(full)), max(0, records[rnd.IntN(len(records))]+rnd.Int64N(17)-8))
		}
		if err := os.WriteFile(path, full[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if i%5 == 0 { // the file grew, its last bytes did not reach the disk
			if err := os.Truncate(path, cut+rnd.Int64N(100<<10)); err != nil {
				t.Fatal(err)
			}
		}
		n, whole := slices.BinarySearch(records, cut)
		end := int64(0)
		if whole {
			end = cut
		} else if n > 0 {
			end = records[n-1]
		}
		r, err := Check(killed)
		var d *DamageError
		if i%5 == 0 && cut != end && errors.As(err, &d) {
			continue // zeros complete a record: tan does not start from that either
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if i%5 != 0 && (len(r.Torn) > 0 && r.Torn[0].End != end || len(r.Torn) == 0 && cut-end > slackSize) {
			t.Fatalf("cut at %d, behind a record that ends at %d: %v", cut, end, r)
		}
		if len(r.Torn) > 0 && r.Torn[0].End < end {
			t.Fatalf("cut at %d, %v loses what ends at %d", cut, r, end)
		}
		if i%12 == 1 || i%15 == 10 {
			startsWith(t, live, killed, entriesIn(t, killed))
		}
	}
}

// entriesIn counts the entries that users wrote, of all whole records of the log.
func entriesIn(t *testing.T, dir string) (count uint64) {
	t.Helper()
	seen := map[uint64]bool{}
	for _, path := range filesOf(t, dir) {
		if filepath.Ext(path) != ".log" {
			continue
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		s := &scanner{r: f, keep: true, each: func(_, _ int64, data []byte) error {
			var u raftpb.Update
			raftpb.MustUnmarshal(&u, data)
			for _, e := range u.EntriesToSave {
				if e.Type != raftpb.ConfigChangeEntry && len(e.Cmd) > 0 && !seen[e.Index] {
					seen[e.Index] = true
					count++
				}
			}
			return nil
		}}
		if _, err := s.scan(); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return count
}

// startsWith puts an image where the node lived, starts it and counts its entries.
func startsWith(t *testing.T, live, from string, want uint64) {
	t.Helper()
	image(t, from, live)
	s := single(t, live)
	got := s.count()
	s.close()
	if got != want {
		t.Fatalf("the node starts with %d entries, the log holds %d", got, want)
	}
	mustCheck(t, live)
}

// What tan cannot tell from a torn end: the same image, with one byte altered in the header of a
// record in the middle, would start without what follows.
func TestSilentLossIsRefused(t *testing.T) {
	live, _, killed := images(t)
	path := one(t, killed, "*.log")
	records, err := ends(path)
	if err != nil {
		t.Fatal(err)
	}
	all := entriesIn(t, killed)
	lost := 0
	for i := 1; i <= 4; i++ {
		begin := records[len(records)*i/5]
		a := alteration{path, begin + 6, 4} // full becomes a type that tan takes for the end
		a.apply(t)
		if _, err := Check(killed); err == nil {
			t.Fatalf("accepted at offset %d", a.offset)
		}
		image(t, killed, live)
		s := single(t, live)
		if s.count() < all {
			lost++
		}
		s.close()
		a.apply(t)
	}
	t.Logf("without the check %d of 4 starts lost entries in silence", lost)
	if lost == 0 {
		t.Error("Dragonboat has learned to tell: this package can go")
	}
}
