package cluster

import (
	"context"

	"dmalloc/client"
	"dmalloc/message"
	"dmalloc/ring"
)

// Directory is the directory that the cluster began with, with the nodes and addresses of now: what a client
// needs to reach the nodes, who know the rest. Of nodes that others started nothing is known here.
func (l *Launcher) Directory() *message.Directory {
	d := ring.Plan(l.Settings(), l.Hosts())
	known := map[message.NodeID]bool{}
	for _, s := range l.States() {
		for int(s.ID) >= len(d.Nodes) {
			d.Nodes = append(d.Nodes, message.Node{ID: message.NodeID(len(d.Nodes))})
		}
		n := d.Node(s.ID)
		n.Host, n.Address, n.HTTP, n.Incarnation = s.Host, s.Address, s.HTTP, s.Incarnation
		known[s.ID] = true
	}
	for i := range d.Nodes {
		d.Nodes[i].Gone = !known[d.Nodes[i].ID]
	}
	return d
}

// Nodes says what became of the nodes' processes, as clients show it.
func (l *Launcher) Nodes(context.Context) ([]client.Node, error) {
	states := l.States()
	nodes := make([]client.Node, len(states))
	for i, s := range states {
		nodes[i] = client.Node{ID: s.ID, State: s.State, Pid: s.Pid, Address: s.Address, HTTP: s.HTTP, Host: s.Host}
	}
	return nodes, nil
}
