package node

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"

	"dmalloc/certs"
	"dmalloc/client"
	"dmalloc/company"
	"dmalloc/election"
	"dmalloc/fault"
	"dmalloc/faultfs"
	"dmalloc/job"
	"dmalloc/member"
	"dmalloc/message"
	"dmalloc/owner"
	"dmalloc/pagetable"
	"dmalloc/quorum"
	"dmalloc/ring"
	"dmalloc/transport"
	"dmalloc/web"
)

// Config is what a node needs.
type Config struct {
	ID          message.NodeID
	Settings    message.Settings
	Hosts       []string // of the nodes that the cluster was made with, by id
	Host        string   // this node's own, if it came later
	Dir         string   // the node's own, kept between its starts
	Listener    net.Listener
	HTTP        net.Listener
	Incarnation uint64
	Join        bool // the node came later or lost its disk: take up the replicas that the directory gives this incarnation
	// Found is the directory of the cluster that a node joins by itself. Nobody tells it where the others are: it goes
	// by the directory alone. nil: the launcher tells.
	Found   *message.Directory
	Control string // where the launcher listens; empty if there is none
	Peers   []message.Node
	Faults  fault.View // what is wrong on purpose from the start
	Log     *slog.Logger
	Journal func() []byte // the last lines of Log, for JOURNAL; nil if nobody keeps them
	Debug   bool          // profiles over HTTP
	// Collect tells the garbage collector how many bytes it should stay within, and by how many percent the heap may grow; nil: nothing does.
	Collect func(limit uint64, growth int)
	Certs   *certs.Config // for everything that listens or dials; nil: no TLS
	Tokens  [][]byte      // SHA-256 of what HTTP requests must show one of; empty: they need none
	Version string
}

// Node is one running node.
type Node struct {
	cfg       Config
	lock      *flock.Flock
	identity  *identity
	transport *transport.Transport
	host      *owner.Host
	inbox     owner.Inbox
	table     *pagetable.Table
	heap      *client.Heap
	web       *web.Server
	memory    memory
	stats     *stats
	started   time.Time
	queries   chan struct{} // slots of SQL and LOG
	control   *client.Control
	keeper    *quorum.Keeper
	members   *member.Members
	jobs      *job.Runner
	modules   modules
	holder    *holder
	runs      *runner
	lessor    *lessor
	near      *client.Heap // prefers this node's own replicas, for jobs

	directory atomic.Pointer[message.Directory]
	told      atomic.Pointer[[]message.Node] // where the launcher says that nodes are

	electMu  sync.Mutex
	election *election.History

	unheard unheard

	seatMu sync.Mutex           // one change of what this node owns at a time
	free   map[seatID]bool      // replicas here that their companies do not count
	failed map[seatID]time.Time // when a replica could not be started

	disk  faultfs.Switch // under the log and the registers
	clock atomic.Int64   // nanoseconds that this node's clock is wrong by

	open     atomic.Bool   // the owners are there: requests can be answered
	moving   atomic.Bool   // a task moves registers
	planning atomic.Bool   // a task plans for the directory
	changes  changes       // only that task uses it
	asking   atomic.Bool   // a task asks who may be deleted
	learning atomic.Bool   // a task asks for the directory, of which somebody has a newer one
	left     chan struct{} // closed when the directory says that this node has left
	leaving  sync.Once

	newsMu sync.Mutex // one at a time tells transport and failure detector who is where
	peers  map[message.NodeID]transport.Peer
	ids    []message.NodeID
	even   even                       // only watch uses it, but for its flags
	prefer map[message.CompanyID]bool // led here; whoever is the first owner shall lead. Only watch uses it

	taskMu sync.Mutex // guards closed against a task that starts
	closed bool

	failure chan error // one: why the node must end
	ctx     context.Context
	cancel  context.CancelFunc
	tasks   sync.WaitGroup
}

const queries = 8 // SQL and LOG requests under way; beyond them Busy

