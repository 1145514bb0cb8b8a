package node

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"dmalloc/client"
	"dmalloc/member"
	"dmalloc/message"
	"dmalloc/owner"
	"dmalloc/ring"
	"dmalloc/transport"
	"dmalloc/web"
)

// planTime is how long one round of planning may take.
const planTime = 5 * time.Second

// planNext has the directory's leader propose the next changes: where nodes come, go, and stay dead for long. What it
// says of the dead is its own view; when it is cut off itself it can change nothing, for it has no majority.
func (n *Node) planNext() {
	r := n.host.Replica(0)
	if r == nil || !r.Leads() || !n.planning.CompareAndSwap(false, true) {
		return
	}
	started := n.spawn(func() {
		defer n.planning.Store(false)
		ctx, cancel := context.WithTimeout(n.ctx, planTime)
		defer cancel()
		for ctx.Err() == nil && r.Leads() {
			d := directoryOf(r)
			lost := n.lost()
			c := ring.NextBeside(d, ring.Beliefs{Dead: func(id message.NodeID) bool { return lost[id] }, Away: n.away, Stuck: n.changes.stuck(d, time.Now())})
			if c.Op == message.NONE {
				return
			}
			if err := n.heap.Carry(ctx, c); err != nil {
				if message.CodeOf(err) != message.Stale && n.ctx.Err() == nil {
					n.cfg.Log.Warn("plan a change", "change", c, "error", err)
				}
				return
			}
			if c.Op == message.MOVE {
				n.stats.begun.Add(1)
			}
		}
	})
	if !started {
		n.planning.Store(false)
	}
}

// stuckAfter is how long a change of a company's owners may last before others need not wait for it. Who catches up for
// longer costs the network that much more.
const stuckAfter = time.Minute

// changes are those of companies' owners that are under way, and since when the planner has seen them.
type changes map[message.CompanyID]change

type change struct {
	replica uint64 // who joins or leaves
	since   time.Time
}

// stuck says of which companies the same change lasts for too long.
func (s changes) stuck(d *message.Directory, now time.Time) func(message.CompanyID) bool {
	for i := range d.Companies {
		c := &d.Companies[i]
		at := slices.IndexFunc(c.Owners, func(o message.Owner) bool { return o.Joining || o.Leaving })
		if at < 0 {
			delete(s, c.ID)
		} else if r := c.Owners[at].Replica; s[c.ID].replica != r {
			s[c.ID] = change{r, now}
		}
	}
	return func(id message.CompanyID) bool {
		x, under := s[id]
		return under && now.Sub(x.since) >= stuckAfter
	}
}

// directoryOf is the directory as this node's replica of it has it.
func directoryOf(r *owner.Replica) (d *message.Directory) {
	r.View(func(m owner.Machine) {
		if s, ok := m.(*owner.Directory); ok {
			d = s.Current()
		}
	})
	return d
}

// lost are the nodes that have been dead for so long that others take their places: the failure detector says so, and
// nothing was heard of them by any way.
func (n *Node) lost() map[message.NodeID]bool {
	ms, ever := n.cfg.Settings.Patience() // what may change from start to start is not in the log
	if !ever {
		return nil
	}
	patience, lost := time.Duration(ms)*time.Millisecond, map[message.NodeID]bool{}
	for _, s := range n.members.View() {
		if s.Node != n.cfg.ID && (s.State == member.Dead || s.State == member.Unknown) && time.Since(s.Since) >= patience && time.Since(n.transport.Heard(s.Node)) >= patience {
			lost[s.Node] = true
		}
	}
	return lost
}

// away says whether a node is not known to be there now.
func (n *Node) away(id message.NodeID) bool {
	return id != n.cfg.ID && n.members.State(id) != member.Alive
}

// down says whether a node is believed dead, and unsure whether that is open for an owner: then nothing is removed.
func (n *Node) down(id message.NodeID) bool { return n.members.State(id) == member.Dead }

func (n *Node) unsure(c *message.Company) bool {
	return slices.ContainsFunc(c.Owners, func(o message.Owner) bool { return n.members.State(o.Node) == member.Suspect })
}

// record tells the directory what has become of a replica, and who votes now.
func (n *Node) record(ctx context.Context, r *owner.Replica, s owner.Step, members owner.Members) {
	move := message.Move{Company: r.ID, Node: s.Node, Replica: s.Replica, Voters: slices.Sorted(maps.Keys(members.Voting))}
	if s.Kind == owner.Forget {
		move.Node = message.NoNode
	}
	if err := n.heap.Change(ctx, message.REPLACE, move); err != nil {
		return
	}
	if s.Kind == owner.Record {
		n.stats.moves.Add(1)
		n.prefer[r.ID] = true
	}
	n.askDirectory()
}

