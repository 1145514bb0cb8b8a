package cluster

import (
	"context"

	"dmalloc/client"
	"dmalloc/message"
	"dmalloc/ring"
)

// Directory is the directory that the cluster began with, with the addresses of now: what a client needs
// to reach the nodes, who know the rest.
func (l *Launcher) Directory() *message.Directory {
	d := ring.Plan(l.Settings(), l.Hosts())
	for _, s := range l.States() {
		n := d.Node(s.ID)
		n.Address, n.HTTP, n.Incarnation = s.Address, s.HTTP, s.Incarnation
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
