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
	// leaderGoes is for how long who answers is asked again that has a leader whom the others do not know of: one that
	// has lost its majority resigns by itself, and its followers notice, within a few times the time of an election.
	leaderGoes = 2 * time.Second
)

// Survey looks at what survives of a company. It refuses where a majority of its owners answers, for then nothing is
// lost, where an owner that answers has a leader, for then a majority lives that is out of reach from here, and where
// nobody answers.
func (h *Heap) Survey(ctx context.Context, company message.CompanyID) (Recovery, error) {
	for begin := time.Now(); ; {
		r, led, err := h.surviving(ctx, company)
		if err != nil || led == nil {
			return r, err
		}
		if time.Since(begin) > leaderGoes {
			return r, message.Errorf(message.InvalidArgument, "company %s has a majority: node %s says that node %s leads it; nodes %s do not answer here, and need not be dead; nothing was done",
				company, led.by, led.leader, list(r.Missing))
		}
		select {
		case <-time.After(recoverLook):
		case <-ctx.Done():
			return r, ctx.Err()
		}
	}
}

// led is that an owner hears from its company's leader.
type led struct{ by, leader message.NodeID }

// surviving is one look at what survives; led is set where an owner that certainly votes has a leader.
func (h *Heap) surviving(ctx context.Context, company message.CompanyID) (Recovery, *led, error) {
	d, err := h.Directory(ctx)
	if err != nil {
		return Recovery{}, nil, err
	}
	c := d.Company(company)
	if c == nil {
		return Recovery{}, nil, message.Errorf(message.InvalidArgument, "company %s does not exist; there are 1 to %d", company, len(d.Companies)-1)
	}
	if company == 0 {
		return Recovery{}, nil, message.Errorf(message.Unsupported, "company 0 is the directory, and cannot begin anew: that would have to be written in the directory itself, which needs a majority of nodes %s; "+
			"bring back as many of them as it lacks with revive, from a copy of their files if need be", list(c.OwnerNodes()))
	}
	r := Recovery{Company: company, Generation: c.Generation + 1, Survivors: []Survivor{}, Missing: []message.NodeID{}, epoch: d.Epoch}
	voters, answering := 0, 0
	var leads *led
	said := h.owners(ctx, c)
	for _, o := range c.Owners {
		x, ok := said[o.Replica]
		if sure := votes(c, o); sure && ok {
			voters, answering = voters+1, answering+1
			if x.Leader != nil {
				leads = &led{o.Node, *x.Leader}
			}
		} else if !ok {
			voters++ // at worst
		}
		if !ok {
			if !slices.Contains(r.Missing, o.Node) {
				r.Missing = append(r.Missing, o.Node)
			}
			continue
		}
		r.Survivors = append(r.Survivors, Survivor{Node: o.Node, Index: x.Applied, replica: o.Replica})
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
		return r, nil, ctx.Err()
	case 2*answering > voters:
		return r, nil, message.Errorf(message.InvalidArgument, "company %s has a majority: %d of its %d owners answer, and nothing of it is lost; nothing was done", company, answering, voters)
	case len(r.Survivors) == 0 && beginning(c):
		return r, nil, message.Errorf(message.Unavailable, "company %s begins anew on node %s already, which has all that is left of it and does not serve yet; revive it if it is dead", company, c.Owners[0].Node)
	case len(r.Survivors) == 0 || r.Survivors[0].Index == 0:
		return r, nil, message.Errorf(message.Unavailable, "no owner of company %s answers that has any of it: nothing survives that it could begin anew from; revive one of nodes %s", company, list(c.OwnerNodes()))
	}
	r.Node, r.Index, r.replica = r.Survivors[0].Node, r.Survivors[0].Index, r.Survivors[0].replica
	return r, leads, nil
}

// votes says whether Raft certainly counts the vote of an owner. While a change of owners is under way who joins may
// have got its vote, and who leaves may have lost it, and then it does not hear that its leader is gone.
func votes(c *message.Company, o message.Owner) bool {
	return !o.Joining && !o.Leaving && !slices.ContainsFunc(c.Owners, func(j message.Owner) bool {
		return j.Joining && (j.Instead == o.Replica || j.Node == o.Node)
	})
}

// beginning says whether a company has one owner, with whom it began anew.
func beginning(c *message.Company) bool {
	return len(c.Owners) == 1 && len(c.Founders) == 1 && c.Founders[0].From != 0 && c.Founders[0].Replica == c.Owners[0].Replica
}

// owners asks the owners of a company how far they are, by replica. Who does not run the replica that the directory
// lists is not there.
func (h *Heap) owners(ctx context.Context, c *message.Company) map[uint64]message.ReplicaStatus {
	ctx, cancel := context.WithTimeout(ctx, statusMost)
	defer cancel()
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	said := map[uint64]message.ReplicaStatus{}
	for _, o := range c.Owners {
		wg.Go(func() {
			s, _, ok := h.howAreYou(ctx, o.Node)
			if !ok {
				return
			}
			for _, r := range s.Replicas {
				if r.Company == c.ID && r.Replica == o.Replica {
					mu.Lock()
					said[o.Replica] = r
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
		if err == nil || message.CodeOf(err) == message.Stale && h.isBegun(ctx, r) {
			return r, h.begun(ctx, r)
		}
		if message.CodeOf(err) != message.Stale || try == recoverTries {
			return r, fmt.Errorf("recover company %s: %w", company, err)
		}
	}
}

// isBegun says whether a company begins anew just so as was asked: it was, and the answer was lost, or somebody else
// was as fast.
func (h *Heap) isBegun(ctx context.Context, r Recovery) bool {
	d, err := h.Directory(ctx)
	if err != nil {
		return false
	}
	c := d.Company(r.Company)
	return c != nil && c.Generation == r.Generation && len(c.Founders) == 1 && c.Founders[0].Node == r.Node && c.Founders[0].From == r.replica
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
