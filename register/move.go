package register

import (
	"slices"

	"dmalloc/message"
)

// Entry is a row of what a replica has.
type Entry struct {
	Register message.RegisterID
	Tag      message.Tag
	Size     uint64
}

// Fenced says whether so many old replicas of a shard have taken the new epoch that nothing completes in the
// old one any more, and that together they have all that did: as many as meet every quorum. Only then may
// the lists of those replicas be asked for, and only theirs: Merge of them names every register that was
// written.
func Fenced(old []message.Member, taken []message.Member) bool {
	n, count := 0, 0
	for i, m := range old {
		if slices.Contains(old[:i], m) {
			continue
		}
		n++
		if slices.Contains(taken, m) {
			count++
		}
	}
	return n > 0 && count >= Meets(n)
}

// Merge makes one list of several: each register once, with its largest tag, in the order of registers.
func Merge(lists ...[]Entry) []Entry {
	all := slices.Concat(lists...)
	slices.SortStableFunc(all, func(a, b Entry) int {
		switch {
		case a.Register.Less(b.Register):
			return -1
		case b.Register.Less(a.Register):
			return 1
		}
		return b.Tag.Compare(a.Tag)
	})
	return slices.CompactFunc(all, func(a, b Entry) bool { return a.Register == b.Register })
}

// Page is a part of a replica's list, from where it was asked on.
type Page struct {
	Rows []Entry // in the order of registers
	More bool    // there are rows after these
}

// MergePages is Merge for lists that come in pages, which were all asked for from the same register on. It
// returns the rows up to which every list is known, and from where to ask all lists next, if there is more.
func MergePages(pages ...Page) (rows []Entry, next message.RegisterID, more bool, err error) {
	lists := make([][]Entry, len(pages))
	var end message.RegisterID
	for i, p := range pages {
		lists[i] = p.Rows
		if !p.More {
			continue
		}
		if len(p.Rows) == 0 {
			return nil, next, false, message.Errorf(message.InvalidArgument, "a list of registers says that there are more and has none: ask that replica again, for at least one row")
		}
		if last := p.Rows[len(p.Rows)-1].Register; !more || last.Less(end) {
			end, more = last, true
		}
	}
	rows = Merge(lists...)
	if !more {
		return rows, next, false, nil
	}
	rows = slices.DeleteFunc(rows, func(e Entry) bool { return end.Less(e.Register) })
	next, more = after(end)
	return rows, next, more, nil
}

// after is the register that follows, if there is one.
func after(r message.RegisterID) (message.RegisterID, bool) {
	r.Address++
	if r.Address == 0 {
		r.Space++
		return r, r.Space != 0
	}
	return r, true
}

// NewCopy makes the copy of one register for a change of members: Groups are the old and the new replicas,
// Epoch is that in which both are there. It reads the old ones, which answer in this epoch only if they
// refuse the one before, and puts the newest, under its own tag, on a quorum of the new ones.
func NewCopy(c Call) *Operation { return newOperation(c, copying) }
