package sim

// bug is a way to get the cluster wrong. The tests plant them one by one into the simulation's model of the
// rooms around the core, to show that the checks find them; nothing else sets one.
type bug uint8

const (
	noBug             bug = iota
	acknowledgeEarly      // an owner acknowledges a write before the log has it
	staleRead             // an owner reads without asking how far the log is
	forgetAnswers         // the answers that make a retry harmless are not in snapshots
	newNumberOnRetry      // a client that tries again takes a new number
	abortCommitted        // whoever ends a transaction aborts also one that was committed
	applyDeposedTwice     // a deposed leader's entry is applied whether or not its requests were done before
	noWriteBack           // a read of a register returns the newest of a quorum at once
	noFence               // a replica of registers answers in whatever epoch it is asked
	sameMember            // a replica that lost its disk answers as the same member
	termOnce              // a leader whose first entry was lost does not repeat it
	skipFence             // a change of the registers' members does not wait until enough old replicas know of it
	removedCounts         // an owner that was removed still counts: with it alone there is a majority
	deposedExpires        // L4: what a deposed leader decides about leases is done
	olderToken            // L2: a write under a lease that is over is done
	outlives              // T1: a holder counts from when the answer came, on a clock that stands still while it is frozen
	hastyLeader           // T3: a new leader does not wait for what it found
	noLook                // T2: a holder does not look at the clock when it answers: it has a timer for that
	flushAfterRevoke      // T5: a holder gives back before it has written back
	readUnderWrite        // T6: a page with a write under way is read
	eagerSync             // a sync is answered before what is dirty was written back
	unfencedFlush         // what is written back too late is sent again without the token that fences it
	revokeDrops           // T5: a holder gives back, and forgets what it had absorbed

	bugEnd
)

var bugNames = [bugEnd]string{"no bug", "acknowledge early", "stale read", "forget answers", "new number on retry", "abort committed",
	"apply deposed twice", "no write-back", "no fence", "same member", "first entry not repeated", "fence of a change skipped", "removed owner counts",
	"deposed leader expires", "older token", "lease outlives its clock", "hasty leader", "no look at the clock", "flush after revoke",
	"read under a write", "eager sync", "unfenced flush", "revoked writes dropped"}

func (b bug) String() string { return bugNames[b] }
