package drill

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"dmalloc/client"
	"dmalloc/message"
)

const (
	// stillFor is how long nothing may change in a whole cluster until what is left is taken for left for good.
	stillFor = 8 * time.Second
	// stillLooks is how many looks in a row must have shown it: a machine that stands still shows nothing.
	stillLooks = 40
)

// stillness finds out when waiting has no use any more. It can only make a drill fail sooner: what ends it well is
// that nothing is left, which is looked for first. It does so rightly if whatever may yet finish by itself shows
// within stillFor:
//
//   - No client has a call under way: all have stopped, and each call has ended by its timeout.
//   - A request that a node still holds was refused, or has gone into the log, which takes at most 3 s; a whole
//     company with a leader that stays applies its log within round trips.
//   - What a coordinator left reserved or freeing is ended by the leader of its company, which asks twice a second
//     for all that has stood for 2 s, and gives it a second each time. So each is tried several times in stillFor; one
//     that is done changes what is used, and then all the others get the whole time again.
//   - What mallocs without an answer have left is freed by settle itself, at each look.
//
// A new leader counts those 2 s anew, and an owner that comes back may bring what it knows: so both begin the
// time anew, and no look that failed counts.
type stillness struct {
	seen  string
	begin time.Time
	looks int
}

// since takes in a look, and says whether there were enough of them that showed the same.
func (s *stillness) since(now time.Time, looked bool, companies []client.Company, table []message.Allocation) bool {
	if !looked || notWhole(companies) != "" {
		*s = stillness{}
		return false
	}
	if seen := picture(companies, table); s.looks == 0 || seen != s.seen {
		*s = stillness{seen: seen, begin: now}
	}
	s.looks++
	return s.looks >= stillLooks && now.Sub(s.begin) >= stillFor
}

// picture is all that something which finishes would change.
func picture(companies []client.Company, table []message.Allocation) string {
	var b []byte
	for _, c := range companies {
		b = fmt.Appendf(b, "%d %d %d %d\n", c.ID, *c.Leader, c.Term, c.Used)
	}
	rows := slices.Clone(table)
	slices.SortFunc(rows, func(a, b message.Allocation) int { return cmp.Compare(a.Address, b.Address) })
	for _, a := range rows {
		b = fmt.Appendf(b, "%d %d %d\n", a.Address, a.Size, a.State)
	}
	return string(b)
}
