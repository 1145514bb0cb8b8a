package owner

import (
	"testing"

	pb "github.com/lni/dragonboat/v4/raftpb"
)

// Entries are counted apart from the rest of a batch, and those that a replica was sent before once more.
func TestTraffic(t *testing.T) {
	entries := func(from, to uint64) (all []pb.Entry) {
		for i := from; i < to; i++ {
			all = append(all, pb.Entry{Index: i, Cmd: make([]byte, 1000)})
		}
		return all
	}
	var c traffic
	r := reached{}
	one := entries(1, 2)[0]
	size := uint64(one.Size())
	for _, row := range []struct {
		name       string
		batch      []pb.Message
		bytes      int
		log, again uint64 // of these entries
		other      uint64
	}{
		{"a heartbeat", []pb.Message{{Type: pb.Heartbeat, ShardID: 1, To: 2}}, 50, 0, 0, 50},
		{"entries", []pb.Message{{Type: pb.Replicate, ShardID: 1, To: 2, Entries: entries(1, 4)}}, int(3*size) + 20, 3, 0, 20},
		{"to another replica", []pb.Message{{Type: pb.Replicate, ShardID: 1, To: 3, Entries: entries(1, 4)}}, int(3 * size), 3, 0, 0},
		{"of another group", []pb.Message{{Type: pb.Replicate, ShardID: 2, To: 2, Entries: entries(1, 2)}}, int(size), 1, 0, 0},
		{"again, and more", []pb.Message{{Type: pb.Replicate, ShardID: 1, To: 2, Entries: entries(2, 6)}, {Type: pb.Heartbeat, ShardID: 1, To: 2}}, int(4*size) + 10, 4, 2, 10},
	} {
		log, again, other := c.log.Load(), c.again.Load(), c.other.Load()
		c.count(r, row.batch, row.bytes)
		log, again, other = c.log.Load()-log, c.again.Load()-again, c.other.Load()-other
		// The size of an entry depends a little on its index.
		if near := func(a, b uint64) bool { return a+20 >= b && b+20 >= a }; !near(log, row.log*size) || !near(again, row.again*size) || !near(other, row.other) {
			t.Errorf("%s: %d bytes of entries, %d again, %d else", row.name, log, again, other)
		}
	}
}