// Start opens the node's files and begins to serve. It returns before the node has caught up: see Ready.
func Start(cfg Config) (_ *Node, err error) {
	n := &Node{cfg: cfg, stats: newStats(), started: time.Now(), queries: make(chan struct{}, queries),
		election: election.New(), failure: make(chan error, 1), left: make(chan struct{}), prefer: map[message.CompanyID]bool{}, free: map[seatID]bool{}, failed: map[seatID]time.Time{}, changes: changes{}}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			n.Close()
		}
	}()
	if err := n.openFiles(); err != nil {
		return nil, err
	}
	initial := ring.Plan(cfg.Settings, cfg.Hosts)
	n.directory.Store(initial)
	if n.table, err = pagetable.Open(); err != nil {
		return nil, fmt.Errorf("open the page table: %w", err)
	}
	if err := n.openTransport(); err != nil {
		return nil, err
	}
	if cfg.Found != nil {
		n.learn(cfg.Found)
	}
	n.SetPeers(cfg.Peers, nil)
	n.SetFaults(cfg.Faults)
	n.control = client.NewControl(cfg.Control, client.Options{Certs: cfg.Certs})
	n.jobs = job.New(job.Config{Log: cfg.Log}) // of which the members tell
	if err := n.openMembers(n.directory.Load()); err != nil {
		return nil, err
	}
	n.holder, n.lessor = newHolder(n), newLessor(n)
	n.runs = newRunner(n)
	n.memory.cached = n.holder
	c := client.Config{Carrier: carrier{n}, Home: cfg.ID, HomeFirst: true, Directory: n.directory.Load(), States: n.control.States, Faults: n.control.Faults, Doubt: n.doubt, Local: n.holder, Runs: n.runs}
	if n.heap, err = client.New(c); err != nil {
		return nil, err
	}
	c.Near = true
	if n.near, err = client.New(c); err != nil {
		return nil, err
	}
	if err := n.openRegisters(); err != nil {
		return nil, err
	}
	if err := n.openOwners(initial); err != nil {
		return nil, err
	}
	n.open.Store(true)
	if err := n.openWeb(); err != nil {
		return nil, err
	}
	n.tasks.Go(func() { n.table.Run(n.ctx) })
	n.tasks.Go(n.announce)
	n.tasks.Go(n.watch)
	n.tasks.Go(n.lessor.run)
	n.tasks.Go(n.holder.run)
	n.tasks.Go(n.runs.run)
	n.tasks.Go(n.runs.settleEarlier)
	return n, nil
}

func (n *Node) openFiles() error {
	if err := os.MkdirAll(n.cfg.Dir, 0o700); err != nil {
		return message.Errorf(message.InvalidArgument, "node %s cannot use %s: %v; give a directory that can be written", n.cfg.ID, n.cfg.Dir, err)
	}
	n.lock = flock.New(filepath.Join(n.cfg.Dir, "lock"))
	got, err := n.lock.TryLock()
	if err != nil {
		return message.Errorf(message.InvalidArgument, "node %s cannot lock %s: %v", n.cfg.ID, n.cfg.Dir, err)
	}
	if !got {
		return message.Errorf(message.InvalidArgument, "another process uses %s; end it first", n.cfg.Dir)
	}
	var seats []kept
	if !n.cfg.Join {
		for _, c := range ring.Plan(n.cfg.Settings, n.cfg.Hosts).Companies {
			for _, o := range c.Owners {
				if o.Node == n.cfg.ID {
					seats = append(seats, kept{Company: c.ID, Replica: o.Replica})
				}
			}
		}
	}
	n.identity, err = openIdentity(n.cfg.Dir, n.cfg, seats)
	return err
}

// openOwners opens the log and starts the replicas that it holds, or those of a new node.
func (n *Node) openOwners(initial *message.Directory) (err error) {
	owner.LogTo(n.cfg.Log)
	n.host, err = owner.Open(owner.Config{
		Node: n.cfg.ID, Incarnation: n.cfg.Incarnation, Settings: n.cfg.Settings, Dir: n.cfg.Dir,
		Carrier: n.transport, Inbox: &n.inbox, Observer: observer{n}, Led: n.led,
		Entry: func(wait, commit time.Duration) { n.stats.queue.add(wait); n.stats.commit.add(commit) },
		Index: n.stats.readIndex.add, Disk: &n.disk, Failed: n.fail, Now: n.now, Leaving: n.identity.leaving(),
		Together: n.transport.Together,
	})
	if err != nil {
		return err
	}
	for _, c := range initial.Companies {
		n.host.Know(c.ID, c.Owners)
	}
	for _, k := range n.identity.Replicas {
		if k.Started && !k.Removed && !n.host.Keeps(k.Company, k.Generation, k.Replica) {
			return message.Errorf(message.Corrupt, "node %s has lost the log of company %s; start it with revive %s --wipe", n.cfg.ID, k.Company, n.cfg.ID)
		}
	}
	for _, k := range slices.Clone(n.identity.Replicas) {
		if k.Removed {
			continue // takeSeats deletes it
		}
		c := initial.Company(k.Company)
		have := n.host.Keeps(k.Company, k.Generation, k.Replica)
		if !have && !k.Joined && (c == nil || k.Generation > 0) {
			n.identity.forget(k.Company, k.Replica) // it was about to found a company; the directory says with whom
			continue
		}
		seat := owner.Seat{Company: k.Company, Generation: k.Generation, Replica: k.Replica, Voting: !k.Joined, Join: k.Joined && !k.Started, Seeded: k.Seeded}
		if !have && !k.Joined {
			for _, o := range c.Owners {
				seat.Founders = append(seat.Founders, message.Founder{Node: o.Node, Replica: o.Replica})
			}
		}
		if err := n.seat(seat); err != nil {
			return err
		}
	}
	return nil
}

