package company

import (
	"dmalloc/block"
	"dmalloc/message"
)

// record is an extent that is not free. There may be millions, so it is 16 bytes; what only those of a
// transaction have is in their tie.
type record struct {
	at    uint32 // start, in units of Alignment from the window's base
	state message.State
	home  bool   // of an allocation that spans companies
	mark  mark   // of a block of a run
	size  uint64 // as it was asked for; of a home, of the whole allocation
}

// tie binds an extent to its transaction. It is replaced, never changed: snapshots share it.
type tie struct {
	txn     message.Txn
	at      uint32
	company message.CompanyID // the home's
	home    message.Addr      // first address of the allocation; 0 while the extent is only reserved
	blocks  []message.Block   // of a home: all of them, its own first
}

func recordLess(a, b record) bool { return a.at < b.at }
func tieLess(a, b *tie) bool      { return a.at < b.at }
func txnLess(a, b *tie) bool      { return a.txn.Less(b.txn) }

// tied says whether there is a tie to the record.
func (r record) tied() bool { return r.home || r.state == message.Reserved || r.state == message.Part }

// homed says whether it is an allocation that users know.
func (r record) homed() bool {
	return (r.state == message.Allocated || r.state == message.Freeing) && r.live()
}

// live says whether it is somebody's, as far as is known here: what is set aside is not.
func (r record) live() bool { return r.mark == noMark || r.mark == open }

func (c *Company) addr(at uint32) message.Addr {
	return c.cfg.Base + message.Addr(at)*message.Alignment
}

// at is the inverse of addr, for addresses inside the window.
func (c *Company) at(a message.Addr) uint32 { return uint32((a - c.cfg.Base) / message.Alignment) }

func (c *Company) inside(a message.Addr) bool { return a >= c.cfg.first() && a < c.cfg.Limit }

func (c *Company) off(a message.Addr) uint64 { return uint64(a - c.cfg.Base) }

func (c *Company) recordAt(at uint32) (record, bool) { return c.records.Get(record{at: at}) }

// tieAt returns the tie of a tied record (C4).
func (c *Company) tieAt(at uint32) *tie {
	if t, ok := c.ties.Get(&tie{at: at}); ok {
		return t
	}
	return &tie{at: at, blocks: make([]message.Block, 1)} // contradicts C4, which Verify tells
}

func (c *Company) tieOf(txn message.Txn) (*tie, bool) { return c.byTxn.Get(&tie{txn: txn}) }

// holder is the record in whose footprint a lies. The end of a footprint may lie behind the last byte
// that a user asked for.
func (c *Company) holder(a message.Addr) (found record, ok bool) {
	if !c.inside(a) {
		return record{}, false
	}
	c.records.DescendLessOrEqual(record{at: c.at(a)}, func(r record) bool {
		found, ok = r, uint64(a-c.addr(r.at)) < block.Footprint(r.size)
		return false
	})
	return found, ok
}

// ascend walks the records that start at from or behind it.
func (c *Company) ascend(from message.Addr, f func(record) bool) {
	if from >= c.cfg.Limit {
		return
	}
	from = max(from, c.cfg.Base)
	at := c.at(from)
	if c.addr(at) < from {
		if at++; c.addr(at) >= c.cfg.Limit || at == 0 {
			return
		}
	}
	c.records.AscendGreaterOrEqual(record{at: at}, f)
}

// backed is how many bytes of the record lie here.
func (c *Company) backed(r record) uint64 {
	if r.home {
		return c.tieAt(r.at).blocks[0].Size
	}
	return r.size
}

// blocks lists where the bytes of an allocation lie. The slice must not be changed.
func (c *Company) blocks(r record) []message.Block {
	if r.home {
		return c.tieAt(r.at).blocks
	}
	return []message.Block{wholly(c.cfg.ID, c.addr(r.at), r.size)}
}

// keep enters a record whose addresses are taken, with its tie where it has one.
func (c *Company) keep(r record, t *tie) {
	if t != nil {
		c.bind(t)
	}
	c.records.ReplaceOrInsert(r)
	n := c.backed(r)
	c.used += n
	c.charged += block.Footprint(n)
	c.unbacked += block.Footprint(r.size) - block.Footprint(n)
	if r.homed() {
		c.count++
	}
}

// bind enters a tie, in the place of the one before it.
func (c *Company) bind(t *tie) {
	c.ties.ReplaceOrInsert(t)
	c.byTxn.ReplaceOrInsert(t)
}

// remove zeroes what is backed here and makes the addresses free.
func (c *Company) remove(r record) {
	n := c.backed(r)
	if !plantedDirty {
		c.pages.Zero(c.off(c.addr(r.at)), block.Footprint(n))
	}
	c.used -= n
	c.charged -= block.Footprint(n)
	c.unbacked -= block.Footprint(r.size) - block.Footprint(n)
	if r.homed() {
		c.count--
	}
	if r.tied() {
		t := c.tieAt(r.at)
		c.ties.Delete(t)
		c.byTxn.Delete(t)
	}
	c.records.Delete(r)
	if err := c.space.Give(c.extentOf(r)); err != nil {
		c.broken("C1: %v", err)
	}
}

// take finds addresses for a size that fits.
func (c *Company) take(size uint64) (message.Addr, bool) {
	a, ok := c.space.Take(block.Footprint(size))
	if plantedOverlap && ok {
		_ = c.space.Give(block.Extent{Addr: a + message.Addr(block.Footprint(size))/2&^(message.Alignment-1), Size: block.Footprint(size) / 2 &^ (message.Alignment - 1)})
	}
	return a, ok
}

func (c *Company) broken(format string, args ...any) {
	if c.defect == nil {
		c.defect = message.Errorf(message.Internal, "company "+c.cfg.ID.String()+": "+format, args...)
	}
}
