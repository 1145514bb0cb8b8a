package owner

import (
	"math/rand/v2"
	"testing"
	"time"

	pb "github.com/lni/dragonboat/v4/raftpb"
)

const testBinding = 100 * time.Millisecond

func ballotsAt(now *time.Duration) (b *ballots, barred *uint64) {
	barred = new(uint64)
	return newBallots(func() time.Duration { return *now }, testBinding, func(_, term uint64) { *barred = max(*barred, term) }), barred
}

func TestBallots(t *testing.T) {
	const shard = 7
	message := func(kind pb.MessageType, term uint64) pb.Message {
		return pb.Message{Type: kind, ShardID: shard, Term: term}
	}
	var now time.Duration = time.Hour
	b, barred := ballotsAt(&now)
	may := func(want bool, m pb.Message) {
		t.Helper()
		if got := b.may(&m); got != want {
			t.Errorf("%v in term %d may leave: %v", m.Type, m.Term, got)
		}
	}
	may(true, message(pb.RequestVoteResp, 2)) // bound to nobody
	if *barred != 1 {
		t.Errorf("granting a vote in term 2 barred leases up to term %d", *barred)
	}
	may(true, message(pb.HeartbeatResp, 2))
	now += testBinding - 1
	may(false, message(pb.RequestVoteResp, 3))                             // BL1
	may(true, pb.Message{Type: pb.RequestVoteResp, Term: 3, Reject: true}) // no vote
	may(true, message(pb.RequestVoteResp, 2))                              // of the leader's own election
	may(true, message(pb.ReplicateResp, 2))                                // binds anew
	now += testBinding - 1
	may(false, message(pb.RequestVoteResp, 3))
	now++
	may(true, message(pb.RequestVoteResp, 3))
	may(false, message(pb.HeartbeatResp, 2)) // BL2
	may(true, message(pb.HeartbeatResp, 3))
	b.asked(shard, 4)
	may(true, message(pb.RequestVoteResp, 4)) // BL5
	may(true, message(pb.TimeoutNow, 4))
	if *barred != 4 {
		t.Errorf("a leader that hands over barred leases up to term %d, and leads in 4", *barred)
	}
	b.restarted(shard + 1)
	if m := (pb.Message{Type: pb.RequestVoteResp, ShardID: shard + 1, Term: 9}); b.may(&m) { // BL3
		t.Error("a vote left a replica that has just been started again")
	}
	all := []pb.Message{message(pb.HeartbeatResp, 4), message(pb.RequestVoteResp, 5), message(pb.Replicate, 4)}
	if got := b.pass(all); len(got) != 2 || got[0].Type != pb.HeartbeatResp || got[1].Type != pb.Replicate || all[1].Type != pb.RequestVoteResp {
		t.Errorf("of %v passed %v", all, got)
	}
}

// voter is as much of a Raft replica as leases depend on. Unlike Raft's own it grants votes whenever it is asked: that
// none does harm is for the ballots to see to.
type voter struct {
	b        *ballots
	barred   *uint64
	term     uint64
	voted    uint64 // greatest term in which it voted
	heard    time.Duration
	leads    uint64          // term in which it leads, 0 if it does not
	lease    time.Duration   // until when, in
	leased   uint64          // which term; it may not have heard yet that it does not lead any more
	begins   []time.Duration // of the rounds under way: acknowledgements that were sent and not received
	acks     []map[int]bool
	grants   map[int]bool // votes it has as a candidate of its term
	standing bool         // as a candidate
	late     []func()     // acknowledgements that may not have left
	handed   bool         // whom a leader asked to take over
}

// Whoever is elected, and however late messages are: nobody with an earlier term holds a lease then. Rounds of
// acknowledgements and elections run in every order, replicas restart, leaders hand over, time goes on in steps.
func TestNoLeaseOutlivesAnElection(t *testing.T) {
	var held, elections int
	for seed := range uint64(20_000) {
		g := &electorate{t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 1)), now: time.Hour, held: &held, elections: &elections}
		for range 3 {
			v := &voter{}
			v.b, v.barred = ballotsAt(&g.now)
			g.voters = append(g.voters, v)
		}
		for range 60 {
			g.step()
		}
		if t.Failed() {
			return
		}
	}
	if held < 5_000 || elections < 5_000 {
		t.Errorf("%d leases, %d elections: hardly anything was tried", held, elections)
	}
}

