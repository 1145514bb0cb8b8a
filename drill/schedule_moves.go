package drill

import (
	"slices"
	"time"

	"dmalloc/message"
)

const (
	mostJoined   = 3               // nodes that a plan has more than the cluster began with
	fewestNodes  = 3               // that a plan leaves
	soonReplaced = 5 * time.Second // the longest --replace-after that a drill waits for
)

// floor is how many nodes a plan leaves at least: each company still has all its owners.
func (p Plan) floor() int { return max(fewestNodes, p.Replicas) }

func (p Plan) replaces() bool { return p.ReplaceAfter > 0 && p.ReplaceAfter <= soonReplaced }

// mayMove refuses a kind for which the cluster is not made.
func (p Plan) mayMove(k Kind) error {
	switch {
	case k == Leave && p.Nodes <= p.floor() && !slices.Contains(p.Kinds, Join):
		return message.Errorf(message.InvalidArgument, "leave takes a node away, and %d must stay of %d; use more nodes, or the kind join, too", p.floor(), p.Nodes)
	case k == Replace && !p.replaces():
		after := "is never"
		if p.ReplaceAfter > 0 {
			after = "is " + p.ReplaceAfter.String()
		}
		return message.Errorf(message.InvalidArgument, "replace waits until others take the place of a dead node, and --replace-after %s here; start the cluster with --replace-after 1s, or up to %v", after, soonReplaced)
	case k == Replace && p.Length < p.ReplaceAfter+shortestGone+2*time.Second: // faults begin within a second
		return message.Errorf(message.InvalidArgument, "%v are too short for replace where --replace-after is %v; drill for %v or longer", p.Length, p.ReplaceAfter, p.ReplaceAfter+shortestGone+2*time.Second)
	case k == Replace && p.Nodes <= p.Replicas:
		return message.Errorf(message.InvalidArgument, "replace needs a node that can take the place of another; there are %d nodes for %d replicas; use more nodes", p.Nodes, p.Replicas)
	}
	return nil
}

// instead is a kind's opposite where the cluster has too few nodes for it, or enough.
func (g *planner) instead(row kindRow) kindRow {
	opposite := map[Kind]Kind{Join: Leave, Leave: Join}[row.kind]
	if g.possible(row) || weight(g.Kinds, opposite) == 0 {
		return row
	}
	all := kindRows()
	return all[slices.IndexFunc(all, func(r kindRow) bool { return r.kind == opposite })]
}

// possible says whether the cluster has the nodes, and the plan the time, for a kind.
func (g *planner) possible(row kindRow) bool {
	switch row.kind {
	case Join:
		return g.nodes < g.Nodes+mostJoined
	case Leave:
		return g.nodes > g.floor()
	case Replace:
		return g.at+g.ReplaceAfter+shortestGone+2*g.pace.spare <= g.Length
	}
	return true
}

func (g *planner) join(hold time.Duration) {
	g.nodes++
	g.event(g.at, Command{Verb: "node add"})
	g.begins(hold, 0, false)
}

// leave most often takes a node that has joined, so that clients' own nodes stay.
func (g *planner) leave(hold time.Duration) {
	v := g.victim()
	if g.dice.IntN(4) > 0 {
		v.Role, v.Company = Newest, 0
	}
	g.nodes--
	g.event(g.at, Command{Verb: "node remove", Who: []Who{v}})
	g.begins(hold, 0, true)
}

// For how long a node is dead beyond --replace-after: others notice, and copy what it had.
const (
	shortestGone = time.Second
	longestGone  = 3 * time.Second
)

func (g *planner) replace(time.Duration) {
	v := g.victim()
	hold := min(g.ReplaceAfter+g.between(shortestGone, longestGone), g.Length-g.at-2*g.pace.spare).Truncate(time.Millisecond)
	g.event(g.at, Command{Verb: "kill", Who: []Who{v}})
	g.event(g.at+hold, Command{Verb: "revive", Who: []Who{again(v)}})
	g.begins(hold, 1, true)
}
