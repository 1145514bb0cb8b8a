package drill

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"dmalloc/client"
	"dmalloc/message"
)

// Every heap of the project's clients can be drilled.
var (
	_ Heap = (*client.Heap)(nil)
	_ View = (*client.Heap)(nil)
)

// world is a heap in one process, with the faults of a cluster. Its time is that of the test's bubble.
type world struct {
	mu     sync.Mutex
	dice   *rand.Rand
	nodes  int
	dead   map[message.NodeID]bool
	ice    map[message.NodeID]bool
	blocks map[message.Addr][]byte
	regs   map[uint64][]byte
	old    map[message.Addr][]byte // bytes as they were before the last fault, for heaps that go back
	lines  []string
	breaks bug
	ops    int
	refuse map[string]error
	slow   time.Duration // that each fault takes
	tags   bool          // registers have tags
	tagged map[uint64]message.Tag
	token  uint64
	dialed []message.NodeID
	long   time.Duration  // that nodes which come or go take
	lacks  bool           // since the first line a company lacks an owner, until all is healed
	modes  map[string]int // of leases
	back   bool           // node homes absorb what they write; it goes to the blocks when another looks
	dirty  map[message.Addr]absorbedBytes
	lost   map[message.NodeID]*Holding
}

// absorbedBytes are what a node has absorbed at an address.
type absorbedBytes struct {
	node  message.NodeID
	bytes []byte
}

// level writes back what is absorbed at an address, unless it is a node's own.
func (w *world) level(a message.Addr, but message.NodeID) {
	if d, some := w.dirty[a]; some && d.node != but {
		delete(w.dirty, a)
		if b, err := w.find(a, len(d.bytes)); err == nil && !(w.breaks == dropsAbsorbed && w.hit(10)) {
			copy(b, d.bytes)
		}
	}
}

// forget is a node's death.
func (w *world) forget(n message.NodeID) {
	for a, d := range w.dirty {
		if d.node == n {
			delete(w.dirty, a)
		}
	}
	w.holding(n).Session++
}

func (w *world) holding(n message.NodeID) *Holding {
	if w.lost[n] == nil {
		w.lost[n] = &Holding{Session: 1}
	}
	return w.lost[n]
}

// bug is what a broken world does wrong.
type bug string

const (
	correct      bug = ""
	losesWrite   bug = "acknowledges a write that it drops"
	staleRead    bug = "answers from before the last fault"
	appliesTwice bug = "adds twice"
	noWriteBack  bug = "shows a register's write, then does not"
	overlapping  bug = "gives out what is taken"
	keepsBytes   bug = "gives out what it has not zeroed"
	freedIsRead  bug = "reads freed bytes"
	leaks        bug = "frees without giving back"
	tears        bug = "writes half"
	losesBlock   bug = "forgets an allocation"
	mallocsTwice bug = "allocates twice"
	silentMalloc bug = "does not always answer a malloc" // which is right
	oldTokens    bug = "grants leases with tokens of older ones"
	neverHeals   bug = "stays without a leader"

	dropsAbsorbed bug = "forgets what was absorbed when it is called back"
)

func newWorld(nodes int, b bug) *world {
	return &world{dice: rand.New(rand.NewPCG(1, 2)), nodes: nodes, dead: map[message.NodeID]bool{}, ice: map[message.NodeID]bool{},
		blocks: map[message.Addr][]byte{}, regs: map[uint64][]byte{}, breaks: b, refuse: map[string]error{}, tagged: map[uint64]message.Tag{}, token: 10, modes: map[string]int{}, dirty: map[message.Addr]absorbedBytes{}, lost: map[message.NodeID]*Holding{}}
}

func (w *world) cluster() Cluster {
	return Cluster{Faults: w, View: w, Holding: w.ask, Dial: func(_ context.Context, n message.NodeID) (Heap, func(), error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.dialed = append(w.dialed, n)
		return &fakeHeap{w: w, home: n}, func() {}, nil
	}}
}

