package node

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"dmalloc/message"
)

// A node that asks for a lease again while it writes under the old one loses nothing of what it has absorbed: what is
// on its way to the log under the old token would be fenced by its own new lease.
func TestRenewalFencesNothing(t *testing.T) {
	h := newHerd(t, 1, -1, func(s *message.Settings) { s.WriteBack = true })
	n := h.any()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	x, err := n.heap.Malloc(ctx, 3*message.PageSize)
	if err != nil {
		t.Fatal(err)
	}
	renew := func() error { _, err := n.heap.Lease(ctx, x.Address, "w", 30*time.Second); return err }
	if err := renew(); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() { // sends what is absorbed beside it to the log, before each addition
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := n.heap.FetchAdd(ctx, x.Address+64, 1); err != nil {
				t.Errorf("add: %v", err)
				return
			}
		}
	})
	others.Go(func() {
		for range 300 {
			if err := renew(); err != nil {
				t.Errorf("lease: %v", err)
				break
			}
		}
		close(stop)
	})
	var last []byte
	for i := byte(1); ; i++ {
		last = bytes.Repeat([]byte{i}, 32)
		if _, err := n.heap.Write(ctx, last, x.Address); err != nil {
			t.Fatalf("write: %v", err)
		}
		select {
		case <-stop:
		default:
			continue
		}
		break
	}
	others.Wait()
	if lost := n.holder.cache.Stats().Lost; lost != 0 {
		t.Errorf("%d bytes that were absorbed are lost", lost)
	}
	// Where a renewal's answer came too late to be used the lease is over already, and everything was written back before.
	if _, err := n.heap.Release(ctx, x.Address); err != nil && message.CodeOf(err) != message.Fenced {
		t.Fatal(err)
	}
	if lost := n.holder.cache.Stats().Lost; lost != 0 {
		t.Errorf("%d bytes that were absorbed are lost in the end", lost)
	}
	got := make([]byte, len(last))
	if err := n.heap.ReadAt(ctx, got, x.Address); err != nil || !bytes.Equal(got, last) {
		t.Errorf("the log has %d, %v; written was %d", got[0], err, last[0])
	}
}

// A write that was under way while the holder began anew is not absorbed: nobody here knows whether it was before.
func TestWriteOfAnotherSession(t *testing.T) {
	h := newHerd(t, 1, -1, func(s *message.Settings) { s.WriteBack = true })
	n := h.any()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	x, err := n.heap.Malloc(ctx, message.PageSize)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.heap.Lease(ctx, x.Address, "w", 30*time.Second); err != nil {
		t.Fatal(err)
	}
	write := func(session, seq uint64) *message.Message {
		m := message.New(message.WRITE)
		m.Company, _ = x.Address.Company()
		m.Address, m.Size, m.Data = x.Address, 4, []byte("late")
		m.Client, m.Seq, m.Low, m.Value, m.Flags = message.ClientID{9}, seq, seq, session, message.WriteBack
		got := make(chan *message.Message, 1)
		n.holder.write(m, func(a *message.Message) { got <- a }, func(*message.Message, func(*message.Message)) { t.Error("it was handed on") })
		return <-got
	}
	if a := write(n.holder.session-1, 1); a.Status != message.Fenced || a.Value == n.holder.session || n.holder.cache.Stats().Dirty != 0 {
		t.Errorf("of the session before: %v, %d bytes are dirty", a.Status, n.holder.cache.Stats().Dirty)
	}
	if a := write(n.holder.session, 2); a.Status != message.Done || a.Flags&message.WriteBack == 0 || n.holder.cache.Stats().Dirty == 0 {
		t.Errorf("of this session: %v", a.Err())
	}
}

// Who gives a lease back hears what of its writes is lost: the leader has ended it before they were written back.
func TestReleaseSaysWhatIsLost(t *testing.T) {
	h := newHerd(t, 1, -1, func(s *message.Settings) { s.WriteBack = true })
	n := h.any()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	x, err := n.heap.Malloc(ctx, message.PageSize)
	if err != nil {
		t.Fatal(err)
	}
	l, err := n.heap.Lease(ctx, x.Address, "w", 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if w, err := n.heap.Write(ctx, []byte("gone"), x.Address); err != nil || !w.WriteBack {
		t.Fatal(w, err)
	}
	if _, err := n.holder.giveBack(ctx, l); err != nil { // as if it had expired
		t.Fatal(err)
	}
	if got, err := n.heap.Release(ctx, x.Address); message.CodeOf(err) != message.Fenced || got.Token != l.Token || !strings.Contains(err.Error(), "lost are 4 at "+x.Address.String()) {
		t.Errorf("release: %+v, %v", got, err)
	}
	if _, err := n.heap.Sync(ctx, 0); err != nil {
		t.Errorf("sync says it once more: %v", err)
	}
}
