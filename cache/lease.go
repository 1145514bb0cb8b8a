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
// absorbs writes; otherwise they are lost, and returned. Ask sees to it that there are none.
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
		c.held.Add(1)
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
		p.dirty, p.flying, p.writes, p.doubt = nil, nil, nil, false
		c.setImage(p, nil)
		c.settle(p)
	}
	if i := slices.Index(co.leases, h); i >= 0 {
		co.leases = slices.Delete(co.leases, i, i+1)
		c.held.Add(-1)
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

// meant returns the leases that a message about l means: those that have one of its pages and whose tokens are not
// above its own. They may be older, for l may have taken their place without its answer having come (T5). Where l
// does not say its pages, all of the company are meant.
func (c *Cache) meant(l message.Lease) (co *company, first, last uint64, all []*held) {
	if l.Company == 0 || l.Company > message.MaxCompany {
		return nil, 0, 0, nil
	}
	first, last = 0, message.WindowSize/message.PageSize-1
	if company, f, t, ok := bounds(l.Address, l.Size); ok && company == l.Company {
		first, last = f, t
	}
	co = &c.companies[l.Company]
	for _, h := range co.over(first, last) {
		if h.lease.Token <= l.Token {
			all = append(all, h)
		}
	}
	return co, first, last, all
}

// Revoke stops the use of a lease for good, before its answer has come too (T5): from now on nothing is read or
// written under its token but the pieces, which are to be sent first. When Gone says so, REVOKE can be answered.
// Of l the company, the token and the pages count.
func (c *Cache) Revoke(l message.Lease) (pieces []Piece) {
	c.mu.Lock()
	defer c.mu.Unlock()
	co, first, last, all := c.meant(l)
	if co == nil {
		return nil
	}
	co.forbid(first, last, l.Token)
	for _, h := range all {
		pieces = append(pieces, c.end(h)...)
	}
	return pieces
}

// Release is Revoke of a lease that this node gives back. The pieces are to be sent before RELEASE is.
func (c *Cache) Release(l message.Lease) []Piece { return c.Revoke(l) }

// Gone says that a lease is not held, or not any more: nothing of it is dirty or under way to be written back.
func (c *Cache) Gone(l message.Lease) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _, _, all := c.meant(l)
	return len(all) == 0
}

// Abandon ends a lease whatever is dirty, and returns what is lost.
func (c *Cache) Abandon(l message.Lease) []Range {
	c.mu.Lock()
	defer c.mu.Unlock()
	var lost []span
	_, _, _, all := c.meant(l)
	for _, h := range all {
		lost = append(lost, c.drop(h)...)
	}
	return c.ranges(lost)
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

// Outgrow ends all leases of a company with tokens up to one for good, also those whose answers have not come yet, and
// returns what is lost. Their company has begun anew: it need not know them, nor what was written under them.
func (c *Cache) Outgrow(id message.CompanyID, token uint64) []Range {
	if id > message.MaxCompany {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	co := &c.companies[id]
	co.floor = max(co.floor, token)
	var lost []span
	for _, h := range slices.Clone(co.leases) {
		if h.lease.Token <= token {
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

// Any says whether there is a lease at all, without a lock: mostly there is none.
func (c *Cache) Any() bool { return c.held.Load() > 0 }

// At finds the lease that can be used on the page of an address.
func (c *Cache) At(a message.Addr, now time.Duration) (message.Lease, bool) {
	company, n, ok := window(a)
	if !ok || !c.Any() {
		return message.Lease{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.companies[company].covering(n, n)
	if h == nil || now >= h.until {
		return message.Lease{}, false
	}
	l := h.lease
	l.LeftMS = uint64((h.until - now) / time.Millisecond)
	return l, true
}
