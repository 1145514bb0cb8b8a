package bench

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/message"
)

// Killer ends, freezes and starts nodes; a launcher is one.
type Killer interface {
	Kill(ctx context.Context, id message.NodeID) error
	Revive(ctx context.Context, id message.NodeID, wipe bool, progress func(string)) error
	Pause(ctx context.Context, id message.NodeID) error
	Resume(ctx context.Context, id message.NodeID) error
}

// Failover kills the node that leads the company of one allocation, again and again, and measures the
// time from the kill to the next write that is acknowledged.
func Failover(ctx context.Context, h Heap, leader func(ctx context.Context, a message.Addr) (message.NodeID, error), k Killer, rounds int) (Row, error) {
	a, err := h.Malloc(ctx, 16)
	if err != nil {
		return Row{}, err
	}
	defer func() { _ = h.Free(context.WithoutCancel(ctx), a.Address) }()
	var took []time.Duration
	begin := time.Now()
	for i := range rounds {
		if _, err := h.WriteAt(ctx, []byte("before the kill!"), a.Address); err != nil {
			return Row{}, err
		}
		node, err := leader(ctx, a.Address)
		if err != nil {
			return Row{}, err
		}
		start := time.Now()
		if err := k.Kill(ctx, node); err != nil {
			return Row{}, fmt.Errorf("kill node %s: %w", node, err)
		}
		want := fmt.Appendf(nil, "after kill %05d", i)
		if _, err := h.WriteAt(ctx, want, a.Address); err != nil {
			return Row{}, err
		}
		took = append(took, time.Since(start))
		got := make([]byte, len(want))
		if err := h.ReadAt(ctx, got, a.Address); err != nil || !bytes.Equal(got, want) {
			return Row{}, fmt.Errorf("read %q (%v) after %q was written", got, err, want)
		}
		if err := k.Revive(ctx, node, false, func(string) {}); err != nil {
			return Row{}, fmt.Errorf("revive node %s: %w", node, err)
		}
	}
	return Sum("kill of the leader to the next write", took, 0, 0, time.Since(begin)), nil
}

// Allocations makes total allocations of size bytes, clients at a time, and measures MALLOC when there
// are few and when there are many. It leaves them live; the caller looks at memory and frees.
func Allocations(ctx context.Context, h Heap, total, few, clients int, size uint64, progress func(done int)) (early, late Row, live []message.Addr, err error) {
	live = make([]message.Addr, total)
	var done atomic.Int64
	fill := func(from, to int) error {
		var wg sync.WaitGroup
		var first atomic.Pointer[error]
		next := atomic.Int64{}
		next.Store(int64(from))
		for range clients {
			wg.Go(func() {
				for first.Load() == nil {
					i := int(next.Add(1)) - 1
					if i >= to {
						return
					}
					a, err := h.Malloc(ctx, size)
					if err != nil {
						first.Store(&err)
						return
					}
					live[i] = a.Address
					if n := done.Add(1); n%10_000 == 0 {
						progress(int(n))
					}
				}
			})
		}
		wg.Wait()
		if p := first.Load(); p != nil {
			return *p
		}
		return nil
	}
	if err := fill(0, few); err != nil {
		return early, late, live, err
	}
	if early, err = sample(ctx, h, fmt.Sprintf("malloc with %d live", few), size); err != nil {
		return early, late, live, err
	}
	if err := fill(few, total); err != nil {
		return early, late, live, err
	}
	late, err = sample(ctx, h, fmt.Sprintf("malloc with %d live", total), size)
	return early, late, live, err
}

// sample measures one client's MALLOC, freeing what it got.
func sample(ctx context.Context, h Heap, name string, size uint64) (Row, error) {
	const rounds = 1000
	var took []time.Duration
	begin := time.Now()
	for range rounds {
		start := time.Now()
		a, err := h.Malloc(ctx, size)
		if err != nil {
			return Row{}, err
		}
		took = append(took, time.Since(start))
		if err := h.Free(ctx, a.Address); err != nil {
			return Row{}, err
		}
	}
	return Sum(name, took, 0, 0, time.Since(begin)), nil
}

// Stream writes and reads back total bytes in steps of 16 MiB and reports MB/s of both.
func Stream(ctx context.Context, h Heap, total uint64) (write, read Row, err error) {
	a, err := h.Malloc(ctx, total)
	if err != nil {
		return write, read, err
	}
	defer func() { _ = h.Free(context.WithoutCancel(ctx), a.Address) }()
	const step = 16 << 20
	buf, got := make([]byte, step), make([]byte, step)
	for i := range buf {
		buf[i] = byte(i * 7)
	}
	pass := func(name string, f func(p []byte, a message.Addr) error) (Row, error) {
		var took []time.Duration
		begin := time.Now()
		for off := uint64(0); off < total; off += step {
			n := min(step, total-off)
			start := time.Now()
			if err := f(buf[:n], a.Address+message.Addr(off)); err != nil {
				return Row{}, fmt.Errorf("at offset %d: %w", off, err)
			}
			took = append(took, time.Since(start))
		}
		return Sum(name, took, 0, int(total), time.Since(begin)), nil
	}
	if write, err = pass("file write", func(p []byte, a message.Addr) error {
		_, err := h.WriteAt(ctx, p, a)
		return err
	}); err != nil {
		return write, read, err
	}
	read, err = pass("file read", func(p []byte, a message.Addr) error {
		if err := h.ReadAt(ctx, got[:len(p)], a); err != nil {
			return err
		}
		if !bytes.Equal(got[:len(p)], p) {
			return fmt.Errorf("what was read at %s is not what was written", a)
		}
		return nil
	})
	return write, read, err
}
