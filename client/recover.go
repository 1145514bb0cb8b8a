package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"dmalloc/message"
)

// Recovery is what survives of a company that has no majority, and what begins anew from it.
type Recovery struct {
	Company    message.CompanyID `json:"company"`
	Generation uint64            `json:"generation"` // that begins
	Node       message.NodeID    `json:"node"`       // on which most survives
	Index      uint64            `json:"index"`      // of the last entry that is known to survive there: what was acknowledged after it may be lost
	Survivors  []Survivor        `json:"survivors"`  // most first
	Missing    []message.NodeID  `json:"missing"`    // owners that do not answer, or do not run
	epoch      uint64
	replica    uint64
}

// Survivor is an owner that answers, and how much of the company it has applied.
type Survivor struct {
	Node    message.NodeID `json:"node"`
	Index   uint64         `json:"index"`
	replica uint64
}

// Loses says what a recovery costs, for people.
func (r Recovery) Loses() string {
	have := make([]string, len(r.Survivors))
	for i, s := range r.Survivors {
		have[i] = fmt.Sprintf("node %s up to index %d", s.Node, s.Index)
	}
	return fmt.Sprintf("Of company %s survives: %s. Owners that do not answer: %s; if they come back with their files, nothing is lost (revive %s). Without them the company begins anew from node %s: "+
		"every acknowledged operation after index %d may be lost, with the parts of transactions and leases that were open, and what those nodes hold of it is deleted when they come back.",
		r.Company, strings.Join(have, ", "), list(r.Missing), list(r.Missing), r.Node, r.Index)
}

const (
	recoverTries = 5 // while the directory changes between the look and the leap
	recoverLook  = 100 * time.Millisecond
)

// Survey looks at what survives of a company. It refuses where a majority of its owners answers, for then nothing is
// lost, and where nobody does.
func (h *Heap) Survey(ctx context.Context, company message.CompanyID) (Recovery, error) {
	d, err := h.Directory(ctx)
	if err != nil {
		return Recovery{}, err
	}
	c := d.Company(company)
	if c == nil {
		return Recovery{}, message.Errorf(message.InvalidArgument, "company %s does not exist; there are 1 to %d", company, len(d.Companies)-1)
	}
	if company == 0 {
		return Recovery{}, message.Errorf(message.Unsupported, "company 0 is the directory, and cannot begin anew: that would have to be written in the directory itself, which needs a majority of nodes %s; "+
			"bring back as many of them as it lacks with revive, from a copy of their files if need be", list(c.OwnerNodes()))
	}
	r := Recovery{Company: company, Generation: c.Generation + 1, Survivors: []Survivor{}, Missing: []message.NodeID{}, epoch: d.Epoch}
	voters, answering := 0, 0
	said := h.owners(ctx, c)
	for _, o := range c.Owners {
		if !o.Joining {
			voters++
		}
		index, ok := said[o.Replica]
		if !ok {
			if !slices.Contains(r.Missing, o.Node) {
				r.Missing = append(r.Missing, o.Node)
			}
			continue
		}
		if !o.Joining {
			answering++
		}
		r.Survivors = append(r.Survivors, Survivor{Node: o.Node, Index: index, replica: o.Replica})
	}
	slices.SortStableFunc(r.Survivors, func(a, b Survivor) int {
		if a.Index != b.Index && a.Index < b.Index {
			return 1
		} else if a.Index != b.Index {
			return -1
		}
		return 0
	})
	switch {
	case ctx.Err() != nil:
		return r, ctx.Err()
	case 2*answering > voters:
		return r, message.Errorf(message.InvalidArgument, "company %s has a majority: %d of its %d owners answer, and nothing of it is lost; nothing was done", company, answering, voters)
	case len(r.Survivors) == 0 || r.Survivors[0].Index == 0:
		return r, message.Errorf(message.Unavailable, "no owner of company %s answers that has any of it: nothing survives that it could begin anew from; revive one of nodes %s", company, list(c.OwnerNodes()))
	}
	r.Node, r.Index, r.replica = r.Survivors[0].Node, r.Survivors[0].Index, r.Survivors[0].replica
	return r, nil
}

// owners asks the owners of a company how far they are, by replica. Who does not run the replica that the directory
// lists is not there.
func (h *Heap) owners(ctx context.Context, c *message.Company) map[uint64]uint64 {
	ctx, cancel := context.WithTimeout(ctx, statusMost)
	defer cancel()
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	said := map[uint64]uint64{}
	for _, o := range c.Owners {
		wg.Go(func() {
			s, _, ok := h.howAreYou(ctx, o.Node)
			if !ok {
				return
			}
			for _, r := range s.Replicas {
				if r.Company == c.ID && r.Replica == o.Replica {
					mu.Lock()
					said[o.Replica] = r.Applied
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return said
}

// Recover has a company begin anew from its best survivor, and returns when it can be used: with one owner, whom
// others join afterwards. Without yes it refuses, and says what may be lost. What it returns is also what was done.
func (h *Heap) Recover(ctx context.Context, company message.CompanyID, yes bool) (Recovery, error) {
	for try := 1; ; try++ {
		r, err := h.Survey(ctx, company)
		if err != nil {
			return r, err
		}
		if !yes {
			return r, message.Errorf(message.InvalidArgument, "%s Nothing was done; say yes to go on: --yes in a shell, {\"yes\": true} over HTTP", r.Loses())
		}
		err = h.Change(ctx, message.RECOVER, message.Move{Company: company, Node: r.Node, From: r.replica, Epoch: r.epoch})
		if err == nil {
			return r, h.begun(ctx, r)
		}
		if message.CodeOf(err) != message.Stale || try == recoverTries {
			return r, fmt.Errorf("recover company %s: %w", company, err)
		}
	}
}

// begun waits until a company that begins anew has a leader.
func (h *Heap) begun(ctx context.Context, r Recovery) error {
	h.say(fmt.Sprintf("company %s begins anew on node %s", r.Company, r.Node))
	for {
		d, _ := h.Directory(ctx)
		c := d.Company(r.Company)
		if c != nil && c.Generation >= r.Generation {
			for _, s := range h.status(ctx, r.Node).Replicas {
				if s.Company == r.Company && s.Leader != nil && c.Owner(s.Replica) != nil {
					return nil
				}
			}
		}
		select {
		case <-time.After(recoverLook):
		case <-ctx.Done():
			return message.Errorf(message.Timeout, "company %s begins anew on node %s, but does not serve yet; `companies` shows when it does", r.Company, r.Node)
		}
	}
}
