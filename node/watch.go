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
	lookEvery    = 6                     // ticks after which a company that does not change is looked at
	directoryTTL = 4                     // ticks after which the directory is asked for again
	settleAfter  = 2 * time.Second       // how long a transaction may stand unfinished before its owner asks
	settleTime   = time.Second           // for all of a company at one tick: others wait behind them
)

// announce tells the directory that the node has started, and ends the node when its files are too old.
func (n *Node) announce() {
	me := message.Node{ID: n.cfg.ID, Address: n.cfg.Listener.Addr().String(), Boot: n.identity.Boot, Incarnation: n.cfg.Incarnation}
	me.Host = n.cfg.Host
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
			n.seeStart()
			return
		case message.Corrupt:
			n.fail(err)
			return
		case message.NoSuchNode:
			n.askDirectory() // which may say that it has left
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-n.ctx.Done():
		}
	}
}

// seeStart has this node see a directory that knows of its start: until then it does not act for its companies.
func (n *Node) seeStart() {
	for !n.admitted() && n.ctx.Err() == nil {
		n.askDirectory()
		ctx, cancel := context.WithTimeout(n.ctx, watchBusy)
		n.awaitSight(ctx)
		cancel()
	}
}

// watch does what no request asks for: it keeps the directory fresh, takes the seats that the directory
// gives this node, and for the companies led here mends membership and ends transactions whose
// coordinator went silent.
func (n *Node) watch() {
	timer := time.NewTimer(watchEvery)
	defer timer.Stop()
	pending := map[message.CompanyID]map[company.PendingKey]time.Time{}
	stranded := map[message.CompanyID]map[session]time.Time{}
	tidy := newTidy()
	n.stayWithin()
	for tick := 1; ; tick++ {
		select {
		case <-n.ctx.Done():
			return
		case <-timer.C:
		}
		n.readDirectory()
		if n.outOfDate() && (tick%directoryTTL == 1 || n.unsettled()) {
			n.askDirectory()
		}
		n.stayWithin()
		if tick%tidyEvery == 0 {
			tidy.look()
		}
		n.takeSeats()
		n.moveRegisters()
		n.planNext()
		n.evenLeaders()
		n.runs.drain()
		if timer.Reset(watchEvery); n.unsettled() {
			timer.Reset(watchBusy)
		}
		for _, r := range n.host.Replicas() {
			if !r.Leads() {
				delete(pending, r.ID)
				delete(stranded, r.ID)
				delete(n.prefer, r.ID)
				continue
			}
			if !n.current(r) {
				continue
			}
			n.cry(r)
			if n.sealed(r) {
				n.mend(r, tick%lookEvery == 0)
			}
			n.prefers(r)
			n.size(r)
			if r.ID != 0 {
				pending[r.ID] = n.settle(r, pending[r.ID])
				stranded[r.ID] = n.settleStranded(r, stranded[r.ID])
			}
		}
	}
}

// unsettled says whether the directory shows a change under way.
func (n *Node) unsettled() bool {
	for _, c := range n.directory.Load().Companies {
		if c.Changing() {
			return true
		}
	}
	if len(n.directory.Load().Registers.Next) > 0 {
		return true
	}
	return n.cfg.Join && !n.late() && len(n.host.Replicas()) == 0
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

// mend takes the next step towards the owners that the directory wants for a company led here. Also where no change is
// under way Raft may count one that the directory does not list, or whose disk is lost: look has it look for those.
func (n *Node) mend(r *owner.Replica, look bool) {
	d := n.directory.Load()
	c := d.Company(r.ID)
	if c == nil || !c.Changing() && !look || n.unsure(c) {
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, 3*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		members, order, err := r.Members(ctx, d)
		if err != nil {
			return
		}
		applied := r.Status().Applied
		step := owner.Plan(c, members, r.Replica, func(replica uint64) bool {
			for _, o := range c.Owners {
				if o.Replica == replica {
					return n.heap.Applied(ctx, o.Node, r.ID, replica) >= applied
				}
			}
			return false
		}, n.down)
		switch step.Kind {
		case owner.Settled, owner.Wait:
			return
		case owner.Record, owner.Forget:
			n.record(ctx, r, step, members)
			return
		}
		if step.Kind == owner.Join && !r.Shorten() || step.Kind == owner.Handover && !n.mayLead(ctx, r.ID, step, applied, order) {
			return // at one of the next ticks
		}
		if err := r.Take(ctx, step, d.Node(step.Node).Incarnation, order); err != nil {
			n.cfg.Log.Warn("mend a company", "company", r.ID, "step", step, "error", err)
			return
		}
		if step.Kind == owner.Handover { // the next leader goes on
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
