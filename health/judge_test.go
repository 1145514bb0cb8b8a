package health

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"dmalloc/message"
	"dmalloc/ring"
)

// world is a cluster of n nodes in which everybody is well.
func world(n int) View {
	s := message.Settings{Cluster: "00000000000000aa", Nodes: n, Replicas: 3, Companies: n, Memory: 1 << 30}
	hosts := make([]string, n)
	d := ring.Plan(s, hosts)
	v := View{Directory: d, Said: map[message.NodeID]message.NodeStatus{}, Processes: map[message.NodeID]string{}, Clocks: map[message.NodeID]Clock{}}
	for i := range d.Nodes {
		id := message.NodeID(i)
		v.Processes[id] = "alive"
		v.Said[id] = message.NodeStatus{ID: id, CaughtUp: true, Version: "v1", DiskFree: 1 << 40, DiskTotal: 2 << 40, TimeMS: 1}
		v.Clocks[id] = Clock{AheadMS: 1, WithinMS: 2}
	}
	for _, c := range d.Companies {
		leader := c.Owners[0].Node
		for _, o := range c.Owners {
			st := v.Said[o.Node]
			st.Replicas = append(st.Replicas, message.ReplicaStatus{Company: c.ID, Replica: o.Replica, Leader: &leader, Term: 2, Applied: 100})
			v.Said[o.Node] = st
		}
	}
	return v
}

// without is the world after nodes have come into a state.
func without(v View, state string, nodes ...int) View {
	for _, n := range ids(nodes...) {
		v.Processes[n] = state
		delete(v.Said, n)
	}
	// Whoever is left elects a leader where it can.
	for i := range v.Directory.Companies {
		c := &v.Directory.Companies[i]
		var alive []message.NodeID
		for _, o := range c.Owners {
			if _, ok := v.Said[o.Node]; ok {
				alive = append(alive, o.Node)
			}
		}
		if 2*len(alive) <= len(c.Owners) {
			continue
		}
		for _, o := range c.Owners {
			for k := range v.Said[o.Node].Replicas {
				if r := &v.Said[o.Node].Replicas[k]; r.Company == c.ID {
					leader := alive[0]
					r.Leader, r.Term = &leader, 3
				}
			}
		}
	}
	return v
}

func change(v View, n int, f func(*message.NodeStatus)) View {
	s := v.Said[message.NodeID(n)]
	f(&s)
	v.Said[message.NodeID(n)] = s
	return v
}