const (
	testShard   = 1
	testLease   = testBinding * 4 / 5
	testTimeout = testBinding * 3 / 2
)

type electorate struct {
	t               *testing.T
	seed            uint64
	random          *rand.Rand
	now             time.Duration
	voters          []*voter
	held, elections *int
}

func (g *electorate) step() {
	a, b := g.random.IntN(3), g.random.IntN(3)
	v, o := g.voters[a], g.voters[b]
	switch g.random.IntN(16) {
	case 0, 1:
		g.now += time.Duration(1+g.random.IntN(70)) * time.Millisecond
	case 2, 3: // its own election timeout, which is Raft's
		if v.leads == 0 && g.now-v.heard >= testTimeout {
			g.stand(a, false)
		}
	case 4:
		if v.leads != 0 && a != b && o.term <= v.leads {
			v.b.may(&pb.Message{Type: pb.TimeoutNow, ShardID: testShard, Term: v.leads})
			o.see(v.leads)
			g.stand(b, true)
		}
	case 5:
		*v = voter{term: v.term, voted: v.voted, heard: g.now}
		v.b, v.barred = ballotsAt(&g.now)
		v.b.restarted(testShard)
	case 6:
		if n := len(v.late); n > 0 {
			v.late[g.random.IntN(n)]()
		}
	case 7:
		if v.leads != 0 {
			v.begins, v.acks = append(v.begins, g.now), append(v.acks, map[int]bool{})
		}
	case 8, 9, 10, 11:
		for a, v := range g.voters { // whoever stands, if anybody does
			if v.standing && a != b {
				g.vote(a, b)
				break
			}
		}
	default:
		for a, v := range g.voters {
			if v.leads != 0 && len(v.begins) > 0 && a != b {
				g.acknowledge(v, o, b)
				break
			}
		}
	}
}

// see takes in a term.
func (v *voter) see(term uint64) {
	if term > v.term {
		v.term, v.leads, v.standing = term, 0, false
	}
}

func (g *electorate) stand(c int, handed bool) {
	v := g.voters[c]
	v.term++
	v.voted, v.leads, v.standing, v.handed, v.grants = v.term, 0, true, handed, map[int]bool{c: true}
}

func (g *electorate) vote(c, i int) {
	v, o := g.voters[c], g.voters[i]
	if o.term > v.term || o.voted >= v.term {
		return
	}
	if v.handed {
		o.b.asked(testShard, v.term)
	}
	o.see(v.term)
	o.voted = v.term
	if o.b.may(&pb.Message{Type: pb.RequestVoteResp, ShardID: testShard, Term: v.term}) {
		v.grants[i] = true
	}
	if 2*len(v.grants) <= len(g.voters) {
		return
	}
	v.standing, v.leads, v.lease, v.begins, v.acks = false, v.term, 0, nil, nil
	*g.elections++
	for n, o := range g.voters {
		if o.lease > g.now && o.leased < v.term && o.leased > *o.barred {
			g.t.Errorf("seed %d: node %d is elected in term %d, and node %d has a lease of term %d for another %v", g.seed, c, v.term, n, o.leased, o.lease-g.now)
		}
	}
}

func (g *electorate) acknowledge(v, o *voter, i int) {
	if o.term > v.leads {
		return
	}
	o.see(v.leads)
	o.heard = g.now
	round, leads := g.random.IntN(len(v.begins)), v.leads
	o.late = append(o.late, func() { g.leave(v, o, i, leads, round) })
	if g.random.IntN(2) == 0 { // else it waits on its connection, and others overtake it
		o.late[len(o.late)-1]()
	}
}

// leave is an acknowledgement that leaves its node, and arrives at once.
func (g *electorate) leave(v, o *voter, i int, leads uint64, round int) {
	if v.leads != leads {
		return
	}
	if o.b.may(&pb.Message{Type: pb.HeartbeatResp, ShardID: testShard, Term: v.leads}) {
		v.acks[round][i] = true
	}
	if 2*(len(v.acks[round])+1) > len(g.voters) {
		v.lease, v.leased = max(v.lease, v.begins[round]+testLease), v.leads
		*g.held++
		for n, o := range g.voters {
			if o.leads > v.leased && v.lease > g.now && v.leased > *v.barred {
				g.t.Errorf("seed %d: node %d leads in term %d, and then comes a lease of term %d for another %v", g.seed, n, o.leads, v.leased, v.lease-g.now)
			}
		}
	}
}