func (w *world) ask(_ context.Context, n message.NodeID) (Holding, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead[n] || w.ice[n] {
		return Holding{}, message.Errorf(message.Unavailable, "no answer")
	}
	return *w.holding(n), nil
}

// Do is the shell of the world: kills and pauses make calls fail now and then, the rest is only noted.
func (w *world) Do(ctx context.Context, line string) error {
	wait(ctx, w.slow)
	if strings.HasPrefix(line, "node ") {
		wait(ctx, w.long)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, line)
	if err := w.refuse[line]; err != nil {
		return err
	}
	c, err := ParseCommand(line)
	if err != nil {
		return err
	}
	w.old = map[message.Addr][]byte{}
	for a, b := range w.blocks {
		w.old[a] = slices.Clone(b)
	}
	switch c.Verb {
	case "kill":
		if w.dead[c.Who[0].Node] {
			return message.Errorf(message.AlreadyDead, "dead")
		}
		w.dead[c.Who[0].Node] = true
		w.forget(c.Who[0].Node)
	case "revive":
		if !w.dead[c.Who[0].Node] {
			return message.Errorf(message.AlreadyAlive, "alive")
		}
		delete(w.dead, c.Who[0].Node)
	case "pause":
		w.ice[c.Who[0].Node] = true
	case "resume":
		delete(w.ice, c.Who[0].Node)
	}
	return nil
}

func (w *world) Companies(context.Context) ([]client.Company, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var used uint64
	for _, b := range w.blocks {
		used += uint64(len(b))
	}
	c := client.Company{ID: 1, Used: used}
	if w.lacks && w.ops > 0 && !slices.Contains(w.lines, "heal") {
		c.Missing = 1
	}
	for n := range message.NodeID(w.nodes) {
		c.Owners = append(c.Owners, n)
		if !w.dead[n] {
			c.Alive++
			if c.Leader == nil && !w.ice[n] && !(w.breaks == neverHeals && len(w.lines) > 0) {
				c.Leader = &n
			}
		}
	}
	return []client.Company{{ID: 0, Leader: c.Leader, Alive: c.Alive, Owners: c.Owners}, c}, nil
}

// fakeHeap is one client's way to a world.
type fakeHeap struct {
	w    *world
	home message.NodeID
}

// act does something under the lock, after and before some time. While nodes are out, some calls have no
// answer: whether they happened is a matter of dice.
func (h *fakeHeap) act(ctx context.Context, do func() error) error {
	w := h.w
	w.mu.Lock()
	before, after := time.Duration(w.dice.IntN(3000))*time.Microsecond, time.Duration(w.dice.IntN(3000))*time.Microsecond
	gone := (len(w.dead) > 0 || len(w.ice) > 0) && w.dice.IntN(100) == 0
	happens := w.dice.IntN(2) == 0
	w.ops++
	w.mu.Unlock()
	if !wait(ctx, before) {
		return ctx.Err()
	}
	if gone && !happens {
		<-ctx.Done()
		return message.Errorf(message.Timeout, "nobody answers")
	}
	w.mu.Lock()
	err := do()
	w.mu.Unlock()
	if gone {
		<-ctx.Done()
		return message.Errorf(message.Unavailable, "nobody answers")
	}
	wait(ctx, after)
	return err
}

func (w *world) hit(one int) bool { return w.ops > 200 && w.dice.IntN(one) == 0 }

// find is the block that holds an address. The lock is held.
func (w *world) find(a message.Addr, n int) ([]byte, error) {
	for base, b := range w.blocks {
		if a >= base && a < base+message.Addr(len(b)) {
			if int(a-base)+n > len(b) {
				return nil, message.Errorf(message.OutOfBounds, "past the end")
			}
			return b[a-base:][:n], nil
		}
	}
	return nil, message.Errorf(message.NotAllocated, "%s is not allocated", a)
}

