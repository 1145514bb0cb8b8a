package company

import (
	"io"

	"github.com/google/btree"

	"dmalloc/lease"
	"dmalloc/message"
	"dmalloc/page"
)

const (
	magic           = "dmalloc company\n"
	snapshotVersion = 3
	beforeRuns      = 2 // the version of a company that never had one
	beforeLeases    = 1 // the version that has none, and is still read
)

// Snapshot is a company at one moment.
type Snapshot struct {
	cfg     Config
	index   uint64
	clock   uint64
	lead    lead
	high    message.Addr
	records *btree.BTreeG[record]
	ties    *btree.BTreeG[*tie]
	clients []client
	ended   *btree.BTreeG[end] // by age
	leases  *lease.Table
	runs    *btree.BTreeG[*run]
	settled *btree.BTreeG[settled]
	lastRun uint64
	pages   *page.Snapshot
}

// Snapshot keeps the company as it is now. It costs a few words for each client and nothing for
// allocations and bytes, but changes the company's bookkeeping: nothing may run beside it.
func (c *Company) Snapshot() *Snapshot {
	if plantedShort {
		return c.short()
	}
	return c.moment()
}

func (c *Company) moment() *Snapshot {
	return &Snapshot{cfg: c.cfg, index: c.index, clock: c.clock, lead: c.lead, high: c.space.High(),
		records: c.records.Clone(), ties: c.ties.Clone(), clients: c.clients.snapshot(), ended: c.ended.byAge.Clone(), leases: c.leases.Clone(),
		runs: c.runs.Clone(), settled: c.settled.Clone(), lastRun: c.lastRun, pages: c.pages.Snapshot()}
}

// Anew makes the snapshot one with which a log begins: no entry of that log is in it. Who led stays, for the terms
// that follow are greater.
func (s *Snapshot) Anew() *Snapshot {
	s.index, s.lead.index = 0, 0
	return s
}

// WriteTo writes the snapshot as Load reads it; equal states give equal bytes. It may run beside the
// company's Apply.
//
//	magic, version; id, base, limit, capacity; index, clock; term, node+1, index of the lead; high-water mark
//	ties by address, records by address, clients by last use, ended transactions by age: a count, then each
//	the last token; leases by address and token: a count, then each
//	from version 3 on: the last number of a run; runs by node and number, settled sessions by node: a count, then each
//	pages by offset: distance from the one before, at least 1, length without trailing zeros, bytes; then 0
func (s *Snapshot) WriteTo(out io.Writer) (int64, error) {
	w := newWriter(out)
	s.writeState(w)
	s.writePages(w)
	return w.end()
}

// writeState writes all but the pages.
func (s *Snapshot) writeState(w *writer) {
	w.bytes([]byte(magic))
	w.num(s.version(), uint64(s.cfg.ID), uint64(s.cfg.Base), uint64(s.cfg.Limit), s.cfg.Capacity, s.index, s.clock,
		s.lead.term, uint64(s.lead.node+1), s.lead.index, uint64(s.high))
	s.writeTies(w)
	s.writeRecords(w)
	s.writeClients(w)
	w.num(uint64(s.ended.Len()))
	s.ended.Ascend(func(x end) bool {
		w.txn(x.txn)
		w.num(x.clock)
		return w.err == nil
	})
	s.writeLeases(w)
	if s.version() > beforeRuns {
		s.writeRuns(w)
	}
}

// version is the least that can tell the state: what never had a run is read by programs that know none.
func (s *Snapshot) version() uint64 {
	if s.lastRun == 0 && s.settled.Len() == 0 {
		return beforeRuns
	}
	return snapshotVersion
}

func (s *Snapshot) writeRuns(w *writer) {
	w.num(s.lastRun, uint64(s.runs.Len()))
	s.runs.Ascend(func(x *run) bool {
		w.num(uint64(x.node), x.number, x.session, x.size, x.heard, x.order, uint64(x.next), uint64(x.end), uint64(len(x.blocks)))
		last := uint32(0)
		for _, at := range x.blocks {
			w.num(uint64(at - last))
			last = at
		}
		return w.err == nil
	})
	w.num(uint64(s.settled.Len()))
	s.settled.Ascend(func(x settled) bool {
		w.num(uint64(x.node), x.session)
		return w.err == nil
	})
}

const (
	exclusiveBit = 1 << iota // in a lease's number of its mode
	writeBackBit
)

func (s *Snapshot) writeLeases(w *writer) {
	w.num(s.leases.Last(), uint64(s.leases.Len()))
	for l := range s.leases.All() {
		mode := uint64(0)
		if l.Exclusive {
			mode |= exclusiveBit
		}
		if l.WriteBack {
			mode |= writeBackBit
		}
		w.num(l.First, l.Pages, mode, uint64(l.Node), l.Session, l.Token, l.Length)
	}
}

func (s *Snapshot) writeTies(w *writer) {
	w.num(uint64(s.ties.Len()))
	s.ties.Ascend(func(t *tie) bool {
		w.txn(t.txn)
		w.num(uint64(t.at), uint64(t.company), uint64(t.home), uint64(len(t.blocks)))
		writeBlocks(w, t.blocks)
		return w.err == nil
	})
}

func writeBlocks(w *writer, blocks []message.Block) {
	for _, b := range blocks {
		w.num(uint64(b.Address), b.Size, uint64(b.Company), uint64(b.Behind))
	}
}

const (
	homeBit   = 0x80 // in a record's byte of state
	markShift = 4    // where its mark is in it
)

func (s *Snapshot) writeRecords(w *writer) {
	w.num(uint64(s.records.Len()))
	var last uint32
	s.records.Ascend(func(r record) bool {
		kind := byte(r.state) | byte(r.mark)<<markShift
		if r.home {
			kind |= homeBit
		}
		w.num(uint64(r.at-last), r.size)
		w.bytes([]byte{kind})
		last = r.at
		return w.err == nil
	})
}

func (s *Snapshot) writeClients(w *writer) {
	w.num(uint64(len(s.clients)))
	for _, c := range s.clients {
		w.bytes(c.id[:])
		if plantedForget {
			w.num(c.last, c.w.low, 0)
			continue
		}
		w.num(c.last, c.w.low, uint64(c.w.answers.len()))
		for _, a := range c.w.answers.kept() {
			r := a.result(s.cfg.ID)
			w.num(a.seq-c.w.low, uint64(r.Code), uint64(r.Address), r.Size, r.Value, r.Index)
			w.text(r.Text)
			w.bytes(r.Txn.Client[:])
			w.num(r.Txn.Seq, uint64(len(r.Blocks)))
			writeBlocks(w, r.Blocks)
			w.num(r.Token, r.Length)
		}
		if w.err != nil {
			return
		}
	}
}

func (s *Snapshot) writePages(w *writer) {
	next := uint64(0) // the first page that may follow
	for off, p := range s.pages.All() {
		i := off / message.PageSize
		n := len(p)
		for n > 0 && p[n-1] == 0 {
			n--
		}
		w.num(i-next+1, uint64(n))
		w.bytes(p[:n])
		next = i + 1
		if w.err != nil {
			return
		}
	}
	w.num(0)
}
