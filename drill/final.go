package drill

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"dmalloc/client"
	"dmalloc/message"
)

const lookAgain = 50 * time.Millisecond // between two looks at a cluster that is becoming whole

// ending is the last part of a run: nobody works any more and everything is healed.
type ending struct {
	cluster  Cluster
	cfg      Config
	rec      *Recorder
	nodes    []message.NodeID
	targets  []*target
	limbo    []message.Allocation
	evidence *Evidence
	found    []Finding
	mu       sync.Mutex // guards found while nodes are read at the same time
}

func (e *ending) find(check, format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.found = append(e.found, Finding{Check: check, Text: fmt.Sprintf(format, args...)})
}

// run reads everything from everywhere, frees everything and looks at what is left.
func (e *ending) run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, n := range e.nodes {
		wg.Go(func() { e.readAll(ctx, n) })
	}
	wg.Wait()
	e.verify(ctx)
	heap, done, err := e.cluster.Dial(ctx, message.NoNode)
	if err != nil {
		e.find(Stuck, "no node could be asked at the end: %v", err)
		return
	}
	defer done()
	c := &caller{heap: heap, log: e.rec.lastLog(), timeout: e.cfg.Timeout}
	after, err := tableOf(ctx, heap, e.cfg.Timeout)
	if err != nil {
		e.find(Stuck, "the table of allocations could not be read at the end: %v", err)
		return
	}
	e.evidence.After, e.evidence.AfterStamp = after, e.rec.stamp()
	e.freeAll(ctx, c)
	e.settle(ctx, heap)
}

// verify compares the owners while they hold what the run has written.
func (e *ending) verify(ctx context.Context) {
	if e.cluster.Verify == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Heal/2)
	defer cancel()
	err := e.cluster.Verify(ctx)
	switch {
	case err == nil:
	case message.CodeOf(err) == message.Broken:
		e.find(Diverged, "%v", err)
	default:
		e.find(Stuck, "the owners of the companies could not be compared at the end: %v", err)
	}
}

// readAll reads every key that is left through one node.
func (e *ending) readAll(ctx context.Context, n message.NodeID) {
	heap, done, err := e.cluster.Dial(ctx, n)
	if err != nil {
		e.find(Stuck, "node %s could not be asked at the end: %v", n, err)
		return
	}
	defer done()
	c := &caller{heap: heap, log: e.rec.lastLog(), timeout: e.cfg.Timeout, back: e.cfg.WriteBack, home: n}
	for _, t := range e.targets {
		err := e.insist(ctx, func() (Outcome, error) { _, out, err := c.read(ctx, t); return out, err })
		if err != nil {
			e.find(Stuck, "node %s could not read %s though all is healed: %v", n, t.key, err)
			return
		}
	}
}

// insist repeats a call until it is answered. Only what may be done twice is repeated.
func (e *ending) insist(ctx context.Context, call func() (Outcome, error)) error {
	for {
		out, err := call()
		if out == Answered {
			return nil
		}
		if full(err) != nil || !wait(ctx, lookAgain) {
			return err
		}
	}
}

// freeAll frees what the clients held. Nobody allocates now, so that a free may be repeated, and a second
// one must find the address free already.
func (e *ending) freeAll(ctx context.Context, c *caller) {
	blocks := slices.Clone(e.limbo)
	for _, t := range e.targets {
		if t.shape != register {
			blocks = append(blocks, t.block)
		}
	}
	there := map[extent]bool{}
	for _, a := range e.evidence.After {
		there[extent{a.Address, a.Size}] = true
	}
	for i, a := range blocks {
		if !there[extent{a.Address, a.Size}] {
			continue // it was freed by a call that had no answer, or is lost, which the tables tell
		}
		free := func() (Outcome, error) { _, out, err := c.free(ctx, a); return out, err }
		if err := e.insist(ctx, free); err != nil {
			e.find(Stuck, "%s could not be freed though all is healed: %v", a.Address, err)
			return
		}
		if i%8 == 0 {
			_, _, _ = c.free(ctx, a)
		}
	}
}

// settle frees what mallocs without an answer have left, and waits until all of the run is gone, or nothing can be
// expected to go any more.
func (e *ending) settle(ctx context.Context, heap Heap) {
	known := map[message.Addr]bool{}
	for _, a := range e.evidence.Before {
		known[a.Address] = true
	}
	acked, lost := e.rec.mallocs()
	var still stillness
	for {
		table, err := tableOf(ctx, heap, e.cfg.Timeout)
		var companies []client.Company
		if err == nil {
			left := 0
			for _, a := range table {
				if known[a.Address] {
					continue
				}
				left++
				if !acked[extent{a.Address, a.Size}] && slices.Contains(lost, a.Size) {
					_ = e.freeOrphan(ctx, heap, a) // the next look tells whether it worked
				}
			}
			var used uint64
			if companies, used, err = usedOf(ctx, e.cluster.View, e.cfg.Timeout); err == nil {
				e.evidence.End, e.evidence.UsedEnd, e.evidence.Tables = table, used, true
				if left == 0 && used == e.evidence.UsedBefore {
					return
				}
			}
		}
		if still.since(time.Now(), err == nil, companies, table) {
			return
		}
		if !wait(ctx, lookAgain) {
			if !e.evidence.Tables {
				e.find(Stuck, "what is left at the end could not be seen: %v", err)
			}
			return
		}
	}
}

func (e *ending) freeOrphan(ctx context.Context, heap Heap, a message.Allocation) error {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	return heap.Free(ctx, a.Address)
}

// tableOf reads the whole table.
func tableOf(ctx context.Context, heap Heap, limit time.Duration) ([]message.Allocation, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	const page = 1000
	var all []message.Allocation
	for from := message.Addr(0); ; {
		rows, err := heap.Table(ctx, from, page)
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
		if len(rows) < page {
			return all, nil
		}
		last := rows[len(rows)-1]
		from = last.Address + message.Addr(max(last.Size, 1))
	}
}

// usedOf adds up what all companies say is used; the directory has no heap.
func usedOf(ctx context.Context, view View, limit time.Duration) ([]client.Company, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	companies, err := view.Companies(ctx)
	var sum uint64
	for _, c := range companies {
		if c.ID == 0 {
			continue
		}
		if c.Leader == nil {
			return nil, 0, message.Errorf(message.Unavailable, "company %s has no leader", c.ID)
		}
		sum += c.Used
	}
	return companies, sum, err
}

// becomeWhole waits until every company has a leader and all its owners for some looks in a row, and says why not
// when ctx ends.
func becomeWhole(ctx context.Context, view View, looks int) error {
	for whole := 0; ; {
		var (
			companies []client.Company
			err       error
		)
		look, cancel := context.WithTimeout(ctx, 5*time.Second)
		companies, err = view.Companies(look)
		cancel()
		why := notWhole(companies)
		switch {
		case err == nil && why == "":
			if whole++; whole >= looks {
				return nil
			}
			why = "it did not stay whole"
		case err != nil:
			whole, why = 0, err.Error()
		default:
			whole = 0
		}
		if !wait(ctx, lookAgain) {
			return message.Errorf(message.Unavailable, "%s", why)
		}
	}
}