// seat starts a replica and keeps that it has.
func (n *Node) seat(s owner.Seat) error {
	initial := ring.Plan(n.cfg.Settings, n.cfg.Hosts)
	var state owner.Machine
	if s.Company == 0 {
		// What may change from start to start is no part of the state that the log makes.
		initial.Settings.ReplaceAfter, initial.Settings.Cache, initial.Settings.WriteBack, initial.Settings.Runs = 0, 0, false, 0
		state = owner.NewDirectory(initial)
	} else {
		cfg := company.Config{ID: s.Company} // founded later: its log gives it its capacity
		if c := initial.Company(s.Company); c != nil {
			cfg = company.Config{ID: c.ID, Base: c.Base, Limit: c.Limit, Capacity: c.Capacity}
		}
		state = owner.NewHeap(cfg)
	}
	if n.identity.find(s.Company, s.Replica) == nil {
		n.identity.Replicas = append(n.identity.Replicas, kept{Company: s.Company, Generation: s.Generation, Replica: s.Replica, Joined: s.Join, Seeded: s.Seeded})
		if err := n.identity.save(n.cfg.Dir); err != nil {
			n.identity.forget(s.Company, s.Replica) // what is not kept must not start
			return err
		}
	}
	if s.Seeded {
		n.unheard.begin(s.Company, s.Replica)
	}
	r, err := n.host.Start(s, state)
	if err != nil {
		return err
	}
	if s.Company != 0 {
		n.table.Attach(s.Company, source{r})
	}
	return n.begun(s.Company, s.Replica)
}

// begun keeps that a replica has a log, without which it does not start again.
func (n *Node) begun(id message.CompanyID, replica uint64) error {
	k := n.identity.find(id, replica)
	if k.Started {
		return nil
	}
	k.Started = true
	err := n.identity.save(n.cfg.Dir)
	if err != nil {
		k.Started = false // to be kept at the next tick
	}
	return err
}

// SetPeers takes in where the other nodes listen now, and which are dead.
func (n *Node) SetPeers(peers []message.Node, dead []message.NodeID) {
	down := map[message.NodeID]bool{}
	for _, id := range dead {
		down[id] = true
	}
	n.transport.SetDown(down)
	if len(peers) == 0 {
		return
	}
	n.told.Store(&peers)
	for {
		old := n.directory.Load()
		d := old.Clone()
		n.address(d)
		if n.directory.CompareAndSwap(old, d) {
			break
		}
	}
	n.spreadNews(true)
}

// address puts into a directory where the launcher says that nodes are. The log may still have the
// addresses of an earlier start, under which nobody would be found.
func (n *Node) address(d *message.Directory) {
	told := n.told.Load()
	if told == nil {
		return
	}
	for _, p := range *told {
		if have := d.Node(p.ID); have != nil && p.Address != "" && p.Incarnation >= have.Incarnation {
			have.Address, have.HTTP = p.Address, p.HTTP
		}
	}
}

// spawn starts a task that Close waits for; false once Close has begun.
func (n *Node) spawn(f func()) bool {
	n.taskMu.Lock()
	defer n.taskMu.Unlock()
	if n.closed {
		return false
	}
	n.tasks.Go(f)
	return true
}

// Heap is how the process that a node is in uses the heap: what is held under leases it reads without a message.
func (n *Node) Heap() *client.Heap { return n.heap }

