package node

import (
	"slices"

	"dmalloc/message"
)

// reach has the transport follow a directory, on a node that nobody tells where the others are.
func (n *Node) reach(old, next *message.Directory) {
	if n.cfg.Found == nil || n.told.Load() != nil {
		return
	}
	same := func(a, b message.Node) bool {
		return a.Address == b.Address && a.Incarnation == b.Incarnation && a.Gone == b.Gone
	}
	if old == nil || !slices.EqualFunc(old.Nodes, next.Nodes, same) {
		n.transport.SetDirectory(next)
	}
}

// Left says whether the node has left the cluster for good.
func (n *Node) Left() bool {
	me := n.directory.Load().Node(n.cfg.ID)
	return me != nil && me.Gone
}

// Directory is the directory as this node knows it.
func (n *Node) Directory() *message.Directory { return n.directory.Load() }
