package disk

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"dmalloc/message"
)

const testShards = 4

func testShard(r message.RegisterID) int { return int(r.Address % testShards) }

// small makes segments of a few records, and compactions of a few bytes.
var small = Options{SegmentSize: 700, Shards: testShards, Shard: testShard, dead: 100}

// model is what a store is meant to hold.
type model struct {
	values map[message.RegisterID]cell
	kept   map[string]string
}

type cell struct {
	tag   message.Tag
	value string
}

func newModel() model { return model{map[message.RegisterID]cell{}, map[string]string{}} }

func (m model) clone() model { return model{maps.Clone(m.values), maps.Clone(m.kept)} }

func (m model) put(r message.RegisterID, c cell) {
	if c.tag.Compare(m.values[r].tag) > 0 {
		m.values[r] = c
	}
}

func (m model) forget(keep func(int) bool) {
	maps.DeleteFunc(m.values, func(r message.RegisterID, _ cell) bool { return !keep(testShard(r)) })
}

// differs compares a store with the model in every way that the store can be asked.
func (m model) differs(s *Store) error {
	list := s.List(message.RegisterID{}, 1<<20, nil)
	ids := slices.SortedFunc(maps.Keys(m.values), func(a, b message.RegisterID) int {
		if a.Less(b) {
			return -1
		}
		return 1
	})
	if len(list) != len(ids) || s.Stats().Registers != len(ids) {
		return fmt.Errorf("%d registers, %d listed; want %d", s.Stats().Registers, len(list), len(ids))
	}
	digests := make([]uint64, testShards)
	live := int64(0)
	for i, r := range ids {
		want := m.values[r]
		got, ok, err := s.Get(r, MaxValue)
		if err != nil || !ok || got.Tag != want.tag || string(got.Value) != want.value || got.Size != len(want.value) {
			return fmt.Errorf("%s: %+v, %v, %v; want %+v", r, got, ok, err, want)
		}
		if e := list[i]; e != (Entry{r, want.tag, len(want.value)}) {
			return fmt.Errorf("%s is listed as %+v", r, e)
		}
		digests[testShard(r)] += digest(r, want.tag)
		live += recordSize(len(want.value))
	}
	if got := s.Digests(); !slices.Equal(got, digests) {
		return fmt.Errorf("digests %x; want %x", got, digests)
	}
	if got := s.Stats().LiveBytes; got != live {
		return fmt.Errorf("%d bytes are alive; want %d", got, live)
	}
	for name, blob := range m.kept {
		if !bytes.Equal(s.Kept(name), []byte(blob)) {
			return fmt.Errorf("%q is kept under %s; want %q", s.Kept(name), name, blob)
		}
	}
	if len(*s.kept.Load()) != len(m.kept) {
		return fmt.Errorf("%d blobs are kept; want %d", len(*s.kept.Load()), len(m.kept))
	}
	return nil
}

// step is one thing that is done with a store, and with the model.
type step struct {
	name  string
	store func(s *Store) error
	model func(m model)
}

// steps is a life: puts, mostly of few registers so that much dies, old and equal tags among them, named
// blobs, and shards that are forgotten and come again.
func steps(rnd *rand.Rand, n int) []step {
	var all []step
	for i := range n {
		switch k := rnd.IntN(40); {
		case k == 0:
			gone := rnd.IntN(testShards)
			keep := func(shard int) bool { return shard != gone }
			all = append(all, step{fmt.Sprintf("%d: forget %d", i, gone),
				func(s *Store) error { _, err := s.Forget(always(keep)); return err },
				func(m model) { m.forget(keep) }})
		case k <= 2:
			name, blob := fmt.Sprint("blob", rnd.IntN(2)), fmt.Sprint("content ", i)
			all = append(all, step{fmt.Sprintf("%d: keep %s", i, name),
				func(s *Store) error { return keep(s, name, blob) },
				func(m model) { m.kept[name] = blob }})
		default:
			r := message.RegisterID{Space: message.Space(rnd.IntN(2)), Address: uint64(rnd.IntN(6))}
			c := cell{message.Tag{TS: uint64(1 + rnd.IntN(i+5)), Op: uint64(rnd.IntN(2))}, ""}
			c.value = fmt.Sprint(r, c.tag) // two puts with one tag have one value
			c.value += string(bytes.Repeat([]byte{'.'}, int(c.tag.TS%5)*30))
			all = append(all, step{fmt.Sprintf("%d: put %s %s", i, r, c.tag),
				func(s *Store) error {
					done := make(chan error, 1)
					s.Put(r, c.tag, []byte(c.value), func(err error) { done <- err })
					return <-done
				},
				func(m model) { m.put(r, c) }})
		}
	}
	return all
}

func keep(s *Store, name, blob string) error {
	done := make(chan error, 1)
	s.Keep(name, []byte(blob), func(err error) { done <- err })
	return <-done
}

// settle waits until the writer has left its mark and nothing is worth a compaction.
func settle(t testing.TB, s *Store) {
	t.Helper()
	for settled := false; !settled; {
		err := s.wait(func() error {
			settled = s.victim() == nil && s.current.marked && s.current.manifest == s.manifest.Serial
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
}

// must opens a store in memory that the test closes.
func must(t testing.TB, m *memory, o Options) *Store {
	t.Helper()
	s, err := open(m, "d", me, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
