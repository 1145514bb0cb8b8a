package disk

import (
	"log/slog"
	"time"

	"dmalloc/message"
)

// MaxValue is the largest value of a register and the largest named blob, as messages carry them.
const MaxValue = message.MaxData

const (
	defaultSegmentSize = 64 << 20
	maxSegmentSize     = 1 << 30 // an entry has 32 bits for an offset
	defaultQueueBytes  = 32 << 20

	groupBytes   = 4 << 20   // so much goes into one sync, when so much waits
	groupRecords = 8192      // and so many records: readers wait while they get into the index
	opCost       = 128       // of memory for what waits, besides its value
	deadBytes    = 4 << 20   // so much must be dead before it is worth a compaction
	stepBytes    = 256 << 10 // a compaction moves about so much at a time
	pageEntries  = 1024      // walks over the index hold its lock for so many entries
	maxKept      = 64        // named blobs
	maxName      = 64        // bytes of a blob's name
	maxCluster   = 255       // bytes of a cluster's name
	maxManifest  = 128 << 20
	scanBuffer   = 1 << 20
	firstSegment = 1
)

// Disk is asked before files are changed, so that drills can fill a disk or slow it down.
type Disk interface {
	BeforeWrite(n int) error // n bytes are to be written, or 0: a file is to be made
	BeforeSync() error       // what was written is to be made durable; may wait
}

// Identity says whose registers these are. Files of another cluster, node or incarnation are refused.
type Identity struct {
	Cluster     string
	Node        message.NodeID
	Incarnation uint64
}

// Options change how a store works. The zero value is good.
type Options struct {
	SegmentSize int64 // of a file, about; 0 means 64 MiB, at most 1 GiB
	QueueBytes  int   // what may wait for the writer; 0 means 32 MiB. Beyond it Put and Keep say Busy.

	// Shard is the part of the registers that one belongs to, from 0 to Shards-1. Both must never change
	// for files that are there: Forget writes down shards, not registers. 0 means one shard.
	Shards int
	Shard  func(message.RegisterID) int

	Disk   Disk                               // asked before the real one is used; nil: always well
	Known  bool                               // the store was opened before: an empty directory is damage
	Log    *slog.Logger                       // nil: nothing is logged
	Synced func(d time.Duration, records int) // told of each sync of records; must not block

	// Together runs a function that calls many done, so that what they send can be sent together. nil: it is just run.
	Together func(func())

	dead int64 // deadBytes, for tests
}

func (o Options) withDefaults() (Options, error) {
	if o.SegmentSize == 0 {
		o.SegmentSize = defaultSegmentSize
	}
	if o.QueueBytes == 0 {
		o.QueueBytes = defaultQueueBytes
	}
	if o.Shards == 0 {
		o.Shards = 1
	}
	if o.Shard == nil {
		o.Shard = func(message.RegisterID) int { return 0 }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Synced == nil {
		o.Synced = func(time.Duration, int) {}
	}
	if o.Together == nil {
		o.Together = func(f func()) { f() }
	}
	if o.dead == 0 {
		o.dead = deadBytes
	}
	if o.SegmentSize < 0 || o.SegmentSize > maxSegmentSize || o.QueueBytes < 0 || o.Shards < 0 {
		return o, message.Errorf(message.InvalidArgument,
			"segments of %d bytes, a queue of %d bytes, %d shards: sizes are positive, and a segment has at most %d bytes",
			o.SegmentSize, o.QueueBytes, o.Shards, maxSegmentSize)
	}
	return o, nil
}

// Record is what is durable of a register.
type Record struct {
	Tag   message.Tag
	Size  int    // of the value
	Value []byte // the caller's; nil where it was left out
}

// Entry is a register in a list.
type Entry struct {
	ID   message.RegisterID
	Tag  message.Tag
	Size int // of the value
}

// Stats are a store's numbers.
type Stats struct {
	Registers   int
	LiveBytes   int64 // of the records that count
	DiskBytes   int64 // of all segments
	Segments    int
	Syncs       uint64 // of groups of records
	Records     uint64 // written by puts
	Moved       uint64 // written again by compactions
	Compactions uint64 // segments that were emptied and removed
	Queued      int    // what waits for the writer
	QueuedBytes int
	RecentBytes int64 // of values kept in memory
	Full        bool  // the disk had no room for the last group
}
