package company

import (
	"slices"
	"sort"

	"dmalloc/block"
	"dmalloc/message"
)

// What follows is section 11 of package message: runs. The rules R1 to R8 are those of docs/design/runs.md.

// mark is what a block of a run is. What is no block of one has none.
type mark uint8

const (
	noMark   mark = iota
	aside         // nobody's, and zero: its node may not hand it out yet
	open          // its node may have handed it out: an allocation to everybody but FREE
	dropped       // it was open and freed; its address waits for the run to pass it
	lastMark = dropped
)

// silence is after how many milliseconds of the company's clock an open block can be freed without its node's word.
const silence = 1000

// run is what is set aside for a node. It is replaced, never changed: snapshots share it.
type run struct {
	node    message.NodeID
	number  uint64
	session uint64
	size    uint64   // of each block
	blocks  []uint32 // where they start, in the order in which they are handed out
	next    int      // those below are claimed, and no part of the run any more
	end     int      // those from next up to here are open
	heard   uint64   // the company's clock when the node told of the run last
	order   uint64   // of the CLAIM that was done last
}

func runLess(a, b *run) bool {
	if a.node != b.node {
		return a.node < b.node
	}
	return a.number < b.number
}

// settled is up to which session what was set aside for a node is settled.
type settled struct {
	node    message.NodeID
	session uint64
}

func settledLess(a, b settled) bool { return a.node < b.node }

func (c *Company) settledTo(node message.NodeID) uint64 {
	s, _ := c.settled.Get(settled{node: node})
	return s.session
}

// runOf finds a run of a node in a session.
func (c *Company) runOf(node message.NodeID, session, number uint64) (*run, bool) {
	x, ok := c.runs.Get(&run{node: node, number: number})
	if !ok || x.session != session {
		return nil, false
	}
	return x, true
}

// runsOf lists the runs of a node.
func (c *Company) runsOf(node message.NodeID) (all []*run) {
	c.runs.AscendGreaterOrEqual(&run{node: node}, func(x *run) bool {
		if x.node == node {
			all = append(all, x)
		}
		return x.node == node
	})
	return all
}

// runAt finds the run of which a block is a part.
func (c *Company) runAt(at uint32) (found *run) {
	c.runs.Ascend(func(x *run) bool {
		if i, ok := slices.BinarySearch(x.blocks, at); ok && i >= x.next {
			found = x
		}
		return found == nil
	})
	return found
}

// remark changes what a block is.
func (c *Company) remark(e *entry, r record, to mark) {
	was := r.homed()
	r.mark = to
	c.records.ReplaceOrInsert(r)
	if is := r.homed(); is && !was {
		c.count++
	} else if was && !is {
		c.count--
	}
	e.Changed = append(e.Changed, c.addr(r.at))
}

// runnable judges what a message about runs says.
func (c *Company) runnable(m *message.Message) *Result {
	switch {
	case m.Final >= message.MaxNodes || m.Value == 0:
		return wrong("%s for node %s in session %d: only a node has runs, in the session that it is in", m.Op, m.Final, m.Value)
	case m.Op == message.RUN && (m.Size == 0 || m.Size > message.MaxRunSize || m.Length == 0 || m.Length > message.MaxRun):
		return wrong("a run of %d blocks of %d bytes; 1 to %d blocks of 1 to %d bytes are possible", m.Length, m.Size, message.MaxRun, message.MaxRunSize)
	case m.Op == message.CLAIM && (m.Token == 0 || m.Index == 0 || m.Size > m.Length || m.Length > message.MaxRun):
		return wrong("CLAIM of run %d says that %d blocks are handed out, and opens %d", m.Token, m.Size, m.Length)
	}
	return nil
}

// fencedRun refuses what a session asks that is settled, or has no such run: R4.
func (c *Company) fencedRun(m *message.Message) Result {
	return refuse(message.Fenced, "%s of node %s in session %d: what was set aside for it in company %s is settled; nothing was done", m.Op, m.Final, m.Value, c.cfg.ID)
}