func (h *fakeHeap) Malloc(ctx context.Context, size uint64) (out message.Allocation, err error) {
	err = h.act(ctx, func() error {
		times := 1
		if h.w.breaks == mallocsTwice && h.w.hit(20) {
			times = 2
		}
		for range times {
			at := h.w.room(size)
			if h.w.breaks == overlapping && h.w.hit(20) && len(h.w.blocks) > 8 {
				for a := range h.w.blocks {
					at = a + 16
				}
			}
			bytes := make([]byte, size)
			if h.w.breaks == keepsBytes && h.w.hit(5) {
				fill(bytes, makeValue(0, 3))
			}
			h.w.blocks[at] = bytes
			out = message.Allocation{Address: at, Size: size, State: message.Allocated}
		}
		if h.w.breaks == silentMalloc && h.w.hit(5) {
			return message.Errorf(message.Unavailable, "whether it happened cannot be known yet")
		}
		return nil
	})
	return out, err
}

// room is the first address with so many free bytes. The lock is held.
func (w *world) room(size uint64) message.Addr {
	var bases []message.Addr
	for a := range w.blocks {
		bases = append(bases, a)
	}
	slices.Sort(bases)
	at := message.Addr(message.HeapBase + message.PageSize)
	for _, a := range bases {
		if at+message.Addr(size) <= a {
			return at
		}
		at = max(at, (a+message.Addr(len(w.blocks[a]))+15)&^15)
	}
	return at
}

func (h *fakeHeap) Free(ctx context.Context, a message.Addr) error {
	return h.act(ctx, func() error {
		if h.w.blocks[a] == nil {
			return message.Errorf(message.AlreadyFree, "%s is already free", a)
		}
		if h.w.breaks == leaks && h.w.hit(20) || h.w.breaks == freedIsRead && h.w.hit(5) {
			return nil
		}
		for at := range h.w.dirty {
			if at >= a && at < a+message.Addr(len(h.w.blocks[a])) {
				delete(h.w.dirty, at)
			}
		}
		delete(h.w.blocks, a)
		return nil
	})
}

func (h *fakeHeap) ReadAt(ctx context.Context, p []byte, a message.Addr) error {
	return h.act(ctx, func() error {
		b, err := h.w.find(a, len(p))
		if err != nil {
			return err
		}
		h.w.level(a, h.home)
		copy(p, b)
		copy(p, h.w.dirty[a].bytes)
		if h.w.breaks == staleRead && h.w.hit(30) {
			for base, old := range h.w.old {
				if a >= base && int(a-base)+len(p) <= len(old) {
					copy(p, old[a-base:])
				}
			}
		}
		return nil
	})
}

func (h *fakeHeap) Write(ctx context.Context, p []byte, a message.Addr) (out client.Written, err error) {
	out = client.Written{Index: 1}
	err = h.act(ctx, func() error {
		b, err := h.w.find(a, len(p))
		if err != nil {
			return err
		}
		h.w.level(a, h.home)
		if h.w.back && !h.w.dead[h.home] && h.w.dice.IntN(2) == 0 {
			h.w.dirty[a] = absorbedBytes{h.home, slices.Clone(p)}
			out = client.Written{WriteBack: true}
			return nil
		}
		delete(h.w.dirty, a)
		switch {
		case h.w.breaks == losesWrite && h.w.hit(30):
		case h.w.breaks == tears && h.w.hit(20):
			copy(b, p[:len(p)/2])
		case h.w.breaks == losesBlock && h.w.hit(10):
			for base := range h.w.blocks {
				if a >= base && a < base+message.Addr(len(h.w.blocks[base])) {
					delete(h.w.blocks, base)
				}
			}
		default:
			copy(b, p)
		}
		return nil
	})
	return out, err
}

func (h *fakeHeap) CompareAndSwap(ctx context.Context, a message.Addr, old, new uint64) (cur uint64, ok bool, err error) {
	err = h.act(ctx, func() error {
		b, err := h.w.find(a, 8)
		if err != nil {
			return err
		}
		h.w.level(a, message.NoNode)
		if cur = binary.LittleEndian.Uint64(b); cur == old {
			binary.LittleEndian.PutUint64(b, new)
			ok = true
		}
		return nil
	})
	return cur, ok, err
}

