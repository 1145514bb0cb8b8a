package drill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dmalloc/client"
	"dmalloc/message"
)

// Heap is what a client of the drill needs. client.Heap has it.
type Heap interface {
	Malloc(ctx context.Context, size uint64) (message.Allocation, error)
	Free(ctx context.Context, a message.Addr) error
	ReadAt(ctx context.Context, p []byte, a message.Addr) error
	Write(ctx context.Context, p []byte, a message.Addr) (client.Written, error)
	CompareAndSwap(ctx context.Context, a message.Addr, old, new uint64) (current uint64, swapped bool, err error)
	FetchAdd(ctx context.Context, a message.Addr, delta uint64) (old uint64, err error)
	Lookup(ctx context.Context, a message.Addr) (message.Allocation, error)
	Table(ctx context.Context, from message.Addr, limit int) ([]message.Allocation, error)
	ReadRegister(ctx context.Context, address uint64) (client.Register, error)
	WriteRegister(ctx context.Context, address uint64, value []byte) (message.Tag, error)
	Lease(ctx context.Context, a message.Addr, mode string, length time.Duration) (message.Lease, error)
	Release(ctx context.Context, a message.Addr) (message.Lease, error)
	Sync(ctx context.Context, a message.Addr) (uint64, error)
}

// errFull ends a client: what it called further could not be recorded.
var errFull = errors.New("the recorder is full")

// caller makes calls on a heap and records each.
type caller struct {
	heap    Heap
	log     *Log
	timeout time.Duration
	buf     [spanSize]byte

	back bool           // holders may absorb writes
	home message.NodeID // the node that holds leases for it
}

// call records one call. Do sets the outcome's fields of the op.
func (c *caller) call(ctx context.Context, o Op, do func(ctx context.Context, o *Op) error) (Op, Outcome, error) {
	o, room := c.log.Begin(o)
	if !room {
		return o, Refused, errFull
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	err := do(ctx, &o)
	out := c.log.End(o, err)
	o.Code = answer(o.Do, err)
	return o, out, err
}

func (c *caller) op(t *target, do Action) Op {
	o := Op{Key: t.key, Do: do, Addr: t.addr, Size: uint64(t.width())}
	if c.back && t.shape != register {
		o.Back, o.Holder = true, c.home
	}
	return o
}

func (c *caller) read(ctx context.Context, t *target) (Op, Outcome, error) {
	if t.shape == register {
		return c.readRegister(ctx, t.key)
	}
	o, out, err := c.call(ctx, c.op(t, Read), func(ctx context.Context, o *Op) error {
		p := c.buf[:t.width()]
		err := c.heap.ReadAt(ctx, p, t.addr)
		if err == nil {
			o.decodeCell(p)
		}
		return err
	})
	if out == Answered {
		t.seen.Store(o.Got)
	}
	return o, out, err
}

func (c *caller) readRegister(ctx context.Context, k Key) (Op, Outcome, error) {
	return c.call(ctx, Op{Key: k, Do: Read}, func(ctx context.Context, o *Op) error {
		r, err := c.heap.ReadRegister(ctx, k.ID)
		if err == nil {
			o.Got, o.Torn = decodeRegister(r.Value)
			o.Tag = r.Tag
		}
		return err
	})
}

func (c *caller) write(ctx context.Context, t *target, large bool) (Op, Outcome, error) {
	o := c.op(t, Write)
	o.Arg = c.log.Value()
	return c.call(ctx, o, func(ctx context.Context, o *Op) error {
		if t.shape == register {
			size := 0
			if large {
				size = largeValue
			}
			tag, err := c.heap.WriteRegister(ctx, t.key.ID, registerValue(o.Arg, size))
			if err == nil {
				o.Tag = tag
			}
			return err
		}
		p := make([]byte, t.width()) // the heap may keep it when the call is given up
		fill(p, o.Arg)
		w, err := c.heap.Write(ctx, p, t.addr)
		o.Absorbed = err == nil && w.WriteBack
		return err
	})
}

func (c *caller) swap(ctx context.Context, t *target) (Op, Outcome, error) {
	o := c.op(t, Swap)
	o.Arg, o.Old = c.log.Value(), t.seen.Load()
	o, out, err := c.call(ctx, o, func(ctx context.Context, o *Op) (err error) {
		o.Got, o.Swapped, err = c.heap.CompareAndSwap(ctx, t.addr, o.Old, o.Arg)
		return err
	})
	if out == Answered {
		t.seen.Store(o.Got)
		if o.Swapped {
			t.seen.Store(o.Arg)
		}
	}
	return o, out, err
}

func (c *caller) add(ctx context.Context, t *target) (Op, Outcome, error) {
	o := c.op(t, Add)
	o.Arg = 1
	return c.call(ctx, o, func(ctx context.Context, o *Op) (err error) {
		o.Got, err = c.heap.FetchAdd(ctx, t.addr, o.Arg)
		return err
	})
}

func (c *caller) malloc(ctx context.Context, size uint64) (message.Allocation, Outcome, error) {
	var a message.Allocation
	_, out, err := c.call(ctx, Op{Key: Key{Space: Table}, Do: Malloc, Size: size}, func(ctx context.Context, o *Op) (err error) {
		a, err = c.heap.Malloc(ctx, size)
		if err == nil {
			o.Addr = a.Address
			if a.Size != size {
				o.Torn = fmt.Sprintf("%s with %d bytes", a.Address, a.Size)
			}
		}
		return err
	})
	return a, out, err
}

func (c *caller) free(ctx context.Context, a message.Allocation) (Op, Outcome, error) {
	return c.call(ctx, Op{Key: Key{Space: Table}, Do: Free, Addr: a.Address, Size: a.Size}, func(ctx context.Context, o *Op) error {
		return c.heap.Free(ctx, a.Address)
	})
}

// peek reads where the client has freed: nothing of what it held may be there.
func (c *caller) peek(ctx context.Context, t *target) (Op, Outcome, error) {
	return c.call(ctx, c.op(t, Peek), func(ctx context.Context, o *Op) error {
		p := c.buf[:t.width()]
		err := c.heap.ReadAt(ctx, p, t.addr)
		if err == nil {
			for i := 0; i < len(p) && o.Got == 0; i += 8 {
				o.Got, _ = decode(p[i : i+8])
			}
		}
		return err
	})
}
