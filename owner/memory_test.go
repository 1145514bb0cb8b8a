package owner

import (
	"sync/atomic"
	"testing"

	"dmalloc/company"
	"dmalloc/message"
)

// stalled takes nothing until it is let go.
type stalled struct{ begun, goOn chan struct{} }

func (w stalled) Write(p []byte) (int, error) {
	select {
	case w.begun <- struct{}{}:
	default:
	}
	<-w.goOn
	return len(p), nil
}

// While a snapshot is written, the pages that the state has since replaced are counted, and not a moment longer.
func TestSnapshotsAreCounted(t *testing.T) {
	m := &machine{state: NewHeap(company.Config{ID: 1, Capacity: 1 << 20}), waiting: map[uint64]chan []company.Result{}}
	r := &Replica{machine: m, writes: newQueue(new(atomic.Int64)), reads: newQueue(new(atomic.Int64))}
	index := uint64(0)
	do := func(op message.Op, a message.Addr, size uint64, data []byte) {
		index++
		q := message.New(op)
		q.Address, q.Size, q.Data = a, size, data
		var x company.Applied
		if m.state.ApplyTo(&x, index, &message.Batch{Messages: []*message.Message{q}}); x.Results[0].Code != message.Done {
			t.Fatal(x.Results[0])
		}
	}
	const n = 16
	first := message.CompanyID(1).Base() + message.PageSize
	write := func(b byte) {
		for i := range n {
			do(message.WRITE, first+message.Addr(i*message.PageSize), 1, []byte{b})
		}
	}
	counted := func(when string, pages, snapshots uint64) {
		t.Helper()
		if got := r.Memory(); got.Pages != pages*message.PageSize || got.Snapshots != snapshots*message.PageSize {
			t.Errorf("%s: %+v, want %d and %d pages", when, got, pages, snapshots)
		}
	}
	do(message.MALLOC, 0, n*message.PageSize, nil)
	write(1)
	for round := range 2 {
		s, err := m.PrepareSnapshot()
		if err != nil {
			t.Fatal(err)
		}
		w := stalled{make(chan struct{}, 1), make(chan struct{})}
		done := make(chan error, 1)
		go func() { done <- m.SaveSnapshot(s, w, nil, nil) }()
		<-w.begun
		counted("before a write", n, 0)
		write(byte(2 + round))
		counted("after it", n, n)
		close(w.goOn)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		counted("after the snapshot", n, 0)
	}
}

// The queues of a node share a bound (O4), and give back what they took of it.
func TestQueuesShareABound(t *testing.T) {
	var all atomic.Int64
	a, b := newQueue(&all), newQueue(&all)
	m := &message.Message{Data: make([]byte, message.MaxData)}
	put := func(q *queue) (n int) {
		for q.put(request{m: m}) {
			n++
		}
		return n
	}
	if n, k := put(a), put(b); n != maxQueuedBytes/message.MaxData || k != (maxQueuedAll-maxQueuedBytes)/message.MaxData {
		t.Fatalf("%d and %d requests were taken", n, k)
	}
	if a.load() < maxQueuedBytes {
		t.Errorf("%d bytes are counted", a.load())
	}
	taken := len(a.take(nil))
	if n := put(b); n != taken {
		t.Errorf("%d were taken by one, the other took %d", taken, n)
	}
	a.close()
	for b.load() > 0 {
		b.done(len(b.take(nil)), 0)
	}
	if all.Load() != 0 {
		t.Errorf("%d bytes are counted in empty queues", all.Load())
	}
}
