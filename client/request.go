package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"sync"
	"time"

	"dmalloc/message"
	"dmalloc/transport"
)

// request is one message on its way to a company, through all its attempts.
//
// It is used again for another message once every copy that was sent has ended, and none was asked to say that it
// lives: then the carrier has nothing more to say. Should it do so all the same, it says it to the channel, under a tag
// that no attempt of the next use has, and so nobody listens. All else of a request only its own goroutine touches.
type request struct {
	h       *Heap
	company message.CompanyID
	m       *message.Message
	begin   time.Time
	trace   func(Event)

	near     bool                    // the home node is asked first
	only     message.NodeID          // the one node to ask, whoever leads; NoNode: the company's leader
	forwards bool                    // for a holder: no other one is asked, and Leased is an answer
	silent   map[message.NodeID]bool // owners that gave no sign of life, last time they were asked; nil while there are none
	sent     bool                    // an attempt left and was not answered definitely: the outcome may be unknown
	alive    bool                    // somebody works on it
	said     bool
	last     error
	refused  message.Code    // of the last refusal that led elsewhere
	leased   bool            // the last answer was that a lease forbids it
	standing []message.Lease // those that do
	took     time.Duration   // of the last attempt
	lease    *held           // whose holder is being asked; nil: the company
	turned   bool            // the holder sent it away
	astray   bool            // the holder has begun a new session, and an older one may have absorbed it

	under    []*attempt // that are under way, oldest first
	room     [2]*attempt
	first    attempt // where the first one lies
	fresh    bool    // nothing was sent, nor waited for, since begin
	made     int     // attempts
	ended    int     // of them
	called   bool    // one was asked to say that it lives
	probes   []uint64
	arrivals arrivals
	tag      uint64      // of the last attempt; goes on when the request is used again
	timer    *time.Timer // of what it waits for; nobody else waits for it, and so it need not be stopped
}

// requests are those that may be used again, of all instances: a keyed one lives for a single request.
var requests = sync.Pool{New: func() any { return &request{arrivals: make(arrivals, mostArrivals)} }}

// do has the message done by the company's leader, whoever that is, until ctx ends. A logged message
// gets its number here and keeps it through all attempts. The answer may still be a refusal.
func (h *Heap) do(ctx context.Context, company message.CompanyID, m *message.Message) (*message.Message, error) {
	if m.Op.Logged() {
		h.number(m)
		defer h.seqs.end(m.Seq)
	}
	return h.again(ctx, company, m)
}

// number gives a logged message the name under which it is done once.
func (h *Heap) number(m *message.Message) {
	m.Client = h.id
	m.Seq, m.Low = h.seqs.begin()
}

// again is do for a message that has its number.
func (h *Heap) again(ctx context.Context, company message.CompanyID, m *message.Message) (*message.Message, error) {
	return h.run(ctx, company, m).answer()
}

// result is how a request ended, and whether it may have happened.
type result struct {
	m    *message.Message
	err  error
	sent bool
}

func (r result) answer() (*message.Message, error) { return r.m, r.err }

// run makes attempts until one ends the request or ctx ends.
func (h *Heap) run(ctx context.Context, company message.CompanyID, m *message.Message) result {
	r := h.request(company, m)
	defer r.close()
	if h.cfg.Near && m.Op == message.READ {
		d := h.directory()
		r.near = d.Company(company) != nil && h.owns(d, company)
	}
	if n, write, ok := touched(m); ok && m.Token == 0 {
		if l, ok := h.leases.over(m.Address, n, write, r.begin); ok {
			if a, err := r.byHolder(ctx, l); a != nil || err != nil {
				return result{a, err, true}
			}
			if ctx.Err() != nil {
				return result{nil, r.giveUp(ctx), r.sent}
			}
		}
	}
	return r.run(ctx)
}

// request begins one message's way to a company; close ends it.
func (h *Heap) request(company message.CompanyID, m *message.Message) *request {
	r := requests.Get().(*request)
	r.h, r.company, r.m, r.begin, r.fresh, r.trace, r.only = h, company, m, time.Now(), true, h.tracer(), message.NoNode
	r.under = r.room[:0]
	m.Company = company
	if r.trace != nil {
		m.Flags |= message.Traced
	}
	return r
}

func (r *request) run(ctx context.Context) result {
	for round := 0; ; round++ {
		first, known := r.leader()
		if known { // as it nearly always is, and does it: the list of all is not made then
			if end, over := r.try(ctx, first); over {
				return end
			}
		}
		for _, to := range r.candidates() {
			if known && to == first {
				if r.leased {
					break
				}
				continue
			}
			if end, over := r.try(ctx, to); over {
				return end
			}
			if r.leased {
				break // it is the leader who says so: the others have nothing to add
			}
		}
		a, over := r.rest(ctx, round)
		if a != nil {
			return result{a, nil, true}
		}
		if over {
			r.sent = r.sent || r.m.Op.Logged() && r.open()
			return result{nil, r.giveUp(ctx), r.sent}
		}
	}
}