// setAside is RUN. The blocks are taken one by one where they fit best, so they fill the holes that others left.
func (c *Company) setAside(e *entry, m *message.Message) Result {
	if m.Value <= c.settledTo(m.Final) {
		return c.fencedRun(m)
	}
	if len(c.runsOf(m.Final)) >= message.MaxRuns {
		return refuse(message.Busy, "node %s has %d runs in company %s, and more are not possible; nothing was done", m.Final, message.MaxRuns, c.cfg.ID)
	}
	f := block.Footprint(m.Size)
	most := min(m.Length, (c.cfg.Capacity-c.charged)/f/4) // R8
	x := &run{node: m.Final, session: m.Value, size: m.Size, heard: c.clock}
	for uint64(len(x.blocks)) < most && c.fits(m.Size) {
		a, ok := c.take(m.Size)
		if !ok {
			break
		}
		r := record{at: c.at(a), state: message.Allocated, mark: aside, size: m.Size}
		c.keep(r, nil)
		x.blocks = append(x.blocks, r.at)
	}
	slices.Sort(x.blocks)
	for n := len(x.blocks); n > 0 && len(c.pieces(x)) > message.MaxBlocks; n-- { // what the answer cannot tell
		r, _ := c.recordAt(x.blocks[n-1])
		c.remove(r)
		x.blocks = x.blocks[:n-1]
	}
	if len(x.blocks) == 0 {
		return c.noRoom(m.Size)
	}
	c.lastRun = max(c.lastRun+1, e.index)
	x.number = c.lastRun
	x.end = min(len(x.blocks), message.MaxOpen)
	for i, at := range x.blocks {
		r, _ := c.recordAt(at)
		if i < x.end {
			c.remark(e, r, open)
		} else {
			e.Changed = append(e.Changed, c.addr(at))
		}
	}
	c.runs.ReplaceOrInsert(x)
	c.log(e, m, c.addr(x.blocks[0]), uint64(len(x.blocks))*m.Size)
	a := c.told(x)
	a.Address, a.Blocks = c.addr(x.blocks[0]), c.pieces(x)
	return a
}

// pieces are a run's blocks, those that follow each other together. A size is that of what they take.
func (c *Company) pieces(x *run) (all []message.Block) {
	f := block.Footprint(x.size)
	for _, at := range x.blocks {
		a := c.addr(at)
		if n := len(all) - 1; n >= 0 && all[n].Address+message.Addr(all[n].Size) == a {
			all[n].Size += f
			continue
		}
		all = append(all, message.Block{Address: a, Size: f, Company: c.cfg.ID, Behind: a})
	}
	return all
}

// told is what its node is answered about a run.
func (c *Company) told(x *run) Result {
	return Result{Token: x.number, Size: uint64(len(x.blocks)), Value: uint64(x.next), Length: uint64(x.end)}
}

// claim is CLAIM: the blocks below Size are handed out, and those below Length may be, as far as R3 allows.
func (c *Company) claim(e *entry, m *message.Message) Result {
	x, ok := c.runOf(m.Final, m.Value, m.Token)
	if !ok {
		return c.fencedRun(m)
	}
	if m.Index <= x.order { // it was given up, and comes late: what it closes may have been opened since (R1)
		return c.told(x)
	}
	if m.Size > uint64(x.end) {
		return *wrong("node %s claims %d blocks of run %d, of which it could hand out %d", m.Final, m.Size, m.Token, x.end)
	}
	z := *x
	z.order = m.Index
	y, refused := c.advance(e, m, &z, int(m.Size), int(m.Length))
	if refused != nil {
		return *refused
	}
	return c.told(y)
}

// advance makes the blocks below n claimed, and has those from there to end open.
func (c *Company) advance(e *entry, m *message.Message, x *run, n, end int) (*run, *Result) {
	n = max(n, x.next)
	end = min(max(end, n), n+message.MaxOpen, len(x.blocks))
	if refused := c.mayClose(m, x, end); refused != nil {
		return nil, refused
	}
	c.pass(e, m, x, n)
	for i := max(n, min(end, x.end)); i < max(end, x.end); i++ {
		r, _ := c.recordAt(x.blocks[i])
		switch {
		case i < end:
			c.remark(e, r, open)
		default:
			c.pages.Zero(c.off(c.addr(r.at)), block.Footprint(r.size))
			c.remark(e, r, aside)
		}
	}
	y := *x
	y.next, y.end, y.heard = n, end, c.clock
	if n == len(y.blocks) {
		c.runs.Delete(x)
	} else {
		c.runs.ReplaceOrInsert(&y)
	}
	return &y, nil
}

// mayClose refuses to close the open blocks from end on where a lease forbids to zero what somebody wrote there: R6.
func (c *Company) mayClose(m *message.Message, x *run, end int) *Result {
	if c.leases.Len() == 0 {
		return nil
	}
	q := *m
	q.Token = 0 // that names a run
	p := make([]byte, block.Footprint(x.size))
	for i := max(end, x.next); i < x.end; i++ {
		off := c.off(c.addr(x.blocks[i]))
		c.pages.ReadAt(off, p)
		if slices.ContainsFunc(p, func(b byte) bool { return b != 0 }) {
			if refused := c.fence(&q, off, uint64(len(p))); refused != nil {
				return refused
			}
		}
	}
	return nil
}

// pass makes the blocks below n claimed; the addresses of those that were freed before are free now.
func (c *Company) pass(e *entry, m *message.Message, x *run, n int) {
	var bytes uint64
	for _, at := range x.blocks[x.next:max(n, x.next)] {
		r, _ := c.recordAt(at)
		if r.mark == dropped {
			c.remove(r)
			e.Changed = append(e.Changed, c.addr(at))
			continue
		}
		bytes += r.size
		c.remark(e, r, noMark)
	}
	if bytes > 0 {
		q := message.Message{Op: message.CLAIM}
		c.log(e, &q, c.addr(x.blocks[x.next]), bytes)
	}
}

