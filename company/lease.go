package company

import (
	"encoding/json"
	"fmt"

	"dmalloc/lease"
	"dmalloc/message"
)

// What follows is section 10 of package message: leases. The rules L1 to L7 are those of docs/design/leases.md;
// package lease has the table.

// LeaseEvent is a lease that was granted or that ended.
type LeaseEvent struct {
	Lease   lease.Lease
	Ended   bool
	Message int // of the batch that did it
}

// pagesOf is which pages the n bytes at off touch; n is not 0.
func pagesOf(off, n uint64) (first, pages uint64) {
	first = off / message.PageSize
	return first, (off+n-1)/message.PageSize + 1 - first
}

// fence refuses what would change the n bytes at off, unless no lease forbids it: L2, L3.
func (c *Company) fence(m *message.Message, off, n uint64) *Result {
	if m.Token == 0 && c.leases.Len() == 0 {
		return nil
	}
	first, pages := pagesOf(off, n)
	if m.Token != 0 {
		if c.leases.Writes(m.Token, first, pages) {
			return nil
		}
		r := refuse(message.Fenced, "%s at %s was asked under the lease with token %d, which is over, or is not one to write %s; nothing was done, take the lease anew",
			m.Op, c.cfg.Base+message.Addr(off), m.Token, c.pageText(first, pages))
		return &r
	}
	return c.leased(m.Op, first, pages, func(lease.Lease) bool { return true })
}

// legible refuses to read bytes of which the holder of a lease may have newer ones, unless it asks itself: L6.
func (c *Company) legible(m *message.Message, off uint64) *Result {
	if c.leases.Len() == 0 {
		return nil
	}
	first, pages := pagesOf(off, m.Size)
	return c.leased(m.Op, first, pages, func(l lease.Lease) bool { return l.WriteBack && l.Token != m.Token })
}

// leased is the refusal that names the leases on the pages that forbid it; nil if there are none. Its address and
// size are those of the pages.
func (c *Company) leased(op message.Op, first, pages uint64, forbids func(lease.Lease) bool) *Result {
	var against []lease.Lease
	for l := range c.leases.Over(first, pages) {
		if forbids(l) {
			if against = append(against, l); len(against) == lease.MaxShown {
				break
			}
		}
	}
	if len(against) == 0 {
		return nil
	}
	return c.inTheWay(op, first, pages, against)
}

func (c *Company) inTheWay(op message.Op, first, pages uint64, against []lease.Lease) *Result {
	l, more := against[0], ""
	if n := len(against) - 1; n > 0 {
		more = fmt.Sprintf(", and %d more", n)
	}
	r := refuse(message.Leased, "%s of %s meets the lease of node %s with token %d%s; nothing was done, have it given back or wait for its end",
		op, c.pageText(first, pages), l.Node, l.Token, more)
	r.Address, r.Size = c.pageAddr(first), pages*message.PageSize
	for _, l := range against {
		r.Leases = append(r.Leases, c.shown(l))
	}
	return &r
}

func (c *Company) shown(l lease.Lease) message.Lease { return l.Message(c.cfg.ID, c.cfg.Base) }

func (c *Company) pageText(first, pages uint64) string {
	if pages == 1 {
		return "the page at " + c.pageAddr(first).String()
	}
	return fmt.Sprintf("the %d pages at %s", pages, c.pageAddr(first))
}

func (c *Company) pageAddr(page uint64) message.Addr {
	return c.cfg.Base + message.Addr(page*message.PageSize)
}

// deposed refuses what a leader decided whose term is over: L4.
func (c *Company) deposed(m *message.Message) *Result {
	if m.Term >= c.lead.term {
		return nil
	}
	r := refuse(message.Fenced, "%s was decided by the leader of term %d, but node %s leads company %s in term %d; nothing was done, ask it",
		m.Op, m.Term, c.lead.node, c.cfg.ID, c.lead.term)
	return &r
}

// grant gives node Final, in its session Value, a lease on all pages of Size bytes at Address, which must be of
// one block; size 0 means the rest of the block. So every page holds something that lives.
func (c *Company) grant(e *entry, m *message.Message) Result {
	if refused := c.deposed(m); refused != nil {
		return *refused
	}
	off, refused := c.locate(m, max(m.Size, 1))
	if refused != nil {
		return *refused
	}
	size := m.Size
	if size == 0 {
		r, _ := c.holder(m.Address)
		size = c.backed(r) - uint64(m.Address-c.addr(r.at))
	}
	want := lease.Lease{Exclusive: m.Flags&message.Exclusive != 0, WriteBack: m.Flags&message.WriteBack != 0, Node: m.Final, Session: m.Value, Length: m.Length}
	want.First, want.Pages = pagesOf(off, size)
	if want.Length == 0 {
		want.Length = message.DefaultLease
	}
	out := c.leases.Grant(e.index, want)
	for _, l := range out.Ended {
		e.Leases = append(e.Leases, LeaseEvent{Lease: l, Ended: true, Message: e.message})
	}
	if out.Code != message.Done {
		return c.notGranted(m, want, out)
	}
	e.Leases = append(e.Leases, LeaseEvent{Lease: out.Lease, Message: e.message})
	x := Result{Address: c.pageAddr(want.First), Size: want.Pages * message.PageSize, Token: out.Lease.Token, Length: out.Lease.Length}
	c.log(e, m, x.Address, x.Size)
	return x
}

