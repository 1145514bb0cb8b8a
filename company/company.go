package company

import (
	"github.com/google/btree"

	"dmalloc/block"
	"dmalloc/lease"
	"dmalloc/message"
	"dmalloc/page"
)

const (
	treeDegree = 32
	expiry     = uint64(message.ClientExpiry / 1e6) // milliseconds of the company's clock
	maxElapsed = 60_000                             // milliseconds that one batch moves the clock at most
)

// Config says which company it is. All owners of a company have the same one.
type Config struct {
	ID       message.CompanyID
	Base     message.Addr // a multiple of the page size; 0 means the window of ID
	Limit    message.Addr // 0 means the end of the window of ID
	Capacity uint64       // bytes that may be backed here, until CAPACITY says otherwise; at most what the window addresses
}

// WithDefaults fills in the window, and trims it to whole pages and to what a company can address.
func (f Config) WithDefaults() Config {
	const mask = message.PageSize - 1
	if f.Base == 0 {
		f.Base = f.ID.Base()
	}
	f.Base &^= mask
	if f.Limit == 0 {
		f.Limit = f.ID.Limit()
	}
	f.Limit &^= mask
	if f.Limit <= f.Base { // no room for anything
		f.Limit = f.Base
	} else if f.Limit-f.Base > message.WindowSize {
		f.Limit = f.Base + message.WindowSize
	}
	f.Capacity = min(f.Capacity, f.window())
	return f
}

// window is how many bytes can be allocated: the first page never is.
func (f Config) window() uint64 {
	size := uint64(f.Limit - f.Base)
	return size - min(size, message.PageSize)
}

func (f Config) first() message.Addr { return f.Limit - message.Addr(f.window()) }

// Company is one shard's whole state.
type Company struct {
	cfg   Config
	index uint64 // of the last entry
	clock uint64 // milliseconds that the batches said have passed

	space   *block.Space
	records *btree.BTreeG[record] // by address
	ties    *btree.BTreeG[*tie]   // by address
	byTxn   *btree.BTreeG[*tie]
	pages   *page.Store
	leases  *lease.Table
	runs    *btree.BTreeG[*run]    // by node and number
	settled *btree.BTreeG[settled] // by node
	lastRun uint64                 // the greatest number that a run got
	clients clients
	ended   ended
	lead    lead

	used     uint64 // bytes asked for that are backed here
	charged  uint64 // their footprints
	unbacked uint64 // bytes of the window behind the first blocks of homes: taken, and backed elsewhere
	count    uint64 // allocations whose home is here
	defect   error  // the first broken invariant that an operation met; Verify tells
}

type lead struct {
	term  uint64
	node  message.NodeID
	index uint64
}

// New makes an empty company.
func New(cfg Config) *Company {
	cfg = cfg.WithDefaults()
	return &Company{
		cfg:     cfg,
		space:   block.New(cfg.first(), cfg.Limit),
		records: btree.NewG(treeDegree, recordLess),
		ties:    btree.NewG(treeDegree, tieLess),
		byTxn:   btree.NewG(treeDegree, txnLess),
		pages:   new(page.Store),
		leases:  lease.New(),
		runs:    btree.NewG(treeDegree, runLess),
		settled: btree.NewG(treeDegree, settledLess),
		clients: newClients(),
		ended:   newEnded(),
		lead:    lead{node: message.NoNode},
	}
}

// Status sums a company up.
type Status struct {
	Used     uint64 // bytes asked for that are backed here: allocated, reserved, parts, home blocks
	Capacity uint64
	Room     uint64 // the largest size that a MALLOC would get now
	Count    uint64 // allocations whose home is here
	Resident uint64 // bytes of pages that exist
	Held     uint64 // bytes of pages that something backed here is in, and that may exist: what the budget counts
	Index    uint64 // of the last entry applied
	Leases   uint64 // that stand
}

func (c *Company) Status() Status {
	return Status{Used: c.used, Capacity: c.cfg.Capacity, Room: c.room(), Count: c.count, Resident: c.pages.Resident(), Held: c.pagesHeld(), Index: c.index, Leases: uint64(c.leases.Len())}
}

// Lead is who led in the greatest term that an entry has told of, and that entry's index.
func (c *Company) Lead() (term uint64, node message.NodeID, index uint64) {
	return c.lead.term, c.lead.node, c.lead.index
}

// Extent is a record for people and for the page table.
type Extent struct {
	Address     message.Addr
	Size        uint64
	State       message.State
	Home        message.Addr // first address of the allocation; 0 for what is only reserved, or set aside
	HomeCompany message.CompanyID
	Txn         message.Txn     // zero for what does not span companies
	Blocks      []message.Block // of a home: all of them
}

func (c *Company) extent(r record) Extent {
	a := c.addr(r.at)
	x := Extent{Address: a, Size: r.size, State: r.state, Home: a, HomeCompany: c.cfg.ID}
	if !r.live() {
		x.State, x.Home = message.Reserved, 0
		return x
	}
	if r.tied() {
		t := c.tieAt(r.at)
		x.Txn, x.Home, x.HomeCompany = t.txn, t.home, t.company
	}
	if r.homed() {
		x.Blocks = append([]message.Block(nil), c.blocks(r)...)
	}
	return x
}

// Extent is the record that starts at a.
func (c *Company) Extent(a message.Addr) (Extent, bool) {
	r, ok := c.holder(a)
	if !ok || c.addr(r.at) != a {
		return Extent{}, false
	}
	return c.extent(r), true
}

// Extents lists at most n records that start at from or behind it, by address.
func (c *Company) Extents(from message.Addr, n int) []Extent {
	var all []Extent
	c.ascend(from, func(r record) bool {
		if len(all) >= n {
			return false
		}
		all = append(all, c.extent(r))
		return true
	})
	return all
}

// Pending is a transaction that is not at its end here: a reservation that nobody confirmed, or an
// allocation whose parts are being given back.
type Pending struct {
	Txn         message.Txn
	State       message.State // Reserved or Freeing
	Address     message.Addr  // of the extent here
	HomeCompany message.CompanyID
	Home        message.Addr    // 0 for a reservation, which does not know it yet
	Blocks      []message.Block // of one being freed: all, the home block first
}

// PendingKey tells pending transactions apart; one that was reserved and then freed is two.
type PendingKey struct {
	Txn   message.Txn
	State message.State
}

func (p Pending) Key() PendingKey { return PendingKey{p.Txn, p.State} }

// Pending lists what is not at its end, by transaction. The owner that leads drives it there.
func (c *Company) Pending() []Pending {
	var all []Pending
	c.byTxn.Ascend(func(t *tie) bool {
		if r, _ := c.recordAt(t.at); r.state == message.Reserved || r.state == message.Freeing {
			all = append(all, Pending{Txn: t.txn, State: r.state, Address: c.addr(t.at), HomeCompany: t.company, Home: t.home,
				Blocks: append([]message.Block(nil), t.blocks...)})
		}
		return true
	})
	return all
}