// settle is SETTLE.
func (c *Company) settle(e *entry, m *message.Message) Result {
	if m.Token != 0 {
		x, ok := c.runOf(m.Final, m.Value, m.Token)
		if !ok {
			return c.fencedRun(m)
		}
		n := min(max(int(min(m.Size, message.MaxRun)), x.next), x.end)
		if refused := c.mayClose(m, x, n); refused != nil {
			return *refused
		}
		return Result{Value: c.end(e, m, x, n)}
	}
	said := map[uint64]uint64{}
	for _, b := range m.Blocks {
		said[uint64(b.Address)] = b.Size
	}
	handed := func(x *run) int {
		n, ok := said[x.number]
		switch {
		case m.Length != 1 || x.session < m.Value: // of earlier sessions nobody knows: R5
			return x.end
		case ok:
			return min(max(int(min(n, message.MaxRun)), x.next), x.end)
		}
		return x.next // its node never heard of it
	}
	all := slices.DeleteFunc(c.runsOf(m.Final), func(x *run) bool { return x.session > m.Value })
	for _, x := range all {
		if refused := c.mayClose(m, x, handed(x)); refused != nil {
			return *refused
		}
	}
	var back uint64
	for _, x := range all {
		back += c.end(e, m, x, handed(x))
	}
	if m.Value > c.settledTo(m.Final) {
		c.settled.ReplaceOrInsert(settled{m.Final, m.Value})
	}
	return Result{Value: back}
}

// end ends a run of which n blocks are handed out, and says how many bytes come back.
func (c *Company) end(e *entry, m *message.Message, x *run, n int) (back uint64) {
	c.pass(e, m, x, n)
	for _, at := range x.blocks[max(n, x.next):] {
		r, _ := c.recordAt(at)
		c.remove(r)
		e.Changed = append(e.Changed, c.addr(at))
		back += r.size
	}
	c.runs.Delete(x)
	if back > 0 {
		c.log(e, m, c.addr(x.blocks[max(n, x.next)]), back)
	}
	return back
}

// hinted takes in what a FREE says of the run of its block: R7.
func (c *Company) hinted(e *entry, m *message.Message) {
	if x, ok := c.runOf(m.Final, m.Value, m.Length); ok && m.Size <= uint64(x.end) {
		_, _ = c.advance(e, m, x, int(m.Size), x.end) // closes nothing, so nothing forbids it
	}
}

// freeOpen frees a block that its node may not have handed out: R7.
func (c *Company) freeOpen(e *entry, m *message.Message, r record) Result {
	a := c.addr(r.at)
	if x := c.runAt(r.at); x != nil && c.clock-x.heard <= silence {
		return refuse(message.Busy, "whether node %s has handed out %s it tells in a moment; nothing was done, try again", x.node, a)
	}
	c.pages.Zero(c.off(a), block.Footprint(r.size))
	c.remark(e, r, dropped)
	c.log(e, m, a, r.size)
	return Result{Address: a, Size: r.size}
}

// Run is a run for who looks after those of nodes that are no more.
type Run struct {
	Node    message.NodeID
	Session uint64
	Number  uint64
	Size    uint64 // of a block
	Blocks  int    // that are not claimed
	Open    int    // of those
}

// Runs lists them by node and number.
func (c *Company) Runs() (all []Run) {
	c.runs.Ascend(func(x *run) bool {
		all = append(all, Run{x.node, x.session, x.number, x.size, len(x.blocks) - x.next, x.end - x.next})
		return true
	})
	return all
}

// verifyRuns checks that runs and the marks of their blocks say the same.
func (c *Company) verifyRuns() (err error) {
	marked, listed := 0, 0
	c.records.Ascend(func(r record) bool {
		if r.mark != noMark {
			marked++
		}
		return true
	})
	c.runs.Ascend(func(x *run) bool {
		if x.number > c.lastRun || x.heard > c.clock || x.session <= c.settledTo(x.node) || x.next > x.end || x.end-x.next > message.MaxOpen || x.next >= len(x.blocks) || x.end > len(x.blocks) {
			err = defect("R4: run %d of node %s in session %d has %d blocks, open from %d to %d", x.number, x.node, x.session, len(x.blocks), x.next, x.end)
			return false
		}
		if !sort.SliceIsSorted(x.blocks, func(i, j int) bool { return x.blocks[i] < x.blocks[j] }) {
			err = defect("R1: the blocks of run %d are not in order", x.number)
		}
		for i, at := range x.blocks[x.next:] {
			r, ok := c.recordAt(at)
			isOpen := r.mark == open || r.mark == dropped
			if !ok || r.size != x.size || r.state != message.Allocated || r.home || r.mark == noMark || isOpen != (i+x.next < x.end) {
				err = defect("R1: block %d of run %d at %s is not what the run says", i+x.next, x.number, c.addr(at))
			}
			listed++
		}
		return err == nil
	})
	if err == nil && marked != listed {
		err = defect("R1: %d blocks have marks, runs have %d", marked, listed)
	}
	return err
}
