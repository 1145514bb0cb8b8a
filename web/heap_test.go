package web

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"dmalloc/client"
	"dmalloc/health"
	"dmalloc/message"
)

// fakeHeap is a heap in one map. It gives out whole pages, one after another.
type fakeHeap struct {
	fakeRegisters
	mu       sync.Mutex // guards what follows
	all      []message.Allocation
	bytes    map[message.Addr][]byte
	freed    map[message.Addr]bool
	next     message.Addr
	index    uint64
	writes   []int // length of each Write
	leases   []message.Lease
	ids      []message.ClientID // each one given to Idempotent
	answers  map[message.ClientID]message.Allocation
	failures map[string][]error // by operation: what its next calls answer; nil lets one pass
	waiting  chan struct{}      // if not nil, Malloc and Write announce themselves here and wait for their contexts
	ended    chan error         // how those contexts ended
}

func newFakeHeap() *fakeHeap {
	return &fakeHeap{fakeRegisters: newFakeRegisters(), bytes: map[message.Addr][]byte{}, freed: map[message.Addr]bool{}, next: message.HeapBase + message.PageSize,
		answers: map[message.ClientID]message.Allocation{}, failures: map[string][]error{}}
}

// fail takes the next planned failure of an operation.
func (h *fakeHeap) fail(op string) error {
	planned := h.failures[op]
	if len(planned) == 0 {
		return nil
	}
	h.failures[op] = planned[1:]
	return planned[0]
}

func (h *fakeHeap) wait(ctx context.Context) error {
	h.waiting <- struct{}{}
	<-ctx.Done()
	h.ended <- ctx.Err()
	return ctx.Err()
}

func (h *fakeHeap) Malloc(ctx context.Context, size uint64) (message.Allocation, error) {
	if h.waiting != nil {
		return message.Allocation{}, h.wait(ctx)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.fail("malloc"); err != nil {
		return message.Allocation{}, err
	}
	if size > 1<<30 {
		return message.Allocation{}, message.Errorf(message.OutOfMemory, "%d bytes are not there", size)
	}
	x := message.Allocation{Address: h.next, Size: size, State: message.Allocated,
		Blocks: []message.Block{{Address: h.next, Size: size, Company: message.CompanyID(len(h.all)%3 + 1), Nodes: []message.NodeID{0, message.NodeID(len(h.all)%2 + 1)}}}}
	h.bytes[x.Address] = make([]byte, size)
	h.next += message.Addr((size + message.PageSize - 1) / message.PageSize * message.PageSize)
	h.all = append(h.all, x)
	return x, nil
}

// find is the allocation that holds a. h.mu is held.
func (h *fakeHeap) find(a message.Addr) (message.Allocation, error) {
	for _, x := range h.all {
		if a >= x.Address && uint64(a-x.Address) < x.Size {
			return x, nil
		}
	}
	return message.Allocation{}, message.Errorf(message.NotAllocated, "%v is not allocated", a)
}

func (h *fakeHeap) Free(_ context.Context, a message.Addr) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.freed[a] {
		return message.Errorf(message.AlreadyFree, "%v is already free", a)
	}
	x, err := h.find(a)
	if err != nil {
		return err
	}
	h.freed[a] = true
	h.all = slices.DeleteFunc(h.all, func(y message.Allocation) bool { return y.Address == x.Address })
	return nil
}

// span is n bytes at a. h.mu is held.
func (h *fakeHeap) span(a message.Addr, n int) ([]byte, error) {
	x, err := h.find(a)
	if err != nil {
		return nil, err
	}
	into := uint64(a - x.Address)
	if uint64(n) > x.Size-into {
		return nil, message.Errorf(message.OutOfBounds, "%d bytes at %v are too many", n, a)
	}
	return h.bytes[x.Address][into : into+uint64(n)], nil
}

func (h *fakeHeap) ReadAt(_ context.Context, p []byte, a message.Addr) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.fail("read"); err != nil {
		return err
	}
	b, err := h.span(a, len(p))
	copy(p, b)
	return err
}

