package owner

import (
	"context"
	"fmt"

	"github.com/lni/dragonboat/v4"

	"dmalloc/message"
)

// Members asks the company who belongs to it, and looks up in a directory whose disks are lost.
func (r *Replica) Members(ctx context.Context, d *message.Directory) (Members, uint64, error) {
	m, err := r.host.nh.SyncGetShardMembership(ctx, r.shard())
	if err != nil {
		return Members{}, 0, fmt.Errorf("ask company %s for its members: %w", r.ID, err)
	}
	cluster := r.host.cfg.Settings.Cluster
	out := Members{Voting: map[uint64]message.NodeID{}, Joining: map[uint64]message.NodeID{}, Gone: map[uint64]bool{}, Lost: map[uint64]bool{}}
	for replica, address := range m.Nodes {
		node, incarnation, _ := parseTarget(cluster, address)
		out.Voting[replica] = node
		if n := d.Node(node); n != nil && incarnation < n.Incarnation {
			out.Lost[replica] = true
		}
	}
	for replica, address := range m.NonVotings {
		out.Joining[replica], _, _ = parseTarget(cluster, address)
	}
	for replica := range m.Removed {
		out.Gone[replica] = true
	}
	return out, m.ConfigChangeID, nil
}

// Status is what all replicas of this node know of themselves, by company, with the entry that changed the members last
// as far as each has applied them. Dragonboat tells that of all its groups at once, so it is asked once.
func (h *Host) Status() []message.ReplicaStatus {
	members := map[replicaKey]uint64{}
	if info := h.nh.GetNodeHostInfo(dragonboat.NodeHostInfoOption{SkipLogInfo: true}); info != nil {
		for _, s := range info.ShardInfoList {
			members[replicaKey{s.ShardID, s.ReplicaID}] = s.ConfigChangeIndex
		}
	}
	var all []message.ReplicaStatus
	for _, r := range h.Replicas() {
		s := r.Status()
		s.Members = members[replicaKey{r.shard(), r.Replica}]
		all = append(all, s)
	}
	return all
}

// Counts says whether a replica belongs to the company now, with or without a vote.
func (r *Replica) Counts(ctx context.Context, replica uint64) (bool, error) {
	m, err := r.host.nh.SyncGetShardMembership(ctx, r.shard())
	if err != nil {
		return false, message.Errorf(message.Unavailable, "company %s does not say who belongs to it: %v", r.ID, err)
	}
	_, votes := m.Nodes[replica]
	_, joins := m.NonVotings[replica]
	_, witness := m.Witnesses[replica]
	return votes || joins || witness, nil
}

// Take makes a Join, Remove, Promote or Handover happen. order is the ConfigChangeID that the step was planned at.
func (r *Replica) Take(ctx context.Context, s Step, incarnation, order uint64) error {
	nh, shard := r.host.nh, r.shard()
	address := dragonboat.Target(target(r.host.cfg.Settings.Cluster, s.Node, incarnation))
	var err error
	switch s.Kind {
	case Handover:
		return r.Transfer(s.Replica)
	case Join:
		err = nh.SyncRequestAddNonVoting(ctx, shard, s.Replica, address, order)
	case Remove:
		err = nh.SyncRequestDeleteReplica(ctx, shard, s.Replica, order)
	case Promote:
		err = nh.SyncRequestAddReplica(ctx, shard, s.Replica, address, order)
	}
	if err != nil {
		return fmt.Errorf("change replica %d of company %s: %w", s.Replica, r.ID, err)
	}
	return nil
}

// Charge says whether a company's capacity is not what it should be and can be brought nearer to that.
func (r *Replica) Charge(to uint64) (can bool) {
	r.View(func(m Machine) {
		if h, ok := m.(*Heap); ok {
			can = h.Company.Sized(to) != h.Company.Status().Capacity
		}
	})
	return can
}
