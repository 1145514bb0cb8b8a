package company

import (
	"io"
	"math"

	"dmalloc/lease"
	"dmalloc/message"
)

// Load reads what a snapshot wrote. cfg must be the company's: an owner that was set up otherwise would
// come to other answers than the others. What it returns satisfies Verify.
func Load(in io.Reader, cfg Config) (*Company, error) {
	c := New(cfg)
	r := newReader(in)
	version := c.loadHead(r)
	high := message.Addr(r.num(math.MaxUint64, "high-water mark"))
	ties := c.loadTies(r)
	c.loadRecords(r, ties)
	if r.err == nil {
		if err := c.space.Raise(high); err != nil {
			r.fail("%v", err)
		}
	}
	c.loadClients(r, version)
	c.loadEnded(r)
	if version > beforeLeases {
		c.loadLeases(r)
	}
	if version > beforeRuns {
		c.loadRuns(r)
	}
	c.loadPages(r)
	if err := r.end(); err != nil {
		return nil, err
	}
	if err := c.Verify(); err != nil {
		return nil, corrupt("it contradicts itself: %v", err)
	}
	return c, nil
}

func (c *Company) loadHead(r *reader) (version uint64) {
	begin := make([]byte, len(magic))
	r.bytes(begin)
	if r.err == nil && string(begin) != magic {
		r.fail("it begins with %s", message.Quote(string(begin)))
	}
	if version = r.num(math.MaxUint64, "version"); r.err == nil && (version < beforeLeases || version > snapshotVersion) {
		r.fail("it has version %d, this program reads %d to %d", version, beforeLeases, snapshotVersion)
	}
	said := Config{ID: message.CompanyID(r.num(math.MaxUint32, "company")), Base: message.Addr(r.num(math.MaxUint64, "base")),
		Limit: message.Addr(r.num(math.MaxUint64, "limit")), Capacity: r.num(math.MaxUint64, "capacity")}
	if r.err == nil && (said.ID != c.cfg.ID || said.Base != c.cfg.Base || said.Limit != c.cfg.Limit || said.Capacity > c.cfg.window()) {
		r.fail("it is of company %s from %s to %s with %d bytes, wanted is company %s from %s to %s with at most %d bytes",
			said.ID, said.Base, said.Limit, said.Capacity, c.cfg.ID, c.cfg.Base, c.cfg.Limit, c.cfg.window())
	}
	if r.err == nil {
		c.cfg.Capacity = said.Capacity // which CAPACITY may have changed since the beginning
	}
	c.index = r.num(math.MaxUint64, "index")
	c.clock = r.num(math.MaxUint64, "clock")
	c.lead.term = r.num(math.MaxUint64, "term")
	c.lead.node = message.NodeID(r.num(math.MaxUint32, "node")) - 1
	c.lead.index = r.num(math.MaxUint64, "index")
	return version
}

// cells is how many places in the window a record can start at.
func (c *Company) cells() uint64 { return uint64(c.cfg.Limit-c.cfg.Base) / message.Alignment }

func (c *Company) loadTies(r *reader) map[uint32]*tie {
	ties := map[uint32]*tie{}
	txns := map[message.Txn]bool{}
	next := uint64(0)
	for range r.num(c.cells(), "number of ties") {
		t := &tie{txn: r.txn()}
		at := r.num(c.cells(), "address of a tie")
		t.company = message.CompanyID(r.num(message.MaxCompany, "company of a tie"))
		t.home = message.Addr(r.num(math.MaxUint64, "home of a tie"))
		t.blocks = loadBlocks(r)
		if r.err == nil && (txns[t.txn] || at < next || at >= c.cells()) {
			r.fail("transaction %s is tied twice, or out of order", t.txn)
		}
		if r.err != nil {
			return nil
		}
		t.at, next = uint32(at), at+1
		ties[t.at], txns[t.txn] = t, true
	}
	return ties
}

func loadBlocks(r *reader) []message.Block {
	n := r.num(message.MaxBlocks, "number of blocks")
	if n == 0 {
		return nil
	}
	blocks := make([]message.Block, n)
	for i := range blocks {
		blocks[i] = message.Block{Address: message.Addr(r.num(math.MaxUint64, "address of a block")), Size: r.num(math.MaxUint64, "size of a block"),
			Company: message.CompanyID(r.num(message.MaxCompany, "company of a block")), Behind: message.Addr(r.num(math.MaxUint64, "address behind a block"))}
	}
	return blocks
}

