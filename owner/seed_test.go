package owner

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/lni/dragonboat/v4/raftpb"
	"github.com/lni/vfs"

	"dmalloc/message"
)

// Seed makes numbers something that can begin anew.
func (n *numbers) Seed() io.WriterTo {
	s := image(make([]byte, 8))
	for _, seq := range n.seqs {
		s = binary.LittleEndian.AppendUint64(s, seq)
	}
	return s
}

// heir is the founder of company 1's next generation.
func heir() Seat {
	return Seat{Company: 1, Generation: 1, Replica: 2, Voting: true, Founders: []message.Founder{{Node: 0, Replica: 2, From: 1}}, Seeded: true}
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// begin does what a node does whose company begins anew, whatever was done before: keep what the old replica holds,
// delete that, start the new one.
func begin(t testing.TB, cfg Config) (*Host, *Replica, *numbers, error) {
	h, err := Open(cfg)
	if err != nil {
		return nil, nil, nil, err
	}
	fail := func(err error) (*Host, *Replica, *numbers, error) {
		h.Close()
		return nil, nil, nil, err
	}
	kept, removed := h.Kept()[1], filepath.Join(cfg.Dir, "removed") // stands for what the node's identity says of the old replica
	if _, gone := h.disk.fs.Stat(removed); gone != nil {
		old, err := h.Start(Seat{Company: 1, Replica: 1, Voting: true}, &numbers{})
		if err != nil {
			return fail(err)
		}
		caughtUp(t, old)
		if err := h.WriteSeed(1, 2); err != nil {
			return fail(err)
		}
		if err := h.saveSeed(removed, image("x")); err != nil {
			return fail(err)
		}
	}
	if kept != 2 {
		if err := h.Drop(soon(t), 1, 0, 1); err != nil {
			return fail(err)
		}
	}
	seat, state := heir(), &numbers{}
	if kept == 2 {
		seat.Founders, seat.Seeded = nil, h.HasSeed(1, 2)
	}
	r, err := h.Start(seat, state)
	if err != nil {
		return fail(err)
	}
	return h, r, state, nil
}

// A company that begins anew has what its survivor had, under greater terms, also after starts from its seed and from
// the snapshot that takes the seed's place.
func TestBeginAnew(t *testing.T) {
	cfg := alone(t.TempDir())
	h, r, _, err := openAlone(cfg)
	if err != nil {
		t.Fatal(err)
	}
	caughtUp(t, r)
	for seq := uint64(1); seq <= 20; seq++ {
		if code := propose(r, seq, 10); code != message.Done {
			t.Fatal(code)
		}
	}
	_, before, _ := r.Leader()
	told := r.Status().Applied
	h.Close()
	var want []uint64
	for seq := uint64(1); seq <= 20; seq++ {
		want = append(want, seq)
	}
	for life := range uint64(4) {
		h, r, state, err := begin(t, cfg)
		if err != nil {
			t.Fatal(err)
		}
		caughtUp(t, r)
		if _, term, _ := r.Leader(); term <= before || term>>32 != 1 {
			t.Errorf("it begins anew in term %d, after %d", term, before)
		}
		r.View(func(Machine) {
			if got := state.seqs; !slices.Equal(clean(got), want) {
				t.Errorf("life %d has %v, want %v", life, got, want)
			}
		})
		if code := propose(r, 100+life, 10); code != message.Done {
			t.Fatal(code)
		}
		want = append(want, 100+life)
		r.View(func(Machine) {
			if state.Index() <= told {
				t.Errorf("it goes on at index %d, after %d", state.Index(), told)
			}
		})
		told = max(told, r.Status().Applied)
		if life == 2 {
			if err := r.Seal(soon(t)); err != nil {
				t.Fatal(err)
			}
			log, err := h.nh.GetLogReader(r.shard())
			if err != nil {
				t.Fatal(err)
			}
			if first, _ := log.GetRange(); first <= 1 {
				t.Errorf("the log begins at %d, and who joined would replay it", first)
			}
			if err := h.RemoveSeed(1, 2); err != nil || h.HasSeed(1, 2) {
				t.Fatal("the seed is still there", err)
			}
		}
		h.Close()
	}
}

// clean leaves out the entries by which leaders begin.
func clean(seqs []uint64) []uint64 {
	return slices.DeleteFunc(slices.Clone(seqs), func(s uint64) bool { return s == 0 })
}

// After a power loss at any moment of beginning anew, everything is there when it is done again.
func TestBeginAnewPowerLoss(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	cuts := 16
	if testing.Short() {
		cuts = 5
	}
	done := 0
	for cut := range cuts {
		fs := newCrashFS()
		cfg := alone("/node")
		cfg.Files = fs
		h, r, _, err := openAlone(cfg)
		if err != nil {
			t.Fatal(err)
		}
		caughtUp(t, r)
		var want []uint64
		for seq := uint64(1); seq <= 10; seq++ {
			if propose(r, seq, 1000) == message.Done {
				want = append(want, seq)
			}
		}
		h.Close()
		var step atomic.Int64
		limit := int64(rnd.IntN(60)) // changes of the disk until the power is lost
		cutting := cfg
		over := make(chan struct{})
		cutting.Files = &counting{FS: fs, at: func() {
			if step.Add(1) == limit {
				close(over)
				fs.mu.Lock()
				fs.SetIgnoreSyncs(true)
				fs.mu.Unlock()
			}
		}}
		h, r, _, err = begin(t, cutting)
		if err != nil {
			t.Fatalf("cut %d: %v", cut, err)
		}
		caughtUp(t, r)
		select {
		case <-over:
			done++
		default:
			fs.SetIgnoreSyncs(true)
		}
		h.Close()
		fs.ResetToSyncedState()
		fs.SetIgnoreSyncs(false)
		h, r, state, err := begin(t, cfg)
		if err != nil {
			t.Fatalf("cut %d after %d changes: %v", cut, limit, err)
		}
		caughtUp(t, r)
		r.View(func(Machine) {
			if got := clean(state.seqs); !slices.Equal(got, want) {
				t.Errorf("cut %d after %d changes: %v, want %v", cut, limit, got, want)
			}
		})
		h.Close()
	}
	t.Logf("%d of %d power losses fell into it", done, cuts)
}

// counting tells of each change of a seed and of the directory's names.
type counting struct {
	vfs.FS
	at func()
}

func (c *counting) Create(name string) (vfs.File, error) {
	c.at()
	return c.FS.Create(name)
}

func (c *counting) Rename(from, to string) error {
	c.at()
	return c.FS.Rename(from, to)
}

func (c *counting) RemoveAll(name string) error {
	c.at()
	return c.FS.RemoveAll(name)
}

func (c *counting) OpenDir(name string) (vfs.File, error) {
	c.at()
	return c.FS.OpenDir(name)
}

// A seed that is missing or damaged is never taken for an empty state; half of one has no name.
func TestDamagedSeed(t *testing.T) {
	dir := t.TempDir()
	h, err := Open(alone(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for name, content := range map[string][]byte{"seed-1-2.tmp": make([]byte, 16), "seed-1-2": make([]byte, 13)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := h.Start(heir(), &numbers{})
		if message.CodeOf(err) != message.Corrupt {
			t.Errorf("with %s: %v", name, err)
		}
	}
	if _, ok := h.Kept()[1]; ok || h.Replica(1) != nil {
		t.Error("it has begun")
	}
	if err := errors.Join(h.RemoveSeed(1, 2), h.RemoveSeed(1, 2)); err != nil || h.HasSeed(1, 2) {
		t.Error("removed twice", err)
	}
}

// What a company begins anew from is not taken from a replica that has started and not loaded its snapshot yet: its
// state is empty until then.
func TestNoSeedBeforeTheSnapshotIsLoaded(t *testing.T) {
	c := &machine{id: 1, state: &numbers{}}
	tail := func(uint64) (uint64, []pb.Entry) { return 21, nil }
	if _, err := c.retire(tail); message.CodeOf(err) != message.Busy || c.over {
		t.Errorf("with entries 1 to 20 in a snapshot that is not loaded: %v", err)
	}
	c.applied.Store(20)
	if _, err := c.retire(tail); err != nil || !c.over {
		t.Errorf("when it is loaded: %v", err)
	}

	cfg := alone(t.TempDir())
	h, r, _, err := openAlone(cfg)
	if err != nil {
		t.Fatal(err)
	}
	caughtUp(t, r)
	var want []uint64
	for seq := uint64(1); seq <= 20; seq++ {
		if code := propose(r, seq, 10); code != message.Done {
			t.Fatal(code)
		}
		want = append(want, seq)
	}
	if err := r.Seal(soon(t)); err != nil {
		t.Fatal(err)
	}
	h.Close()
	if h, _, _, err = openAlone(cfg); err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for ctx := soon(t); ; {
		if err = h.WriteSeed(1, 2); err == nil || ctx.Err() != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	seed, state := heir(), &numbers{}
	if err != nil || h.plantSeed(seed, state) != nil || !slices.Equal(clean(state.seqs), want) {
		t.Errorf("the seed has %v, %v; want %v", state.seqs, err, want)
	}
}
