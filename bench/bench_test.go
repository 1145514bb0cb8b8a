package bench

import (
	"context"
	"sync"
	"testing"
	"time"

	"dmalloc/message"
)

// mapHeap is a heap in a map.
type mapHeap struct {
	mu   sync.Mutex
	next message.Addr
	all  map[message.Addr][]byte
}

func (h *mapHeap) Malloc(_ context.Context, size uint64) (message.Allocation, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next += 1 << 40
	h.all[h.next] = make([]byte, size)
	return message.Allocation{Address: h.next, Size: size}, nil
}

func (h *mapHeap) Free(_ context.Context, a message.Addr) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.all[a]; !ok {
		return message.Errorf(message.NotAllocated, "%s", a)
	}
	delete(h.all, a)
	return nil
}

func (h *mapHeap) at(a message.Addr) []byte { return h.all[a>>40<<40][a&(1<<40-1):] }

func (h *mapHeap) ReadAt(_ context.Context, p []byte, a message.Addr) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	copy(p, h.at(a))
	return nil
}

func (h *mapHeap) WriteAt(_ context.Context, p []byte, a message.Addr) (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	copy(h.at(a), p)
	return 1, nil
}

func TestRunCountsAndCleansUp(t *testing.T) {
	h := &mapHeap{all: map[message.Addr][]byte{}}
	r, err := Run(t.Context(), Config{Mix: Mix{"malloc": 1, "free": 1, "write": 2, "read": 2, "pair": 1}, Size: 32, Clients: 4, Length: 20 * time.Millisecond, Heaps: []Heap{h}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 6 || r.Rows[5].Operation != "total" {
		t.Fatalf("rows %+v", r.Rows)
	}
	sum := 0
	for _, row := range r.Rows[:5] {
		sum += row.Count
		if row.Errors != 0 || row.P50 > row.P99 || row.P99 > row.Max {
			t.Errorf("%+v", row)
		}
	}
	if sum != r.Rows[5].Count || sum == 0 {
		t.Errorf("total %d, sum %d", r.Rows[5].Count, sum)
	}
	if len(h.all) != 0 {
		t.Errorf("%d allocations were left", len(h.all))
	}
}

func TestParseMix(t *testing.T) {
	m, err := ParseMix("write=70, read=30")
	if err != nil || m.String() != "write=70,read=30" {
		t.Errorf("%v %v", m, err)
	}
	for _, s := range []string{"", "walk", "write=x", "write=-1"} {
		if _, err := ParseMix(s); message.CodeOf(err) != message.InvalidArgument {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestStreamSeesWhatIsWrong(t *testing.T) {
	h := &mapHeap{all: map[message.Addr][]byte{}}
	if _, _, err := Stream(t.Context(), h, 9<<20); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Stream(t.Context(), forgetful{h}, 9<<20); err == nil {
		t.Fatal("bytes that were not kept went unnoticed")
	}
}

type forgetful struct{ *mapHeap }

func (f forgetful) WriteAt(ctx context.Context, p []byte, a message.Addr) (uint64, error) {
	return f.mapHeap.WriteAt(ctx, p[:len(p)/2], a)
}
