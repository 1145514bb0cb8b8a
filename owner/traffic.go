package owner

import (
	"sync/atomic"

	pb "github.com/lni/dragonboat/v4/raftpb"

	"dmalloc/message"
)

// traffic is what Raft had this node send to others, in bytes by kind.
type traffic struct {
	log      atomic.Uint64 // entries
	again    atomic.Uint64 // of those the ones that had been sent to the same replica
	snapshot atomic.Uint64
	other    atomic.Uint64 // heartbeats, acknowledgements, votes
}

// Traffic are the counters of what Raft had this node send.
func (h *Host) Traffic() []message.Counter {
	t := h.traffic
	return []message.Counter{{Name: "raft_log_bytes_out", Value: t.log.Load()}, {Name: "raft_log_again_bytes_out", Value: t.again.Load()},
		{Name: "raft_snapshot_bytes_out", Value: t.snapshot.Load()}, {Name: "raft_other_bytes_out", Value: t.other.Load()}}
}

// reached is which entry was the last that a replica was sent, by group and replica.
type reached map[[2]uint64]uint64

// count takes in a batch that leaves, size bytes in all.
func (t *traffic) count(r reached, batch []pb.Message, size int) {
	log := 0
	for i := range batch {
		m := &batch[i]
		if len(m.Entries) == 0 {
			continue
		}
		to := [2]uint64{m.ShardID, m.To}
		before := r[to]
		for j := range m.Entries {
			e := &m.Entries[j]
			log += e.Size()
			if e.Index <= before {
				t.again.Add(uint64(e.Size()))
			}
		}
		r[to] = max(before, m.Entries[len(m.Entries)-1].Index)
	}
	t.log.Add(uint64(log))
	t.other.Add(uint64(max(0, size-log)))
}
