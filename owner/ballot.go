package owner

import (
	"sync"
	"time"

	pb "github.com/lni/dragonboat/v4/raftpb"
)

// A leader whose majority has just confirmed it may answer reads by itself for a while: nobody else can have been
// elected meanwhile. This file is why. Raft's own rules nearly suffice: a follower that hears from a leader drops
// requests for votes until its election timeout is over. They have exceptions, so what leaves this node is looked at:
//
//	BL1  Who acknowledges a leader of term t (HeartbeatResp, ReplicateResp) grants no vote of a greater term for
//	     the binding time, measured from when the acknowledgement left. The message with such a vote is dropped.
//	BL2  Who has granted a vote of a greater term acknowledges no leader of term t any more. So the two cannot
//	     overtake each other between this node's connections.
//	BL3  A replica that has just been started again grants no votes for the binding time: it may have acknowledged a
//	     leader before.
//	BL4  A leader that asks another to take over (TimeoutNow), or grants a vote itself, holds no lease from then on,
//	     in that term and all before it. It is barred before the message leaves.
//	BL5  The candidate that was asked to take over says so, and gets its votes at once, in spite of BL1 and BL3: the
//	     leader of every earlier term that could hold a lease is barred by BL4.
//
// What is dropped is for Raft a message that was lost. A follower's own election timeout is about twice the length of a
// lease, and the binding time between the two, so none is dropped where a leader has really died.
//
//	leader    begin ── ReadIndex ──▶ confirmed:  lease ·····················▶ begin + length
//	follower         acknowledges ── bound ──────────────────────────────────────▶ + binding    ····▶ election timeout
//
// Source: section 6.4.1 of Ongaro's dissertation, "Consensus: Bridging Theory and Practice".
type ballots struct {
	now     func() time.Duration
	binding time.Duration
	bar     func(shard, term uint64) // no lease in this term, nor before; called before the message leaves

	mu sync.Mutex         // guards what follows
	of map[uint64]*ballot // by shard
}

// ballot is what one replica has said to others.
type ballot struct {
	bound   time.Duration // until then it grants no vote of a term greater than
	term    uint64        // that of the leader it acknowledged last
	granted uint64        // greatest term in which it granted a vote
	handed  uint64        // greatest term in which a candidate was asked to take over
}

// leaseOf is how long a leader may answer reads by itself after it was confirmed, and bindingOf how long its followers
// keep to that. Both grow with the election timeout. A clock may run a quarter faster than another.
func leaseOf(election time.Duration) time.Duration   { return election / 2 }
func bindingOf(election time.Duration) time.Duration { return leaseOf(election) * 5 / 4 }

func newBallots(now func() time.Duration, binding time.Duration, bar func(shard, term uint64)) *ballots {
	return &ballots{now: now, binding: binding, bar: bar, of: map[uint64]*ballot{}}
}

// ballot is the shard's, made where there is none. b.mu is held.
func (b *ballots) ballot(shard uint64) *ballot {
	x := b.of[shard]
	if x == nil {
		x = &ballot{}
		b.of[shard] = x
	}
	return x
}

// restarted binds a replica that was there before this process was.
func (b *ballots) restarted(shard uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ballot(shard).bound = b.now() + b.binding
}

// acknowledge says whether an acknowledgement of a leader of that term may leave.
func (b *ballots) acknowledge(shard, term uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.ballot(shard)
	if x.granted > term {
		return false
	}
	if term >= x.term {
		x.bound, x.term = b.now()+b.binding, term
	}
	return true
}

// grant says whether a vote may leave.
func (b *ballots) grant(shard, term uint64) bool {
	if !b.vote(shard, term) {
		return false
	}
	if term > 0 {
		b.bar(shard, term-1)
	}
	return true
}

func (b *ballots) vote(shard, term uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.ballot(shard)
	if term > x.handed && term > x.term && b.now() < x.bound {
		return false
	}
	x.granted = max(x.granted, term)
	return true
}

// asked notes that a candidate of that term was asked by its leader to take over.
func (b *ballots) asked(shard, term uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.ballot(shard)
	x.handed = max(x.handed, term)
}

// pass gives those of the messages that may leave. The list is Dragonboat's: it is copied where one may not.
func (b *ballots) pass(all []pb.Message) []pb.Message {
	for i := range all {
		if b.may(&all[i]) {
			continue
		}
		kept := append([]pb.Message(nil), all[:i]...)
		for j := i + 1; j < len(all); j++ {
			if b.may(&all[j]) {
				kept = append(kept, all[j])
			}
		}
		return kept
	}
	return all
}

func (b *ballots) may(m *pb.Message) bool {
	switch m.Type {
	case pb.HeartbeatResp, pb.ReplicateResp:
		return b.acknowledge(m.ShardID, m.Term)
	case pb.RequestVoteResp:
		return m.Reject || b.grant(m.ShardID, m.Term)
	case pb.TimeoutNow:
		b.bar(m.ShardID, m.Term)
	}
	return true
}
