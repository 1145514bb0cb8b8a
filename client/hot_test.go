package client

import (
	"sync/atomic"
	"testing"
	"time"

	"dmalloc/internal/allocs"
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
	if m.Op == message.FREE {
		a.Size = 16
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

// hot is what programs call again and again. The answer is one allocation of each message, and a read's bytes another: all else is
// used again.
func hot(tb testing.TB) []allocs.Operation {
	h, err := New(Config{Carrier: &instant{}, Directory: three()})
	if err != nil {
		tb.Fatal(err)
	}
	p := make([]byte, 16)
	const at = message.HeapBase + message.PageSize
	do := func(f func() error) func() {
		return func() {
			if err := f(); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return []allocs.Operation{
		{Name: "read", Most: 2, Do: do(func() error { return h.ReadAt(tb.Context(), p, at) })},
		{Name: "write", Most: 1, Do: do(func() error { _, err := h.WriteAt(tb.Context(), p, at); return err })},
		{Name: "a keyed write", Most: 7, Do: do(func() error { _, err := h.Idempotent(message.ClientID{1}).WriteAt(tb.Context(), p, at); return err })},
		{Name: "add", Most: 1, Do: do(func() error { _, err := h.FetchAdd(tb.Context(), at, 1); return err })},
		{Name: "malloc and free", Most: 4, Do: do(func() error {
			a, err := h.Malloc(tb.Context(), 16)
			if err != nil {
				return err
			}
			return h.Free(tb.Context(), a.Address)
		})},
	}
}

// What a call allocates costs every user, twice: when it is made and when it is collected.
func TestAllocations(t *testing.T) { allocs.Test(t, hot(t)...) }

func BenchmarkHot(b *testing.B) { allocs.Bench(b, hot(b)...) }