// try asks one node, and those that it names. It says whether that ended the request.
func (r *request) try(ctx context.Context, to message.NodeID) (result, bool) {
	a, next := r.ask(ctx, to)
	for hops := 0; a == nil && next != message.NoNode && next != to && hops < 3; hops++ {
		to = next
		a, next = r.ask(ctx, to)
	}
	switch {
	case a != nil:
		return result{a, nil, true}, true
	case ctx.Err() != nil:
		return result{nil, r.giveUp(ctx), r.sent}, true
	}
	return result{}, false
}

// leader is who is believed to lead, unless another one is to be asked first.
func (r *request) leader() (message.NodeID, bool) {
	if r.near || r.only != message.NoNode {
		return message.NoNode, false
	}
	l, ok := r.h.leaders.get(r.company)
	return l.node, ok && !r.silent[l.node]
}

// close forgets what is still under way, and keeps the request for another message if it may. Nobody uses it then.
func (r *request) close() {
	h := r.h
	for _, t := range r.under {
		h.cfg.Carrier.Forget(t.id)
	}
	for _, id := range r.probes {
		h.cfg.Carrier.Forget(id)
	}
	if r.ended == r.made && !r.called {
		*r = request{arrivals: r.arrivals, tag: r.tag, timer: r.timer}
		requests.Put(r)
	}
}

// alarm is a channel on which something comes after a time, instead of what was asked for before.
func (r *request) alarm(after time.Duration) <-chan time.Time {
	if r.timer == nil {
		r.timer = time.NewTimer(after)
	} else {
		r.timer.Reset(after) // what came and was not looked at does not come any more
	}
	return r.timer.C
}

// open says that copies are under way of which nothing is known.
func (r *request) open() bool { return len(r.under) > 0 }

// copies are how many are under way to a node, the first of them and the last.
func (r *request) copies(to message.NodeID) (n int, first, last *attempt) {
	for _, t := range r.under {
		if t.to != to {
			continue
		}
		if n++; n == 1 {
			first = t
		}
		last = t
	}
	return n, first, last
}

// candidates lists the company's owners: the believed leader first, the silent ones last.
func (r *request) candidates() []message.NodeID {
	if r.only != message.NoNode {
		return []message.NodeID{r.only}
	}
	h := r.h
	c := h.directory().Company(r.company)
	if c == nil {
		return nil
	}
	var nodes []message.NodeID
	seen := map[message.NodeID]bool{}
	add := func(n message.NodeID) {
		if !seen[n] {
			seen[n] = true
			nodes = append(nodes, n)
		}
	}
	if r.near {
		add(h.cfg.Home)
	}
	if l, ok := h.leaders.get(r.company); ok {
		add(l.node)
	}
	for _, o := range c.Owners {
		add(o.Node)
	}
	sort.SliceStable(nodes, func(i, j int) bool { return !r.silent[nodes[i]] && r.silent[nodes[j]] })
	return nodes
}

// rest pauses after a round in which nobody could do it, says what it waits for and renews the directory. It
// returns an answer that comes meanwhile and ends the request, and whether there is no time for another round.
func (r *request) rest(ctx context.Context, round int) (*message.Message, bool) {
	if waited := time.Since(r.begin); waited > 300*time.Millisecond && !r.said {
		r.said = true
		switch {
		case r.leased && len(r.standing) > 0:
			r.h.say(fmt.Sprintf("node %s holds a lease on %s; waiting until it gives it back", r.standing[0].Holder, r.standing[0].Address))
		case r.only != message.NoNode:
			r.h.say(fmt.Sprintf("node %s does not answer yet; waiting", r.only))
		default:
			r.h.say(fmt.Sprintf("company %s does not answer yet; waiting", r.company))
		}
	}
	if round%8 == 3 && !r.leased {
		r.h.refresh(ctx)
	}
	pause := min(5<<min(round, 4), 50)
	wait := time.Duration(pause+rand.IntN(pause)) * time.Millisecond
	if end, ok := ctx.Deadline(); ok && r.leased && time.Until(end) < wait+2*r.took {
		return nil, true // one more would be cut off, and then nobody knew that nothing was done
	}
	r.fresh = false
	over := r.alarm(wait)
	for {
		select {
		case got := <-r.arrivals:
			if a, next := r.take(ctx, r.sender(got), got); a != nil || next != message.NoNode {
				return a, false
			}
		case <-over:
			return nil, false
		case <-ctx.Done():
			return r.arrived(ctx), true
		}
	}
}

