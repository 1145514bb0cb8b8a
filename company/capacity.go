package company

import (
	"dmalloc/block"
	"dmalloc/message"
)

// The budget counts pages, not bytes: what exists of a company is whole pages, and 256 allocations of 16 bytes may lie
// in one or in 256. It is looked at when addresses are taken. A write never finds that there is no room: whatever it
// may touch was counted when it was allocated.

const inPage = message.PageSize - 1

// pagesHeld is how many bytes the pages have that something backed here is in. No other page can exist (C3).
func (c *Company) pagesHeld() uint64 { return c.cfg.window() - c.space.Whole() - c.unbacked }

// pagesLeft is how many bytes of pages may still come into use. A capacity that is no multiple of a page may end within one.
func (c *Company) pagesLeft() uint64 {
	budget := (c.cfg.Capacity + inPage) &^ inPage
	return budget - min(budget, c.pagesHeld())
}

// fits refuses what would go over the budget.
func (c *Company) fits(size uint64) bool {
	f := block.Footprint(size)
	return f <= c.cfg.Capacity-c.charged && c.space.Opens(f) <= c.pagesLeft()/message.PageSize
}

// room is the largest size that a MALLOC would get now; whatever is smaller would get its place, too.
func (c *Company) room() uint64 {
	room := min(c.cfg.Capacity-c.charged, c.space.Largest())
	left := c.pagesLeft()
	if left == 0 {
		return min(room, c.space.Between()) &^ (message.Alignment - 1)
	}
	if room >= message.PageSize {
		return min(room, left) &^ inPage
	}
	return room &^ (message.Alignment - 1)
}

// Sized is the capacity that CAPACITY would set now.
func (c *Company) Sized(to uint64) uint64 { return max(min(to, c.cfg.window()), c.pagesHeld()) }

// capacity sets how many bytes may be backed here. What is allocated stays: below the pages that it is in, it does not
// go. The answer's Value is what it is now.
func (c *Company) capacity(e *entry, m *message.Message) Result {
	to := c.Sized(m.Value)
	if to != c.cfg.Capacity {
		c.cfg.Capacity = to
		c.log(e, m, 0, to)
	}
	return Result{Value: to}
}
