package repl

import (
	"context"
	"encoding/binary"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"dmalloc/client"
	"dmalloc/message"
)

// fake is a heap in memory: three nodes, two companies, no cluster. It is also a Control.
type fake struct {
	mu      sync.Mutex
	allocs  map[message.Addr][]byte
	freed   map[message.Addr]bool
	next    message.Addr
	states  map[message.NodeID]string
	trace   func(client.Event)
	notice  func(string)
	hang    bool         // every call waits for the end of its context
	tables  int          // calls of Table
	largest int          // bytes in one call of ReadAt or WriteAt
	failAt  message.Addr // where ReadAt and WriteAt fail; 0: nowhere
	moving  sync.Mutex   // guards largest and dirty in what moves bytes: parts of a file come beside each other
	faults  []client.Fault

	registers map[uint64][]byte // node 2 stores none
	stamp     uint64            // of the last write of a register
	modules   []message.Job
	members   []message.NodeID // nodes that keep registers
	lists     int              // calls of ListRegisters
	asked     message.JobRequest

	leases    []message.Lease
	dirty     uint64 // bytes that node 0 has absorbed
	noLeases  error  // of Leases
	askLeases int    // calls of Leases
}

func newFake() *fake {
	return &fake{allocs: map[message.Addr][]byte{}, freed: map[message.Addr]bool{}, next: message.HeapBase + message.PageSize,
		states:    map[message.NodeID]string{0: "alive", 1: "alive", 2: "alive"},
		registers: map[uint64][]byte{}, members: []message.NodeID{0, 1, 2}}
}

func (f *fake) wait(ctx context.Context) error {
	f.mu.Lock()
	hang, notice := f.hang, f.notice
	f.mu.Unlock()
	if hang {
		if notice != nil {
			notice("company 1 has no leader; waiting")
		}
		<-ctx.Done()
		return ctx.Err()
	}
	return ctx.Err()
}

func (f *fake) blocks(a message.Addr, size uint64) []message.Block {
	owners := []message.NodeID{0, 1, 2}
	if size > message.PageSize { // spans both companies
		return []message.Block{{Address: a, Size: message.PageSize, Company: 1, Nodes: owners}, {Address: a + message.PageSize, Size: size - message.PageSize, Company: 2, Nodes: owners}}
	}
	return []message.Block{{Address: a, Size: size, Company: 1, Nodes: owners}}
}

func (f *fake) allocation(a message.Addr) message.Allocation {
	size := uint64(len(f.allocs[a]))
	return message.Allocation{Address: a, Size: size, State: message.Allocated, Blocks: f.blocks(a, size)}
}

