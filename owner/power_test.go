package owner

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lni/dragonboat/v4"

	"dmalloc/message"
	"dmalloc/owner/tanlog"
)

const (
	powerLosses  = 200
	powerNodes   = 4  // that lose power independently of each other
	powerLives   = 12 // after which a node's disk is replaced by an empty one
	powerClients = 16 // of each
)

// Whatever was acknowledged is there after the power was lost (O1), and nothing that nobody wrote. Between power
// losses some nodes are killed: what only the system's memory has then is read as if it were on the disk.
func TestPowerLoss(t *testing.T) {
	begin := time.Now()
	var acked, unknown, kills atomic.Int64
	var nodes sync.WaitGroup
	for node := range powerNodes {
		nodes.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(node), 1))
			var w *world
			for losses := 0; losses < powerLosses/powerNodes && !t.Failed(); {
				if w == nil || w.lives > powerLives {
					w = &world{t: t, rnd: rnd, fs: newCrashFS(), dir: filepath.Join(t.TempDir(), fmt.Sprint(node)), acked: map[uint64]bool{}}
				}
				if rnd.IntN(4) == 0 {
					w.run(false)
					kills.Add(1)
				} else {
					w.run(true)
					losses++
				}
				if losses == powerLosses/powerNodes || w.lives > powerLives {
					acked.Add(int64(len(w.acked)))
					unknown.Add(int64(w.next) - int64(len(w.acked)))
				}
			}
		})
	}
	nodes.Wait()
	t.Logf("%d power losses and %d kills in %s: %d writes acknowledged, %d of unknown outcome", powerLosses, kills.Load(), time.Since(begin).Round(time.Millisecond), acked.Load(), unknown.Load())
}

// world is a node and what is known of it.
type world struct {
	t     *testing.T
	rnd   *rand.Rand
	fs    *crashFS
	dir   string // for what a crash left, to be checked as files
	lives int
	next  uint64 // number that is written next
	mu    sync.Mutex
	acked map[uint64]bool
	known []uint64 // what was there at the last start: it never changes any more
}

// run is a life of the node, up to its end.
func (w *world) run(power bool) {
	w.lives++
	cfg := alone("/node")
	cfg.Files = w.fs
	h, r, state, err := openAlone(cfg)
	if err != nil {
		w.t.Error(err)
		return
	}
	caughtUp(w.t, r)
	var seqs []uint64
	r.View(func(Machine) { seqs = append(seqs, state.seqs...) })
	w.check(seqs)

	var stop atomic.Bool
	var clients sync.WaitGroup
	enough := make(chan struct{})
	var done atomic.Int64
	target := int64(w.rnd.IntN(80))
	if target == 0 {
		close(enough)
	}
	size := w.rnd.IntN(3000)
	for range powerClients {
		clients.Go(func() {
			for !stop.Load() {
				w.mu.Lock()
				seq := w.next
				w.next++
				w.mu.Unlock()
				if propose(r, seq, size) != message.Done {
					continue
				}
				if !stop.Load() { // what is acknowledged after the end of the disk is worth nothing
					w.mu.Lock()
					w.acked[seq] = !stop.Load()
					w.mu.Unlock()
				}
				if done.Add(1) == target {
					close(enough)
				}
			}
		})
	}
	if w.rnd.IntN(3) == 0 { // the end comes while a snapshot is under way, or after it
		s, err := h.nh.RequestSnapshot(1, dragonboat.SnapshotOption{OverrideCompactionOverhead: true, CompactionOverhead: 10}, time.Second)
		if err == nil && w.rnd.IntN(2) == 0 {
			<-s.ResultC()
		}
	}
	<-enough
	w.mu.Lock()
	stop.Store(true)
	w.mu.Unlock()
	written, synced := w.fs.crash(h.Close)
	clients.Wait()
	if power {
		w.fs = afterPowerLoss(w.t, w.rnd, written, synced)
	} else {
		w.fs = afterKill(w.t, written, synced)
	}
	if err := w.fs.tree().save(w.dir); err != nil {
		w.t.Error(err)
	}
	if _, err := tanlog.Check(filepath.Join(w.dir, "node", "raft")); err != nil {
		w.t.Errorf("what the end left is refused: %v", err)
	}
	_ = os.RemoveAll(w.dir)
}

// check compares what the node has after its start with what it was asked and has answered.
func (w *world) check(seqs []uint64) {
	seen := map[uint64]bool{}
	for i, seq := range seqs {
		if seen[seq] || seq >= w.next {
			w.t.Errorf("number %d is there twice or was never written", seq)
		}
		if i < len(w.known) && w.known[i] != seq {
			w.t.Errorf("place %d had %d at the last start, and now %d", i, w.known[i], seq)
		}
		seen[seq] = true
	}
	if len(seqs) < len(w.known) {
		w.t.Errorf("%d numbers were there at the last start, and now %d", len(w.known), len(seqs))
	}
	lost := 0
	for seq, ok := range w.acked {
		if ok && !seen[seq] {
			lost++
		}
	}
	if lost > 0 {
		w.t.Errorf("%d of %d acknowledged writes are lost", lost, len(w.acked))
	}
	w.known = seqs
}