func (c *Company) notGranted(m *message.Message, want lease.Lease, out lease.Outcome) Result {
	at := c.pageText(want.First, want.Pages)
	switch out.Code {
	case message.Leased:
		return *c.inTheWay(m.Op, want.First, want.Pages, out.Against)
	case message.Busy:
		return refuse(message.Busy, "company %s has %d leases, and more are not possible; nothing was done, give some back", c.cfg.ID, c.leases.Len())
	}
	if len(out.Against) == 0 {
		return *wrong("a lease of %d ms for node %s on %s cannot be", want.Length, want.Node, at)
	}
	l := out.Against[0]
	if out.Code == message.Fenced {
		return refuse(message.Fenced, "session %d of node %s is over: session %d holds the lease with token %d; nothing was done", want.Session, want.Node, l.Session, l.Token)
	}
	if !want.Covers(l.First, l.Pages) {
		return *wrong("node %s has a lease already, with token %d, on %s; what was asked for, %s, meets it and does not cover it: give it back first, or ask for all of it",
			l.Node, l.Token, c.pageText(l.First, l.Pages), at)
	}
	return *wrong("node %s has a lease with token %d on %s, under which it may do more than under the one asked for; give it back first",
		l.Node, l.Token, c.pageText(l.First, l.Pages))
}

// release ends the lease with Token, at the wish of its holder, node Final where it is said; without a token all
// of its sessions up to Value. What has ended already needs no more.
func (c *Company) release(e *entry, m *message.Message) Result {
	if m.Token != 0 {
		if l, ok := c.leases.Get(m.Token); ok && m.Final != message.NoNode && m.Final != l.Node {
			return *wrong("the lease with token %d is of node %s; node %s cannot give it back", m.Token, l.Node, m.Final)
		}
		return c.endLease(e, m)
	}
	all := c.leases.EndAll(m.Final, m.Value)
	for _, l := range all {
		c.leaseEnded(e, m, l)
	}
	return Result{Value: uint64(len(all))}
}

// expire ends the lease with Token because its leader has waited for long enough: L7.
func (c *Company) expire(e *entry, m *message.Message) Result {
	if refused := c.deposed(m); refused != nil {
		return *refused
	}
	return c.endLease(e, m)
}

func (c *Company) endLease(e *entry, m *message.Message) Result {
	l, ok := c.leases.End(m.Token)
	if !ok {
		return Result{Token: m.Token}
	}
	c.leaseEnded(e, m, l)
	return Result{Address: c.pageAddr(l.First), Size: l.Pages * message.PageSize, Value: 1, Token: m.Token}
}

func (c *Company) leaseEnded(e *entry, m *message.Message, l lease.Lease) {
	e.Leases = append(e.Leases, LeaseEvent{Lease: l, Ended: true, Message: e.message})
	c.log(e, m, c.pageAddr(l.First), l.Pages*message.PageSize)
}

// Lease is the lease with that token, if it stands.
func (c *Company) Lease(token uint64) (message.Lease, bool) {
	l, ok := c.leases.Get(token)
	return c.shown(l), ok
}

// Leases lists at most n leases by address and token, from the one with that token at from on. How long they last
// is for the leader to say.
func (c *Company) Leases(from message.Addr, token uint64, n int) (out []message.Lease) {
	first := uint64(0)
	if from > c.cfg.Base {
		first = (uint64(from-c.cfg.Base) + message.PageSize - 1) / message.PageSize
	}
	for l := range c.leases.From(first, token) {
		if len(out) >= n {
			break
		}
		out = append(out, c.shown(l))
	}
	return out
}

// AllLeases lists them for the watch of a leader.
func (c *Company) AllLeases() []lease.Lease {
	all := make([]lease.Lease, 0, c.leases.Len())
	for l := range c.leases.All() {
		all = append(all, l)
	}
	return all
}

// leaseList answers LEASES. Where more follow, Value and Token of the answer are where to go on, and 0 otherwise.
func (c *Company) leaseList(m *message.Message) *message.Message {
	n := m.Value
	if n == 0 || n > MaxTable {
		n = MaxTable
	}
	all := c.Leases(m.Address, m.Token, int(n)+1)
	x := Result{Index: c.index}
	if uint64(len(all)) > n {
		x.Value, x.Token = uint64(all[n].Address), all[n].Token
		all = all[:n]
	}
	x.Size = uint64(len(all))
	a := x.Answer(m)
	a.Data = leasesJSON(all)
	return a
}

func leasesJSON(all []message.Lease) []byte {
	if len(all) == 0 {
		return []byte("[]")
	}
	data, err := json.Marshal(all)
	if err != nil { // numbers and words always encode
		return nil
	}
	return data
}
