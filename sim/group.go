package sim

import (
	"dmalloc/company"
	"dmalloc/directory"
	"dmalloc/message"
	plan "dmalloc/owner"
	"dmalloc/register"
)

const (
	tickEvery    = 35 // of a group: heartbeat, election
	snapshotLong = 12 // entries, at least, between two snapshots of an owner
	aliasEvery   = 12 // entries after which the planted bug forgets the answers
)

// group stands for Raft: one log of a company that is right by construction, and around it all that Raft
// allows to go wrong. What is appended is committed.
//
//	owner ── batch ──▶ arrive: is there a majority? does the proposer lead? is it lost? twice? ──▶ entries
//	                                                                                                  │
//	every owner ◀── learns, each in its own time, how long the log is ────────────────────────────────┘
type group struct {
	w       *world
	id      message.CompanyID
	cfg     company.Config
	owners  []*owner // also those that are over
	entries []*message.Batch
	term    uint64
	leader  *owner          // in term; nil before the first
	run     int             // of the leader's process: another one does not lead in the same term
	sums    []uint64        // of the results of each entry, by whoever applied it first
	begun   uint64          // the greatest term of which the log tells
	token   uint64          // last one given
	joining []plan.Step     // replicas without a vote
	gone    []uint64        // replicas that were removed
	over    map[uint64]bool // tokens of leases that have ended

	truth *directory.State // of the directory's group: all entries applied, at once
}

func newGroup(w *world, c *message.Company) *group {
	g := &group{w: w, id: c.ID, cfg: company.Config{ID: c.ID, Base: c.Base, Limit: c.Limit, Capacity: c.Capacity}}
	g.over = map[uint64]bool{}
	if g.id == 0 {
		g.truth = directory.New(w.plan)
	}
	for _, seat := range c.Owners {
		o := newOwner(g, w.nodes[seat.Node], seat.Replica)
		o.voting = true
		g.owners = append(g.owners, o)
	}
	w.in(int64(1+c.ID), g.tick)
	return g
}

func (g *group) length() uint64 { return uint64(len(g.entries)) }

// reaches says whether an owner takes part in what a majority decides now.
func (o *owner) reaches() bool { return o.up() && !o.n.frozen && !o.n.cutOff }

// majority says whether more than half of those who vote reach each other, the lost ones counted.
func (g *group) majority() bool {
	all, there := 0, 0
	for _, o := range g.owners {
		if o.voting {
			all++
			if o.reaches() {
				there++
			}
		}
	}
	return there > all/2
}

// tick is Raft's life: it elects a leader where there is none, or for no reason, and tells all how long the
// log is.
func (g *group) tick() {
	w := g.w
	w.in(tickEvery+w.dice.Int64N(10), g.tick)
	if !g.majority() {
		return
	}
	if g.leader == nil || g.leader.boot != g.run || !g.leader.voting || !g.leader.reaches() || w.has(Elections) && w.odds(12) {
		g.elect()
	}
	for _, o := range g.owners {
		if o.up() && o.follows() && o.applied < g.length() {
			o.hears(g.length())
		}
		if o.up() && o.follows() && o.term < g.term {
			o.hearsLeader(g.leader, g.term)
		}
	}
}

// elect makes any voter that reaches a majority the leader of the next term. Who led before finds out later.
func (g *group) elect() {
	w := g.w
	var able []*owner
	for _, o := range g.owners {
		if o.voting && o.reaches() {
			able = append(able, o)
		}
	}
	g.lead(able[w.dice.IntN(len(able))])
}

// lead has an owner lead in the next term.
func (g *group) lead(o *owner) {
	w := g.w
	if !o.reaches() {
		return
	}
	g.leader = o
	g.run = g.leader.boot
	w.did(led)
	g.term++
	w.mix(1, uint64(w.now), uint64(g.id), g.term, uint64(g.leader.n.id))
	if w.cfg.Tell {
		w.say(aboutLeaders, "node %s is elected to lead company %s in term %d", g.leader.n.id, g.id, g.term)
	}
	for _, o := range g.owners {
		if o.up() && o.follows() {
			o.hearsLeader(g.leader, g.term)
		}
	}
}