// prefers hands a company that was founded or has moved to its first owner: otherwise who came last leads nothing. It
// is done once, so that `lead` and elections have the last word.
func (n *Node) prefers(r *owner.Replica) {
	c := n.directory.Load().Company(r.ID)
	if !n.prefer[r.ID] || c == nil || c.Changing() || n.unsettled() {
		return
	}
	first := c.Owners[0]
	switch {
	case first.Node == n.cfg.ID || n.members.State(first.Node) != member.Alive:
		delete(n.prefer, r.ID)
	default:
		ctx, cancel := context.WithTimeout(n.ctx, time.Second)
		defer cancel()
		applied := r.Status().Applied
		if n.heap.Applied(ctx, first.Node, r.ID, first.Replica) >= applied {
			_ = r.Transfer(first.Replica) // a refusal is no harm: somebody leads
			delete(n.prefer, r.ID)
		}
	}
}

// size brings the capacity of a company that is led here to what the directory says. What is allocated stays, so that
// it may have to wait.
func (n *Node) size(r *owner.Replica) {
	c := n.directory.Load().Company(r.ID)
	if r.ID == 0 || c == nil || !r.Charge(c.Capacity) {
		return
	}
	m := message.New(message.CAPACITY)
	m.Company, m.Value = r.ID, c.Capacity
	r.Do(m, func(*message.Message) {}) // asked again at the next tick if it fails
}

// writeMoves puts out what concerns owners that come and go: how many companies lack owners that live, and of those that
// are led here, how many each.
func (n *Node) writeMoves(w io.Writer) {
	fmt.Fprintf(w, "dmalloc_moves_total %d\n", n.stats.begun.Load())
	fmt.Fprintf(w, "dmalloc_companies_under_replicated %d\n", len(n.thin()))
	d := n.directory.Load()
	for _, r := range n.host.Replicas() {
		if d.Company(r.ID) == nil || !r.Leads() {
			continue
		}
		fmt.Fprintf(w, "dmalloc_company_missing_owners{company=\"%s\"} %d\n", r.ID, client.Lacking(d, r.ID, n.up))
	}
}

// up says whether a node is not believed dead. The failure detector has been patient when it says so.
func (n *Node) up(id message.NodeID) bool { return id == n.cfg.ID || !n.down(id) }

// thin lists the companies, the directory too, that have fewer live owners than they should, as far as this node knows.
// They serve as long as they have a majority.
func (n *Node) thin() (all []web.Thin) {
	d := n.directory.Load()
	for i := range d.Companies {
		id := d.Companies[i].ID
		if lacks := client.Lacking(d, id, n.up); lacks > 0 {
			all = append(all, web.Thin{Company: id, Missing: lacks})
		}
	}
	return all
}

// outOfDate says whether this node cannot trust its own copy of the directory: it has none, or one without a leader,
// because it is cut off, or because it was replaced while it was away. One that is being replaced is not told of it
// by Raft, which stops to talk to it.
func (n *Node) outOfDate() bool {
	r := n.host.Replica(0)
	if r == nil || n.directory.Load().Companies[0].Changing() {
		return true
	}
	_, _, known := r.Leader()
	return !known
}

// links are how many nodes there are and which direct links they have. A node that its directory does not have yet
// has one to everybody: it could not ask otherwise.
func (n *Node) links(d *message.Directory) (int, []message.Edge) {
	if int64(n.cfg.ID) >= int64(len(d.Nodes)) {
		d = d.Clone()
		for id := len(d.Nodes); id <= int(n.cfg.ID); id++ {
			d.Nodes = append(d.Nodes, message.Node{ID: message.NodeID(id)})
		}
	}
	return len(d.Nodes), d.Links()
}

// spreadNews tells the transport and the failure detector who is where, if that has changed. News of the launcher is
// news also where nothing has changed: who could not be reached is tried again at once.
func (n *Node) spreadNews(again bool) {
	if n.transport == nil {
		return
	}
	n.newsMu.Lock()
	defer n.newsMu.Unlock()
	d := n.directory.Load()
	peers, ids := map[message.NodeID]transport.Peer{}, []message.NodeID{}
	put := func(x message.Node) {
		if old, ok := peers[x.ID]; x.ID != n.cfg.ID && x.Address != "" && (!ok || x.Incarnation >= old.Incarnation) {
			peers[x.ID] = transport.Peer{Address: x.Address, Incarnation: x.Incarnation}
		}
	}
	for _, x := range d.Nodes {
		put(x) // also one that is gone: it may ask whether it is
		if !x.Gone {
			ids = append(ids, x.ID)
		} else if x.ID == n.cfg.ID {
			n.leaving.Do(func() { close(n.left) })
		}
	}
	if told := n.told.Load(); told != nil {
		for _, x := range *told {
			put(x)
		}
	}
	if again || !maps.Equal(peers, n.peers) {
		n.peers = peers
		n.transport.SetPeers(peers)
	}
	if !slices.Equal(ids, n.ids) {
		n.ids = ids
		n.transport.SetTopology(n.links(d))
		if n.members != nil {
			n.members.SetNodes(ids)
		}
	}
}