// giveUp says what is known at the end: whether anything may have happened, and who does not answer.
func (r *request) giveUp(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		text := "canceled"
		if r.sent {
			text = "canceled; whether it happened is not known"
		}
		return message.Errorf(message.Canceled, "%s", text)
	}
	known := "nothing was changed"
	if r.m.Op == message.SYNC {
		known = "what was not written back before it was given up stays where it is"
	} else if !r.m.Op.Logged() && r.m.Op != message.LEADER {
		known = "nothing was read"
	} else if r.sent {
		known = "whether it happened cannot be known yet"
	}
	silent := r.silentList()
	waited := time.Since(r.begin).Round(time.Millisecond)
	switch {
	case r.leased && r.sent:
		return message.Errorf(message.Timeout, "%s", leasedText(r.company, r.m, r.standing, known))
	case r.leased: // which says that nothing was done
		return message.Errorf(message.Leased, "%s", leasedText(r.company, r.m, r.standing, known))
	case r.only != message.NoNode:
		return r.giveUpHolder(known, waited)
	}
	d := r.h.directory()
	if c := d.Company(r.company); c != nil && 2*len(silent) >= len(c.Owners) {
		return message.Errorf(message.Unavailable, "company %s has no majority: of its owners %s, %s do not answer; %s; revive a dead node or resume a frozen one",
			r.company, list(c.OwnerNodes()), list(silent), known)
	}
	if r.alive && r.refused == message.Done {
		return message.Errorf(message.Timeout, "company %s works on it but has not answered within %v; %s", r.company, waited, known)
	}
	return message.Errorf(message.Unavailable, "company %s had no leader; %s; try again", r.company, known)
}

func (r *request) silentList() []message.NodeID {
	var nodes []message.NodeID
	for n, silent := range r.silent {
		if silent {
			nodes = append(nodes, n)
		}
	}
	sort.Slice(nodes, func(i, j int) bool { return nodes[i] < nodes[j] })
	return nodes
}

func list(nodes []message.NodeID) string {
	words := make([]string, len(nodes))
	for i, n := range nodes {
		words[i] = n.String()
	}
	return strings.Join(words, ",")
}

func (r *request) event(m *message.Message) {
	if r.trace != nil {
		c := *m
		r.trace(Event{After: time.Since(r.begin), Message: &c})
	}
}

func (r *request) note(format string, args ...any) {
	if r.trace != nil {
		r.trace(Event{After: time.Since(r.begin), Note: fmt.Sprintf(format, args...)})
	}
}

// refresh asks for the directory: its owners first, who apply it, then everybody else. The home node comes
// last: it may be this very process, which knows what this client knows.
func (h *Heap) refresh(ctx context.Context) {
	d := h.directory()
	var order []message.NodeID
	asked := map[message.NodeID]bool{}
	add := func(n message.NodeID) {
		if !asked[n] {
			asked[n] = true
			order = append(order, n)
		}
	}
	for _, o := range d.Companies[0].Owners {
		if o.Node != h.cfg.Home {
			add(o.Node)
		}
	}
	for _, n := range d.From(h.startNode()) {
		if n.ID != h.cfg.Home {
			add(n.ID)
		}
	}
	if h.cfg.Home != message.NoNode {
		add(h.cfg.Home)
	}
	for _, n := range order {
		m := message.New(message.DIRECTORY)
		m.Epoch = d.Epoch
		a, err := h.call(ctx, n, m, h.patience(n))
		if err != nil || a.Status != message.Done {
			continue
		}
		if len(a.Data) == 0 {
			return // it has not changed
		}
		if got, err := decodeDirectory(a.Data); err == nil {
			h.setDirectory(got)
			return
		}
	}
}

// startNode is the node that is asked first where any may answer.
func (h *Heap) startNode() message.NodeID {
	if h.cfg.Home == message.NoNode {
		return 0
	}
	return h.cfg.Home
}

type outcome struct {
	m   *message.Message
	err error
}

// start asks a node for who waits by a function.
func (h *Heap) start(to message.NodeID, m *message.Message, done func(*message.Message, error)) (cancel func()) {
	id := h.cfg.Carrier.Ask(to, m, transport.Funcs(nil, done), 0)
	return func() { h.cfg.Carrier.Forget(id) }
}

// call asks one node directly, whoever leads: for what a node says of itself.
func (h *Heap) call(ctx context.Context, to message.NodeID, m *message.Message, most time.Duration) (*message.Message, error) {
	begin, trace := time.Now(), h.tracer()
	m.Target, m.Final = to, to
	if trace != nil {
		m.Flags |= message.Traced
		c := *m
		trace(Event{After: 0, Message: &c})
	}
	done := make(chan outcome, 1)
	cancel := h.start(to, m, func(a *message.Message, err error) { done <- outcome{a, err} })
	defer cancel()
	timer := time.NewTimer(max(most, h.patience(to)))
	defer timer.Stop()
	select {
	case o := <-done:
		if trace != nil && o.m != nil {
			c := *o.m
			trace(Event{After: time.Since(begin), Message: &c})
		}
		return o.m, o.err
	case <-timer.C:
		return nil, errSilent
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
