package pagetable

import (
	"context"
	"maps"
	"slices"

	"dmalloc/message"
)

// allLeases writes every lease of a company anew, as rebuild does with extents.
func (b *batch) allLeases(ctx context.Context, w *work) {
	b.exec(sqlClearLeases, int64(w.id))
	from, token := message.Addr(0), uint64(0)
	for b.err == nil {
		page := w.source.Leases(from, token, pageOf)
		for i := range page {
			l := &page[i]
			if l.Address < from || l.Address == from && l.Token < token {
				return // not in order: whoever answers so would be read for ever
			}
			b.lease(w.id, l)
			from, token = l.Address, l.Token+1
		}
		if len(page) < pageOf {
			return
		}
		b.check(ctx)
	}
}

// changedLeases looks again at the leases that came or went.
func (b *batch) changedLeases(ctx context.Context, w *work) {
	for i, token := range slices.Sorted(maps.Keys(w.tokens)) {
		if i%pageOf == 0 {
			b.check(ctx)
		}
		if b.err != nil {
			return
		}
		if l, ok := w.source.Lease(token); ok {
			b.lease(w.id, &l)
		} else {
			b.exec(sqlDropLease, int64(w.id), number(token))
		}
	}
}

func (b *batch) lease(id message.CompanyID, l *message.Lease) {
	b.exec(sqlPutLease, int64(id), number(uint64(l.Address)), number(l.Size), l.Mode, number(l.Token), node(l.Holder), number(l.Session), number(l.LengthMS), truth(l.WriteBack))
}
