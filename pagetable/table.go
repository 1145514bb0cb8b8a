package pagetable

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/message"
)

// Extent is a record of a company: an allocation, or something reserved in its window.
type Extent struct {
	Address     message.Addr
	Size        uint64
	State       message.State
	Home        message.Addr      // first address of the allocation that this is a block of; 0 where it is not known
	HomeCompany message.CompanyID // that the allocation begins in
	Txn         message.Txn
	Blocks      []message.Block // of an allocation over several companies
}

// Summary is what a company says of itself.
type Summary struct {
	Used, Capacity uint64
	Leader         message.NodeID // NoNode while there is none
	Term, Applied  uint64
}

// Source is an owner's company, read under the owner's lock. Its methods are called during a flush, never
// from Changed or Attach, and once more at the first flush after Detach.
type Source interface {
	Extent(a message.Addr) (Extent, bool)      // the record that starts at a
	Extents(from message.Addr, n int) []Extent // at most n records that start at from or later, by address
	Summary() Summary
	Lease(token uint64) (message.Lease, bool)                      // if it stands
	Leases(from message.Addr, token uint64, n int) []message.Lease // at most n by address and token, from that place on
}

// quiet is how long nothing must have changed before Run flushes.
const quiet = 200 * time.Millisecond

// Table is one node's view. Its methods may be called from any goroutine.
type Table struct {
	db       *database
	busy     chan struct{} // holds a token while somebody uses db or the fields below it
	stored   map[message.CompanyID]stored
	listed   *message.Directory // that SQLite has
	closing  context.Context
	close    context.CancelFunc
	kick     chan struct{} // tells Run that something changed
	maxDirty int
	maxLog   int
	bytes    atomic.Uint64 // of the database, after the last flush

	mu        sync.Mutex
	companies map[message.CompanyID]*notes
	directory *message.Directory
	seq       uint64 // of the last log line
	changes   uint64 // counts calls that noted something
}

// stored is what SQLite holds of a company's row; comparing with it saves most statements.
type stored struct {
	Summary
	base, limit message.Addr
	epoch       uint64
	here        bool
	dropped     uint64
}

// Open makes an empty table.
func Open() (*Table, error) {
	db, err := openDatabase()
	if err != nil {
		return nil, &message.Error{Op: "pagetable.Open", Code: message.Internal, Text: "SQLite does not start", Err: err}
	}
	t := &Table{db: db, busy: make(chan struct{}, 1), stored: map[message.CompanyID]stored{}, kick: make(chan struct{}, 1),
		maxDirty: maxDirty, maxLog: maxLog, companies: map[message.CompanyID]*notes{}}
	t.closing, t.close = context.WithCancel(context.Background())
	return t, nil
}

// Close ends what is under way, waits for it and lets the table go. Later queries are refused; notes are
// taken and forgotten.
func (t *Table) Close() error {
	t.close()
	t.busy <- struct{}{}
	defer func() { <-t.busy }()
	if t.db == nil {
		return nil
	}
	err := t.db.Close()
	t.db = nil
	return err
}

// Bytes is about how much memory the table takes: the database as the last flush left it.
func (t *Table) Bytes() uint64 { return t.bytes.Load() }

