package node

import (
	"context"
	"time"

	"dmalloc/company"
	"dmalloc/message"
	"dmalloc/owner"
)

const (
	watchEvery   = 500 * time.Millisecond
	watchBusy    = 50 * time.Millisecond // while a change of membership is under way
	tidyEvery    = 6                     // ticks
	directoryTTL = 4                     // ticks after which the directory is asked for again
	settleAfter  = 2 * time.Second       // how long a transaction may stand unfinished before its owner asks
	settleTime   = time.Second           // for all of a company at one tick: others wait behind them
)

// announce tells the directory that the node has started, and ends the node when its files are too old.
func (n *Node) announce() {
	me := message.Node{ID: n.cfg.ID, Address: n.cfg.Listener.Addr().String(), Boot: n.identity.Boot, Incarnation: n.cfg.Incarnation}
	if int(n.cfg.ID) < len(n.cfg.Hosts) {
		me.Host = n.cfg.Hosts[n.cfg.ID]
	}
	if n.cfg.HTTP != nil {
		me.HTTP = n.cfg.HTTP.Addr().String()
	}
	for n.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(n.ctx, 5*time.Second)
		err := n.heap.Change(ctx, message.BOOT, me)
		cancel()
		switch message.CodeOf(err) {
		case message.Done:
			return
		case message.Corrupt:
			n.fail(err)
			return
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-n.ctx.Done():
		}
	}
}

// watch does what no request asks for: it keeps the directory fresh, takes the seats that the directory
// gives this node, and for the companies led here mends membership and ends transactions whose
// coordinator went silent.
func (n *Node) watch() {
	timer := time.NewTimer(watchEvery)
	defer timer.Stop()
	pending := map[message.CompanyID]map[company.PendingKey]time.Time{}
	tidy := newTidy()
	for tick := 1; ; tick++ {
		select {
		case <-n.ctx.Done():
			return
		case <-timer.C:
		}
		n.readDirectory()
		if n.host.Replica(0) == nil && (tick%directoryTTL == 1 || n.unsettled()) {
			n.askDirectory()
		}
		if tick%tidyEvery == 0 {
			tidy.look(n.stats)
		}
		n.fitCache()
		n.takeSeats()
		n.moveRegisters()
		if timer.Reset(watchEvery); n.unsettled() {
			timer.Reset(watchBusy)
		}
		for _, r := range n.host.Replicas() {
			if !r.Leads() {
				delete(pending, r.ID)
				continue
			}
			n.mend(r)
			if r.ID != 0 {
				pending[r.ID] = n.settle(r, pending[r.ID])
			}
		}
	}
}

// unsettled says whether the directory shows a change under way.
func (n *Node) unsettled() bool {
	for _, c := range n.directory.Load().Companies {
		for _, o := range c.Owners {
			if o.Joining {
				return true
			}
		}
	}
	if len(n.directory.Load().Registers.Next) > 0 {
		return true
	}
	return n.cfg.Join && len(n.host.Replicas()) == 0
}

func (n *Node) askDirectory() {
	ctx, cancel := context.WithTimeout(n.ctx, time.Second)
	defer cancel()
	n.askDirectoryNow(ctx)
}

func (n *Node) askDirectoryNow(ctx context.Context) {
	if d, err := n.heap.Directory(ctx); err == nil {
		n.learn(d)
	}
}

// takeSeats starts the replicas that the directory gives this incarnation of this node.
func (n *Node) takeSeats() {
	n.seatMu.Lock()
	defer n.seatMu.Unlock()
	d := n.directory.Load()
	me := d.Node(n.cfg.ID)
	if me == nil || me.Incarnation != n.cfg.Incarnation {
		return
	}
	for _, c := range d.Companies {
		n.host.Know(c.ID, c.Owners)
		for _, o := range c.Owners {
			if o.Node != n.cfg.ID {
				continue
			}
			if n.identity.find(c.ID, o.Replica) != nil || n.host.Replica(c.ID) != nil || !o.Joining {
				continue
			}
			if err := n.seat(owner.Seat{Company: c.ID, Replica: o.Replica, Join: true}); err != nil {
				n.cfg.Log.Error("join a company", "company", c.ID, "replica", o.Replica, "error", err)
			}
		}
	}
}

// mend takes the next step towards the owners that the directory wants for a company led here.
func (n *Node) mend(r *owner.Replica) {
	d := n.directory.Load()
	c := d.Company(r.ID)
	joining := false
	for _, o := range c.Owners {
		joining = joining || o.Joining
	}
	if !joining {
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, 3*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		members, order, err := r.Members(ctx)
		if err != nil {
			return
		}
		applied := r.Status().Applied
		step := owner.Plan(c.Owners, members, func(replica uint64) bool {
			for _, o := range c.Owners {
				if o.Replica == replica {
					return n.heap.Applied(ctx, o.Node, r.ID, replica) >= applied
				}
			}
			return false
		})
		switch step.Kind {
		case owner.Settled, owner.Wait:
			return
		case owner.Record:
			if err := n.heap.Change(ctx, message.REPLACE, message.Move{Company: r.ID, Node: step.Node, Replica: step.Replica}); err != nil {
				return
			}
			n.stats.moves.Add(1)
			n.askDirectory()
			return
		}
		if err := r.Take(ctx, step, d.Node(step.Node).Incarnation, order); err != nil {
			n.cfg.Log.Warn("mend a company", "company", r.ID, "step", step, "error", err)
			return
		}
	}
}

// settle ends the transactions of a company that have stood unfinished since before settleAfter.
func (n *Node) settle(r *owner.Replica, seen map[company.PendingKey]time.Time) map[company.PendingKey]time.Time {
	var all []company.Pending
	r.View(func(m owner.Machine) {
		if h, ok := m.(*owner.Heap); ok {
			all = h.Pending()
		}
	})
	if len(all) == 0 {
		return nil
	}
	now := n.now()
	next := map[company.PendingKey]time.Time{}
	ctx, cancel := context.WithTimeout(n.ctx, settleTime)
	defer cancel()
	for _, p := range all {
		first, ok := seen[p.Key()]
		if !ok {
			first = now
		}
		next[p.Key()] = first
		if now.Sub(first) < settleAfter || ctx.Err() != nil {
			continue
		}
		var err error
		if p.State == message.Reserved {
			err = n.heap.Settle(ctx, r.ID, p.HomeCompany, p.Txn)
		} else {
			err = n.heap.ReleaseParts(ctx, r.ID, p.Address, p.Txn, p.Blocks[1:])
		}
		if err != nil {
			n.cfg.Log.Warn("settle a transaction", "company", r.ID, "txn", p.Txn.String(), "error", err)
			continue
		}
		n.stats.settled.Add(1)
	}
	return next
}
