package transport

import (
	"sort"
	"time"

	"dmalloc/message"
)

// routes says through which neighbour each node is reached. It is pure, and never changes once made.
type routes struct {
	self   message.NodeID
	parent []message.NodeID // by destination: the node before it on its path; NoNode: unreachable
	next   []message.NodeID // by destination: the neighbour that its path begins with
	mesh   bool             // everybody is everybody's neighbour
}

// newRoutes finds the paths with the fewest hops from self to each of n nodes; among equal ones the one
// whose nodes are lower. No edges mean a full mesh. A node that is down relays nothing, but it can still
// be addressed: whoever believes it dead may be wrong.
func newRoutes(self message.NodeID, n int, edges []message.Edge, down map[message.NodeID]bool) *routes {
	if len(edges) == 0 || !isNode(self) {
		return &routes{self: self, mesh: true}
	}
	n = max(n, int(self)+1)
	r := &routes{self: self, parent: make([]message.NodeID, n), next: make([]message.NodeID, n)}
	near := neighbours(n, edges)
	for i := range n {
		r.parent[i], r.next[i] = message.NoNode, message.NoNode
	}
	r.parent[self] = self
	// Breadth first, lower ids first: the queue is sorted by the path to each node, so that the first
	// path found is the least of the shortest.
	for queue := []message.NodeID{self}; len(queue) > 0; queue = queue[1:] {
		a := queue[0]
		if a != self && down[a] {
			continue
		}
		for _, b := range near[a] {
			if r.parent[b] != message.NoNode {
				continue
			}
			r.parent[b] = a
			if r.next[b] = r.next[a]; a == self {
				r.next[b] = b
			}
			queue = append(queue, b)
		}
	}
	return r
}

// neighbours lists those of each node, ascending. Edges to nodes that do not exist and loops lead nowhere.
func neighbours(n int, edges []message.Edge) [][]message.NodeID {
	near := make([][]message.NodeID, n)
	for _, e := range edges {
		if int64(e.A) < int64(n) && int64(e.B) < int64(n) && e.A != e.B {
			near[e.A] = append(near[e.A], e.B)
			near[e.B] = append(near[e.B], e.A)
		}
	}
	for _, l := range near {
		sort.Slice(l, func(i, j int) bool { return l[i] < l[j] })
	}
	return near
}

// hop is the neighbour to which a frame for a node goes.
func (r *routes) hop(to message.NodeID) (message.NodeID, bool) {
	if to == r.self || !isNode(to) {
		return message.NoNode, false
	}
	if r.mesh {
		return to, true
	}
	if int(to) >= len(r.next) || r.next[to] == message.NoNode {
		return message.NoNode, false
	}
	return r.next[to], true
}

// path lists the nodes from the neighbour to the destination, both included.
func (r *routes) path(to message.NodeID) []message.NodeID {
	if _, ok := r.hop(to); !ok {
		return nil
	}
	if r.mesh {
		return []message.NodeID{to}
	}
	var back []message.NodeID
	for at := to; at != r.self; at = r.parent[at] {
		back = append(back, at)
	}
	for i, j := 0, len(back)-1; i < j; i, j = i+1, j-1 {
		back[i], back[j] = back[j], back[i]
	}
	return back
}

// LongestRoundTrip is how long the latencies of edges make the way between two of n nodes there and back, for
// those that are farthest apart while all relay. It is 0 in a full mesh.
func LongestRoundTrip(n int, edges []message.Edge) time.Duration {
	latency := map[[2]message.NodeID]time.Duration{}
	for _, e := range edges {
		d := time.Duration(e.LatencyUS) * time.Microsecond
		latency[[2]message.NodeID{e.A, e.B}], latency[[2]message.NodeID{e.B, e.A}] = d, d
	}
	oneWay := make([]time.Duration, n*n)
	for from := range n {
		routes := newRoutes(message.NodeID(from), n, edges, nil)
		for to := range n {
			at := message.NodeID(from)
			for _, next := range routes.path(message.NodeID(to)) {
				oneWay[from*n+to] += latency[[2]message.NodeID{at, next}]
				at = next
			}
		}
	}
	var longest time.Duration
	for from := range n {
		for to := range from {
			longest = max(longest, oneWay[from*n+to]+oneWay[to*n+from])
		}
	}
	return longest
}
