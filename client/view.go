package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"dmalloc/election"
	"dmalloc/message"
	"dmalloc/ring"
)

// statusWait is how long a node may take to say how it is.
const statusWait = 400 * time.Millisecond

// Directory is the directory as a node knows it now, or as it was last seen if none answers.
func (h *Heap) Directory(ctx context.Context) (*message.Directory, error) {
	h.refresh(ctx)
	return h.directory(), ctx.Err()
}

// everyone asks all nodes at once and gives each answer that comes to f, one at a time.
func (h *Heap) everyone(ctx context.Context, op message.Op, f func(n message.NodeID, a *message.Message)) {
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	for _, n := range h.directory().Present() {
		wg.Go(func() {
			a, err := h.call(ctx, n.ID, message.New(op), statusWait)
			if err == nil && a.Status == message.Done {
				mu.Lock()
				defer mu.Unlock()
				f(n.ID, a)
			}
		})
	}
	wg.Wait()
}

// statuses asks every node how it is.
func (h *Heap) statuses(ctx context.Context) map[message.NodeID]message.NodeStatus {
	all := map[message.NodeID]message.NodeStatus{}
	h.everyone(ctx, message.STATUS, func(n message.NodeID, a *message.Message) {
		var s message.NodeStatus
		if json.Unmarshal(a.Data, &s) == nil {
			all[n] = s
		}
	})
	return all
}

// Nodes says who is alive, and what became of those who are not.
func (h *Heap) Nodes(ctx context.Context) ([]Node, error) {
	var processes []Node
	if h.cfg.States != nil {
		processes, _ = h.cfg.States(ctx) // without a launcher there are still the nodes' own words
	}
	h.refresh(ctx) // nodes come and go
	said := h.statuses(ctx)
	d := h.directory()
	present := d.Present()
	nodes := make([]Node, len(present))
	defer func() {
		for i := range nodes {
			nodes[i].Detector, nodes[i].DetectorMS = believed(nodes[i].ID, said)
		}
	}()
	for i, n := range present {
		out := Node{ID: n.ID, State: "dead", Address: n.Address, HTTP: n.HTTP, Host: n.Host, Boot: n.Boot, Leaving: n.Leaving, Leads: []message.CompanyID{}, Owns: []message.CompanyID{}}
		// Of a node that joined by itself the launcher knows nothing.
		if !slices.ContainsFunc(processes, func(p Node) bool { return p.ID == n.ID }) {
			out.State = "unknown"
		}
		for _, p := range processes {
			if p.ID == n.ID {
				out.State, out.Pid = p.State, p.Pid
				if p.Address != "" {
					out.Address, out.HTTP = p.Address, p.HTTP
				}
			}
		}
		// What the launcher says of a process is newer than an answer that was under way when it stopped.
		if s, ok := said[n.ID]; ok && out.State != "paused" && out.State != "dead" {
			if out.State == "unknown" {
				out.State = "alive"
			}
			out.Pid, out.Address, out.HTTP, out.Memory, out.Boot, out.Cache = s.Pid, s.Address, s.HTTP, s.Memory, s.Boot, s.Cache.Bytes
			out.MemoryUse = s.MemoryUse
			for _, r := range s.Replicas {
				if r.Company != 0 && r.Leader != nil && *r.Leader == n.ID {
					out.Leads = append(out.Leads, r.Company)
				}
			}
		}
		for _, c := range d.Companies[1:] { // of the heap
			for _, o := range c.Owners {
				if o.Node == n.ID && !o.Joining {
					out.Owns = append(out.Owns, c.ID)
				}
			}
		}
		nodes[i] = out
	}
	return nodes, ctx.Err()
}

// believed is what most of the answering nodes' failure detectors say of a node, and the longest time for
// which one of them has said so.
func believed(id message.NodeID, said map[message.NodeID]message.NodeStatus) (state string, forMS int64) {
	votes, longest := map[string]int{}, map[string]int64{}
	for from, s := range said {
		for _, b := range s.Detector {
			if b.Node == id && (from != id || len(said) == 1) {
				votes[b.State]++
				longest[b.State] = max(longest[b.State], b.ForMS)
			}
		}
	}
	for s, n := range votes {
		if n > votes[state] || n == votes[state] && s > state {
			state = s
		}
	}
	return state, longest[state]
}

