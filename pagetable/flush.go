package pagetable

import (
	"cmp"
	"context"
	"slices"

	"dmalloc/message"
)

// pageOf is how many records a rebuild reads under the owner's lock at once.
const pageOf = 1000

// work is what one flush takes from a company's notes.
type work struct {
	id      message.CompanyID
	source  Source
	here    bool
	owned   bool
	rebuild bool
	dirty   map[message.Addr]struct{}
	tokens  map[uint64]struct{}
	lines   []line
	flushed uint64 // seq of the newest of lines, or as before
	oldest  uint64 // seq of the oldest line kept
	dropped uint64
}

// Flush brings SQLite up to what has been noted. Query does so by itself.
func (t *Table) Flush(ctx context.Context) error {
	ctx, release, err := t.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	return t.flush(ctx)
}

// flush is Flush for one who has acquired the database.
func (t *Table) flush(ctx context.Context) error {
	all, d := t.take()
	next, err := t.write(ctx, all, d)
	if err != nil {
		t.giveBack(all)
		if ctx.Err() != nil {
			return t.interrupted(ctx)
		}
		return &message.Error{Op: "pagetable.Flush", Code: message.Internal, Text: "the page table could not be brought up to date", Err: err}
	}
	t.stored, t.listed = next, d
	t.bytes.Store(t.db.size())
	t.settle(all)
	return nil
}

// take takes the notes away, in the order of companies.
func (t *Table) take() ([]work, *message.Directory) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]work, 0, len(t.companies))
	for id, c := range t.companies {
		w := work{id: id, source: c.source, here: c.here, owned: c.owned, rebuild: c.rebuild, dirty: c.dirty, tokens: c.tokens,
			lines: c.log.after(c.log.flushed, t.maxLog), flushed: c.log.last.seq, oldest: c.log.oldest(), dropped: c.log.dropped}
		c.rebuild, c.dirty, c.tokens = false, nil, nil
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b work) int { return cmp.Compare(a.id, b.id) })
	return all, t.directory
}

// giveBack returns notes after a failure (P6).
func (t *Table) giveBack(all []work) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range all {
		c := t.companies[w.id]
		if w.rebuild {
			c.again()
		}
		for a := range w.dirty {
			c.put(a, t.maxDirty)
		}
		for token := range w.tokens {
			c.lease(token, t.maxDirty)
		}
	}
}

// settle notes what SQLite has now, and lets go the Sources that were read for the last time.
func (t *Table) settle(all []work) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range all {
		c := t.companies[w.id]
		c.log.flushed = w.flushed
		if !w.here && !c.here && !c.rebuild { // else it came and went again meanwhile
			c.source = nil
		}
	}
}

// write does one flush in one transaction, and returns the rows of companies as they are then.
func (t *Table) write(ctx context.Context, all []work, d *message.Directory) (map[message.CompanyID]stored, error) {
	next := map[message.CompanyID]stored{}
	for i := range all {
		if w := &all[i]; w.owned {
			next[w.id] = t.row(w, d)
		}
	}
	b, err := t.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer b.rollback()
	if d != nil && (d != t.listed || len(next) != len(t.stored)) {
		b.nodes(d)
		b.owners(d, next)
	}
	for i := range all {
		w := &all[i]
		if w.source != nil && w.rebuild {
			b.rebuild(ctx, w)
			b.allLeases(ctx, w)
		} else if w.source != nil {
			b.update(ctx, w)
			b.changedLeases(ctx, w)
		}
		b.log(w)
		if s, owned := next[w.id]; owned {
			if old, known := t.stored[w.id]; !known || old != s {
				b.company(w.id, s)
			}
		}
	}
	return next, b.commit(ctx)
}

// row says what belongs into companies. Without a Source the numbers stay as they were.
func (t *Table) row(w *work, d *message.Directory) stored {
	s := stored{base: w.id.Base(), limit: w.id.Limit(), here: w.here, dropped: w.dropped, Summary: Summary{Leader: message.NoNode}}
	if w.source != nil {
		s.Summary = w.source.Summary()
	} else if old, ok := t.stored[w.id]; ok {
		s.Summary = old.Summary
	}
	if d != nil {
		s.epoch = d.Epoch
		if c := d.Company(w.id); c != nil {
			s.base, s.limit = c.Base, c.Limit
		}
	}
	return s
}

