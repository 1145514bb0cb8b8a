package node

import (
	"context"
	"testing"
	"time"

	"dmalloc/message"
	"dmalloc/owner"
)

// seated gives a node, a company that it votes in, and its replica of it.
func (h *herd) seated(id message.NodeID) (*Node, *owner.Replica) {
	n := h.nodes[id]
	for _, r := range n.host.Replicas() {
		if r.ID != 0 {
			return n, r
		}
	}
	h.t.Fatalf("node %s owns nothing", id)
	return nil, nil
}

// without is a directory that does not list a replica, and that a node takes for newer than its own.
func without(d *message.Directory, id message.CompanyID, replica uint64) *message.Directory {
	d = d.Clone()
	d.Epoch += 1000
	c := d.Company(id)
	c.Next++
	var kept []message.Owner
	for _, o := range c.Owners {
		if o.Replica != replica {
			kept = append(kept, o)
		}
	}
	c.Owners = kept
	return d
}

// Whatever a directory says, a replica that its company counts is not deleted.
func TestAMemberIsNotDeleted(t *testing.T) {
	h := newHerd(t, 3, -1)
	n, r := h.seated(1)
	n.directory.Store(without(n.directory.Load(), r.ID, r.Replica))
	for range 3 {
		n.takeSeats()
		for n.asking.Load() {
			time.Sleep(time.Millisecond)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if is, err := h.nodes[0].heap.Member(ctx, r.ID, r.Replica); err != nil || !is {
		t.Errorf("a voter is a member: %v, %v", is, err)
	}
	if is, err := h.nodes[0].heap.Member(ctx, r.ID, 99); err != nil || is {
		t.Errorf("nobody is a member: %v, %v", is, err)
	}
	n.seatMu.Lock()
	defer n.seatMu.Unlock()
	if k := n.identity.find(r.ID, r.Replica); k == nil || k.Removed || n.host.Replica(r.ID) != r {
		t.Fatalf("company %s counts replica %d, and its node has %+v", r.ID, r.Replica, k)
	}
}
