package disk

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"dmalloc/message"
)

// Many callers at once, on real files, while segments are compacted: tags and values belong together, a
// register never goes back, and what was acknowledged is there after a kill.
func TestManyCallers(t *testing.T) {
	dir := t.TempDir()
	o := Options{SegmentSize: 32 << 10, Shards: testShards, Shard: testShard, dead: 4 << 10}
	s, err := Open(dir, me, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	const callers, rounds, registers = 24, 120, 40
	var acknowledged [registers]atomic.Uint64
	value := func(r, ts uint64) []byte {
		b := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, r), ts)
		return append(b, make([]byte, ts%200)...)
	}
	var all sync.WaitGroup
	for c := range uint64(callers) {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(c, 1))
			done := make(chan error, 1)
			for i := range uint64(rounds) {
				r, ts := rnd.Uint64N(registers), i*callers+c+1
				s.Put(reg(r), tag(ts), value(r, ts), func(err error) { done <- err })
				if err := <-done; err != nil {
					t.Error(err)
					return
				}
				for old := acknowledged[r].Load(); old < ts && !acknowledged[r].CompareAndSwap(old, ts); old = acknowledged[r].Load() {
				}
			}
		})
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(c, 2))
			for range rounds * 3 {
				r := rnd.Uint64N(registers)
				least := acknowledged[r].Load()
				got, ok, err := s.Get(reg(r), MaxValue)
				if err != nil || ok != (got.Tag.TS > 0) || got.Tag.TS < least || ok && string(got.Value) != string(value(r, got.Tag.TS)) {
					t.Errorf("register %d after %d: %+v, %v, %v", r, least, got.Tag, ok, err)
					return
				}
			}
			s.List(reg(0), 10, nil)
			s.Digests()
			s.Stats()
		})
	}
	all.Wait()
	st := s.Stats()
	t.Logf("%+v", st)
	if st.Compactions == 0 {
		t.Error("nothing was compacted meanwhile")
	}
	settle(t, s)
	again, err := Open(copyOf(t, dir), me, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	for r := range uint64(registers) {
		got, _, err := again.Get(reg(r), MaxValue)
		if ts := acknowledged[r].Load(); err != nil || got.Tag.TS != ts || ts > 0 && string(got.Value) != string(value(r, ts)) {
			t.Errorf("register %d: %v, %v; want %d", r, got.Tag, err, ts)
		}
	}
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(filepath.Join(to, "copy"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(to, "copy")
}

// D1, with any number of puts under way: after a crash each register has a tag that was put, with its value,
// and none older than what was acknowledged.
func TestCrashesUnderLoad(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMemory()
		o := small
		o.SegmentSize = int64(rapid.IntRange(200, 3000).Draw(t, "segment"))
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "losses"), 0))
		var mu sync.Mutex
		put, acknowledged := map[string]bool{}, map[message.RegisterID]message.Tag{}
		ts := uint64(0)
		for range rapid.IntRange(1, 4).Draw(t, "lives") {
			s, err := open(m, "d", me, o)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range s.List(message.RegisterID{}, 1<<20, nil) {
				got, _, err := s.Get(e.ID, MaxValue)
				if err != nil || !put[fmt.Sprint(e.ID, e.Tag, string(got.Value))] {
					t.Fatalf("D2: %s has %+v, %v", e.ID, got, err)
				}
			}
			for r, least := range acknowledged {
				if have, _, _ := s.Tag(r); have.Compare(least) < 0 {
					t.Fatalf("D1: %s has tag %s, and %s was acknowledged", r, have, least)
				}
			}
			var all sync.WaitGroup
			n, crashAt := rapid.IntRange(0, 60).Draw(t, "puts"), rapid.IntRange(0, 60).Draw(t, "crash")
			var image *memory
			frozen := false
			shoot := func() {
				mu.Lock()
				defer mu.Unlock()
				if rnd.IntN(3) == 0 {
					image = m.killed()
				} else {
					image = m.crashed(rnd)
				}
				frozen = true // what is acknowledged from now on is not in the image
			}
			for i := range n {
				if i == crashAt {
					shoot()
				}
				ts++
				r := reg(uint64(rapid.IntRange(0, 4).Draw(t, "register")))
				tg := message.Tag{TS: ts - uint64(rapid.IntRange(0, int(min(ts-1, 4))).Draw(t, "late")), Op: ts}
				value := fmt.Sprint(r, tg, string(make([]byte, rapid.IntRange(0, 100).Draw(t, "size"))))
				mu.Lock()
				put[fmt.Sprint(r, tg, value)] = true
				mu.Unlock()
				all.Add(1)
				s.Put(r, tg, []byte(value), func(err error) {
					defer all.Done()
					mu.Lock()
					defer mu.Unlock()
					if err == nil && !frozen && tg.Compare(acknowledged[r]) > 0 {
						acknowledged[r] = tg
					}
				})
			}
			if rapid.Bool().Draw(t, "wait") {
				all.Wait()
			}
			if image == nil {
				shoot()
			}
			all.Wait()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			m = image
		}
	})
}
