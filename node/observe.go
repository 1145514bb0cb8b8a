package node

import (
	"dmalloc/company"
	"dmalloc/message"
	"dmalloc/owner"
	"dmalloc/pagetable"
)

// observer hears of applied entries from the goroutines that apply them: it only notes.
type observer struct{ n *Node }

func (o observer) Applied(id message.CompanyID, a *company.Applied) {
	if id == 0 {
		o.n.readDirectory()
	}
	o.n.lessor.applied(id, a)
	o.n.table.Changed(id, a.Changed, a.Log)
	if len(a.Leases) > 0 {
		tokens := make([]uint64, len(a.Leases))
		for i, l := range a.Leases {
			tokens[i] = l.Lease.Token
		}
		o.n.table.Leased(id, tokens)
	}
}

func (o observer) Restored(id message.CompanyID) {
	if id == 0 {
		o.n.readDirectory()
		return
	}
	o.n.lessor.restored(id)
	if r := o.n.host.Replica(id); r != nil {
		o.n.table.Attach(id, source{r})
	}
}

// readDirectory takes in the directory from this node's own replica of company 0.
func (n *Node) readDirectory() {
	if n.host == nil {
		return
	}
	r := n.host.Replica(0)
	if r == nil {
		return
	}
	r.View(func(m owner.Machine) {
		if d, ok := m.(*owner.Directory); ok {
			n.learn(d.Current())
		}
	})
}

// learn takes in a directory that is newer than the one known.
func (n *Node) learn(d *message.Directory) {
	for {
		old := n.directory.Load()
		if old != nil && d.Epoch < old.Epoch {
			return
		}
		next := d.Clone()
		for i := range next.Nodes {
			if next.Nodes[i].Address == "" && old != nil && i < len(old.Nodes) {
				next.Nodes[i].Address, next.Nodes[i].HTTP = old.Nodes[i].Address, old.Nodes[i].HTTP
			}
		}
		n.address(next)
		n.configure(next)
		if n.holder != nil {
			n.holder.outgrow(next) // before anybody hears that this node has the directory
		}
		if n.directory.CompareAndSwap(old, next) {
			if n.table != nil {
				n.table.SetDirectory(next)
			}
			if n.keeper != nil {
				n.keeper.Learn(next.Registers)
			}
			n.spreadNews(false)
			return
		}
	}
}

// configure puts into a directory the settings that may change from one start to the next. Its log does not have
// them: they are those of the processes.
func (n *Node) configure(d *message.Directory) {
	s := &n.cfg.Settings
	d.Settings.ReplaceAfter, d.Settings.Cache, d.Settings.WriteBack, d.Settings.Runs = s.ReplaceAfter, s.Cache, s.WriteBack, s.Runs
}

// led hears of a change of leadership.
func (n *Node) led(id message.CompanyID, term uint64, leader message.NodeID) {
	n.electMu.Lock()
	defer n.electMu.Unlock()
	n.election.Observe(id, term, leader, n.now().UnixMilli())
}

// source shows an owner's company to the page table.
type source struct{ r *owner.Replica }

func (s source) Extent(a message.Addr) (e pagetable.Extent, ok bool) {
	s.view(func(c *company.Company) {
		var x company.Extent
		if x, ok = c.Extent(a); ok {
			e = row(x)
		}
	})
	return e, ok
}

func (s source) Extents(from message.Addr, n int) (out []pagetable.Extent) {
	s.view(func(c *company.Company) {
		for _, x := range c.Extents(from, n) {
			out = append(out, row(x))
		}
	})
	return out
}

func (s source) Summary() pagetable.Summary {
	st := s.r.Status()
	out := pagetable.Summary{Used: st.Used, Capacity: st.Capacity, Leader: message.NoNode, Term: st.Term, Applied: st.Applied}
	if st.Leader != nil {
		out.Leader = *st.Leader
	}
	return out
}

func (s source) Lease(token uint64) (l message.Lease, ok bool) {
	s.view(func(c *company.Company) { l, ok = c.Lease(token) })
	return l, ok
}

func (s source) Leases(from message.Addr, token uint64, n int) (out []message.Lease) {
	s.view(func(c *company.Company) { out = c.Leases(from, token, n) })
	return out
}

func (s source) view(f func(c *company.Company)) {
	s.r.View(func(m owner.Machine) {
		if h, ok := m.(*owner.Heap); ok {
			f(h.Company)
		}
	})
}

func row(x company.Extent) pagetable.Extent {
	return pagetable.Extent{Address: x.Address, Size: x.Size, State: x.State, Home: x.Home, HomeCompany: x.HomeCompany, Txn: x.Txn, Blocks: x.Blocks}
}