func (h *fakeHeap) FetchAdd(ctx context.Context, a message.Addr, delta uint64) (old uint64, err error) {
	err = h.act(ctx, func() error {
		b, err := h.w.find(a, 8)
		if err != nil {
			return err
		}
		h.w.level(a, message.NoNode)
		old = binary.LittleEndian.Uint64(b)
		if h.w.breaks == appliesTwice && h.w.hit(30) {
			delta *= 2
		}
		binary.LittleEndian.PutUint64(b, old+delta)
		return nil
	})
	return old, err
}

func (h *fakeHeap) Lookup(ctx context.Context, a message.Addr) (message.Allocation, error) {
	return message.Allocation{}, message.Errorf(message.Unsupported, "not needed")
}

func (h *fakeHeap) Table(_ context.Context, from message.Addr, limit int) ([]message.Allocation, error) {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	var all []message.Allocation
	for a, b := range h.w.blocks {
		if a >= from {
			all = append(all, message.Allocation{Address: a, Size: uint64(len(b)), State: message.Allocated})
		}
	}
	slices.SortFunc(all, func(a, b message.Allocation) int { return int(int64(a.Address) - int64(b.Address)) })
	return all[:min(limit, len(all))], nil
}

func (h *fakeHeap) ReadRegister(ctx context.Context, address uint64) (r client.Register, err error) {
	err = h.act(ctx, func() error {
		v, ok := h.w.regs[address]
		if !ok {
			return message.Errorf(message.NotWritten, "never written")
		}
		r.Value, r.Tag = slices.Clone(v), h.w.tagged[address]
		return nil
	})
	return r, err
}

// Lease grants whatever is asked for: the world keeps no copies, so that nobody can see that.
func (h *fakeHeap) Lease(ctx context.Context, a message.Addr, mode string, length time.Duration) (l message.Lease, err error) {
	err = h.act(ctx, func() error {
		if _, err := h.w.find(a, 1); err != nil {
			return err
		}
		h.w.token++
		if h.w.breaks == oldTokens && h.w.hit(3) {
			h.w.token -= 2
		}
		h.w.level(a, message.NoNode)
		l = message.Lease{Company: 1, Holder: h.home, Address: a, Size: message.PageSize, Mode: mode, Token: h.w.token, LengthMS: uint64(length.Milliseconds())}
		h.w.modes[mode]++
		return nil
	})
	return l, err
}

func (h *fakeHeap) Release(ctx context.Context, a message.Addr) (message.Lease, error) {
	return message.Lease{}, h.act(ctx, func() error { h.w.level(a, message.NoNode); return nil })
}

// WriteRegister stores at once what noWriteBack takes back for a moment: a reader sees it, the next does not.
func (h *fakeHeap) WriteRegister(ctx context.Context, address uint64, value []byte) (message.Tag, error) {
	w := h.w
	if w.breaks != noWriteBack {
		var tag message.Tag
		err := h.act(ctx, func() error {
			w.regs[address] = slices.Clone(value)
			if w.tags {
				tag = message.Tag{TS: w.tagged[address].TS + 1, Writer: message.ClientID{1}}
				w.tagged[address] = tag
			}
			return nil
		})
		return tag, err
	}
	w.mu.Lock()
	old, had := w.regs[address]
	w.regs[address] = slices.Clone(value)
	w.mu.Unlock()
	wait(ctx, 30*time.Millisecond)
	w.mu.Lock()
	if had {
		w.regs[address] = old
	}
	w.mu.Unlock()
	wait(ctx, 30*time.Millisecond)
	return message.Tag{}, h.act(ctx, func() error { w.regs[address] = slices.Clone(value); return nil })
}

// Sync and Release know the address of a block's allocation or of a cell in it.
func (h *fakeHeap) Sync(ctx context.Context, a message.Addr) (n uint64, err error) {
	return n, h.act(ctx, func() error {
		h.w.level(a, message.NoNode)
		return nil
	})
}