func (h *fakeHeap) Write(ctx context.Context, p []byte, a message.Addr) (client.Written, error) {
	if h.waiting != nil {
		return client.Written{}, h.wait(ctx)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.fail("write"); err != nil {
		return client.Written{}, err
	}
	b, err := h.span(a, len(p))
	if err != nil {
		return client.Written{}, err
	}
	copy(b, p)
	h.writes = append(h.writes, len(p))
	if h.absorbs(a) {
		return client.Written{WriteBack: true}, nil
	}
	h.index++
	return client.Written{Index: h.index}, nil
}

func (h *fakeHeap) CompareAndSwap(_ context.Context, a message.Addr, old, new uint64) (uint64, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b, err := h.span(a, 8)
	if err != nil {
		return 0, false, err
	}
	if v := binary.LittleEndian.Uint64(b); v != old {
		return v, false, nil
	}
	binary.LittleEndian.PutUint64(b, new)
	return new, true, nil
}

func (h *fakeHeap) FetchAdd(_ context.Context, a message.Addr, delta uint64) (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b, err := h.span(a, 8)
	if err != nil {
		return 0, err
	}
	v := binary.LittleEndian.Uint64(b)
	binary.LittleEndian.PutUint64(b, v+delta)
	return v, nil
}

func (h *fakeHeap) Lookup(_ context.Context, a message.Addr) (message.Allocation, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.find(a)
}

func (h *fakeHeap) Table(_ context.Context, from message.Addr, limit int) ([]message.Allocation, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.fail("table"); err != nil {
		return nil, err
	}
	var out []message.Allocation
	for _, x := range h.all {
		if x.Address >= from && len(out) < limit {
			out = append(out, x)
		}
	}
	return out, nil
}

func (h *fakeHeap) Directory(context.Context) (*message.Directory, error) {
	return &message.Directory{}, nil
}

func (h *fakeHeap) Nodes(context.Context) ([]client.Node, error) {
	return []client.Node{{ID: 0, State: "alive", Pid: 42}, {ID: 1, State: "dead"}}, nil
}

func (h *fakeHeap) Companies(context.Context) ([]client.Company, error) {
	leader := message.NodeID(1)
	return []client.Company{{ID: 0}, {ID: 1, Owners: []message.NodeID{0, 1}, Leader: &leader, Term: 7}, {ID: 2}, {ID: 3}}, nil
}

func (h *fakeHeap) Status(context.Context) (health.Report, error) {
	return health.Judge(health.View{Directory: &message.Directory{Nodes: []message.Node{{ID: 0}}, Companies: []message.Company{{Owners: []message.Owner{{}}}}}}), nil
}

// Recover knows of one company without a majority, 2.
func (h *fakeHeap) Recover(_ context.Context, company message.CompanyID, yes bool) (client.Recovery, error) {
	if company != 2 || !yes {
		return client.Recovery{}, message.Errorf(message.InvalidArgument, "company %s, yes %v; nothing was done", company, yes)
	}
	return client.Recovery{Company: 2, Generation: 1, Node: 1, Index: 7, Survivors: []client.Survivor{{Node: 1, Index: 7}}, Missing: []message.NodeID{0, 2}}, nil
}

func (h *fakeHeap) Elections(context.Context) ([]message.Tenure, error) { return nil, nil }

// Idempotent remembers what malloc answered to each id.
func (h *fakeHeap) Idempotent(id message.ClientID) Heap {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ids = append(h.ids, id)
	return keyedHeap{h, id}
}

type keyedHeap struct {
	*fakeHeap
	id message.ClientID
}

func (h keyedHeap) Malloc(ctx context.Context, size uint64) (message.Allocation, error) {
	if x, ok := h.answers[h.id]; ok {
		return x, nil
	}
	x, err := h.fakeHeap.Malloc(ctx, size)
	h.answers[h.id] = x
	return x, err
}

// fakeControl knows three nodes, of which node 1 is dead.
type fakeControl struct {
	wiped  bool
	back   []string
	faults []client.Fault
}

func (c *fakeControl) Fault(_ context.Context, words string, lasts time.Duration) (client.Fault, error) {
	if words == "burn 1" {
		return client.Fault{}, message.Errorf(message.InvalidArgument, "burn is no fault")
	}
	c.faults = append(c.faults, client.Fault{ID: uint64(len(c.faults) + 1), Kind: "slow", Fault: words, LeftMS: lasts.Milliseconds()})
	return c.faults[len(c.faults)-1], nil
}

func (c *fakeControl) Heal(_ context.Context, words string) (ended []client.Fault, err error) {
	if words == "1" && len(c.faults) > 0 {
		ended, c.faults = c.faults[:1], c.faults[1:]
		return ended, nil
	}
	if words != "" {
		return nil, message.Errorf(message.InvalidArgument, "there is no fault %s", words)
	}
	ended, c.faults = c.faults, nil
	return ended, nil
}

func (c *fakeControl) Faults(context.Context) ([]client.Fault, error) { return c.faults, nil }

func (c *fakeControl) Corrupt(_ context.Context, id message.NodeID, seed uint64) (client.Damage, error) {
	if id != 1 {
		return client.Damage{}, message.Errorf(message.AlreadyAlive, "node %v is alive", id)
	}
	return client.Damage{Seed: max(seed, 5), Flips: []client.Flip{{File: "raft/a.log", Offset: 7, Bit: 3}}}, nil
}

func (c *fakeControl) Kill(_ context.Context, id message.NodeID) error {
	switch {
	case id > 2:
		return message.Errorf(message.NoSuchNode, "there is no node %v", id)
	case id == 1:
		return message.Errorf(message.AlreadyDead, "node %v is dead already", id)
	}
	return nil
}

func (c *fakeControl) Revive(_ context.Context, id message.NodeID, wipe bool, progress func(string)) error {
	progress("catching up")
	c.wiped = c.wiped || wipe
	if id != 1 {
		return message.Errorf(message.AlreadyAlive, "node %v lives", id)
	}
	return nil
}

func (c *fakeControl) Return(_ context.Context, id message.NodeID, after time.Duration) error {
	c.back = append(c.back, fmt.Sprintf("%s after %v", id, after))
	return nil
}

func (c *fakeControl) AddNode(_ context.Context, host string, progress func(string)) (client.Node, error) {
	progress("node 3 is starting")
	if host == "nowhere" {
		return client.Node{}, message.Errorf(message.InvalidArgument, "host nowhere has no free slot")
	}
	return client.Node{ID: 3, State: "alive", Host: host, Address: "127.0.0.1:7003"}, nil
}

func (c *fakeControl) RemoveNode(_ context.Context, id message.NodeID, progress func(string)) (client.Removal, error) {
	if id > 2 {
		return client.Removal{}, message.Errorf(message.NoSuchNode, "there is no node %s", id)
	}
	progress("node 2 still owns company 1")
	return client.Removal{Node: id, Done: true, Of: 2}, nil
}

func (c *fakeControl) Pause(context.Context, message.NodeID) error  { return nil }
func (c *fakeControl) Resume(context.Context, message.NodeID) error { return nil }