func TestVerdicts(t *testing.T) {
	nobodyLeads := world(3)
	for i := range 3 {
		for k := range nobodyLeads.Said[message.NodeID(i)].Replicas {
			if r := &nobodyLeads.Said[message.NodeID(i)].Replicas[k]; r.Company == 2 {
				r.Leader = nil
			}
		}
	}
	lostDisk := world(3)
	change(lostDisk, 1, func(s *message.NodeStatus) { s.Incarnation = 1 })
	noLauncher := without(world(3), "dead", 1, 2)
	noLauncher.Processes = nil
	late := world(3) // its answers were under way when it was frozen
	late.Processes[0], late.Processes[2] = "paused", "dead"
	acksAll := without(world(3), "dead", 1)
	acksAll.Directory.Settings.Acks = "all"
	for _, c := range []struct {
		name    string
		v       View
		state   State
		verdict string
	}{
		{"all well", world(5), Healthy, "healthy: 5 nodes, 5 companies, all there"},
		{"one dead", without(world(3), "dead", 1), Degraded, "degraded: node 1 does not answer, companies 0,1,2,3 have a majority, but not all owners, registers of 1024 shards have a quorum, but not all replicas"},
		{"two dead", without(world(3), "dead", 0, 2), Unavailable, "unavailable: companies 0,1,2,3 have no majority, registers of 1024 of 1024 shards have no quorum; revive 0 or 2"},
		{"dead and frozen", without(without(world(3), "dead", 0), "paused", 2), Unavailable, "unavailable: companies 0,1,2,3 have no majority, registers of 1024 of 1024 shards have no quorum; revive 0 or resume 2"},
		{"two frozen", without(world(3), "paused", 0, 2), Unavailable, "unavailable: companies 0,1,2,3 have no majority, registers of 1024 of 1024 shards have no quorum; resume 0 or 2"},
		{"all dead", without(world(3), "dead", 0, 1, 2), Unavailable, "unavailable: companies 0,1,2,3 have no majority, registers of 1024 of 1024 shards have no quorum; revive 0 and 1, or 0 and 2, or 1 and 2"},
		{"no launcher to ask", noLauncher, Unavailable, "unavailable: companies 0,1,2,3 have no majority, registers of 1024 of 1024 shards have no quorum; revive 1 or 2"},
		{"late answers", late, Unavailable, "unavailable: companies 0,1,2,3 have no majority, registers of 1024 of 1024 shards have no quorum; resume 0 or revive 2"},
		{"all must acknowledge", acksAll, Unavailable, "unavailable: registers of 1024 of 1024 shards lack replicas that must acknowledge (acks all); revive 1"},
		{"an election", nobodyLeads, Unavailable, "unavailable: company 2 has no leader yet, though a majority is there: an election is under way"},
		{"a lost disk", lostDisk, Degraded, "degraded: registers of 1024 shards have a quorum, but not all replicas"},
		{"behind", change(world(3), 2, func(s *message.NodeStatus) { s.Replicas[1].Applied = 5; s.CaughtUp = false }), Degraded, "degraded: company 1 has owners that are catching up"},
		{"does not serve", change(world(3), 2, func(s *message.NodeStatus) { s.Replicas[1].State = "its log is damaged" }), Degraded, "degraded: company 1 has a majority, but not all owners"},
		{"two versions", change(world(3), 2, func(s *message.NodeStatus) { s.Version = "v2" }), Healthy, "healthy: 3 nodes, 3 companies, all there; 1 warning"},
		{"a full disk", change(world(3), 2, func(s *message.NodeStatus) { s.DiskFree = 1 << 20 }), Healthy, "healthy: 3 nodes, 3 companies, all there; 1 warning"},
		{"nothing", View{}, Unavailable, "unavailable: nothing is known of the cluster"},
	} {
		r := Judge(c.v)
		if r.State != c.state || r.Verdict != c.verdict {
			t.Errorf("%s: %s\n got: %s\nwant: %s", c.name, r.State, r.Verdict, c.verdict)
		}
		b, err := json.Marshal(r)
		if err != nil || strings.Contains(string(b), ":null") && !strings.Contains(string(b), `"leader":null`) {
			t.Errorf("%s: %s %v", c.name, b, err)
		}
		for range 5 { // H4
			if again := Judge(c.v); !reflect.DeepEqual(again, r) {
				t.Fatalf("%s: judged again, it is %+v, not %+v", c.name, again, r)
			}
		}
	}
}

// Without nodes 1 and 2 of twenty only some companies are lost, and each says who would restore it.
func TestEachCompanySaysWho(t *testing.T) {
	r := Judge(without(world(20), "dead", 1, 2))
	lost := 0
	for _, c := range r.Companies {
		switch {
		case c.ID == 0: // the directory has five owners
		case len(c.Missing) == 2:
			lost++
			if c.State != Unavailable || !reflect.DeepEqual(c.Revive, [][]message.NodeID{ids(1), ids(2)}) || !strings.HasSuffix(c.Why, "; revive 1 or 2") {
				t.Errorf("company %s: %+v", c.ID, c)
			}
		case len(c.Missing) == 1 && c.State != Degraded, len(c.Missing) == 0 && c.State != Healthy:
			t.Errorf("company %s: %+v", c.ID, c)
		}
	}
	g := r.Registers
	if g.Unavailable == 0 || g.Degraded == 0 || g.Unavailable+g.Degraded > g.Shards || !reflect.DeepEqual(g.Revive, [][]message.NodeID{ids(1), ids(2)}) || !reflect.DeepEqual(g.Down, ids(1, 2)) {
		t.Errorf("registers: %+v", g)
	}
	if !reflect.DeepEqual(r.Revive, [][]message.NodeID{ids(1), ids(2)}) || !r.Exact {
		t.Errorf("%v, exact %v", r.Revive, r.Exact)
	}
}

