package lease

import (
	"math"
	"slices"
	"time"
)

// Again is how long a REVOKE or an EXPIRE is given before it is sent once more.
const Again = 200 * time.Millisecond

// wait is how long a lease is waited for: T3.
func wait(length uint64) time.Duration {
	return time.Duration(length) * time.Millisecond * 101 / 100
}

// never is a moment long before all others.
const never = time.Duration(math.MinInt64 / 4)

// Watch is what an owner knows of the time of leases. Every moment is an argument, from a clock of the owner that
// never goes back. An owner that does not lead keeps it up to date, too, but asks nobody and expires nothing.
type Watch struct {
	leads  bool
	leases map[uint64]*watched // by token
}

type watched struct {
	Lease
	since   time.Duration // counts from here
	applied bool          // the grant was applied here; otherwise it was found in a snapshot
	asked   time.Duration // when its holder was last sent REVOKE
	consent bool          // its holder does not use it any more
	ended   time.Duration // when EXPIRE was last proposed
}

// NewWatch makes the watch of an owner that does not lead.
func NewWatch() *Watch { return &Watch{leases: map[uint64]*watched{}} }

// Seen hears of a grant that was applied here now.
func (w *Watch) Seen(l Lease, now time.Duration) {
	w.leases[l.Token] = &watched{Lease: l, since: now, applied: true, asked: never, ended: never}
}

// Found hears that the whole state was replaced by one with these leases. Those that are not known count from now.
func (w *Watch) Found(leases []Lease, now time.Duration) {
	next := make(map[uint64]*watched, len(leases))
	for _, l := range leases {
		if next[l.Token] = w.leases[l.Token]; next[l.Token] == nil {
			next[l.Token] = &watched{Lease: l, since: now, asked: never, ended: never}
		}
	}
	w.leases = next
}

// Led hears that the TERM entry of this owner was applied, when the state had these leases. What was found and
// not applied here counts from now (T3).
func (w *Watch) Led(leases []Lease, now time.Duration) {
	w.Found(leases, now)
	w.leads = true
	for _, x := range w.leases {
		if !x.applied {
			x.since = now
		}
	}
}

// Lost hears that somebody else leads, or nobody.
func (w *Watch) Lost() {
	w.leads = false
	for _, x := range w.leases {
		x.asked, x.consent, x.ended = never, false, never
	}
}

// Leads says whether this owner may ask and expire.
func (w *Watch) Leads() bool { return w.leads }

// Ended hears that a lease is over: its entry was applied.
func (w *Watch) Ended(token uint64) { delete(w.leases, token) }

// Knows says whether a lease stands, as far as entries were applied here.
func (w *Watch) Knows(token uint64) bool { return w.leases[token] != nil }

// Ask says to whom of those who hold the leases REVOKE is to be sent now: not to who was asked a moment ago, has
// given its consent, or is at its end.
func (w *Watch) Ask(tokens []uint64, now time.Duration) (send []Lease) {
	if !w.leads {
		return nil
	}
	for _, token := range tokens {
		if x := w.leases[token]; x != nil && !x.over(now) && now-x.asked >= Again {
			x.asked = now
			send = append(send, x.Lease)
		}
	}
	return send
}

// Consent hears that the holder of a lease does not use it any more, and never will again (T5).
func (w *Watch) Consent(token uint64) {
	if x := w.leases[token]; x != nil && w.leads {
		x.consent = true
	}
}

// over says whether the lease may be expired: T3, T4.
func (x *watched) over(now time.Duration) bool { return x.consent || now-x.since >= wait(x.Length) }

// Ripe lists the tokens for which EXPIRE is to be proposed now, by token.
func (w *Watch) Ripe(now time.Duration) (tokens []uint64) {
	if !w.leads {
		return nil
	}
	for token, x := range w.leases {
		if x.over(now) && now-x.ended >= Again {
			x.ended = now
			tokens = append(tokens, token)
		}
	}
	slices.Sort(tokens)
	return tokens
}

// Next is how long from now Ripe has nothing more to say, unless somebody consents; false where there is no lease.
func (w *Watch) Next(now time.Duration) (time.Duration, bool) {
	if !w.leads || len(w.leases) == 0 {
		return 0, false
	}
	next := time.Duration(math.MaxInt64)
	for _, x := range w.leases {
		at := x.since + wait(x.Length)
		if x.consent {
			at = now
		}
		next = min(next, max(at, x.ended+Again))
	}
	return max(0, next-now), true
}

// Left is how many milliseconds the lease has at most before this owner would expire it; 0 for one not known.
func (w *Watch) Left(token uint64, now time.Duration) uint64 {
	x := w.leases[token]
	if x == nil || x.over(now) {
		return 0
	}
	return uint64((x.since + wait(x.Length) - now).Milliseconds())
}