func (c *Company) loadRecords(r *reader, ties map[uint32]*tie) {
	at := uint64(0)
	for range r.num(c.cells(), "number of records") {
		at += r.num(c.cells(), "address of a record")
		x := record{size: r.num(message.WindowSize, "size of a record")}
		kind := r.byte()
		x.at, x.state, x.home, x.mark = uint32(at), message.State(kind&(1<<markShift-1)), kind&homeBit != 0, mark(kind&^homeBit>>markShift)
		if r.err != nil {
			return
		}
		if at >= c.cells() || x.state == message.Free || x.state > message.Freeing || x.mark > lastMark || x.mark != noMark && (x.state != message.Allocated || x.home) || x.home && !x.homed() || !x.home && x.state == message.Freeing {
			r.fail("the record at %s is in state %d", c.addr(x.at), kind)
			return
		}
		if err := c.space.TakeAt(c.extentOf(x)); err != nil {
			r.fail("%v", err)
			return
		}
		t := ties[x.at]
		if x.tied() != (t != nil) || x.home != (t != nil && len(t.blocks) > 0) {
			r.fail("the record at %s and its tie differ", c.addr(x.at))
			return
		}
		if x.home && t.blocks[0].Size > x.size {
			r.fail("the home block at %s is larger than its allocation", c.addr(x.at))
			return
		}
		c.keep(x, t)
		delete(ties, x.at)
	}
	if len(ties) > 0 {
		r.fail("%d ties have no record", len(ties))
	}
}

func (c *Company) loadClients(r *reader, version uint64) {
	for range r.num(MaxClients, "number of clients") {
		var id message.ClientID
		r.bytes(id[:])
		last := r.num(c.clock, "clock of a client")
		low := r.num(math.MaxUint64, "low of a client")
		n := r.num(MaxWindow, "number of answers")
		if r.err == nil && (c.clients.byID[id] != nil || id == message.ClientID{}) {
			r.fail("client %s is there twice, or is nobody", id)
		}
		if r.err != nil {
			return
		}
		w := c.clients.open(id, last)
		w.low = low
		for next := uint64(0); n > 0; n-- {
			seq, answer := loadAnswer(r, version)
			if r.err == nil && (seq < next || low+seq < low) {
				r.fail("answers of client %s are out of order", id)
			}
			if r.err == nil && c.clients.answers == MaxAnswers {
				r.fail("there are more than %d answers", MaxAnswers)
			}
			if r.err != nil {
				return
			}
			c.clients.keep(w, answerOf(c.cfg.ID, low+seq, &answer))
			next = seq + 1
		}
	}
}

func loadAnswer(r *reader, version uint64) (seq uint64, a Result) {
	seq = r.num(MaxWindow-1, "number of an answer")
	a.Code = message.Code(r.num(uint64(len(message.Codes())-1), "code of an answer"))
	a.Address = message.Addr(r.num(math.MaxUint64, "address of an answer"))
	a.Size = r.num(math.MaxUint64, "size of an answer")
	a.Value = r.num(math.MaxUint64, "value of an answer")
	a.Index = r.num(math.MaxUint64, "index of an answer")
	a.Text = r.text(message.MaxText, "text of an answer")
	r.bytes(a.Txn.Client[:])
	a.Txn.Seq = r.num(math.MaxUint64, "number of a transaction")
	a.Blocks = loadBlocks(r)
	if version > beforeLeases {
		a.Token = r.num(math.MaxUint64, "token of an answer")
		a.Length = r.num(math.MaxUint64, "length of an answer")
	}
	return seq, a
}

