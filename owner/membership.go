package owner

import (
	"context"
	"fmt"
	"sort"

	"github.com/lni/dragonboat/v4"

	"dmalloc/message"
)

// Step is what brings a company's replicas one step nearer to what the directory wants.
type Step struct {
	Kind    StepKind
	Replica uint64
	Node    message.NodeID
}

// StepKind is a kind of Step.
type StepKind uint8

const (
	Settled StepKind = iota // nothing to do
	Join                    // add Replica on Node without a vote
	Wait                    // Replica is catching up
	Remove                  // remove Replica
	Promote                 // give Replica a vote
	Record                  // Replica votes: tell the directory
)

// Members is Raft's present view of a company.
type Members struct {
	Voting  map[uint64]message.NodeID
	Joining map[uint64]message.NodeID
	Gone    map[uint64]bool
}

// Plan decides the next step for one company. A node with a joining owner replaces its other owner, in
// the order: add without a vote, catch up, remove the old one, promote. So the company never counts a
// replica that knows nothing into its majority, and never loses two votes at once.
func Plan(owners []message.Owner, now Members, caughtUp func(replica uint64) bool) Step {
	want := append([]message.Owner(nil), owners...)
	sort.Slice(want, func(i, j int) bool { return want[i].Replica < want[j].Replica })
	for _, o := range want {
		if !o.Joining {
			continue
		}
		// What the node had before and the directory no longer lists: promoted or joined, then lost again
		// before that was recorded. It must go first, or it counts in the majority for ever.
		if old, ok := leftover(want, now, o); ok {
			return Step{Remove, old, o.Node}
		}
		if _, ok := now.Voting[o.Replica]; ok {
			return Step{Record, o.Replica, o.Node}
		}
		if _, ok := now.Joining[o.Replica]; !ok {
			return Step{Join, o.Replica, o.Node}
		}
		if !caughtUp(o.Replica) {
			return Step{Wait, o.Replica, o.Node}
		}
		for _, old := range want {
			if _, votes := now.Voting[old.Replica]; votes && old.Node == o.Node {
				return Step{Remove, old.Replica, old.Node}
			}
		}
		return Step{Promote, o.Replica, o.Node}
	}
	return Step{}
}

// leftover finds the lowest replica on o's node that is older than o and not in the directory's list.
func leftover(want []message.Owner, now Members, o message.Owner) (oldest uint64, found bool) {
	listed := map[uint64]bool{}
	for _, w := range want {
		listed[w.Replica] = true
	}
	for _, have := range []map[uint64]message.NodeID{now.Voting, now.Joining} {
		for replica, node := range have {
			if node == o.Node && replica < o.Replica && !listed[replica] && (!found || replica < oldest) {
				oldest, found = replica, true
			}
		}
	}
	return oldest, found
}

// Members asks the company who belongs to it.
func (r *Replica) Members(ctx context.Context) (Members, uint64, error) {
	m, err := r.host.nh.SyncGetShardMembership(ctx, uint64(r.ID))
	if err != nil {
		return Members{}, 0, fmt.Errorf("ask company %s for its members: %w", r.ID, err)
	}
	cluster := r.host.cfg.Settings.Cluster
	out := Members{Voting: map[uint64]message.NodeID{}, Joining: map[uint64]message.NodeID{}, Gone: map[uint64]bool{}}
	for replica, address := range m.Nodes {
		out.Voting[replica], _, _ = parseTarget(cluster, address)
	}
	for replica, address := range m.NonVotings {
		out.Joining[replica], _, _ = parseTarget(cluster, address)
	}
	for replica := range m.Removed {
		out.Gone[replica] = true
	}
	return out, m.ConfigChangeID, nil
}

// Take makes a Join, Remove or Promote happen. order is the ConfigChangeID that the step was planned at.
func (r *Replica) Take(ctx context.Context, s Step, incarnation, order uint64) error {
	nh, shard := r.host.nh, uint64(r.ID)
	address := dragonboat.Target(target(r.host.cfg.Settings.Cluster, s.Node, incarnation))
	var err error
	switch s.Kind {
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
