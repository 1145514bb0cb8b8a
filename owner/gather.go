package owner

import "time"

const (
	fewClients = 8                       // up to which nothing is waited for
	longestLag = 1500 * time.Microsecond // that who was answered may take to come back
	longWrites = 256 << 10               // bytes for which nothing is waited: it is they that cost, not the entry
)

// gather says how long a queue gathers requests before a lane takes them.
//
// An entry costs its syncs, its messages and the goroutines that they wake once for all requests in it. Whoever waits
// for an answer asks again soon after it has come, so those who were just answered are worth waiting for: with them, the
// next entry has nearly everybody's request instead of those that happened to come while the last one was under way.
//
//	nothing under way           ── few are there ──▶ take
//	                            ── many ──▶ take when most of them wait, or those who were answered have had their time
//	something under way         ── few ──▶ take when as many wait as are under way, so that half of them gather
//	                            ── many ──▶ take when most of them wait; otherwise wait for its end
//
// How many there are is known from how many waited and were under way lately. Who comes alone never waits, and clients
// that do not come back are waited for a few times only: the estimate falls by an eighth an entry.
type gather struct {
	crowd int           // how many requests are believed to be there, waiting or under way
	took  time.Duration // about what an entry takes
}

// many says whether there are enough to be waited for.
func (g *gather) many() bool { return g.crowd > fewClients }

// due says whether so many that wait, with so many bytes, are to be taken while so many are under way. rested means that
// nothing has been under way for as long as lag says.
func (g *gather) due(waiting, bytes, under int, rested bool) bool {
	switch {
	case waiting == 0:
		return false
	case !g.many() || bytes >= longWrites:
		return waiting >= under
	}
	return 4*waiting >= 3*g.crowd || under == 0 && rested
}

// seen notes how many wait and are under way, now that one more waits.
func (g *gather) seen(waiting, under int) { g.crowd = max(g.crowd, waiting+under) }

// taking notes that a lane takes: from here on the estimate has to be confirmed.
func (g *gather) taking(waiting, under int) { g.crowd = max(g.crowd-(g.crowd+7)/8, waiting+under) }

// done notes what an entry took.
func (g *gather) done(took time.Duration) {
	if g.took == 0 {
		g.took = took
	}
	g.took += (took - g.took) / 8
}

// lag is how long those who were just answered are given to come back. It is no more than an entry takes, so that waiting in
// vain does not double what anybody waits.
func (g *gather) lag() time.Duration { return min(g.took, longestLag) }
