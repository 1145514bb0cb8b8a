package client

import (
	"context"
	"sync"
	"testing"
	"time"

	"dmalloc/message"
	"dmalloc/transport"
)

// far is a Carrier to nodes whose answers come only when the test says so, as if the way were long.
type far struct {
	mu   sync.Mutex
	sent []copySent
	more chan struct{}
}

type copySent struct {
	to     message.NodeID
	m      message.Message
	sink   transport.Sink
	tag    uint64
	closed bool
}

func (s copySent) done(a *message.Message, err error) { s.sink.Done(s.tag, a, err) }

func (f *far) Ask(to message.NodeID, m *message.Message, s transport.Sink, tag uint64) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, copySent{to: to, m: *m, sink: s, tag: tag})
	select {
	case f.more <- struct{}{}:
	default:
	}
	return uint64(len(f.sent))
}

func (f *far) Forget(id uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent[id-1].closed = true
}

func (f *far) Heard(message.NodeID) time.Time  { return time.Time{} }
func (f *far) SetDirectory(*message.Directory) {}
func (f *far) writes(to message.NodeID) (all []copySent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sent {
		if s.m.Op == message.WRITE && s.to == to {
			all = append(all, s)
		}
	}
	return all
}

// begin writes in the background and returns once a node has a copy of the write.
func (f *far) begin(t *testing.T, ctx context.Context, to message.NodeID, copies int) (end chan error) {
	h, err := New(Config{Carrier: f, Directory: three(), Attempt: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	end = make(chan error, 1)
	go func() {
		_, err := h.WriteAt(ctx, []byte("x"), message.HeapBase+message.PageSize)
		end <- err
	}()
	for len(f.writes(to)) < copies {
		select {
		case <-f.more:
		case err := <-end:
			t.Fatalf("it ended first: %v", err)
		}
	}
	return end
}

// An answer counts that comes when all the others have been asked since.
func TestLateAnswerCounts(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f := &far{more: make(chan struct{}, 1)}
	end := f.begin(t, ctx, 2, 1) // nodes 0 and 1 gave no sign of life
	first := f.writes(0)[0]
	if first.closed {
		t.Fatal("the first copy was given up")
	}
	first.done(serve(&first.m), nil)
	if err := <-end; err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sent {
		if s.to != 0 && !s.closed {
			t.Errorf("node %s is still asked", s.to)
		}
	}
}

// What is silent for long gets few copies, and never more of them at once than there is room for.
func TestCopiesAreBounded(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	f := &far{more: make(chan struct{}, 1)}
	end := f.begin(t, ctx, 0, mostAttempts+1)
	all := f.writes(0)
	open := 0
	for _, s := range all {
		if s.m.Seq != all[0].m.Seq {
			t.Errorf("copies have the numbers %d and %d", all[0].m.Seq, s.m.Seq)
		}
		if !s.closed {
			open++
		}
	}
	if open > mostAttempts {
		t.Errorf("%d copies are under way to one node", open)
	}
	if err := <-end; message.CodeOf(err) != message.Unavailable {
		t.Errorf("%v", err)
	}
}
