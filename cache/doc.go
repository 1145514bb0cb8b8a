// Package cache is the holder's side of leases: which leases this node has, the pages that it keeps under them,
// and which of their bytes may be answered without asking anybody. docs/design/leases.md has the rules that are
// named T1 to T7 here; the leader's side is package lease.
//
//	Ask ─▶ Asked ─▶ pieces ─▶ LEASE           what was absorbed is written back before another lease is asked for
//	LEASE answered ─▶ Granted ─▶ Answered     Read ─▶ bytes, or a miss: ask the leader
//	miss ─▶ Want ─▶ READ ─▶ Filled            (no lock: see below)
//	WRITE, CAS, ADD ─▶ Begin ─▶ log ─▶ End    write-through: the page is hidden in between
//	WRITE ─▶ Absorb                           write-back: the copy only
//	Flush NextFlush ─▶ WRITE ─▶ Flushed       what was absorbed goes to the log, under the lease's token
//	REVOKE ─▶ Revoke ─▶ pieces ─▶ Flushed … Gone ─▶ answer       Release, Expire likewise
//
// # Life of a lease
//
//	          Granted              Revoke, Release, Expire            nothing is dirty any more
//	(none) ────────────▶ usable ───────────────────────────▶ closing ───────────────────────────▶ gone
//	                       │      fenced, Abandon, Drop, or a newer lease in its place              ▲
//	                       └───────────────────────────────────────────────────────────────────────┘
//
// Only a usable lease answers reads, takes fills and lets writes begin. A closing one waits for its dirty bytes to
// be written back; that its time is over does not stop this, for the token decides whether they still may be.
//
// # What holds
//
//	K1  Readers see an image of a page only while its lease is usable and no write of the page is under way (T5, T6).
//	K2  An image never changes; a page that changes gets a new image. So what was copied from one image was, at the
//	    moment at which it was found, what the page holds.
//	K3  Of an image only bytes that were brought, or written, of a live allocation are answered, and one answer never
//	    spans two allocations.
//	K4  The clock is read after the bytes were copied, and they are answered only if the lease had not ended (T1, T2).
//	K5  A fill is kept only if the lease is the one it was asked under, and no write of the page began, ended or was
//	    absorbed or written back since (T7). It never replaces bytes that are there.
//	K6  A page with dirty bytes is never evicted. Clean ones are, least recently used first, before the budget is
//	    exceeded; a fill that would exceed it nevertheless is not kept.
//	K7  A token that was revoked, given back, expired or replaced, or a smaller one, is never used again for its
//	    pages: not when the answer that grants it comes later, and not under a lease that the revoked one had replaced.
//	K8  Of one page at most one version is on its way to the log, so writes of the same bytes cannot overtake each other.
//	K9  While another lease of this node is asked for, nothing is absorbed on the pages that it may have, and nothing
//	    was left dirty there when it was sent. Where nobody knows what became of it, that stays so for the leases that
//	    are held there: the new one may have ended them.
//
// Check verifies what can be seen of them.
//
// # Who may do what at once
//
// Everything may be called by any goroutine. Read takes no lock: a table of three levels of atomic pointers leads to
// the images, and one that spans pages finds all of them a second time after copying; where they are the same, there
// was a moment at which all were current. Whoever changes several pages hides all of them before showing the first.
// All else holds one mutex and does not wait for anything. The price is that a write copies its page.
//
// The package starts no goroutine and reads no clock: time is an argument, and means what CLOCK_BOOTTIME has counted
// since some start, which package internal/boottime reads. Where a function takes a Clock, the moment of reading matters.
//
// Next: package node, which sends what is to be sent.
package cache
