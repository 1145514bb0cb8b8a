package cache

import (
	"slices"

	"dmalloc/message"
)

// Question is a LEASE under way. The leader may have granted it already, and ended this node's older leases with it,
// while nobody here knows: what was written back under those would be fenced.
type Question struct {
	company     message.CompanyID
	first, last uint64 // pages that the new lease may have
}

// Ask begins a question for a lease on the pages of size bytes at an address, or, where size is 0, on those of a block
// from there on, of which the leader knows the end. Until Answered nothing is absorbed there (K9).
func (c *Cache) Ask(a message.Addr, size uint64) *Question {
	if size == 0 {
		if company, ok := a.Company(); ok {
			size = uint64(company.Limit() - a)
		}
	}
	company, first, last, ok := bounds(a, size)
	if !ok {
		return &Question{} // which the leader refuses
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	q := &Question{company, first, last}
	co := &c.companies[company]
	co.questions = append(co.questions, q)
	return q
}

// Asked says whether the LEASE of a question may be sent: nothing is dirty there, or on its way. If not, the pieces are
// to be written back; where there are none now, ask again when something has changed.
func (c *Cache) Asked(q *Question) (pieces []Piece, ready bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ready = true
	for _, h := range c.companies[q.company].over(q.first, q.last) {
		pieces = append(pieces, c.collect(h, q.first, q.last)...)
		ready = ready && h.unwritten(q.first, q.last) == 0
	}
	return pieces, ready
}

// Answered ends a question. Where it is not known what became of it, the leases that are held there may be over, and
// absorb nothing any more.
func (c *Cache) Answered(q *Question, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	co := &c.companies[q.company]
	co.questions = slices.DeleteFunc(co.questions, func(x *Question) bool { return x == q })
	if !known {
		for _, h := range co.over(q.first, q.last) {
			h.doubtful = true
		}
	}
}

// asked says whether a lease is asked for that may have one of the pages.
func (co *company) asked(first, last uint64) bool {
	return slices.ContainsFunc(co.questions, func(q *Question) bool { return q.first <= last && first <= q.last })
}

// Asking says whether a lease is asked for that may have one of the pages of a range.
func (c *Cache) Asking(a message.Addr, size uint64) bool {
	company, first, last, ok := bounds(a, size)
	if !ok {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.companies[company].asked(first, last)
}
