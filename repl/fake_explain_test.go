package repl

import (
	"context"

	"dmalloc/health"
	"dmalloc/message"
)

// Status judges three nodes that own everything. It does not wait: no quorum is needed.
func (f *fake) Status(ctx context.Context) (health.Report, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	leader := message.NoNode
	v := health.View{Directory: &message.Directory{Epoch: 4, Settings: message.Settings{Cluster: "00000000000000aa", Replicas: 3, Memory: 1 << 30}},
		Said: map[message.NodeID]message.NodeStatus{}, Processes: map[message.NodeID]string{}}
	for i := range message.NodeID(3) {
		v.Directory.Nodes = append(v.Directory.Nodes, message.Node{ID: i})
		v.Directory.Registers.Members = append(v.Directory.Registers.Members, message.Member{Node: i})
		if v.Processes[i] = f.states[i]; f.states[i] == "alive" && leader == message.NoNode {
			leader = i
		}
	}
	v.Directory.Registers.Replicas = 3
	for c := range message.CompanyID(3) {
		v.Directory.Companies = append(v.Directory.Companies, message.Company{ID: c, Owners: []message.Owner{{Node: 0}, {Node: 1}, {Node: 2}}})
	}
	for i, state := range f.states {
		s := message.NodeStatus{ID: i, CaughtUp: true, Version: "v1"}
		for c := range message.CompanyID(3) {
			s.Replicas = append(s.Replicas, message.ReplicaStatus{Company: c, Leader: &leader, Term: 2})
		}
		if state == "alive" {
			v.Said[i] = s
		}
	}
	v.Faults = f.faults
	return health.Judge(v), ctx.Err()
}

// Ask answers what a node says of itself, with words that show who was asked what.
func (f *fake) Ask(ctx context.Context, n message.NodeID, m *message.Message) (*message.Message, error) {
	if err := f.wait(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.states[n] != "alive" {
		return nil, message.Errorf(message.Unavailable, "node %s does not answer", n)
	}
	a := m.Answer(message.Done, "")
	switch m.Op {
	case message.GOROUTINES, message.METRICS, message.JOURNAL:
		a.Data = []byte(m.Op.String() + " of node " + n.String() + "\n")
	case message.LOG:
		a.Data = message.JSON([]message.LogLine{{Company: m.Company, Actor: n, Operation: "lead"}})
	default:
		a.Data = message.JSON(map[string]any{"op": m.Op.String(), "node": n})
	}
	return a, nil
}