// Companies says who owns and leads each company, and how full it is.
func (h *Heap) Companies(ctx context.Context) ([]Company, error) {
	h.refresh(ctx) // replicas that were replaced have other ids than those of an older directory
	said := h.statuses(ctx)
	d := h.directory()
	out := make([]Company, len(d.Companies))
	for i, c := range d.Companies {
		x := Company{ID: c.ID, Base: c.Base, Limit: c.Limit, Capacity: c.Capacity}
		var applied uint64
		for _, o := range c.Owners {
			if !o.Joining {
				x.Owners = append(x.Owners, o.Node)
			}
			if o.Joining || o.Leaving {
				x.Moves = append(x.Moves, Moving{Node: o.Node, Replica: o.Replica, Instead: o.Instead, Leaving: o.Leaving})
			}
			s, ok := said[o.Node]
			if !ok {
				continue
			}
			for _, r := range s.Replicas {
				if r.Company != c.ID || r.Replica != o.Replica {
					continue
				}
				if o.Joining { // it has no vote yet, and its state is behind
					x.Moves[len(x.Moves)-1].Applied = r.Applied
					continue
				}
				x.Alive++
				if r.Applied >= applied {
					applied, x.Used, x.Room, x.Allocations = r.Applied, r.Used, r.Room, r.Count
				}
				// Only who says it of itself leads: a follower may not have heard of a death yet.
				if r.Leader != nil && *r.Leader == o.Node && r.Term >= x.Term {
					node := o.Node
					x.Leader, x.Term = &node, r.Term
				}
			}
		}
		if x.Alive*2 <= len(x.Owners) {
			x.Leader = nil // it may believe to lead, but can do nothing
		}
		for j := range x.Moves {
			x.Moves[j].Of = applied
		}
		x.Missing = max(0, Wanted(d, c.ID)-x.Alive)
		out[i] = x
	}
	return out, ctx.Err()
}

// Wanted is how many owners a company should have, of the nodes that there are.
func Wanted(d *message.Directory, id message.CompanyID) int {
	nodes := 0
	for _, n := range d.Nodes {
		if !n.Gone && !n.Leaving {
			nodes++
		}
	}
	if id == 0 {
		return min(ring.DirectoryOwners, nodes)
	}
	return min(max(d.Settings.Replicas, 1), nodes)
}

// Lacking is how many owners a company lacks that are alive, of those that it should have. One beside which another
// replica joins on the same node has lost its disk.
func Lacking(d *message.Directory, id message.CompanyID, alive func(message.NodeID) bool) int {
	c := d.Company(id)
	if c == nil {
		return 0
	}
	lacks := Wanted(d, id)
	for _, o := range c.Owners {
		lost := slices.ContainsFunc(c.Owners, func(j message.Owner) bool { return j.Joining && j.Node == o.Node })
		if !o.Joining && !lost && alive(o.Node) {
			lacks--
		}
	}
	return max(0, lacks)
}

// Elections merges what all nodes saw of elections.
func (h *Heap) Elections(ctx context.Context) ([]message.Tenure, error) {
	var all [][]message.Tenure
	h.everyone(ctx, message.ELECTIONS, func(_ message.NodeID, a *message.Message) {
		var t []message.Tenure
		if json.Unmarshal(a.Data, &t) == nil {
			all = append(all, t)
		}
	})
	return election.Merge(all...), ctx.Err()
}

// home is the node that answers for the user's node: that one, or the next that lives.
func (h *Heap) home(ctx context.Context, m func() *message.Message, most time.Duration) (*message.Message, error) {
	d := h.directory()
	var last error
	around := d.From(h.startNode())
	for i := range around {
		n := around[i].ID
		wait := most
		if i+1 < len(around) && time.Since(h.cfg.Carrier.Heard(n)) > time.Second {
			wait = statusWait
			if a, err := h.call(ctx, n, message.New(message.TEST), statusWait); err != nil || a.Status != message.Done {
				last = err
				continue
			}
			wait = most
		}
		a, err := h.call(ctx, n, m(), wait)
		if err == nil {
			if i > 0 {
				h.say(fmt.Sprintf("node %s does not answer; this is from node %s", h.cfg.Home, n))
			}
			return a, a.Err()
		}
		last = err
		if ctx.Err() != nil {
			break
		}
	}
	if errors.Is(last, context.DeadlineExceeded) {
		return nil, message.Errorf(message.Timeout, "node %s has not answered within the command's time; ask for less, or give it more with set timeout", h.cfg.Home)
	}
	return nil, message.Errorf(message.Unavailable, "no node answers: %v", last)
}

