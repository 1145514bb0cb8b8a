package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/message"
	"dmalloc/transport"
)

// Carrier takes requests to nodes. Package transport has it for a process of its own, and a node for
// itself. Ask sends m to a node and returns at once; s is told of each ALIVE and then, once, of the answer or of why
// there is none, under the tag. m belongs to who asked again when Ask returns, with another Source and Target. Forget
// gives the request of that id up: s is then not told any more, or is just being told. Heard is when the node last gave
// a sign of life.
type Carrier interface {
	Ask(to message.NodeID, m *message.Message, s transport.Sink, tag uint64) (id uint64)
	Forget(id uint64)
	Heard(to message.NodeID) time.Time
	SetDirectory(d *message.Directory) // addresses and topology as they are now
}

// Config is what a Heap needs.
type Config struct {
	Carrier   Carrier
	Home      message.NodeID     // the node that the user is on: SQL and Log are asked there
	Directory *message.Directory // what is known at the start
	// States asks whoever started the nodes what became of their processes; nil if nobody can be asked.
	States func(ctx context.Context) ([]Node, error)
	// Faults asks them what they break on purpose; nil if nobody can be asked.
	Faults func(ctx context.Context) ([]Fault, error)
	// HomeFirst has the home node asked first of a register's replicas: it is this very process, or the way to all
	// others leads through it.
	HomeFirst bool
	// Doubt says that a node is believed dead or frozen: of a register's replicas it is asked last. May be nil.
	Doubt func(node message.NodeID) bool
	// Near has reads go to the home node first where it is an owner, whoever leads.
	Near bool
	// Confirm has a majority confirm the leader for each read, as if it had no lease: for who does not trust the clocks of the
	// machines to run at nearly the same speed. What lies under a lease that somebody took depends on them all the same.
	Confirm bool
	// Attempt is how long an owner may give no sign of life at least before the next one is asked, too; 0 means
	// 120 ms. Where the way to it was seen to be longer, it has as long as that takes.
	Attempt time.Duration
	// Hedge is how long a register's replicas may be silent at least before those that were spared are asked
	// too; 0 means 30 ms.
	Hedge time.Duration
	// Local is what this process can read itself; nil if there is nothing.
	Local Local
	// Runs are the small blocks that this process's node hands out; nil where it is no node's.
	Runs Runs
	// Window bounds the pieces of one large transfer that are under way; 0 means 8.
	Window int
}

// Local reads what a process keeps under leases, without a message. Read fills p with the bytes at an address of a
// company, which are of a part of transaction txn or, where that is zero, of what begins there. False means that
// somebody else is to be asked, and says nothing of p. It is called by many goroutines at once and must not wait.
type Local interface {
	Read(a message.Addr, txn message.Txn, p []byte) bool
}

// WithDefaults fills in what is zero.
func (c Config) WithDefaults() Config {
	if c.Attempt == 0 {
		c.Attempt = 120 * time.Millisecond
	}
	if c.Hedge == 0 {
		c.Hedge = hedgeLeast
	}
	if c.Window == 0 {
		c.Window = 8
	}
	return c
}

// Heap is a connection to a heap. All its methods may be called from many goroutines at once.
type Heap struct {
	cfg Config
	id  message.ClientID

	dir     atomic.Pointer[message.Directory] // changes under mu
	trace   atomic.Pointer[func(Event)]
	spanned atomic.Bool // there are spans; changes under mu

	mu      sync.Mutex // guards what follows
	rooms   map[message.CompanyID]room
	spans   []message.Allocation // cached block lists of spanning allocations, by address
	spanTxn map[message.Addr]message.Txn
	notice  func(string)

	seqs    sequence
	regs    *quorums
	pace    *pace
	leaders *leaders
	leases  *leases
	guest   *guest
}

// room is what is believed of a company's free budget.
type room struct {
	bytes uint64
	avoid time.Time // until then it is asked last: it had no majority
}

