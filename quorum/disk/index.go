package disk

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/google/btree"

	"dmalloc/message"
)

// entry says where the record of a register is that counts. It has no pointer, so that the garbage
// collector does not look at a million of them.
type entry struct {
	id     message.RegisterID
	tag    message.Tag
	number uint32 // of the segment
	offset uint32 // of the record
	size   uint32 // of the value
}

func (e entry) same(o entry) bool { return e.number == o.number && e.offset == o.offset }

// index is what is durable. The writer alone changes it; everybody reads.
type index struct {
	shards int
	shard  func(message.RegisterID) int

	mu       sync.RWMutex
	tree     *btree.BTreeG[entry]
	segments map[uint32]*segment
	digests  []uint64 // by shard, the sum of hashes of (register, tag)
	counts   []int    // of registers, by shard
	live     int64    // bytes
}

func newIndex(o Options) *index {
	return &index{
		shards: o.Shards, shard: o.Shard,
		tree:     btree.NewG(32, func(a, b entry) bool { return a.id.Less(b.id) }),
		segments: map[uint32]*segment{},
		digests:  make([]uint64, o.Shards),
		counts:   make([]int, o.Shards),
	}
}

// shardOf is the shard of a register, or an error of who gave us the function.
func (x *index) shardOf(r message.RegisterID) (int, error) {
	s := x.shard(r)
	if s < 0 || s >= x.shards {
		return 0, message.Errorf(message.InvalidArgument, "%s is said to be in shard %d of %d; no shard has this number", r, s, x.shards)
	}
	return s, nil
}

// digest is the hash of one register in its shard's sum. It must never change: replicas compare sums.
func digest(r message.RegisterID, t message.Tag) uint64 {
	var b [48]byte
	for i, word := range [...]uint64{uint64(r.Space), r.Address, t.TS, t.Op} {
		binary.LittleEndian.PutUint64(b[8*i:], word)
	}
	copy(b[32:], t.Writer[:])
	return xxhash.Sum64(b[:])
}

// find is the entry of a register and its segment.
func (x *index) find(r message.RegisterID) (entry, *segment, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	e, ok := x.tree.Get(entry{id: r})
	return e, x.segments[e.number], ok
}

// tag is the tag that is durable, the zero one if there is none.
func (x *index) tag(r message.RegisterID) message.Tag {
	e, _, _ := x.find(r)
	return e.tag
}

// put makes an entry the one that counts. The lock is held.
func (x *index) put(e entry, shard int) {
	if old, ok := x.tree.ReplaceOrInsert(e); ok {
		x.dead(old, shard)
	}
	x.digests[shard] += digest(e.id, e.tag)
	x.counts[shard]++
	x.count(e, recordSize(int(e.size)))
}

// drop forgets an entry. The lock is held.
func (x *index) drop(e entry, shard int) {
	x.tree.Delete(e)
	x.dead(e, shard)
}

func (x *index) dead(e entry, shard int) {
	x.digests[shard] -= digest(e.id, e.tag)
	x.counts[shard]--
	x.count(e, -recordSize(int(e.size)))
}

func (x *index) count(e entry, bytes int64) {
	x.live += bytes
	x.segments[e.number].live += bytes
}

// page is up to n entries from a register on. more says that there may be others behind them, from next on.
func (x *index) page(from message.RegisterID, n int) (page []entry, next message.RegisterID, more bool) {
	page = make([]entry, 0, n)
	x.mu.RLock()
	defer x.mu.RUnlock()
	x.tree.AscendGreaterOrEqual(entry{id: from}, func(e entry) bool {
		if len(page) == n {
			next, more = e.id, true
			return false
		}
		page = append(page, e)
		return true
	})
	return page, next, more
}

// walk calls each with the entries from a register on, in order, until it says no. It holds no lock
// meanwhile: what changes during the walk is met or not.
func (x *index) walk(from message.RegisterID, each func(entry) bool) {
	for more := true; more; {
		var page []entry
		page, from, more = x.page(from, pageEntries)
		for _, e := range page {
			if !each(e) {
				return
			}
		}
	}
}

// of lists the entries whose records are in a segment, in the order of the file.
func (x *index) of(number uint32) []entry {
	var all []entry
	x.walk(message.RegisterID{}, func(e entry) bool {
		if e.number == number {
			all = append(all, e)
		}
		return true
	})
	slices.SortFunc(all, func(a, b entry) int { return int(int64(a.offset) - int64(b.offset)) })
	return all
}

// empty forgets all registers of the shards that are marked in gone, in short turns.
func (x *index) empty(gone []bool) (dropped int) {
	for from, more := (message.RegisterID{}), true; more; {
		var page []entry
		page, from, more = x.page(from, pageEntries)
		x.mu.Lock()
		for _, e := range page {
			if shard, err := x.shardOf(e.id); err == nil && gone[shard] {
				x.drop(e, shard)
				dropped++
			}
		}
		x.mu.Unlock()
	}
	return dropped
}
