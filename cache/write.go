package cache

import (
	"time"

	"dmalloc/message"
)

// Outcome is what became of a message that was to change bytes.
type Outcome uint8

const (
	Written Outcome = iota // it is in the log
	Refused                // nothing was changed, and nothing will be
	Fenced                 // nothing was changed, for the lease is over
	Unknown                // it may have been done, or may be done while the lease stands
)

// Write is a WRITE, CAS or ADD that goes through the log under a lease. Its pages are not read until End.
type Write struct {
	Token    uint64
	lease    *held
	from, to uint64
}

// Begin begins a write of size bytes at an address through the log. First the pieces are to be written back, then
// the message is to be sent, with the token, and End is to be called in any case. Where one of the pieces is not
// written, the message must not be sent.
//
// Without success there is no lease to write under: the message goes without a token. With wait it must not go yet:
// bytes of its pages are on their way to the log, or too many writes are; ask again when that has changed.
func (c *Cache) Begin(a message.Addr, size uint64, now time.Duration) (w *Write, pieces []Piece, wait bool) {
	company, first, last, ok := bounds(a, size)
	if !ok || last-first >= maxPages {
		return nil, nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	co := &c.companies[company]
	h := co.covering(first, last)
	if h == nil || !h.exclusive() || now >= h.until {
		return nil, nil, false
	}
	if c.underway >= MaxWrites {
		return nil, nil, true
	}
	for n := first; n <= last; n++ {
		if p := h.pages[n]; p != nil && (len(p.flying) > 0 || len(p.dirty) > 0 && len(p.writes) > 0) {
			return nil, nil, true // K8
		}
	}
	pieces = c.collect(h, first, last)
	w = &Write{h.lease.Token, h, uint64(a), uint64(a) + size}
	c.underway++
	for n := first; n <= last; n++ {
		p := h.entry(n)
		for _, other := range p.writes {
			// Which of the two comes first in the log, nobody here knows.
			p.spoilt = p.spoilt || w.from < other.to && other.from < w.to
		}
		p.writes = append(p.writes, w)
		co.change(n)
		c.settle(p)
	}
	return w, pieces, false
}

// End ends a write that was begun. After Written, bytes are what is there now: of a CAS or ADD the new value. It
// returns what is lost where that shows that the lease is over. After Unknown the pages are not read for as long as
// the lease stands, for the write may still come: ask for the lease anew to read them.
func (c *Cache) End(w *Write, outcome Outcome, bytes []byte) []Range {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := w.lease
	if h == nil {
		return nil // ended before
	}
	w.lease = nil
	c.underway--
	if h.gone {
		return nil
	}
	if outcome == Fenced {
		return c.ranges(c.drop(h))
	}
	if outcome == Written && uint64(len(bytes)) != w.to-w.from {
		outcome = Unknown
	}
	var lost []span
	co := &c.companies[h.lease.Company]
	base := uint64(h.lease.Company.Base())
	for n := (w.from - base) / message.PageSize; n <= (w.to-1-base)/message.PageSize; n++ {
		p := h.pages[n] // it stays while a write is under way
		for i := range p.writes {
			if p.writes[i] == w {
				p.writes = append(p.writes[:i:i], p.writes[i+1:]...)
				break
			}
		}
		co.change(n)
		switch outcome {
		case Written:
			c.overlay(p, w.from, bytes)
		case Unknown:
			p.spoilt, p.doubt = true, true
		}
		if p.spoilt && len(p.writes) == 0 {
			lost = append(lost, c.spoil(p)...)
		}
	}
	// Only now, so that nobody sees a part of it (readMany).
	for n := (w.from - base) / message.PageSize; n <= (w.to-1-base)/message.PageSize; n++ {
		if p := h.pages[n]; p != nil {
			c.settle(p)
		}
	}
	c.leave(h)
	c.room(0)
	return c.ranges(lost)
}

// overlay gives a page a new image in which the bytes at an address are these, as far as they are in the page.
func (c *Cache) overlay(p *page, at uint64, bytes []byte) {
	if p.image == nil {
		return
	}
	start := p.lease.address(p.number)
	from, to := max(at, start), min(at+uint64(len(bytes)), start+message.PageSize)
	im := &image{data: new(data), known: p.image.known, lease: p.lease, page: p}
	*im.data = *p.image.data
	copy(im.data[from-start:], bytes[from-at:to-at])
	c.setImage(p, im)
}

// spoil forgets what a page holds, and returns what was dirty of it.
func (c *Cache) spoil(p *page) (lost []span) {
	lost = p.dirty
	p.spoilt, p.dirty = false, nil
	c.setImage(p, nil)
	return lost
}