// acquire waits for the right to use SQLite. The context it returns ends with ctx or with Close.
func (t *Table) acquire(ctx context.Context) (context.Context, func(), error) {
	select {
	case t.busy <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ended(ctx)
	case <-t.closing.Done():
		return nil, nil, closed()
	}
	if t.closing.Err() != nil {
		<-t.busy
		return nil, nil, closed()
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(t.closing, cancel)
	return ctx, func() { stop(); cancel(); <-t.busy }, nil
}

func closed() error {
	return message.Errorf(message.Unavailable, "this node's page table is closed: the node is ending; ask another one")
}

// ended classes the end of a context.
func ended(ctx context.Context) error {
	if ctx.Err() == context.DeadlineExceeded {
		return message.Errorf(message.Timeout, "the page table did not answer in time: ask for less, or with a longer timeout")
	}
	return message.Errorf(message.Canceled, "the query was given up")
}

// note runs f under the lock and wakes Run.
func (t *Table) note(f func()) {
	t.mu.Lock()
	f()
	t.changes++
	t.mu.Unlock()
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

// of finds a company's notes, new ones if need be; nil for what cannot be a company.
func (t *Table) of(id message.CompanyID) *notes {
	if id > message.MaxCompany {
		return nil
	}
	c := t.companies[id]
	if c == nil {
		c = &notes{}
		t.companies[id] = c
	}
	return c
}

// Attach says that the company is owned here now: its rows are made anew from s at the next flush.
func (t *Table) Attach(company message.CompanyID, s Source) {
	if s == nil {
		return
	}
	t.note(func() {
		if c := t.of(company); c != nil {
			c.source, c.here, c.owned = s, true, true
			c.again()
		}
	})
}

// Detach says that the company is no longer owned here. Its rows stay as they are now, under here = 0:
// what is noted and not yet flushed is read from its Source one last time.
func (t *Table) Detach(company message.CompanyID) {
	t.note(func() {
		if c := t.of(company); c != nil {
			c.here = false
		}
	})
}

// Changed notes the addresses whose records an entry changed, and its lines for the log. It keeps neither slice.
func (t *Table) Changed(company message.CompanyID, addrs []message.Addr, log []message.LogLine) {
	if len(addrs) == 0 && len(log) == 0 {
		return
	}
	t.note(func() {
		c := t.of(company)
		if c == nil {
			return
		}
		c.change(addrs, t.maxDirty)
		for i := range log {
			t.seq++
			c.log.add(company, &log[i], t.seq, t.maxLog)
		}
	})
}

// Leased notes the tokens of leases that came or went. It does not keep the slice.
func (t *Table) Leased(company message.CompanyID, tokens []uint64) {
	if len(tokens) == 0 {
		return
	}
	t.note(func() {
		if c := t.of(company); c != nil && c.here {
			for _, token := range tokens {
				c.lease(token, t.maxDirty)
			}
		}
	})
}

// SetDirectory says who is there and who owns what. The caller no longer changes d.
func (t *Table) SetDirectory(d *message.Directory) {
	if d != nil {
		t.note(func() { t.directory = d })
	}
}

// Log lists the last count lines of a company, or of all in the order in which this node learnt of them;
// oldest first. A count below 1 means as many as are kept.
func (t *Table) Log(company message.CompanyID, all bool, count int) []message.LogLine {
	t.mu.Lock()
	defer t.mu.Unlock()
	if count < 1 {
		count = t.maxLog * (message.MaxCompany + 1)
	}
	var lines []line
	for id, c := range t.companies {
		if all || id == company {
			lines = append(lines, c.log.after(0, count)...)
		}
	}
	slices.SortFunc(lines, func(a, b line) int { return cmp.Compare(a.seq, b.seq) })
	lines = lines[max(0, len(lines)-count):]
	out := make([]message.LogLine, len(lines))
	for i, l := range lines {
		out[i] = l.LogLine
	}
	return out
}

// Run flushes whenever something changed and then nothing did for a moment, until ctx ends. Without
// changes it sleeps. A flush that fails is tried again by the next change or query.
func (t *Table) Run(ctx context.Context) {
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for {
		select {
		case <-t.kick:
		case <-ctx.Done():
			return
		case <-t.closing.Done():
			return
		}
		for before, changed := t.count(), true; changed; {
			timer.Reset(quiet)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			case <-t.closing.Done():
				return
			}
			now := t.count()
			before, changed = now, now != before
		}
		select { // the flush will see what this stands for
		case <-t.kick:
		default:
		}
		_ = t.Flush(ctx)
	}
}

func (t *Table) count() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changes
}
