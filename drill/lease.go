package drill

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"dmalloc/message"
)

// Leasing says which leases the clients take.
type Leasing uint8

const (
	AnyLease Leasing = iota // shared and exclusive ones
	NoLeases
)

const (
	// A lease is short: whoever it keeps out, while its holder is dead, shall not have to give up.
	shortestLease = 300 * time.Millisecond
	longestLease  = 2 * time.Second
	leaseWait     = time.Second // for a grant; a node that is down cannot hold a lease
	leaseTurn     = 12          // of so many steps of a client one is about leases
)

// Grant is a lease that a client was given.
type Grant struct {
	Client       int
	Key          Key   // the cell in whose block the lease is
	Call, Return int64 // stamps of the recorder
	Lease        message.Lease
}

func (g Grant) String() string {
	return fmt.Sprintf("client %d's lease %s of %d bytes at %s on node %s, asked for at %s and granted by %s, has token %d",
		g.Client, g.Lease.Mode, g.Lease.Size, g.Lease.Address, g.Lease.Holder, seconds(g.Call), seconds(g.Return), g.Lease.Token)
}

// lease takes a lease of a cell's block, and says for how long it may last. What has no answer ends by itself.
func (c *caller) lease(ctx context.Context, t *target, mode string, length time.Duration) (time.Duration, error) {
	if !c.log.room && c.log.r.kept.Add(1) > c.log.r.most {
		return 0, errFull
	}
	ctx, cancel := context.WithTimeout(ctx, min(c.timeout, leaseWait))
	defer cancel()
	g := Grant{Client: c.log.client, Key: t.key, Call: c.log.r.stamp()}
	l, err := c.heap.Lease(ctx, t.addr, mode, length)
	if err != nil {
		return 0, nil // another holds it, or no answer: the clients go on without
	}
	g.Return, g.Lease = c.log.r.stamp(), l
	c.log.grants = append(c.log.grants, g)
	if c.back {
		o := c.op(t, Hold)
		o.Client, o.Call, o.Return = c.log.client, g.Call, g.Return
		c.log.ops = append(c.log.ops, o)
	}
	return time.Duration(l.LengthMS) * time.Millisecond, nil
}

// release gives back the lease of a cell's block, if the node has it still.
func (c *caller) release(ctx context.Context, t *target) {
	c.writeBack(ctx, t, &c.log.released, func(ctx context.Context) error {
		_, err := c.heap.Release(ctx, t.addr)
		return err
	})
}

// sync has the node write back what it has absorbed of a cell's block.
func (c *caller) sync(ctx context.Context, t *target) {
	c.writeBack(ctx, t, &c.log.synced, func(ctx context.Context) error {
		_, err := c.heap.Sync(ctx, t.addr)
		return err
	})
}

// writeBack does what leaves nothing of a cell at its node alone, and counts it.
func (c *caller) writeBack(ctx context.Context, t *target, count *int, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, min(c.timeout, leaseWait))
	defer cancel()
	o := c.op(t, Sync)
	o.Client, o.Call = c.log.client, c.log.r.stamp()
	if do(ctx) == nil {
		*count++
		c.told(o)
	}
}

// told takes down that nothing of a cell is at its node alone.
func (c *caller) told(o Op) {
	if !c.back {
		return
	}
	o.Return = c.log.r.stamp()
	c.log.ops = append(c.log.ops, o)
}

// holding is the lease that a client took last: it works more on that key than on others.
type holding struct {
	slot  int
	cell  *target
	until time.Time
}

// draw is how a lease is asked for.
func (w *worker) draw() (mode string, length time.Duration) {
	mode = "r"
	if w.leases == AnyLease && (w.dice.IntN(2) == 0 || w.back && w.dice.IntN(2) == 0) {
		mode = "w"
	}
	return mode, shortestLease + time.Duration(w.dice.Int64N(int64(longestLease-shortestLease)))
}

// hold gives a lease back, or takes one of a hot cell.
func (w *worker) hold(ctx context.Context) error {
	if w.held.cell != nil {
		t := w.held.cell
		w.held = holding{}
		w.release(ctx, t)
		return nil
	}
	keys := w.work.keys
	i := w.dice.IntN(len(keys.slots))
	if keys.slots[i].shape == register {
		return nil
	}
	t, calm, make := keys.pick(i)
	if t == nil {
		if make {
			keys.put(i, nil)
		}
		return nil
	}
	mode, length := w.draw()
	lasts, err := w.lease(ctx, t, mode, length)
	keys.done(i, t, calm, false)
	if lasts > 0 {
		w.held = holding{i, t, time.Now().Add(lasts)}
	}
	return err
}

// favorite is the slot of the key whose lease the client has, half of the time; otherwise any.
func (w *worker) favorite() int {
	if w.held.cell != nil && time.Now().After(w.held.until) {
		w.held = holding{} // it is let end by itself
	}
	if w.held.cell != nil && w.dice.IntN(2) == 0 {
		return w.held.slot
	}
	return w.dice.IntN(len(w.work.keys.slots))
}

// tokens judges the leases of each company: a token names one lease, and a lease that was asked for after
// another was granted has the greater token. Without that a late write could pass for that of the newer holder.
func tokens(grants []Grant) []Finding {
	var out []Finding
	find := func(g Grant, format string, args ...any) {
		out = append(out, Finding{Check: Leases, Key: "company " + g.Lease.Company.String(), Text: fmt.Sprintf(format, args...)})
	}
	companies := map[message.CompanyID][]Grant{}
	for _, g := range grants {
		companies[g.Lease.Company] = append(companies[g.Lease.Company], g)
	}
	for _, all := range companies {
		if a, b, same := twins(all); same {
			find(a, "%s, and so has %s", a, b)
			continue
		}
		ended := slices.Clone(all)
		slices.SortFunc(ended, func(a, b Grant) int { return cmp.Compare(a.Return, b.Return) })
		slices.SortFunc(all, func(a, b Grant) int { return cmp.Compare(a.Call, b.Call) })
		var greatest *Grant // of those that were granted before
		for _, g := range all {
			for len(ended) > 0 && ended[0].Return < g.Call {
				if greatest == nil || ended[0].Lease.Token > greatest.Lease.Token {
					greatest = &ended[0]
				}
				ended = ended[1:]
			}
			if greatest != nil && greatest.Lease.Token > g.Lease.Token {
				find(g, "%s, but %s, which is greater", g, *greatest)
				break // one for each company is enough
			}
		}
	}
	slices.SortFunc(out, func(a, b Finding) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// twins are two leases with one token.
func twins(all []Grant) (a, b Grant, same bool) {
	seen := map[uint64]Grant{}
	for _, g := range all {
		if other, some := seen[g.Lease.Token]; some {
			return other, g, true
		}
		seen[g.Lease.Token] = g
	}
	return a, b, false
}
