package company

import (
	"encoding/binary"

	"dmalloc/block"
	"dmalloc/message"
)

// noRoom is the refusal that sends a client to another company: it tells how much there is here. A user sees it only
// where a company is asked directly; the client says where else there is room.
func (c *Company) noRoom(size uint64) Result {
	r := refuse(message.OutOfMemory, "an allocation of %s was asked for, company %s has room for %s; free something, or ask a company with more room",
		message.FormatSize(size), c.cfg.ID, message.FormatSize(c.room()))
	r.Value = c.room()
	return r
}

func (c *Company) malloc(e *entry, m *message.Message) Result {
	if !c.fits(m.Size) {
		return c.noRoom(m.Size)
	}
	a, ok := c.take(m.Size)
	if !ok {
		return c.noRoom(m.Size)
	}
	r := record{at: c.at(a), state: message.Allocated, size: m.Size}
	c.keep(r, nil)
	c.did(e, m, a, m.Size)
	return Result{Address: a, Size: m.Size, Blocks: c.blocks(r)}
}

// free gives back an allocation. One that spans companies only stops to exist here: its addresses stay
// taken until FINISH says that its parts elsewhere are given back, too.
func (c *Company) free(e *entry, m *message.Message) Result {
	if m.Value != 0 {
		c.hinted(e, m)
	}
	r, ok := c.holder(m.Address)
	if !ok || !r.live() {
		if m.Address < c.space.High() {
			return refuse(message.AlreadyFree, "%s is free already; nothing was done", m.Address)
		}
		return refuse(message.NotAllocated, "%s was never allocated; list the allocations with t", m.Address)
	}
	start := c.addr(r.at)
	if !r.homed() || uint64(m.Address-start) >= r.size {
		return c.nothingAt(m.Address)
	}
	if m.Address != start {
		return *wrong("%s is inside the allocation of %d bytes that starts at %s; free that address", m.Address, r.size, start)
	}
	if r.state == message.Allocated {
		if refused := c.fence(m, c.off(start), block.Footprint(c.backed(r))); refused != nil {
			return *refused
		}
	}
	if r.mark == open {
		return c.freeOpen(e, m, r)
	}
	if !r.home {
		c.remove(r)
		c.did(e, m, start, r.size)
		return Result{Address: start, Size: r.size}
	}
	t := c.tieAt(r.at)
	if r.state == message.Allocated {
		r.state = message.Freeing
		c.records.ReplaceOrInsert(r)
		c.pages.Zero(c.off(start), t.blocks[0].Size)
		c.did(e, m, start, r.size)
	}
	return Result{Address: start, Size: r.size, Txn: t.txn, Blocks: t.blocks}
}

// nothingAt is the refusal of an address that is in no allocation of a user. It names the one before it.
func (c *Company) nothingAt(a message.Addr) Result {
	near := "allocate first, or list the allocations with t"
	c.records.DescendLessOrEqual(record{at: c.at(a)}, func(r record) bool {
		if r.state == message.Allocated && r.live() {
			near = message.Errorf(message.Done, "the allocation before it is %d bytes at %s", r.size, c.addr(r.at)).Text
		}
		return false
	})
	return refuse(message.NotAllocated, "%s is in no allocation; %s", a, near)
}

// locate finds where n bytes at the address of m lie, as an offset in the pages, or refuses.
func (c *Company) locate(m *message.Message, n uint64) (uint64, *Result) {
	fail := func(r Result) (uint64, *Result) { return 0, &r }
	r, ok := c.holder(m.Address)
	if !ok {
		return fail(c.nothingAt(m.Address))
	}
	start := c.addr(r.at)
	into := uint64(m.Address - start)
	part := m.Flags&message.PartOf != 0
	switch {
	case part && (!r.tied() || r.homed() || c.tieAt(r.at).txn != m.Txn):
		return fail(refuse(message.NotAllocated, "%s is not behind a part of transaction %s; ask the home again where the bytes are", m.Address, m.Txn))
	case part && r.state == message.Reserved:
		return fail(refuse(message.Retry, "%s is reserved for transaction %s, which is not confirmed yet; try again", m.Address, m.Txn))
	case !part && r.state == message.Freeing:
		return fail(refuse(message.NotAllocated, "%s is in the allocation at %s, which has been freed", m.Address, start))
	case !part && r.state != message.Allocated, !r.live(), into >= r.size:
		return fail(c.nothingAt(m.Address))
	case n > r.size-into:
		return fail(refuse(message.OutOfBounds, "%d bytes at %s were asked for; the allocation has %d bytes at %s, %d of them from there on", n, m.Address, r.size, start, r.size-into))
	}
	if r.home {
		if t := c.tieAt(r.at); into+n > t.blocks[0].Size {
			x := refuse(message.Elsewhere, "of the allocation at %s company %s has the first %d bytes; %d bytes at %s lie behind the other blocks", start, c.cfg.ID, t.blocks[0].Size, n, m.Address)
			x.Address, x.Size, x.Txn, x.Blocks = start, r.size, t.txn, t.blocks
			return 0, &x
		}
	}
	return c.off(m.Address), nil
}

func (c *Company) write(e *entry, m *message.Message) Result {
	off, refused := c.locate(m, m.Size)
	if refused != nil {
		return *refused
	}
	if refused := c.fence(m, off, m.Size); refused != nil {
		return *refused
	}
	if err := c.pages.WriteAt(off, m.Data); err != nil {
		return refuse(message.Internal, "%v", err) // locate let it pass
	}
	c.log(e, m, m.Address, m.Size)
	return Result{Address: m.Address, Size: m.Size}
}

// cas compares the 8 bytes with Size and replaces them with Value.
func (c *Company) cas(e *entry, m *message.Message) Result {
	return c.exchange(e, m, func(old uint64) (uint64, bool) { return m.Value, old == m.Size })
}

func (c *Company) add(e *entry, m *message.Message) Result {
	return c.exchange(e, m, func(old uint64) (uint64, bool) { return old + m.Value, true })
}

// exchange replaces 8 bytes by what f makes of them, unless it says no.
func (c *Company) exchange(e *entry, m *message.Message, f func(uint64) (uint64, bool)) Result {
	off, refused := c.locate(m, 8)
	if refused != nil {
		return *refused
	}
	if refused := c.fence(m, off, 8); refused != nil {
		return *refused
	}
	var word [8]byte
	c.pages.ReadAt(off, word[:])
	old := binary.LittleEndian.Uint64(word[:])
	next, yes := f(old)
	if !yes {
		return Result{Address: m.Address, Value: old}
	}
	binary.LittleEndian.PutUint64(word[:], next)
	if err := c.pages.WriteAt(off, word[:]); err != nil {
		return refuse(message.Internal, "%v", err) // locate let it pass
	}
	c.log(e, m, m.Address, 8)
	return Result{Address: m.Address, Value: old, Size: 1}
}

// extentOf is what a record takes of the window.
func (c *Company) extentOf(r record) block.Extent {
	return block.Extent{Addr: c.addr(r.at), Size: block.Footprint(r.size)}
}