// SQL runs a read-only query on the home node's page table.
func (h *Heap) SQL(ctx context.Context, query string) (message.Rows, error) {
	var rows message.Rows
	a, err := h.home(ctx, func() *message.Message {
		m := message.New(message.SQL)
		m.Data = []byte(query)
		return m
	}, 10*time.Second)
	if err != nil {
		return rows, err
	}
	numbers := json.NewDecoder(bytes.NewReader(a.Data))
	numbers.UseNumber() // SQLite's integers have 64 bits, a float64 keeps 53
	err = numbers.Decode(&rows)
	return rows, err
}

// Log is the last count operations of one company or of all, as the home node's page table has them.
func (h *Heap) Log(ctx context.Context, company message.CompanyID, all bool, count int) ([]message.LogLine, error) {
	d := h.directory()
	if !all && d.Company(company) == nil {
		return nil, message.Errorf(message.InvalidArgument, "company %s does not exist; there are 0 to %d", company, len(d.Companies)-1)
	}
	ask := func() *message.Message {
		m := message.New(message.LOG)
		m.Company, m.Value = company, uint64(count)
		if all {
			m.Size = 1
		}
		return m
	}
	var a *message.Message
	var err error
	if all || h.owns(d, company) {
		a, err = h.home(ctx, ask, 5*time.Second)
	} else {
		// The home node holds nothing of that company: ask one that does.
		err = message.Errorf(message.Unavailable, "none of the owners of company %s, %s, answers; revive one", company, list(d.Company(company).OwnerNodes()))
		for _, o := range d.Company(company).Owners {
			if got, e := h.call(ctx, o.Node, ask(), statusWait); e == nil && got.Status == message.Done {
				a, err = got, nil
				break
			}
		}
	}
	if err != nil {
		return nil, err
	}
	var lines []message.LogLine
	err = json.Unmarshal(a.Data, &lines)
	return lines, err
}

func (h *Heap) owns(d *message.Directory, c message.CompanyID) bool {
	for _, o := range d.Company(c).Owners {
		if o.Node == h.cfg.Home {
			return true
		}
	}
	return false
}

// Stats asks every node for its counters and latencies.
func (h *Heap) Stats(ctx context.Context) ([]message.NodeStats, error) {
	var all []message.NodeStats
	if one, two := h.regs.one.Swap(0), h.regs.two.Swap(0); one+two > 0 { // reads that no node has heard of
		m := message.New(message.STATS)
		m.Seq, m.Low = one, two
		_, _ = h.call(ctx, h.directory().From(h.startNode())[0].ID, m, statusWait)
	}
	h.everyone(ctx, message.STATS, func(_ message.NodeID, a *message.Message) {
		var s message.NodeStats
		if json.Unmarshal(a.Data, &s) == nil {
			all = append(all, s)
		}
	})
	sort.Slice(all, func(i, j int) bool { return all[i].Node < all[j].Node })
	if len(all) == 0 {
		return nil, message.Errorf(message.Unavailable, "no node answers")
	}
	return all, ctx.Err()
}

// Lead moves a company's leadership to a node and waits until it leads.
func (h *Heap) Lead(ctx context.Context, company message.CompanyID, node message.NodeID) error {
	d := h.directory()
	c := d.Company(company)
	if c == nil {
		return message.Errorf(message.InvalidArgument, "company %s does not exist; there are 0 to %d", company, len(d.Companies)-1)
	}
	if d.Node(node) == nil {
		return message.Errorf(message.NoSuchNode, "node %s does not exist; there are 0 to %d", node, len(d.Nodes)-1)
	}
	owner := false
	for _, o := range c.Owners {
		owner = owner || (o.Node == node && !o.Joining)
	}
	if !owner {
		return message.Errorf(message.InvalidArgument, "node %s does not own company %s; its owners are %s", node, company, list(c.OwnerNodes()))
	}
	for {
		m := message.New(message.LEADER)
		m.Value = uint64(node)
		a, err := h.do(ctx, company, m)
		if err == nil {
			err = a.Err()
		}
		if err != nil {
			return err
		}
		for range 10 {
			ask := message.New(message.WHOISLEADER)
			ask.Company = company
			if a, err := h.call(ctx, node, ask, statusWait); err == nil && a.Op == message.LEADEROK && a.Final == node {
				h.leaders.learn(company, node, a.Term)
				return nil
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				return message.Errorf(message.Timeout, "company %s is not yet led by node %s; it may still come", company, node)
			}
		}
	}
}

// status asks one node how it is; the zero status if it does not answer.
func (h *Heap) status(ctx context.Context, n message.NodeID) (s message.NodeStatus) {
	if a, err := h.call(ctx, n, message.New(message.STATUS), statusWait); err == nil && a.Status == message.Done {
		_ = json.Unmarshal(a.Data, &s)
	}
	return s
}
