package directory

import (
	"encoding/json"
	"slices"

	"dmalloc/company"
	"dmalloc/message"
)

// admit takes in a node and answers its id. Asked again with the same key it answers the same.
func admit(d *message.Directory, data []byte) company.Result {
	var said message.Node
	if err := json.Unmarshal(data, &said); err != nil {
		return refuse(message.InvalidArgument, "the description of a node is not JSON")
	}
	if said.Key == 0 {
		return refuse(message.InvalidArgument, "a node that wants in shows a key that it has drawn at random, not 0")
	}
	for i := range d.Nodes {
		if n := &d.Nodes[i]; n.Key == said.Key {
			if n.Gone {
				return goneForGood(n)
			}
			return company.Result{Value: uint64(n.ID)}
		}
	}
	if why := tooLong(said); why.Code != message.Done {
		return why
	}
	if least := min(leastMemory, d.Settings.Memory); said.Memory != 0 && said.Memory < least {
		return refuse(message.InvalidArgument, "a node that gives %s would leave the companies that it owns without room; give at least %s, or leave it to the cluster",
			message.FormatSize(said.Memory), message.FormatSize(least))
	}
	if len(d.Nodes) >= message.MaxNodes {
		return refuse(message.OutOfMemory, "there are %d nodes, those that left among them, and no more ids", len(d.Nodes))
	}
	id := message.NodeID(len(d.Nodes))
	d.Nodes = append(d.Nodes, message.Node{ID: id, Host: said.Host, Address: said.Address, HTTP: said.HTTP, Memory: said.Memory, Key: said.Key})
	return company.Result{Value: uint64(id)}
}

// dismiss begins to let a node go.
func dismiss(d *message.Directory, id uint64) company.Result {
	n := node(d, id)
	if n == nil {
		return noNode(d, message.NodeID(id))
	}
	if n.Gone || n.Leaving {
		return company.Result{} // a repetition
	}
	if !slices.ContainsFunc(d.Nodes, func(o message.Node) bool { return o.ID != n.ID && !o.Gone && !o.Leaving }) {
		return refuse(message.InvalidArgument, "node %s is the last one and cannot leave; stop the cluster instead", n.ID)
	}
	n.Leaving = true
	return company.Result{}
}

// leave ends it: the node holds nothing that others need.
func leave(d *message.Directory, id uint64) company.Result {
	n := node(d, id)
	if n == nil {
		return noNode(d, message.NodeID(id))
	}
	if n.Gone {
		return company.Result{} // a repetition
	}
	if !n.Leaving {
		return refuse(message.InvalidArgument, "node %s is not about to leave; ask for node remove %s first", n.ID, n.ID)
	}
	for _, c := range d.Companies {
		if slices.Contains(c.OwnerNodes(), n.ID) {
			return refuse(message.Busy, "node %s still owns company %s", n.ID, c.ID)
		}
	}
	keeps := func(m message.Member) bool { return m.Node == n.ID }
	if slices.ContainsFunc(d.Registers.Members, keeps) || slices.ContainsFunc(d.Registers.Next, keeps) {
		return refuse(message.Busy, "node %s still keeps registers", n.ID)
	}
	n.Gone = true
	return company.Result{}
}

// node finds a node by a number that came from outside.
func node(d *message.Directory, id uint64) *message.Node {
	if id >= uint64(len(d.Nodes)) {
		return nil
	}
	return &d.Nodes[id]
}

func noNode(d *message.Directory, id message.NodeID) company.Result {
	return refuse(message.NoSuchNode, "node %s is not in the directory; it has %d nodes", id, len(d.Nodes))
}

func noCompany(d *message.Directory, id message.CompanyID) company.Result {
	return refuse(message.InvalidArgument, "company %s does not exist; the last is %d", id, len(d.Companies)-1)
}

func goneForGood(n *message.Node) company.Result {
	return refuse(message.NoSuchNode, "node %s has left the cluster for good; join with an empty directory to become another node", n.ID)
}