// arrive is a batch on its way into the log. try counts how often it waited for a majority.
func (g *group) arrive(o *owner, boot int, b *message.Batch, try int) {
	w := g.w
	alive := o.boot == boot && o.up()
	switch {
	case alive && o.n.cutOff, !alive && w.odds(2):
		g.lose(b, "it reached nobody")
	case w.has(Proposals) && w.odds(14):
		g.lose(b, "Raft dropped it")
	case !g.majority():
		if try > 6 {
			g.lose(b, "there was no majority")
			return
		}
		w.in(20+w.dice.Int64N(20), func() { g.arrive(o, boot, b, try+1) })
	case b.Term != g.term && !w.has(Deposed):
		g.lose(b, "its proposer leads no more")
	case b.Term != g.term && w.odds(2):
		g.lose(b, "its proposer leads no more")
	default:
		if b.Term != g.term {
			w.did(deposed)
		}
		g.append(b)
		if w.has(Proposals) && w.odds(14) {
			w.in(1+w.dice.Int64N(300), func() {
				if g.majority() {
					w.did(doubled)
					g.append(b)
				}
			})
		}
	}
}

func (g *group) lose(b *message.Batch, why string) {
	g.w.did(lost)
	if g.w.cfg.Tell {
		for _, m := range b.Messages {
			g.w.say(g.about(m), "the entry of node %s with %s is lost: %s", b.Node, tell(m), why)
		}
	}
}

func (g *group) append(b *message.Batch) {
	w := g.w
	g.entries = append(g.entries, b)
	g.sums = append(g.sums, 0)
	for _, m := range b.Messages {
		if m.Op == message.TERM {
			g.begun = max(g.begun, m.Term)
		}
	}
	w.mix(2, uint64(w.now), uint64(g.id), b.Number, b.Term, uint64(len(b.Messages)))
	if w.cfg.Tell {
		for _, m := range b.Messages {
			w.say(g.about(m), "entry %d of company %s, by node %s in term %d: %s", g.length(), g.id, b.Node, b.Term, tell(m))
		}
	}
	if g.truth != nil {
		g.truth.Apply(g.length(), b)
		w.grown()
	}
	for _, o := range g.owners {
		if o.up() && o.follows() {
			o.hears(g.length())
		}
	}
}

// deadVoters is how many of those who vote will never vote again.
func (g *group) deadVoters() (dead, all int) {
	for _, o := range g.owners {
		if o.voting {
			all++
			if o.lost {
				dead++
			}
		}
	}
	return dead, all
}

// seat is the owner on a node that is not over.
func (g *group) seat(n message.NodeID) *owner {
	var found *owner
	for _, o := range g.owners {
		if o.n.id == n && !o.lost && (found == nil || found.removed) {
			found = o
		}
	}
	return found
}

// sameAnswers compares what an entry answered with what the owner answered that applied it first (S4).
func (g *group) sameAnswers(o *owner, index uint64, b *message.Batch, a *company.Applied) {
	sum := uint64(index + 1)
	for i := range a.Results {
		r := &a.Results[i]
		sum = ((sum^uint64(r.Code))*0x100000001b3 ^ uint64(r.Address)) * 0x100000001b3
		sum = ((sum^r.Size)*0x100000001b3 ^ r.Value) * 0x100000001b3
		sum ^= sum >> 31
	}
	switch had := g.sums[index-1]; {
	case had == 0:
		g.sums[index-1] = sum
		g.first(index, b, a)
	case had != sum:
		g.w.fail("S4", "", "company %s: node %s answers entry %d otherwise than the owner that applied it first", g.id, o.n.id, index)
	}
}

// about names what the story of a message is about.
func (g *group) about(m *message.Message) string {
	if m.Op == message.TERM {
		return aboutLeaders
	}
	return g.w.subject(g.id, m)
}

// keepers are all replicas of a register that any group names.
func keepers(groups [][]message.Member) []message.Member { return register.Groups(groups).Members() }
