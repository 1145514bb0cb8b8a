package cache

import (
	"maps"
	"slices"
	"time"

	"dmalloc/message"
)

// Until is when the use of a lease ends whose LEASE was sent then: its length less 1 % and 20 ms (T1).
func Until(sent time.Duration, lengthMS uint64) time.Duration {
	length := time.Duration(min(lengthMS, message.MaxLease)) * time.Millisecond
	return sent + length - length/100 - 20*time.Millisecond
}

// Granted takes a lease into use that was asked for at sent, when the first attempt of its request went out, and
// says whether it may be used. If not, it should be given back, unless the leader has already heard that.
//
// It takes the place of older leases of this node on its pages. Their pages stay, if they can be used still: the
// new lease was granted while they stood, so nobody else wrote in between. So do dirty bytes if the new lease
// absorbs writes; otherwise they are lost, and returned. Flush before asking.
func (c *Cache) Granted(l message.Lease, sent, now time.Duration) (ok bool, lost []Range) {
	company, first, last, shaped := bounds(l.Address, l.Size)
	if !shaped || company != l.Company || l.Address%message.PageSize != 0 || l.Size%message.PageSize != 0 ||
		l.Token == 0 || l.Mode != "r" && l.Mode != "w" {
		return false, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	co := &c.companies[company]
	old := slices.Clone(co.over(first, last))
	for _, o := range old {
		if o.lease.Token == l.Token {
			return !o.closing, nil // the same answer once more
		}
		if o.lease.Token > l.Token {
			return false, nil
		}
	}
	h := &held{lease: l, first: first, last: last, until: Until(sent, l.LengthMS), pages: map[uint64]*page{}, dirty: map[uint64]*page{}, moved: map[uint64]bool{}}
	usable := now < h.until && !co.forbidden(first, last, l.Token) && len(co.leases)-len(old) < MaxLeases
	var gone []span
	for _, o := range old { // whatever becomes of the new one, the leader knows nothing of them any more
		if usable && now < o.until && !o.closing && first <= o.first && o.last <= last {
			c.inherit(h, o)
		}
		gone = append(gone, c.drop(o)...)
	}
	if usable {
		i := co.find(first)
		co.leases = slices.Insert(co.leases, i, h)
		for _, n := range slices.Sorted(maps.Keys(h.pages)) {
			c.settle(h.pages[n])
		}
	}
	return usable, c.ranges(gone)
}

// inherit moves the pages of an old lease to the new one. What flies under the old token is dirty again: either it
// is written already, or it is fenced, for the new lease has been granted.
func (c *Cache) inherit(h, o *held) {
	for _, n := range slices.Sorted(maps.Keys(o.pages)) {
		p := o.pages[n]
		dirty := len(p.dirty) > 0 || len(p.flying) > 0
		if p.image == nil || len(p.writes) > 0 || dirty && !h.absorbs() {
			continue
		}
		for _, x := range p.flying {
			p.dirty = p.dirty.add(x)
		}
		p.flying = nil
		p.lease = h
		im := *p.image
		im.lease = h
		c.setImage(p, &im)
		h.pages[n] = p
		delete(o.pages, n)
		delete(o.dirty, n)
		o.moved[n] = true
	}
}

// drop ends a lease and returns what is lost with it. Of what flies its own answer will tell.
func (c *Cache) drop(h *held) (lost []span) {
	if h.gone {
		return nil
	}
	co := &c.companies[h.lease.Company]
	h.closing, h.gone = true, true
	for _, n := range slices.Sorted(maps.Keys(h.pages)) {
		p := h.pages[n]
		lost = append(lost, p.dirty...)
		p.dirty, p.flying, p.writes = nil, nil, nil
		c.setImage(p, nil)
		c.settle(p)
	}
	if i := slices.Index(co.leases, h); i >= 0 {
		co.leases = slices.Delete(co.leases, i, i+1)
	}
	co.forbid(h.first, h.last, h.lease.Token)
	return lost
}

// end makes a lease closing, and gone where nothing is dirty. It returns what is to be written back for it.
func (c *Cache) end(h *held) []Piece {
	h.closing = true
	for _, n := range slices.Sorted(maps.Keys(h.pages)) {
		p := h.pages[n]
		if len(p.dirty) == 0 && len(p.flying) == 0 {
			c.setImage(p, nil)
		}
		c.settle(p)
	}
	pieces := c.collect(h, h.first, h.last)
	c.leave(h)
	return pieces
}

// leave drops a closing lease as soon as nothing of it is dirty.
func (c *Cache) leave(h *held) {
	if h.closing && !h.gone && len(h.dirty) == 0 {
		c.drop(h)
	}
}

// Revoke stops the use of a lease for good, before its answer has come too (T5): from now on nothing is read or
// written under its token but the pieces, which are to be sent first. When Gone says so, REVOKE can be answered.
// The range is what REVOKE says; with size 0 it is the whole company.
func (c *Cache) Revoke(company message.CompanyID, token uint64, a message.Addr, size uint64) []Piece {
	if company == 0 || company > message.MaxCompany {
		return nil
	}
	first, last := uint64(0), uint64(message.WindowSize/message.PageSize-1)
	if in, f, l, ok := bounds(a, size); ok && in == company {
		first, last = f, l
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	co := &c.companies[company]
	co.forbid(first, last, token)
	if h := co.withToken(token); h != nil {
		co.forbid(h.first, h.last, token)
		return c.end(h)
	}
	return nil
}

// Release stops the use of a lease that this node gives back. The pieces are to be sent before RELEASE is.
func (c *Cache) Release(company message.CompanyID, token uint64) []Piece {
	if company == 0 || company > message.MaxCompany {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.companies[company].withToken(token); h != nil {
		return c.end(h)
	}
	return nil
}

// Gone says that a lease is not held, or not any more: nothing of it is dirty or under way to be written back.
func (c *Cache) Gone(company message.CompanyID, token uint64) bool {
	if company == 0 || company > message.MaxCompany {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.companies[company].withToken(token) == nil
}

// Abandon ends a lease whatever is dirty, and returns what is lost.
func (c *Cache) Abandon(company message.CompanyID, token uint64) []Range {
	if company == 0 || company > message.MaxCompany {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.companies[company].withToken(token); h != nil {
		return c.ranges(c.drop(h))
	}
	return nil
}

// Drop ends all leases, as a process does that begins a new session, and returns what is lost.
func (c *Cache) Drop() []Range {
	c.mu.Lock()
	defer c.mu.Unlock()
	var lost []span
	for i := range c.companies {
		for _, h := range slices.Clone(c.companies[i].leases) {
			lost = append(lost, c.drop(h)...)
		}
	}
	return c.ranges(lost)
}

// Expire stops the use of the leases whose time is over. What is dirty may be written back still: the pieces are
// a last attempt, which their token decides.
func (c *Cache) Expire(now time.Duration) (pieces []Piece) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.companies {
		for _, h := range slices.Clone(c.companies[i].leases) {
			if !h.closing && now >= h.until {
				pieces = append(pieces, c.end(h)...)
			}
		}
	}
	return pieces
}

// Held lists the leases that can be used, by address, with the time that is left of them.
func (c *Cache) Held(now time.Duration) (all []message.Lease) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.companies {
		for _, h := range c.companies[i].leases {
			if l := h.lease; !h.closing && now < h.until {
				l.LeftMS = uint64((h.until - now) / time.Millisecond)
				all = append(all, l)
			}
		}
	}
	return all
}
