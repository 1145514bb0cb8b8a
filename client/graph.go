package client

import (
	"context"

	"dmalloc/dotgen"
	"dmalloc/message"
)

// graphLimit bounds the allocations that one picture shows.
const graphLimit = 2000

// Graph draws allocations, the cluster or its elections as DOT; equal states give equal bytes.
func (h *Heap) Graph(ctx context.Context, what string) (string, error) {
	switch what {
	case "", "allocations":
		all, err := h.Table(ctx, 0, graphLimit+1)
		if err != nil {
			return "", err
		}
		return dotgen.DrawAllocations(dotgen.Allocations{Allocations: all}), nil
	case "cluster":
		nodes, err := h.Nodes(ctx)
		if err != nil {
			return "", err
		}
		companies, err := h.Companies(ctx)
		if err != nil {
			return "", err
		}
		return dotgen.DrawCluster(cluster(nodes, companies, h.directory().Links())), nil
	case "elections":
		tenures, err := h.Elections(ctx)
		if err != nil {
			return "", err
		}
		return dotgen.DrawElections(dotgen.Elections{Tenures: tenures}), nil
	}
	return "", message.Errorf(message.InvalidArgument, "%s cannot be drawn; use allocations, cluster or elections", message.Quote(what))
}

func cluster(nodes []Node, companies []Company, topology []message.Edge) dotgen.Cluster {
	in := dotgen.Cluster{Topology: topology}
	for _, n := range nodes {
		in.Nodes = append(in.Nodes, dotgen.Node{ID: n.ID, State: n.State, Host: n.Host, Address: n.Address, Leads: n.Leads, Owns: n.Owns})
	}
	for _, c := range companies {
		in.Companies = append(in.Companies, dotgen.Company{ID: c.ID, Owners: c.Owners, Leader: c.Leader, Term: c.Term, Used: c.Used, Capacity: c.Capacity})
	}
	return in
}