func (f *fake) Malloc(ctx context.Context, size uint64) (message.Allocation, error) {
	if err := f.wait(ctx); err != nil {
		return message.Allocation{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.trace != nil {
		m := message.New(message.MALLOC)
		m.Target, m.Company, m.Size = 0, 1, size
		f.trace(client.Event{After: 1234 * time.Microsecond, Message: m})
		f.trace(client.Event{After: 120 * time.Millisecond, Note: "node 2 did not answer within 120 ms"})
	}
	if size > 1<<30 {
		return message.Allocation{}, message.Errorf(message.OutOfMemory, "%d bytes are asked for, 1073741824 are free; free something or ask for less", size)
	}
	a := f.next
	f.next += message.Addr((size + 15) / 16 * 16)
	f.allocs[a] = make([]byte, size)
	return f.allocation(a), nil
}

// base finds the allocation that holds a.
func (f *fake) base(a message.Addr) (message.Addr, error) {
	for b, p := range f.allocs {
		if a >= b && uint64(a-b) < uint64(len(p)) {
			return b, nil
		}
	}
	return 0, message.Errorf(message.NotAllocated, "%s is not allocated", a)
}

func (f *fake) Verify(ctx context.Context, company message.CompanyID, all bool) ([]client.Verified, error) {
	if err := f.wait(ctx); err != nil {
		return nil, err
	}
	owners := []message.NodeID{0, 1, 2}
	page := message.Addr(message.HeapBase + 2*message.PageSize)
	rows := []client.Verified{
		{Company: 0, Index: 9, Root: strings.Repeat("d0", 32), Owners: owners},
		{Company: 1, Index: 17, Root: strings.Repeat("c1", 32), Owners: owners},
		{Company: 2, Index: 5, Root: strings.Repeat("c2", 32), Owners: owners[:2], Differ: owners[2:], Page: &page,
			Wrong: "node 2 is wrong about company 2 at index 5: it differs from nodes 0,1 first in the page at " + page.String()},
	}
	if !all {
		return rows[company : company+1], nil
	}
	return rows, nil
}

func (f *fake) Free(ctx context.Context, a message.Addr) error {
	if err := f.wait(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.freed[a] {
		return message.Errorf(message.AlreadyFree, "%s is already free", a)
	}
	if _, ok := f.allocs[a]; !ok {
		return message.Errorf(message.NotAllocated, "%s is not the first address of an allocation", a)
	}
	delete(f.allocs, a)
	f.freed[a] = true
	return nil
}

// at is the memory of a transfer.
func (f *fake) at(ctx context.Context, n int, a message.Addr) ([]byte, error) {
	if err := f.wait(ctx); err != nil {
		return nil, err
	}
	f.moving.Lock()
	f.largest = max(f.largest, n)
	f.moving.Unlock()
	if a == f.failAt {
		return nil, message.Errorf(message.Unavailable, "company 1 has no majority now: nothing was changed")
	}
	b, err := f.base(a)
	if err != nil {
		return nil, err
	}
	p := f.allocs[b]
	if uint64(a-b)+uint64(n) > uint64(len(p)) {
		return nil, message.Errorf(message.OutOfBounds, "%d bytes at %s end past the allocation", n, a)
	}
	return p[a-b:][:n], nil
}

func (f *fake) ReadAt(ctx context.Context, p []byte, a message.Addr) error {
	q, err := f.at(ctx, len(p), a)
	copy(p, q)
	return err
}

func (f *fake) Write(ctx context.Context, p []byte, a message.Addr) (client.Written, error) {
	q, err := f.at(ctx, len(p), a)
	copy(q, p)
	for _, l := range f.leases {
		if l.WriteBack && l.Holder == f.Home() && a >= l.Address && uint64(a-l.Address) < l.Size {
			f.moving.Lock()
			f.dirty += uint64(len(p))
			f.moving.Unlock()
			return client.Written{WriteBack: true}, err
		}
	}
	return client.Written{Index: 17}, err
}

func (f *fake) CompareAndSwap(ctx context.Context, a message.Addr, old, new uint64) (uint64, bool, error) {
	q, err := f.at(ctx, 8, a)
	if err != nil {
		return 0, false, err
	}
	now := binary.LittleEndian.Uint64(q)
	if now != old {
		return now, false, nil
	}
	binary.LittleEndian.PutUint64(q, new)
	return new, true, nil
}

func (f *fake) FetchAdd(ctx context.Context, a message.Addr, delta uint64) (uint64, error) {
	q, err := f.at(ctx, 8, a)
	if err != nil {
		return 0, err
	}
	now := binary.LittleEndian.Uint64(q)
	binary.LittleEndian.PutUint64(q, now+delta)
	return now, nil
}

func (f *fake) Lookup(ctx context.Context, a message.Addr) (message.Allocation, error) {
	if err := f.wait(ctx); err != nil {
		return message.Allocation{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := f.base(a)
	if err != nil {
		return message.Allocation{}, err
	}
	return f.allocation(b), nil
}

func (f *fake) Table(ctx context.Context, from message.Addr, limit int) ([]message.Allocation, error) {
	if err := f.wait(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tables++
	var all []message.Allocation
	for a := range f.allocs {
		if a >= from {
			all = append(all, f.allocation(a))
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Address < all[j].Address })
	return all[:min(limit, len(all))], nil
}

func (f *fake) Directory(ctx context.Context) (*message.Directory, error) {
	d := &message.Directory{}
	for i := range 3 {
		d.Nodes = append(d.Nodes, message.Node{ID: message.NodeID(i)})
		d.Companies = append(d.Companies, message.Company{ID: message.CompanyID(i)})
	}
	return d, f.wait(ctx)
}

func (f *fake) Nodes(ctx context.Context) ([]client.Node, error) {
	if err := f.wait(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []client.Node
	for i := range message.NodeID(3) {
		n := client.Node{ID: i, State: f.states[i], Address: fmt.Sprintf("127.0.0.1:%d", 7000+i), HTTP: fmt.Sprintf("127.0.0.1:%d", 8000+i), Host: "localhost", Boot: 1, Detector: f.states[i], DetectorMS: 1500}
		if n.Detector == "paused" {
			n.Detector = "suspect"
		}
		if n.State != "dead" {
			n.Pid, n.Memory, n.Owns = 4240+int(i), 20<<20, []message.CompanyID{0, 1, 2}
			use := message.MemoryUse{Pages: 3 << 20, Cache: 1 << 20, Tables: 4096}.WithLimits(64<<20, 8<<20).WithResident(n.Memory)
			n.MemoryUse = &use
		}
		if i == 0 {
			n.Leads = []message.CompanyID{1}
		}
		out = append(out, n)
	}
	return out, nil
}

func (f *fake) Companies(ctx context.Context) ([]client.Company, error) {
	if err := f.wait(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	alive := 0
	for _, s := range f.states {
		if s == "alive" {
			alive++
		}
	}
	var out []client.Company
	for i := range message.CompanyID(3) {
		node := message.NodeID(i)
		c := client.Company{ID: i, Owners: []message.NodeID{0, 1, 2}, Leader: &node, Term: 2, Alive: alive}
		if i > 0 {
			c.Base, c.Limit, c.Used, c.Capacity, c.Allocations = i.Base(), i.Limit(), 100, 64<<20, 1
		}
		if alive < 2 {
			c.Leader = nil
		}
		out = append(out, c)
	}
	return out, nil
}

func (f *fake) Elections(ctx context.Context) ([]message.Tenure, error) {
	return []message.Tenure{{Company: 1, Term: 2, Leader: 0, FromMS: 1_700_000_000_000, ToMS: 1_700_000_001_500},
		{Company: 1, Term: 3, Leader: 2, FromMS: 1_700_000_001_900, GapMS: 400}}, f.wait(ctx)
}

func (f *fake) SQL(ctx context.Context, query string) (message.Rows, error) {
	if err := f.wait(ctx); err != nil {
		return message.Rows{}, err
	}
	if !strings.HasPrefix(strings.ToLower(query), "select") {
		return message.Rows{}, message.Errorf(message.InvalidArgument, "only a SELECT is allowed here")
	}
	return message.Rows{Columns: []string{"id", "address", "what"}, More: true, Rows: [][]any{{1.0, float64(0x500000001000), "a<b>\x1b[31m"}, {2.5, nil, "日本語, \"so\""}}}, nil
}

func (f *fake) Log(ctx context.Context, company message.CompanyID, all bool, count int) ([]message.LogLine, error) {
	if company > 2 {
		return nil, message.Errorf(message.InvalidArgument, "company %s does not exist; there are 0 to 2", company)
	}
	lines := []message.LogLine{{Company: 1, Index: 16, Actor: 1, Operation: "allocate", Address: 0x500000001000, Size: 100}, {Company: 1, Index: 17, Actor: 1, Operation: "free", Address: 0x500000001000}}
	return lines[max(0, len(lines)-count):], f.wait(ctx)
}

func (f *fake) Stats(ctx context.Context) ([]message.NodeStats, error) {
	return []message.NodeStats{{Node: 0, Operations: map[string]message.Latency{"WRITE": {Count: 3, P50: 812.25, P99: 1500, Max: 1600}, "READ": {}},
		Stages:   map[string]message.Latency{"queue": {Count: 3, P50: 10, P99: 20, Max: 20}, "commit": {Count: 3, P50: 700, P99: 1300, Max: 1400}},
		Counters: []message.Counter{{Name: "entries", Value: 3}, {Name: "refused", Value: 0}, {Name: "register_reads", Value: 8}, {Name: "register_reads_one_round", Value: 7}}}}, f.wait(ctx)
}

func (f *fake) Lead(ctx context.Context, company message.CompanyID, node message.NodeID) error {
	if node > 2 {
		return message.Errorf(message.NoSuchNode, "node %s does not exist; there are 0 to 2", node)
	}
	return f.wait(ctx)
}

func (f *fake) Home() message.NodeID { return 0 }

func (f *fake) SetTrace(t func(client.Event)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trace = t
}

func (f *fake) SetNotice(n func(string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notice = n
}

// turn moves a node from one state to another.
func (f *fake) turn(id message.NodeID, to string, code message.Code, unless string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.states[id]; !ok {
		return message.Errorf(message.NoSuchNode, "node %s does not exist; there are 0 to 2", id)
	}
	if f.states[id] == unless {
		return message.Errorf(code, "node %s is already %s", id, unless)
	}
	f.states[id] = to
	return nil
}

func (f *fake) Kill(ctx context.Context, id message.NodeID) error {
	return f.turn(id, "dead", message.AlreadyDead, "dead")
}

func (f *fake) Revive(ctx context.Context, id message.NodeID, wipe bool, progress func(string)) error {
	progress("catching up")
	return f.turn(id, "alive", message.AlreadyAlive, "alive")
}

func (f *fake) AddNode(_ context.Context, host string, progress func(string)) (client.Node, error) {
	progress("node 3 is starting")
	if host == "nowhere" {
		return client.Node{}, message.Errorf(message.InvalidArgument, "host nowhere has no free slot; name another")
	}
	return client.Node{ID: 3, State: "alive", Pid: 4243, Address: "127.0.0.1:7003", HTTP: "127.0.0.1:8003", Host: "localhost"}, nil
}

func (f *fake) RemoveNode(_ context.Context, id message.NodeID, progress func(string)) (client.Removal, error) {
	if id > 2 {
		return client.Removal{}, message.Errorf(message.NoSuchNode, "there is no node %s", id)
	}
	progress("node 2 still owns company 1")
	return client.Removal{Node: id, Done: true, Of: 2, Note: "2 nodes stay: companies have 2 owners from now on instead of 3, until a node is added"}, nil
}

func (f *fake) Pause(ctx context.Context, id message.NodeID) error {
	return f.turn(id, "paused", message.AlreadyDead, "dead")
}

func (f *fake) Resume(ctx context.Context, id message.NodeID) error {
	return f.turn(id, "alive", message.AlreadyAlive, "alive")
}

func (f *fake) Return(_ context.Context, id message.NodeID, after time.Duration) error {
	f.faults = append(f.faults, client.Fault{Kind: "kill", Fault: "return " + id.String(), LeftMS: after.Milliseconds()})
	return nil
}

// The fake's faults are words: what they mean is not the shell's to know.
func (f *fake) Fault(_ context.Context, words string, lasts time.Duration) (client.Fault, error) {
	if strings.Contains(words, "9") {
		return client.Fault{}, message.Errorf(message.NoSuchNode, "there is no node 9")
	}
	f.faults = append(f.faults, client.Fault{ID: uint64(len(f.faults) + 1), Kind: "a kind", Fault: words, LeftMS: lasts.Milliseconds()})
	return f.faults[len(f.faults)-1], nil
}

func (f *fake) Heal(_ context.Context, words string) ([]client.Fault, error) {
	if words != "" {
		return nil, message.Errorf(message.InvalidArgument, "the fake heals all or nothing, not %s", words)
	}
	ended := f.faults
	f.faults = nil
	return ended, nil
}

func (f *fake) Faults(context.Context) ([]client.Fault, error) { return f.faults, nil }

func (f *fake) Corrupt(_ context.Context, id message.NodeID, seed uint64) (client.Damage, error) {
	if id != 1 {
		return client.Damage{}, message.Errorf(message.AlreadyAlive, "node %s is alive", id)
	}
	return client.Damage{Seed: max(seed, 5), Flips: []client.Flip{{File: "raft/a.log", Offset: 7, Bit: 3}}}, nil
}

func draw(_ context.Context, what string) (string, error) {
	return "digraph " + what + " {\n}\n", nil
}

// stepping is a clock that goes on by a millisecond and a half each time somebody looks.
func stepping() func() time.Time {
	t := time.Unix(1_700_000_000, 0)
	return func() time.Time {
		t = t.Add(1500 * time.Microsecond)
		return t
	}
}

// The shell's interface is what the client has.
var (
	_ Heap    = (*client.Heap)(nil)
	_ Heap    = (*fake)(nil)
	_ Control = (*fake)(nil)
)
