package client

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"dmalloc/message"
	"dmalloc/transport"
)

// instant is a Carrier whose nodes answer at once, so that what is measured is the client alone.
type instant struct{ index atomic.Uint64 }

func (c *instant) Ask(to message.NodeID, m *message.Message, s transport.Sink, tag uint64) uint64 {
	a := m.Answer(message.Done, "")
	a.Size, a.Address, a.Index, a.Term = m.Size, m.Address, c.index.Add(1), 1
	if m.Op == message.MALLOC {
		a.Address = message.HeapBase + message.PageSize
	}
	if m.Op == message.READ {
		a.Data = make([]byte, m.Size)
	}
	s.Done(tag, a, nil)
	return 0
}

func (c *instant) Forget(uint64) {}

func (c *instant) Heard(message.NodeID) time.Time  { return time.Now() }
func (c *instant) SetDirectory(*message.Directory) {}

func benchmarkClient(b *testing.B, do func(ctx context.Context, h *Heap) error) {
	h, err := New(Config{Carrier: &instant{}, Directory: three()})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		if err := do(ctx, h); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite16(b *testing.B) {
	p := make([]byte, 16)
	benchmarkClient(b, func(ctx context.Context, h *Heap) error {
		_, err := h.WriteAt(ctx, p, message.HeapBase+message.PageSize)
		return err
	})
}

func BenchmarkRead16(b *testing.B) {
	p := make([]byte, 16)
	benchmarkClient(b, func(ctx context.Context, h *Heap) error { return h.ReadAt(ctx, p, message.HeapBase+message.PageSize) })
}

func BenchmarkMallocFree(b *testing.B) {
	benchmarkClient(b, func(ctx context.Context, h *Heap) error {
		a, err := h.Malloc(ctx, 16)
		if err != nil {
			return err
		}
		return h.Free(ctx, a.Address)
	})
}

// What a call allocates costs every user, twice: when it is made and when it is collected.
func TestAllocations(t *testing.T) {
	h, err := New(Config{Carrier: &instant{}, Directory: three()})
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 16)
	for name, c := range map[string]struct {
		most float64
		do   func() error
	}{
		"write": {18, func() error { _, err := h.WriteAt(t.Context(), p, message.HeapBase+message.PageSize); return err }},
		"read":  {17, func() error { return h.ReadAt(t.Context(), p, message.HeapBase+message.PageSize) }},
	} {
		if n := testing.AllocsPerRun(1000, func() {
			if err := c.do(); err != nil {
				t.Fatal(err)
			}
		}); n > c.most {
			t.Errorf("a %s allocates %v times; at most %v", name, n, c.most)
		}
	}
}
