package bench

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"dmalloc/client"
	"dmalloc/message"
)

// mapHeap is a heap in a map.
type mapHeap struct {
	mu   sync.Mutex
	next message.Addr
	all  map[message.Addr][]byte
	regs sync.Map
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

func (h *mapHeap) ReadRegister(_ context.Context, address uint64) (client.Register, error) {
	if b, ok := h.regs.Load(address); ok {
		return client.Register{Value: b.([]byte)}, nil
	}
	return client.Register{}, message.Errorf(message.NotWritten, "%d", address)
}

func (h *mapHeap) WriteRegister(_ context.Context, address uint64, value []byte) (message.Tag, error) {
	h.regs.Store(address, bytes.Clone(value))
	return message.Tag{}, nil
}

// A client that loses nothing is still measured, and one that reads what was not written is found out.
func TestLost(t *testing.T) {
	h := &mapHeap{all: map[message.Addr][]byte{}}
	away := 0
	b := Breaker{Name: "gone", Break: func(context.Context, message.NodeID) error { away++; return nil }, Mend: func(context.Context, message.NodeID) error { return nil }}
	row, err := Lost(t.Context(), h, 7, []message.NodeID{0, 1, 2}, b, 3, 5*time.Millisecond)
	if err != nil || row.Count != 3 || away != 3 {
		t.Fatalf("%+v, %v, %d times", row, err, away)
	}
	if _, err := Lost(t.Context(), deaf{h}, 7, []message.NodeID{0}, b, 1, 5*time.Millisecond); err == nil {
		t.Fatal("a lost write was not noticed")
	}
}

// deaf is a heap that forgets what is written to registers.
type deaf struct{ *mapHeap }

func (deaf) WriteRegister(context.Context, uint64, []byte) (message.Tag, error) {
	return message.Tag{}, nil
}

func TestRunCountsAndCleansUp(t *testing.T) {
	h := &mapHeap{all: map[message.Addr][]byte{}}
	r, err := Run(t.Context(), Config{Mix: Mix{"malloc": 1, "free": 1, "write": 2, "read": 2, "pair": 1, "regwrite": 1, "regread": 1}, Size: 32, Clients: 4, Length: 20 * time.Millisecond, Heaps: []Heap{h}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 8 || r.Rows[7].Operation != "total" {
		t.Fatalf("rows %+v", r.Rows)
	}
	sum := 0
	for _, row := range r.Rows[:7] {
		sum += row.Count
		if row.Errors != 0 || row.P50 > row.P99 || row.P99 > row.Max {
			t.Errorf("%+v", row)
		}
	}
	if sum != r.Rows[7].Count || sum == 0 {
		t.Errorf("total %d, sum %d", r.Rows[7].Count, sum)
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
