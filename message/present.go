package message

// Present are the nodes that have not left for good.
func (d *Directory) Present() []Node {
	nodes := make([]Node, 0, len(d.Nodes))
	for _, n := range d.Nodes {
		if !n.Gone {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// From are the present nodes, beginning with the first whose id is not below that of a node, and around.
func (d *Directory) From(id NodeID) []Node {
	nodes := d.Present()
	for i, n := range nodes {
		if n.ID >= id {
			return append(nodes[i:len(nodes):len(nodes)], nodes[:i]...)
		}
	}
	return nodes
}
