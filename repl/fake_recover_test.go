package repl

import (
	"context"

	"dmalloc/client"
	"dmalloc/message"
)

// Survey knows of one company without a majority, 2.
func (f *fake) Survey(ctx context.Context, company message.CompanyID) (client.Recovery, error) {
	if err := f.wait(ctx); err != nil {
		return client.Recovery{}, err
	}
	if company != 2 {
		return client.Recovery{}, message.Errorf(message.InvalidArgument, "company %s has a majority: 3 of its 3 owners answer, and nothing of it is lost; nothing was done", company)
	}
	return client.Recovery{Company: 2, Generation: 1, Node: 1, Index: 41, Survivors: []client.Survivor{{Node: 1, Index: 41}}, Missing: []message.NodeID{0, 2}}, nil
}

func (f *fake) Recover(ctx context.Context, company message.CompanyID, yes bool) (client.Recovery, error) {
	r, err := f.Survey(ctx, company)
	if err == nil && !yes {
		err = message.Errorf(message.InvalidArgument, "%s Nothing was done; say yes to go on", r.Loses())
	}
	return r, err
}