// rebuild writes every record of a company anew. Its owner goes on meanwhile; what changes is noted again (P3).
func (b *batch) rebuild(ctx context.Context, w *work) {
	b.exec(sqlClearExtents, int64(w.id))
	b.exec(sqlClearSpans, int64(w.id))
	for from := message.Addr(0); b.err == nil; {
		page := w.source.Extents(from, pageOf)
		for i := range page {
			if page[i].Address < from {
				return // not in order: whoever answers so would be read for ever
			}
			b.extent(w.id, &page[i])
			if from = page[i].Address + 1; from == 0 {
				return
			}
		}
		if len(page) < pageOf {
			return
		}
		b.check(ctx)
	}
}

// update looks again at the records that changed.
func (b *batch) update(ctx context.Context, w *work) {
	addrs := make([]message.Addr, 0, len(w.dirty))
	for a := range w.dirty {
		addrs = append(addrs, a)
	}
	slices.Sort(addrs) // neighbours share SQLite's pages
	for i, a := range addrs {
		if i%pageOf == 0 {
			b.check(ctx)
		}
		if b.err != nil {
			return
		}
		b.exec(sqlDropSpans, int64(w.id), number(uint64(a)))
		if e, ok := w.source.Extent(a); ok && e.State != message.Free {
			b.extent(w.id, &e)
		} else {
			b.exec(sqlDropExtent, int64(w.id), number(uint64(a)))
		}
	}
}

func (b *batch) extent(id message.CompanyID, e *Extent) {
	if e.State == message.Free {
		return
	}
	var home, homeCompany, txn any // NULL where there is none
	if e.Home != 0 {
		home = text(e.Home)
	}
	if e.HomeCompany != 0 {
		homeCompany = int64(e.HomeCompany)
	}
	if !e.Txn.IsZero() {
		txn = e.Txn.Client.String() + "/" + decimal(e.Txn.Seq)
	}
	at := number(uint64(e.Address))
	b.exec(sqlPutExtent, int64(id), at, number(e.Size), e.State.String(), home, homeCompany, txn)
	if len(e.Blocks) < 2 {
		return
	}
	for n, k := range e.Blocks {
		b.exec(sqlPutSpan, int64(id), at, int64(n), number(uint64(k.Address)), number(k.Size), int64(k.Company), number(uint64(k.Behind)))
	}
}

func (b *batch) log(w *work) {
	if len(w.lines) == 0 {
		return
	}
	for i := range w.lines {
		l := &w.lines[i]
		b.exec(sqlPutLine, number(l.seq), int64(w.id), number(l.Index), int64(l.n), node(l.Actor), l.Operation, number(uint64(l.Address)), number(l.Size))
	}
	b.exec(sqlTrimLog, int64(w.id), number(w.oldest))
}

func (b *batch) company(id message.CompanyID, s stored) {
	b.exec(sqlPutCompany, int64(id), text(s.base), text(s.limit), number(s.Capacity), number(s.Used), node(s.Leader), number(s.Term),
		number(s.Applied), number(s.epoch), truth(s.here), number(s.dropped))
}

func (b *batch) nodes(d *message.Directory) {
	b.exec(sqlClearNodes)
	for i := range d.Nodes {
		n := &d.Nodes[i]
		b.exec(sqlPutNode, int64(n.ID), n.Host, n.Address, n.HTTP, number(n.Boot), number(n.Incarnation))
	}
}

// owners lists those of the companies that are or were here.
func (b *batch) owners(d *message.Directory, here map[message.CompanyID]stored) {
	b.exec(sqlClearOwners)
	for i := range d.Companies {
		c := &d.Companies[i]
		if _, ok := here[c.ID]; !ok {
			continue
		}
		for _, o := range c.Owners {
			b.exec(sqlPutOwner, int64(c.ID), int64(o.Node), number(o.Replica), truth(o.Joining))
		}
	}
}
