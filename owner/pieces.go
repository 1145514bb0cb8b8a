package owner

import (
	"github.com/lni/dragonboat/v4/raftio"
	pb "github.com/lni/dragonboat/v4/raftpb"
)

// What is read from the log at once is bounded. Dragonboat reads up to 64 MiB for a replica that is behind, in the
// goroutine that also sends its leader's heartbeats, and sends them as one message: the followers took the leader for
// dead meanwhile, elected another one, which did the same, and so on until the replica had caught up. And as long as it
// had not answered, it was sent the same again with each heartbeat.
const (
	pieceBytes   = 4 << 20 // but for an entry that is larger alone
	pieceEntries = 256     // each is looked up by itself, which takes about a tenth of a millisecond
)

// pieces is a log of which no more than a piece is read at once.
type pieces struct{ raftio.ILogDB }

// IterateEntries appends entries to ents. A size above maxSize tells Dragonboat that there are more; it then leaves out
// the last one of them, if it is not the only one.
func (p pieces) IterateEntries(ents []pb.Entry, size, shard, replica, low, high, maxSize uint64) ([]pb.Entry, uint64, error) {
	if maxSize == 0 { // one entry
		return p.ILogDB.IterateEntries(ents, size, shard, replica, low, high, maxSize)
	}
	most, end := min(maxSize, pieceBytes), min(high, low+pieceEntries)
	had := uint64(len(ents))
	ents, size, err := p.ILogDB.IterateEntries(ents, size, shard, replica, low, end, most)
	if err == nil && (size > most || end < high && uint64(len(ents))-had == end-low) {
		size = max(size, maxSize+1)
	}
	return ents, size, err
}
