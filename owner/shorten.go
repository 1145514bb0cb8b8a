package owner

import (
	"context"
	"time"

	"github.com/lni/dragonboat/v4"

	"dmalloc/message"
)

// A replica that joins gets a snapshot and the entries behind it, or all entries where the log still has the first one.
// A log holds each write, also where another one has replaced its bytes, and is sent by the goroutine that all of the
// company waits for, entry by entry; a snapshot holds the state alone, and is sent beside it. So before somebody joins the
// log is cut off behind a new snapshot, where it holds much more than that.
//
//	Shorten ──▶ outgrown ──▶ Host.snapshots: save, beside Apply ──▶ compact ──▶ Shorten says yes ──▶ Join

const (
	keptEntries = 256     // entries kept behind a snapshot at most, so that a follower a little late needs no snapshot
	keptBytes   = 4 << 20 // bytes of them, if an eighth of the state is no more
	keptPart    = 8

	lookup = 4 << 10 // bytes that could be sent in the time in which an entry is looked up

	snapshotTime = 10 * time.Minute // to save one; others wait for it
	shortFor     = 30 * time.Second // that nobody who joins waits for another snapshot: writes may be faster than those
)

// recent are the sizes of the last entries.
type recent struct {
	sizes [keptEntries]uint64
	next  int
}

func (r *recent) add(size uint64) {
	r.sizes[r.next] = size
	r.next = (r.next + 1) % keptEntries
}

// within is how many of the last entries are no more than so many bytes together.
func (r *recent) within(most uint64) (n uint64) {
	for sum := uint64(0); n < keptEntries; n++ {
		if sum += r.sizes[(r.next+keptEntries-1-int(n))%keptEntries]; sum > most {
			break
		}
	}
	return n
}

// slack is how many bytes of entries a log may have besides a snapshot without being long.
func (c *machine) slack() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return max(keptBytes, c.state.Bytes()/keptPart)
}

// kept is how many entries a snapshot leaves in the log.
func (c *machine) kept() uint64 {
	most := c.slack()
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.recent.within(most)
}

// ask has a snapshot made, unless one is being made. It does not wait.
func (c *machine) ask() {
	if c.asked.CompareAndSwap(false, true) {
		c.outgrown()
	}
}

// Shorten says whether who joins now is sent little more than the state. Otherwise it has the log cut off, and is to be
// asked again: it does not wait. Where that cannot be done it says yes after one attempt, for a long log does, too.
func (r *Replica) Shorten() bool {
	c := r.machine
	if c.asked.Load() {
		return false // logged counts from when a snapshot is begun; until it is there, an older one would be sent
	}
	if c.logged.Load()+lookup*c.entries.Load() <= c.slack() || time.Now().UnixNano()-c.saved.Load() < int64(shortFor) {
		return true
	}
	c.ask()
	return false
}

// snapshots makes a snapshot of each company that asked for one, one after another.
func (h *Host) snapshots() {
	for {
		select {
		case <-h.ctx.Done():
			return
		case id := <-h.outgrown:
			if r := h.Replica(id); r != nil {
				h.snapshot(r)
			}
		}
	}
}

func (h *Host) snapshot(r *Replica) {
	ctx, cancel := context.WithTimeout(h.ctx, snapshotTime)
	defer cancel()
	// A refusal is no failure: the log keeps everything, and its growth will ask again.
	_, _ = h.nh.SyncRequestSnapshot(ctx, r.shard(), dragonboat.SnapshotOption{OverrideCompactionOverhead: true, CompactionOverhead: r.machine.kept()})
	r.machine.saved.Store(time.Now().UnixNano())
	r.machine.asked.Store(false)
}

// outgrow gives a machine the way to ask for a snapshot.
func (h *Host) outgrow(m *machine, id message.CompanyID) {
	m.outgrown = func() {
		select {
		case h.outgrown <- id:
		default:
			m.asked.Store(false)
		}
	}
}