// Failed gives the reason for which the node must end, when there is one.
func (n *Node) Failed() <-chan error { return n.failure }

func (n *Node) fail(err error) {
	select {
	case n.failure <- err:
	default:
	}
}

// releaseTime is how long a node that ends tries to give its leases back.
const releaseTime = time.Second

// Close stops everything and waits for it.
func (n *Node) Close() {
	if n.open.Load() {
		ctx, cancel := context.WithTimeout(n.ctx, releaseTime)
		var runs sync.WaitGroup
		runs.Go(func() { n.runs.leave(ctx) })
		n.holder.close(ctx)
		runs.Wait()
		cancel()
	}
	n.taskMu.Lock()
	n.closed = true
	n.taskMu.Unlock()
	n.cancel()
	if n.jobs != nil {
		n.jobs.Close()
	}
	if n.web != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_ = n.web.Close(ctx)
		cancel()
	}
	n.tasks.Wait()
	if n.members != nil {
		n.members.Close()
	}
	if n.host != nil {
		n.host.Close()
	}
	if n.keeper != nil {
		_ = n.keeper.Close()
	}
	if n.transport != nil {
		_ = n.transport.Close()
	}
	if n.control != nil {
		n.control.Close()
	}
	if n.table != nil {
		_ = n.table.Close()
	}
	if n.lock != nil {
		_ = n.lock.Unlock()
	}
}

// leaderless is how long a company may have no leader before a starting node stops waiting for it: its
// majority may be dead, and this node may be the first of several to come back.
const leaderless = 3 * time.Second

// Ready waits until this node has caught up in each of its companies, as far as they have a majority.
func (n *Node) Ready(ctx context.Context) error {
	for n.late() && !n.admitted() || n.cfg.Join && (!n.late() || n.cfg.Incarnation > 0) && n.joining() { // its seats are to be given, and then to vote
		select {
		case <-time.After(watchBusy):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, r := range n.host.Replicas() {
		for {
			short, cancel := context.WithTimeout(ctx, leaderless)
			err := r.CatchUp(short)
			cancel()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err == nil || n.host.Replica(r.ID) != r { // or it was replaced while it was away
				break
			}
			if _, _, known := r.Leader(); !known {
				break
			}
		}
	}
	short, cancel := context.WithTimeout(ctx, leaderless)
	defer cancel()
	n.awaitSight(short) // the directory may have no majority
	if n.identity.Boot == 1 && !n.cfg.Join && !n.late() {
		n.balance(ctx)
	}
	return nil
}

// joining says whether a node that lost its disk is not yet what it was: a voting owner, and a replica of
// its registers.
func (n *Node) joining() bool {
	d := n.directory.Load()
	if me := d.Node(n.cfg.ID); me == nil || me.Incarnation != n.cfg.Incarnation {
		return true
	}
	for _, c := range d.Companies {
		for _, o := range c.Owners {
			if o.Node == n.cfg.ID && o.Joining {
				return true
			}
		}
	}
	for _, m := range d.Registers.Members {
		if m.Node == n.cfg.ID && m.Incarnation != n.cfg.Incarnation {
			return true
		}
	}
	return false
}

const (
	balanceTime = 500 * time.Millisecond // that a start spends on spreading leadership
	balanceStep = 25 * time.Millisecond
)

// balance hands the companies that fell to this node to their preferred owners, the first in the
// directory: elections fall as they may, and leading costs work. It is done once, when the cluster is
// new; later `lead`, deaths, and owners that come and go move leadership.
func (n *Node) balance(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, balanceTime)
	defer cancel()
	for {
		mine := 0
		for _, r := range n.host.Replicas() {
			c := n.directory.Load().Company(r.ID)
			if first := c.Owners[0]; r.Leads() && first.Node != n.cfg.ID && !first.Joining {
				mine++
				_ = r.Transfer(first.Replica) // a refusal is asked again
			}
		}
		select {
		case <-time.After(balanceStep):
		case <-ctx.Done():
			return
		}
		if mine == 0 {
			return
		}
	}
}

// missing names the companies here that have no leader, nil if none.
func (n *Node) missing() error {
	var ids []string
	for _, r := range n.host.Replicas() {
		if _, _, known := r.Leader(); !known {
			ids = append(ids, r.ID.String())
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return message.Errorf(message.Unavailable, "companies without a leader: %v", ids)
}