func (c *Company) loadLeases(r *reader) {
	last := r.num(math.MaxUint64, "last token")
	n := r.num(lease.MaxLeases, "number of leases")
	var all []lease.Lease
	for ; n > 0 && r.err == nil; n-- {
		l := lease.Lease{First: r.num(lease.MaxPage, "page of a lease"), Pages: r.num(lease.MaxPage, "pages of a lease")}
		mode := r.num(exclusiveBit|writeBackBit, "mode of a lease")
		l.Exclusive, l.WriteBack = mode&exclusiveBit != 0, mode&writeBackBit != 0
		l.Node, l.Session = message.NodeID(r.num(message.MaxNodes, "holder of a lease")), r.num(math.MaxUint64, "session of a lease")
		l.Token, l.Length = r.num(math.MaxUint64, "token of a lease"), r.num(message.MaxLease, "length of a lease")
		if k := len(all); k > 0 && (l.First < all[k-1].First || l.First == all[k-1].First && l.Token <= all[k-1].Token) {
			r.fail("leases are out of order")
		}
		all = append(all, l)
	}
	if r.err != nil {
		return
	}
	var err error
	if c.leases, err = lease.Restore(last, all); err != nil {
		r.fail("%v", err)
		c.leases = lease.New()
	}
}

func (c *Company) loadRuns(r *reader) {
	c.lastRun = r.num(math.MaxUint64, "last number of a run")
	for n := r.num(c.cells(), "number of runs"); n > 0 && r.err == nil; n-- {
		x := &run{node: message.NodeID(r.num(message.MaxNodes-1, "node of a run")), number: r.num(c.lastRun, "number of a run"), session: r.num(math.MaxUint64, "session of a run"),
			size: r.num(message.MaxRunSize, "size of a run's blocks"), heard: r.num(c.clock, "clock of a run"), order: r.num(math.MaxUint64, "order of a run"),
			next: int(r.num(message.MaxRun, "claimed blocks")), end: int(r.num(message.MaxRun, "open blocks"))}
		x.blocks = make([]uint32, r.num(message.MaxRun, "number of a run's blocks"))
		last := uint64(0)
		for i := range x.blocks {
			step := r.num(c.cells(), "address of a run's block")
			if last += step; r.err == nil && (last >= c.cells() || i > 0 && step == 0) {
				r.fail("the blocks of run %d are out of order", x.number)
			}
			x.blocks[i] = uint32(last)
		}
		if top, ok := c.runs.Max(); r.err == nil && (ok && !runLess(top, x) || x.next >= len(x.blocks)) {
			r.fail("runs are out of order")
		}
		if r.err == nil {
			c.runs.ReplaceOrInsert(x)
		}
	}
	for n := r.num(message.MaxNodes, "number of settled nodes"); n > 0 && r.err == nil; n-- {
		s := settled{message.NodeID(r.num(message.MaxNodes-1, "a settled node")), r.num(math.MaxUint64, "a settled session")}
		if top, ok := c.settled.Max(); ok && !settledLess(top, s) || s.session == 0 {
			r.fail("settled sessions are out of order")
		}
		c.settled.ReplaceOrInsert(s)
	}
	if r.err == nil && c.lastRun == 0 && c.settled.Len() == 0 {
		r.fail("it never had a run, and is of version %d", snapshotVersion)
	}
}

func (c *Company) loadEnded(r *reader) {
	last := uint64(0)
	for range r.num(MaxEnded, "number of ended transactions") {
		txn, clock := r.txn(), r.num(c.clock, "clock of an ended transaction")
		if r.err == nil && (clock < last || !c.ended.add(txn, clock)) {
			r.fail("transaction %s ended twice, or out of order", txn)
		}
		if r.err != nil {
			return
		}
		last = clock
	}
}

func (c *Company) loadPages(r *reader) {
	pages := uint64(c.cfg.Limit-c.cfg.Base) / message.PageSize
	buf := make([]byte, message.PageSize)
	for next := uint64(0); ; {
		step := r.num(pages, "number of a page")
		if step == 0 || r.err != nil {
			return
		}
		i := next + step - 1
		n := r.num(message.PageSize, "length of a page")
		r.bytes(buf[:n])
		if r.err == nil && (i >= pages || n == 0 || buf[n-1] == 0) {
			r.fail("page %d has %d bytes, or is behind the window's end", i, n)
		}
		if r.err != nil {
			return
		}
		if err := c.pages.WriteAt(i*message.PageSize, buf[:n]); err != nil {
			r.fail("%v", err)
			return
		}
		next = i + 1
	}
}
