package lease

import "dmalloc/message"

func defect(format string, args ...any) error {
	return message.Errorf(message.Internal, "leases: "+format, args...)
}

// Check verifies what doc.go promises of a table.
func (t *Table) Check() (err error) {
	if t.byToken.Len() > MaxLeases {
		return defect("LT3: there are %d, at most %d are possible", t.byToken.Len(), MaxLeases)
	}
	n := 0
	var reach, exclusive uint64 // where leases so far end, and exclusive ones
	ends := map[message.NodeID]uint64{}
	sessions := map[message.NodeID]uint64{}
	for l := range t.All() {
		n++
		same, ok := t.Get(l.Token)
		session, known := sessions[l.Node]
		switch {
		case !ok || same != l || !t.byNode.Has(l):
			return defect("the lease with token %d is not found by it or by its node", l.Token)
		case !l.possible() || l.Token == 0 || l.Token > t.last:
			return defect("LT1: there is a lease with token %d, the last one given is %d", l.Token, t.last)
		case l.First < ends[l.Node]:
			return defect("L1: node %s has two leases on page %d", l.Node, l.First)
		case l.First < exclusive || l.Exclusive && l.First < reach:
			return defect("L1: page %d has two leases, one of them exclusive", l.First)
		case known && session != l.Session:
			return defect("LT2: node %s has leases in sessions %d and %d", l.Node, session, l.Session)
		}
		ends[l.Node], sessions[l.Node], reach = l.End(), l.Session, max(reach, l.End())
		if l.Exclusive {
			exclusive = l.End()
		}
	}
	if n != t.byToken.Len() || n != t.byNode.Len() {
		return defect("%d leases by page, %d by token, %d by node", n, t.byToken.Len(), t.byNode.Len())
	}
	return t.pages.check()
}

// check verifies the tree's order, weights and ends.
func (t *tree) check() error {
	if t == nil {
		return nil
	}
	n := *t
	if n.update().end != t.end {
		return defect("the tree ends at page %d, not %d", n.end, t.end)
	}
	for _, c := range []*tree{t.left, t.right} {
		if c == nil {
			continue
		}
		if weight(c.Token) > weight(t.Token) || before(c.Lease, t.Lease) != (c == t.left) {
			return defect("the lease with token %d is below the one with token %d", c.Token, t.Token)
		}
		if err := c.check(); err != nil {
			return err
		}
	}
	return nil
}
