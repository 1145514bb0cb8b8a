package lease

// tree is leases by first page and token: a treap whose nodes know the last page below them, so that those that
// touch given pages are found without looking at the rest. Nodes never change, so a copy of the root is a copy of
// the tree. What a treap takes from dice comes from the token here: equal tables are equal trees.
type tree struct {
	Lease
	left, right *tree
	end         uint64 // the greatest End of it and of what is below
}

func (t *tree) update() *tree {
	t.end = t.End()
	if t.left != nil {
		t.end = max(t.end, t.left.end)
	}
	if t.right != nil {
		t.end = max(t.end, t.right.end)
	}
	return t
}

// weight scatters tokens (the finisher of SplitMix64).
func weight(token uint64) uint64 {
	token = (token ^ token>>30) * 0xbf58476d1ce4e5b9
	token = (token ^ token>>27) * 0x94d049bb133111eb
	return token ^ token>>31
}

func before(a, b Lease) bool { return a.First < b.First || a.First == b.First && a.Token < b.Token }

// split cuts into what comes before l and the rest.
func (t *tree) split(l Lease) (low, high *tree) {
	if t == nil {
		return nil, nil
	}
	n := *t
	if before(t.Lease, l) {
		n.right, high = t.right.split(l)
		return n.update(), high
	}
	low, n.left = t.left.split(l)
	return low, n.update()
}

// join is the inverse of split.
func join(low, high *tree) *tree {
	switch {
	case low == nil:
		return high
	case high == nil:
		return low
	}
	if weight(low.Token) > weight(high.Token) {
		n := *low
		n.right = join(low.right, high)
		return n.update()
	}
	n := *high
	n.left = join(low, high.left)
	return n.update()
}

func (t *tree) insert(l Lease) *tree {
	low, high := t.split(l)
	return join(join(low, (&tree{Lease: l}).update()), high)
}

// remove leaves out the lease with that first page and token, which must be there.
func (t *tree) remove(l Lease) *tree {
	if t.First == l.First && t.Token == l.Token {
		return join(t.left, t.right)
	}
	n := *t
	if before(l, t.Lease) {
		n.left = t.left.remove(l)
	} else {
		n.right = t.right.remove(l)
	}
	return n.update()
}

// over calls f with those that touch the pages from first to end, in order, until it says no.
func (t *tree) over(first, end uint64, f func(Lease) bool) bool {
	if t == nil || t.end <= first {
		return true
	}
	if !t.left.over(first, end, f) {
		return false
	}
	if t.First >= end {
		return true
	}
	if t.End() > first && !f(t.Lease) {
		return false
	}
	return t.right.over(first, end, f)
}

// from calls f with those that do not come before l, in order, until it says no.
func (t *tree) from(l Lease, f func(Lease) bool) bool {
	if t == nil {
		return true
	}
	if before(t.Lease, l) {
		return t.right.from(l, f)
	}
	return t.left.from(l, f) && f(t.Lease) && t.right.from(l, f)
}
