package owner

import (
	"sync"

	"dmalloc/message"
)

// mostLent is the largest entry whose memory is used again: any but one that a single message makes larger.
const mostLent = message.MaxBatch + 64<<10

// entries are memory for long entries between their encoding and Dragonboat's copy of them.
var entries sync.Pool

// entryMemory is empty memory for an entry of about so many bytes.
func entryMemory(size int) []byte {
	if size < partFrom {
		return make([]byte, 0, size)
	}
	if b, ok := entries.Get().(*[]byte); ok && cap(*b) >= size {
		return (*b)[:0]
	}
	return make([]byte, 0, max(size, mostLent))
}

// lend has an entry's memory used again.
func lend(entry []byte) {
	if cap(entry) == mostLent {
		entries.Put(&entry)
	}
}

// encode drops what only mattered on the way here.
func encode(b *message.Batch, batch []request) ([]byte, error) {
	size := 64
	for _, q := range batch {
		size += 96 + len(q.m.Data) + len(q.m.Blocks)*40
	}
	buf := b.AppendHead(entryMemory(size), len(batch))
	for _, q := range batch {
		m := *q.m
		m.Source, m.Target, m.Epoch, m.Path = message.NoNode, message.NoNode, 0, nil
		m.Flags &= message.PartOf | message.Exclusive | message.WriteBack
		if m.Op == message.LEASE { // it is this leader who decides, now
			m.Term = b.Term
		}
		var err error
		if buf, err = message.AppendMessage(buf, &m); err != nil {
			return nil, err
		}
	}
	return buf, nil
}