// New makes a Heap over a carrier.
func New(cfg Config) (*Heap, error) {
	h := &Heap{cfg: cfg.WithDefaults(), pace: &pace{}, leaders: &leaders{}, rooms: map[message.CompanyID]room{}, spanTxn: map[message.Addr]message.Txn{}}
	if _, err := rand.Read(h.id[:]); err != nil {
		return nil, fmt.Errorf("draw a client id: %w", err)
	}
	h.leases, h.guest = &leases{}, &guest{}
	h.regs = &quorums{nodes: map[message.NodeID]seen{}}
	if _, err := rand.Read(h.regs.writer[:]); err != nil {
		return nil, fmt.Errorf("draw a writer id: %w", err)
	}
	h.seqs.reset()
	h.setDirectory(cfg.Directory)
	return h, nil
}

// Idempotent is a Heap whose one changing request is known to the cluster by id: repeated with the same
// id, also from another process, it is done once. It shares everything else with h.
func (h *Heap) Idempotent(id message.ClientID) *Heap {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := &Heap{cfg: h.cfg, id: id, leaders: h.leaders, rooms: map[message.CompanyID]room{},
		spanTxn: map[message.Addr]message.Txn{}, notice: h.notice, regs: h.regs, pace: h.pace, leases: h.leases, guest: h.guest}
	d := h.directory()
	k.dir.Store(d)
	k.trace.Store(h.trace.Load())
	k.seqs.reset()
	k.seqs.pinned = true
	k.setRooms(d)
	return k
}

// Home is the node that the user is on.
func (h *Heap) Home() message.NodeID { return h.cfg.Home }

// SetTrace has f called with every message of the commands that follow; nil ends it.
func (h *Heap) SetTrace(f func(Event)) {
	if f == nil {
		h.trace.Store(nil)
		return
	}
	h.trace.Store(&f)
}

// SetNotice has f told what a command is waiting for; nil ends it.
func (h *Heap) SetNotice(f func(string)) {
	h.mu.Lock()
	h.notice = f
	h.mu.Unlock()
}

func (h *Heap) tracer() func(Event) {
	if f := h.trace.Load(); f != nil {
		return *f
	}
	return nil
}

func (h *Heap) say(text string) {
	h.mu.Lock()
	f := h.notice
	h.mu.Unlock()
	if f != nil {
		f(text)
	}
}

// setDirectory takes in a directory that is newer than the one known.
func (h *Heap) setDirectory(d *message.Directory) {
	if d == nil {
		return
	}
	h.mu.Lock()
	known := h.directory()
	newer := known == nil || d.Epoch >= known.Epoch
	if newer {
		h.dir.Store(d)
		h.setRooms(d)
	}
	h.mu.Unlock()
	h.learnRegisters(d.Registers)
	if newer {
		h.cfg.Carrier.SetDirectory(d)
	}
}

// setRooms believes that what is not known is empty: an owner corrects that with its first refusal.
func (h *Heap) setRooms(d *message.Directory) {
	for _, c := range d.Companies {
		if _, ok := h.rooms[c.ID]; !ok && c.ID != 0 {
			h.rooms[c.ID] = room{bytes: c.Capacity}
			if h.seqs.pinned {
				// Where a repeated MALLOC goes must not depend on what this process remembers, nor on capacities, which
				// change as nodes come and go: companies are asked in the order of their ids, and each keeps its answer.
				h.rooms[c.ID] = room{bytes: message.WindowSize}
			}
		}
	}
}

func (h *Heap) directory() *message.Directory { return h.dir.Load() }

// sequence numbers requests and knows the lowest that is not finished: companies may forget the
// answers of all below it.
type sequence struct {
	pinned  bool // low stays 1: all answers are kept, for another process may ask again
	mu      sync.Mutex
	next    uint64
	low     uint64
	pending map[uint64]struct{}
}

func (s *sequence) reset() { s.next, s.low, s.pending = 1, 1, map[uint64]struct{}{} }

func (s *sequence) begin() (seq, low uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seq = s.next
	s.next++
	s.pending[seq] = struct{}{}
	if s.pinned {
		return seq, 1
	}
	return seq, s.low
}

func (s *sequence) end(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, seq)
	for s.low < s.next {
		if _, ok := s.pending[s.low]; ok {
			break
		}
		s.low++
	}
}
