package repl

import (
	"context"
	"slices"
	"time"

	"dmalloc/message"
)

// The fake's leases never end. Node 0 is its own; one of node 1 on 0x500000001000 is in the way of every other one.
// A lease of 7 s is one of a cluster with --write-back.
func (f *fake) Lease(ctx context.Context, a message.Addr, mode string, length time.Duration) (message.Lease, error) {
	if err := f.wait(ctx); err != nil {
		return message.Lease{}, err
	}
	b, err := f.base(a)
	if err != nil {
		return message.Lease{}, err
	}
	if length == 0 {
		length = message.DefaultLease * time.Millisecond
	}
	page := b / message.PageSize * message.PageSize
	if i := f.leaseAt(page); i >= 0 && f.leases[i].Holder == 1 {
		return message.Lease{}, message.Errorf(message.Leased, "%s is leased: node 1 holds it for another 1.5s at most", b)
	}
	l := message.Lease{Company: 1, Address: page, Size: message.PageSize, Mode: mode, Token: uint64(17 + len(f.leases)), Session: 1, LengthMS: uint64(length.Milliseconds()),
		LeftMS: uint64(length.Milliseconds()), WriteBack: length == 7*time.Second}
	f.leases = append(slices.DeleteFunc(f.leases, func(x message.Lease) bool { return x.Address == page }), l)
	return l, nil
}

func (f *fake) leaseAt(a message.Addr) int {
	return slices.IndexFunc(f.leases, func(l message.Lease) bool { return a >= l.Address && uint64(a-l.Address) < l.Size })
}

func (f *fake) Release(ctx context.Context, a message.Addr) (message.Lease, error) {
	if err := f.wait(ctx); err != nil {
		return message.Lease{}, err
	}
	i := f.leaseAt(a)
	if i < 0 || f.leases[i].Holder != 0 {
		return message.Lease{}, message.Errorf(message.Fenced, "node 0 has no lease on the page at %s", a)
	}
	l := f.leases[i]
	f.leases = slices.Delete(f.leases, i, i+1)
	return l, nil
}

func (f *fake) Sync(ctx context.Context, a message.Addr) (uint64, error) {
	if err := f.wait(ctx); err != nil {
		return 0, err
	}
	if a != 0 {
		if _, err := f.base(a); err != nil {
			return 0, err
		}
	}
	n := f.dirty
	f.dirty = 0
	return n, nil
}

func (f *fake) Leases(ctx context.Context) ([]message.Lease, error) {
	if err := f.wait(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.askLeases++
	return slices.Clone(f.leases), f.noLeases
}
