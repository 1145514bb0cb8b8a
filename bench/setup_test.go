package bench

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"dmalloc/message"
)

// full refuses allocations after some.
type full struct {
	*mapHeap
	left atomic.Int64
}

func (f *full) Malloc(ctx context.Context, size uint64) (message.Allocation, error) {
	if f.left.Add(-1) < 0 {
		return message.Allocation{}, message.Errorf(message.OutOfMemory, "no more")
	}
	return f.mapHeap.Malloc(ctx, size)
}

// A measurement that cannot be set up gives back what it took.
func TestRunGivesBack(t *testing.T) {
	h := &full{mapHeap: &mapHeap{all: map[message.Addr][]byte{}}}
	h.left.Store(10)
	_, err := Run(t.Context(), Config{Mix: Mix{"write": 1}, Size: 16, Clients: 4, Length: time.Millisecond, Heaps: []Heap{h}})
	if message.CodeOf(err) != message.OutOfMemory || len(h.all) != 0 {
		t.Errorf("%v, %d allocations are left", err, len(h.all))
	}
}
