package ring

import "dmalloc/message"

// Led is a company as leadership is spread by: who leads it, and which of its owners may, the preferred one first.
type Led struct {
	Company message.CompanyID
	Leader  message.NodeID
	May     []message.NodeID // they live, vote and stay
}

// Lead is the next hand-over that makes leadership more even, and false where there is none: from a node that leads to
// one that leads at least two companies fewer. With each of them the sum of the squares of what nodes lead gets less, so
// it ends, and what one hand-over did the next does not undo. What would take two hand-overs that are no gain one by one
// is left alone.
func Lead(all []Led) (c message.CompanyID, to message.NodeID, ok bool) {
	leads := map[message.NodeID]int{}
	for _, x := range all {
		leads[x.Leader]++
	}
	best := 1
	for _, x := range all { // of equal ones the first company, and in it the most preferred owner
		for _, n := range x.May {
			if gap := leads[x.Leader] - leads[n]; gap > best {
				best, c, to, ok = gap, x.Company, n, true
			}
		}
	}
	return c, to, ok
}
