package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"dmalloc/message"
)

// holder is the node that leases for this client: the user's, or the one that is connected.
func (h *Heap) holder() message.NodeID {
	if h.cfg.Home != message.NoNode {
		return h.cfg.Home
	}
	best, at := message.NodeID(0), time.Time{}
	for _, n := range h.directory().Nodes {
		if heard := h.cfg.Carrier.Heard(n.ID); heard.After(at) {
			best, at = n.ID, heard
		}
	}
	return best
}

// askHolder sends a message to the node that holds leases for this client, and to no other one, until it
// answers or ctx ends. The answer may be a refusal.
func (h *Heap) askHolder(ctx context.Context, holder message.NodeID, c message.CompanyID, m *message.Message) (*message.Message, error) {
	if m.Op.Logged() {
		h.number(m)
		defer h.seqs.end(m.Seq)
	}
	r := h.request(c, m)
	defer r.close()
	r.only = holder
	return r.run(ctx).answer()
}

// Forward has the leader of a company do what a holder asks of it: m as it is, under the number of whoever
// asked the holder, or a new one. No holder is asked, and Leased is an answer like any other.
func (h *Heap) Forward(ctx context.Context, company message.CompanyID, m *message.Message) (*message.Message, error) {
	if m.Op.Logged() && m.Seq == 0 {
		h.number(m)
		defer h.seqs.end(m.Seq)
	}
	r := h.request(company, m)
	defer r.close()
	r.forwards = true
	return r.run(ctx).answer()
}

// byHolder asks the node that holds a lease over what the request touches. Nil without an error means that the leader
// is to be asked, under the same number.
func (r *request) byHolder(ctx context.Context, l held) (*message.Message, error) {
	// A write that the holder would absorb is known by its number to nobody else: asked again elsewhere it
	// could be done twice, also when the lease is over, for it may have been written back before. So once the holder
	// may have it, only its answer counts. A keyed one is asked again anywhere, so it always goes through the log.
	absorb := l.WriteBack && r.m.Op == message.WRITE && !r.h.seqs.pinned
	if absorb {
		value := r.m.Value
		r.m.Flags, r.m.Value = r.m.Flags|message.WriteBack, l.Session
		defer func() { r.m.Flags, r.m.Value = r.m.Flags&^message.WriteBack, value }()
	} else if l.WriteBack && r.m.Op == message.READ { // who reads elsewhere is not shown what is only there
		r.m.Flags |= message.WriteBack
		defer func() { r.m.Flags &^= message.WriteBack }()
	}
	r.lease, r.turned = &l, false
	defer r.leave(l)
	for round := 0; ; round++ {
		if a, _ := r.ask(ctx, l.node); a != nil {
			return a, nil
		}
		mayHave := absorb && (r.sent || r.open()) // and only its holder can tell
		if r.turned || ctx.Err() != nil || message.CodeOf(r.last) == message.Busy && !mayHave {
			return nil, nil
		}
		if r.silent[l.node] {
			r.h.leases.hush(l, time.Now().Add(4*r.h.cfg.Attempt))
		}
		switch {
		case !mayHave:
			return nil, nil
		case r.astray || !time.Now().Before(l.until):
			return nil, message.Errorf(message.Timeout, "node %s, which held the lease on %s, may have kept the write, and is not there any more to tell; whether it happened cannot be known; read it, and write again if it did not", l.node, r.m.Address)
		}
		if a, over := r.rest(ctx, round); a != nil || over || r.turned {
			return a, nil
		}
	}
}

// leave turns from the holder to the leader. What the holder says from now on does not count: it would not be
// known any more what of it the leader has done, too.
func (r *request) leave(l held) {
	r.lease = nil
	r.under = slices.DeleteFunc(r.under, func(t *attempt) bool {
		if t.to == l.node {
			r.h.cfg.Carrier.Forget(t.id)
		}
		return t.to == l.node
	})
	delete(r.silent, l.node)
}

// judgeHolder says what a holder's answer means: it ends the request, or sends it to the leader, or neither. A refusal
// to absorb that names the session is the last word of the holder that may have: it knows the write by its number.
// Any other speaks for one copy only, and one that was sent before may have been absorbed by an older session.
func (r *request) judgeHolder(l held, a *message.Message) *message.Message {
	turn := func() {
		if r.m.Flags&message.WriteBack == 0 || !r.sent && !r.open() || a.Value == l.Session {
			r.turned = true
		} else {
			r.astray = a.Status == message.Fenced
		}
	}
	switch a.Status {
	case message.NotLeader, message.Stale, message.Fenced: // it has no such lease, or not any more
		r.h.leases.forget(l)
		if a.Status == message.NotLeader && a.Final != message.NoNode {
			r.h.leaders.learn(r.company, a.Final, a.Term)
		}
		turn()
	case message.Busy, message.Unavailable, message.Unsupported, message.Leased:
		turn()
	case message.Retry:
		r.sent = true
	default:
		return a
	}
	return nil
}

// giveUpHolder is giveUp for what only one node could be asked.
func (r *request) giveUpHolder(known string, waited time.Duration) error {
	switch {
	case len(r.silent) > 0:
		return message.Errorf(message.Unavailable, "node %s, which would hold the lease, does not answer; %s; revive it, or connect to another node", r.only, known)
	case r.alive && r.refused == message.Done:
		return message.Errorf(message.Timeout, "node %s works on it but has not answered within %v; %s", r.only, waited, known)
	}
	why := "it was busy"
	if r.last != nil {
		why = r.last.Error()
	}
	return message.Errorf(message.Unavailable, "node %s could not do it: %s; %s; try again", r.only, why, known)
}

// leasedText is for who has waited for leases in vain: who holds them, and for how long at most.
func leasedText(company message.CompanyID, m *message.Message, all []message.Lease, known string) string {
	what := fmt.Sprintf("company %s", company)
	if m.Address != 0 {
		what = m.Address.String()
	}
	if len(all) == 0 {
		return fmt.Sprintf("%s is leased, and was not given back in time; %s; `leases` shows who holds it", what, known)
	}
	const most = 3
	var words []string
	for i, l := range all {
		if i == most {
			words = append(words, fmt.Sprintf("%d more", len(all)-most))
			break
		}
		doing := "to read"
		if l.Mode == "w" {
			doing = "to write"
		}
		words = append(words, fmt.Sprintf("node %s holds %d bytes at %s %s (token %d) for another %v at most", l.Holder, l.Size, l.Address, doing, l.Token, time.Duration(l.LeftMS)*time.Millisecond))
	}
	return fmt.Sprintf("%s is leased: %s, and has not given it back in time; %s; try again then, or `release` it there", what, strings.Join(words, ", "), known)
}
