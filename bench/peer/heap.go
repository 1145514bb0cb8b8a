package peer

import (
	"context"
	"sync/atomic"
	"time"

	"dmalloc/client"
	"dmalloc/message"
)

const leasedBlock = 1 << 20 // bytes that leased reads are spread over

// dialHeap connects to a heap: each connection is a client instance with TCP connections of its own.
func dialHeap(ctx context.Context, o *Order, i int) (Conn, error) {
	c, err := client.DialWith(ctx, o.Addresses[i%len(o.Addresses)], client.Options{Confirm: o.Work == ConfirmedRead})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// leasedConn reads within one block. Its allocations are places in that block, so that a measurement can be told to
// read as it reads anything.
type leasedConn struct {
	Conn
	places *places
}

// places gives out the parts of a block, again and again.
type places struct {
	block message.Addr
	next  atomic.Uint64
}

// lease has the nodes of all connections take a lease on one new block, which release frees. A lease lasts
// longer than a measurement may.
func lease(ctx context.Context, o *Order, conns []Conn) (under []Conn, release func(), err error) {
	h, ok := conns[0].(*client.Conn)
	if !ok || o.Size > leasedBlock {
		return nil, nil, message.Errorf(message.Unsupported, "%s has no leases of %d bytes", o.Peer, o.Size)
	}
	a, err := h.Malloc(ctx, leasedBlock)
	if err != nil {
		return nil, nil, err
	}
	release = func() { _ = h.Free(context.WithoutCancel(ctx), a.Address) }
	all := &places{block: a.Address}
	for _, c := range conns {
		if _, err := c.(*client.Conn).Lease(ctx, a.Address, "r", message.MaxLease*time.Millisecond); err != nil {
			release()
			return nil, nil, err
		}
		under = append(under, leasedConn{c, all})
	}
	return under, release, nil
}

func (c leasedConn) Malloc(_ context.Context, size uint64) (message.Allocation, error) {
	n := c.places.next.Add(1)
	return message.Allocation{Address: c.places.block + message.Addr(n*size%(leasedBlock-size+1)), Size: size}, nil
}

func (leasedConn) Free(context.Context, message.Addr) error { return nil }