// In a line 0-1-2-3-4 the end is cut off by a frozen node in the middle: its return is enough, though nodes
// 3 and 4 are silent, too. A node that is dead behind a dead one needs both.
func TestPaths(t *testing.T) {
	line := func() View {
		v := world(5)
		for i := range message.NodeID(4) {
			v.Directory.Settings.Topology = append(v.Directory.Settings.Topology, message.Edge{A: i, B: i + 1})
		}
		return v
	}
	cut := without(without(without(line(), "dead", 0), "paused", 2), "alive", 3, 4)
	if r := Judge(cut); !reflect.DeepEqual(r.Revive, [][]message.NodeID{ids(2)}) || !r.Exact || !strings.HasSuffix(r.Verdict, "; resume 2") || r.Nodes[3].State != "silent" {
		t.Errorf("%s %v\n%+v", r.Verdict, r.Revive, r.Nodes)
	}
	behind := without(line(), "dead", 1, 2, 3)
	for _, c := range Judge(behind).Companies {
		if reflect.DeepEqual(c.Owners, ids(1, 2, 3)) && !reflect.DeepEqual(c.Revive, [][]message.NodeID{ids(1, 2), ids(1, 3), ids(2, 3)}) {
			t.Errorf("company %s: %v", c.ID, c.Revive)
		}
	}
	far := without(without(line(), "dead", 1, 2), "alive", 3, 4)
	for _, c := range Judge(far).Companies {
		if reflect.DeepEqual(c.Owners, ids(2, 3, 4)) && !reflect.DeepEqual(c.Revive, [][]message.NodeID{ids(1, 2)}) {
			t.Errorf("company %s behind two dead nodes: %v", c.ID, c.Revive)
		}
	}
	if r := Judge(without(line(), "dead", 0, 1, 2, 3, 4)); !reflect.DeepEqual(r.Revive, [][]message.NodeID{ids(0, 1, 2, 3), ids(1, 2, 3, 4)}) {
		t.Errorf("of a line without a living node: %v", r.Revive)
	}
	if r := Judge(without(world(3), "alive", 0, 2)); !strings.HasSuffix(r.Verdict, "; reach 0 or 2") {
		t.Errorf("%s", r.Verdict)
	}
}

// While members change an operation needs a quorum of the old and of the new replicas.
func TestRegistersThatMove(t *testing.T) {
	v := without(world(6), "dead", 4, 5)
	v.Directory.Registers.Members = []message.Member{{Node: 0}, {Node: 1}, {Node: 2}}
	if r := Judge(v); r.Registers.State != Healthy || r.Registers.Moving {
		t.Errorf("the members are there: %+v", r.Registers)
	}
	v.Directory.Registers.Next = []message.Member{{Node: 3}, {Node: 4}, {Node: 5}}
	if r := Judge(v); r.Registers.Unavailable != ring.Shards || !r.Registers.Moving || !reflect.DeepEqual(r.Registers.Revive, [][]message.NodeID{ids(4), ids(5)}) {
		t.Errorf("of the next members one is there: %+v", r.Registers)
	}
}

// What the detectors and the clocks say warns, and changes no verdict.
func TestWarnings(t *testing.T) {
	v := world(3)
	v.Clocks[1] = Clock{AheadMS: -4000, WithinMS: 10}
	v.Clocks[2] = Clock{AheadMS: 4000, WithinMS: 3900}
	for i := range 2 {
		change(v, i, func(s *message.NodeStatus) { s.Detector = []message.Belief{{Node: 2, State: "suspect"}} })
	}
	r := Judge(v)
	if r.State != Healthy || len(r.Warnings) != 2 || !strings.Contains(r.Warnings[0], "clock of node 1 is -4000 ms off") || !strings.Contains(r.Warnings[1], "node 2 answers here") {
		t.Errorf("%s %q", r.State, r.Warnings)
	}
}

// H4: where the detectors are at odds, the same word wins however a map is walked.
func TestBeliefsAtOdds(t *testing.T) {
	v := world(3)
	change(v, 0, func(s *message.NodeStatus) { s.Detector = []message.Belief{{Node: 2, State: "dead"}} })
	change(v, 1, func(s *message.NodeStatus) { s.Detector = []message.Belief{{Node: 2, State: "suspect"}} })
	for range 50 {
		if r := Judge(v); r.Nodes[2].Detector != "suspect" {
			t.Fatalf("node 2 is held for %s", r.Nodes[2].Detector)
		}
	}
}

// A company whose owners answer without serving cannot be restored by anybody's return.
func TestNobodyWouldRestore(t *testing.T) {
	v := world(3)
	for i := range 2 {
		change(v, i, func(s *message.NodeStatus) { s.Replicas[1].State = "its log is damaged" })
	}
	r := Judge(v)
	if r.State != Unavailable || len(r.Revive) != 0 || !strings.Contains(r.Verdict, "company 1 has no majority") || !strings.Contains(r.Verdict, "no node's return") || !strings.Contains(r.Companies[1].Why, "look at the logs of nodes 0,1") {
		t.Errorf("%s\n%+v", r.Verdict, r.Companies[1])
	}
}

// What is broken on purpose is told, and does not change the judgement.
func TestFaultsAreTold(t *testing.T) {
	v := View{Directory: &message.Directory{}, Faults: []Fault{{ID: 3, Kind: "slow", Fault: "slow 0 1 50ms"}}}
	with := Judge(v)
	v.Faults = nil
	without := Judge(v)
	if len(with.Faults) != 1 || with.Faults[0].ID != 3 || without.Faults == nil || with.Verdict != without.Verdict {
		t.Errorf("%+v %+v", with, without)
	}
}
