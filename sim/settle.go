package sim

import (
	"dmalloc/company"
	"dmalloc/message"
)

const settleAfter = 180 // how long a transaction stands before an owner ends it

// seen is a transaction that was not at its end at some time.
type seen struct {
	key  company.PendingKey
	at   int64
	busy bool
}

// settle ends the transactions of a company led here that have stood for long: what node/watch.go does.
func (o *owner) settle() {
	w := o.g.w
	all := o.heap.Pending()
	var next []seen
	for i := range all {
		s := seen{key: all[i].Key(), at: w.now}
		for _, had := range o.seen {
			if had.key == s.key {
				s = had
			}
		}
		if w.now-s.at >= settleAfter && !s.busy {
			s.busy = true
			o.end(&all[i])
		}
		next = append(next, s)
	}
	o.seen = next
}

// again says that an attempt to end a transaction is over, so that another one may follow.
func (o *owner) again(key company.PendingKey) {
	for i := range o.seen {
		if o.seen[i].key == key {
			o.seen[i].busy = false
		}
	}
}

func (o *owner) end(p *company.Pending) {
	key, self := p.Key(), o.n.self
	if p.State == message.Freeing {
		self.release(o.g.id, p.Address, p.Txn, p.Blocks[1:], attemptLong, func(bool) { o.again(key) })
		return
	}
	m := message.New(message.OUTCOME)
	m.Txn = p.Txn
	self.do(p.HomeCompany, m, attemptLong, func(a *message.Message, _ bool) {
		if a == nil || a.Status != message.Done {
			o.again(key)
			return
		}
		end := message.New(message.ABORT)
		if a.Value == 1 && o.g.w.cfg.planted != abortCommitted {
			end = message.New(message.CONFIRM)
			end.Address = a.Address
		}
		end.Txn = p.Txn
		self.do(o.g.id, end, attemptLong, func(*message.Message, bool) {
			o.g.w.did(settled)
			o.again(key)
		})
	})
}

// release gives back the parts of a freed allocation and then its addresses.
func (s *session) release(home message.CompanyID, a message.Addr, txn message.Txn, parts []message.Block, patience int64, end func(ok bool)) {
	left, good := len(parts), true
	for _, b := range parts {
		m := message.New(message.DROP)
		m.Txn = txn
		s.do(b.Company, m, patience, func(r *message.Message, _ bool) {
			left--
			good = good && r != nil && r.Status == message.Done
			if left > 0 {
				return
			}
			if !good {
				end(false)
				return
			}
			m := message.New(message.FINISH)
			m.Txn, m.Address = txn, a
			s.do(home, m, patience, func(r *message.Message, _ bool) { end(r != nil && r.Status == message.Done) })
		})
	}
}
