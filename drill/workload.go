package drill

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"dmalloc/message"
)

// worker is one client of the run: it calls one thing after another until it is stopped.
type worker struct {
	caller
	work *workload
	dice *rand.Rand
	own  []*target // allocations of its own, written and not yet freed
	held holding

	// Where it is, of the nodes that there were when it looked last.
	dial    Dial
	close   func()
	place   int
	settled *[]message.NodeID
	retry   time.Time

	// leases are those that it takes.
	leases Leasing
	// limbo are allocations whose free had no answer. They must not be freed again while others work: the
	// address may be somebody else's by now.
	limbo []message.Allocation
}

// workload is what the clients of a run share.
type workload struct {
	keys    *keyring
	numbers atomic.Uint64                    // of cells, and what makes sizes differ
	next    atomic.Uint64                    // the next register that nobody used
	nodes   atomic.Pointer[[]message.NodeID] // that there are since some came or went; nil before
	tended  tended
}

const (
	mostOwn  = 4       // allocations that a client holds besides the hot keys
	sizeTurn = 60_000  // sizes repeat after so many allocations
	bigBlock = 1 << 16 // added to the size of every fourth allocation
)

// size is one that hardly any other allocation of the run has, so that the table tells whose is which.
func (w *workload) size(least uint64) (number, size uint64) {
	number = w.numbers.Add(1)
	size = least + number%sizeTurn
	if number%4 == 0 {
		size += bigBlock
	}
	return number, size
}

// run calls until stop is closed or nothing more can be recorded, which it says, at most one call every interval.
func (w *worker) run(ctx context.Context, stop <-chan struct{}, interval time.Duration) (full bool) {
	for wait := time.Duration(0); ; {
		if !rests(ctx, stop, wait) {
			return false
		}
		w.settle(ctx)
		began := time.Now()
		if errors.Is(w.step(ctx), errFull) {
			return true
		}
		wait = interval - time.Since(began)
	}
}

// rests waits, if there is anything to wait for, and says whether to go on.
func rests(ctx context.Context, stop <-chan struct{}, wait time.Duration) bool {
	if wait <= 0 {
		select {
		case <-stop:
			return false
		default:
			return ctx.Err() == nil
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-stop:
		return false
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// step makes a call or two.
func (w *worker) step(ctx context.Context) error {
	if t := w.work.keys.oldest(); t != nil {
		return w.dismiss(ctx, t)
	}
	if w.leases != NoLeases && w.dice.IntN(leaseTurn) == 0 {
		return w.hold(ctx)
	}
	if w.back && w.leases == AnyLease {
		switch {
		case len(w.own) > 0 && w.dice.IntN(tendTurn) == 0:
			return w.tend(ctx)
		case w.dice.IntN(visitTurn) == 0:
			return w.visit(ctx)
		}
	}
	if w.dice.IntN(8) == 0 {
		return w.churn(ctx)
	}
	i := w.favorite()
	t, calm, make := w.work.keys.pick(i)
	if t == nil {
		if make {
			t, err := w.fresh(ctx, w.work.keys.slots[i].shape)
			w.work.keys.put(i, t)
			return err
		}
		return w.churn(ctx)
	}
	o, out, err := w.hot(ctx, t, calm)
	w.work.keys.done(i, t, calm, out == Unknown && o.changes())
	return err
}

// hot makes one call to a hot key.
func (w *worker) hot(ctx context.Context, t *target, calm bool) (Op, Outcome, error) {
	d := w.dice.IntN(100)
	if calm || d < 50 {
		return w.read(ctx, t)
	}
	switch t.shape {
	case counter:
		return w.add(ctx, t)
	case word:
		switch {
		case d < 65:
			return w.swap(ctx, t)
		case d < 80:
			return w.add(ctx, t)
		}
	}
	return w.write(ctx, t, d == 99)
}

// fresh makes a target of which nothing is known yet but that it is new.
func (w *worker) fresh(ctx context.Context, s shape) (*target, error) {
	if s == register {
		k := Key{Registers, w.work.next.Add(1) - 1}
		r, err := w.heapRegister(ctx, k.ID)
		if r || err != nil {
			return nil, nil // written by others before, or no answer: try the next one
		}
		return &target{shape: s, key: k}, nil
	}
	number, size := w.work.size(cellBytes)
	a, out, err := w.malloc(ctx, size)
	if out != Answered {
		return nil, full(err)
	}
	return newCell(s, number, a), nil
}

// heapRegister says whether a register was ever written. The run has not begun for it, so nothing is recorded.
func (w *worker) heapRegister(ctx context.Context, address uint64) (written bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	_, err = w.heap.ReadRegister(ctx, address)
	if message.CodeOf(err) == message.NotWritten {
		return false, nil
	}
	return err == nil, err
}

// full keeps of an error only that the recorder is full; all else is an outcome, and recorded.
func full(err error) error {
	if errors.Is(err, errFull) {
		return err
	}
	return nil
}

// churn allocates, or ends the life of what was allocated: new bytes must read as zero, and freed ones
// must not be read any more.
func (w *worker) churn(ctx context.Context) error {
	if len(w.own) > 0 && (len(w.own) >= mostOwn || w.dice.IntN(2) == 0) {
		i := w.dice.IntN(len(w.own))
		t := w.own[i]
		w.own[i] = w.own[len(w.own)-1]
		w.own = w.own[:len(w.own)-1]
		return w.endOwn(ctx, t)
	}
	number, size := w.work.size(cellBytes)
	a, out, err := w.malloc(ctx, size)
	if out != Answered {
		return full(err)
	}
	t := newCell(span, number, a)
	w.own = append(w.own, t)
	if _, _, err := w.read(ctx, t); full(err) != nil {
		return err
	}
	w.work.tended.add(t)
	if w.leases != NoLeases && w.dice.IntN(4) == 0 { // what is freed has ended before: no copy may tell of it then
		mode, length := w.draw()
		if _, err := w.lease(ctx, t, mode, length); err != nil {
			return err
		}
	}
	_, _, err = w.write(ctx, t, false)
	return full(err)
}

// endOwn reads an allocation for the last time, frees it and looks whether it is gone.
func (w *worker) endOwn(ctx context.Context, t *target) error {
	w.work.tended.close(t)
	if _, _, err := w.read(ctx, t); full(err) != nil {
		w.own = append(w.own, t)
		return err
	}
	o, out, err := w.free(ctx, t.block)
	switch {
	case full(err) != nil:
		w.own = append(w.own, t)
		return err
	case out != Answered:
		w.limbo = append(w.limbo, t.block)
	case o.Code == message.Done:
		_, _, err = w.peek(ctx, t)
		return full(err)
	}
	return nil
}

// dismiss ends the life of a target that retired long ago.
func (w *worker) dismiss(ctx context.Context, t *target) error {
	if t.shape == register {
		_, _, err := w.read(ctx, t)
		return full(err)
	}
	return w.endOwn(ctx, t)
}
