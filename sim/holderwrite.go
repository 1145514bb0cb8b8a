package sim

import (
	"encoding/binary"

	"dmalloc/cache"
	"dmalloc/message"
)

// absorb keeps a write in the copy, or has it go through the log.
func (h *holder) absorb(x *cell, m *message.Message, end func(*message.Message)) {
	try := func() bool {
		token := h.tokenOf(x)
		what := h.cache.Absorb(m.Address, x.txn, m.Data, h.clock)
		if what == cache.NotAbsorbed {
			return false
		}
		h.tried[asked{m.Client, m.Seq}] = true
		h.n.w.did(absorbed)
		h.absorbs(x, number(m.Data), token)
		if what == cache.Absorbed {
			end(h.absorbedAnswer(m))
			return true
		}
		h.flush(h.cache.Flush(x.at, 8), func(all bool) {
			if all {
				end(h.absorbedAnswer(m))
			} // nobody knows, otherwise
		})
		return true
	}
	if try() {
		return
	}
	h.fill(x, func() {
		if !try() {
			h.through(x, m, end)
		}
	})
}

func (h *holder) absorbedAnswer(m *message.Message) *message.Message {
	a := m.Answer(message.Done, "")
	a.Address, a.Size = m.Address, uint64(len(m.Data))
	return a
}

// through has a write done by the log under the lease's token, and then changes the copy.
func (h *holder) through(x *cell, m *message.Message, end func(*message.Message)) {
	h.begin(m, 0, func(u *cache.Write, pieces []cache.Piece) {
		if u == nil {
			end(cannot(m))
			return
		}
		h.flush(pieces, func(all bool) {
			if !all {
				h.tell(h.cache.End(u, cache.Refused, nil))
				h.leave()
				end(cannot(m))
				return
			}
			h.heard(x.company, nil)
			before := h.seen[x.company]
			q := *m
			q.Token = u.Token
			if h.n.w.cfg.planted == readUnderWrite {
				h.cache.End(u, cache.Refused, nil)
			}
			h.n.self.forward(x.company, &q, 300, func(a *message.Message, sent bool) {
				h.heard(x.company, a)
				h.end(u, m, a, sent, before)
				switch {
				case a == nil && sent:
					end(m.Answer(message.Retry, ""))
				case a == nil || a.Status == message.Fenced:
					end(cannot(m))
				default:
					end(a)
				}
			})
		})
	})
}

// begin is cache.Begin, again where it has to wait.
func (h *holder) begin(m *message.Message, try int, then func(*cache.Write, []cache.Piece)) {
	u, pieces, wait := h.cache.Begin(m.Address, 8, h.clock())
	if wait && try < 20 {
		h.n.later(5, func() { h.begin(m, try+1, then) })
		return
	}
	then(u, pieces)
}

// end tells the cache what became of a write.
func (h *holder) end(u *cache.Write, m, a *message.Message, sent bool, before uint64) {
	outcome, bytes := cache.Written, []byte(nil)
	switch {
	case a == nil && !sent:
		outcome = cache.Refused
	case a == nil:
		outcome = cache.Unknown
	case a.Status == message.Fenced:
		outcome = cache.Fenced
	case a.Status != message.Done || a.Index <= before:
		outcome = cache.Refused // an answer that was kept: what the copy holds may be newer
	default:
		bytes = left(m, a)
	}
	if h.n.w.cfg.planted == readUnderWrite {
		if u, _, _ = h.cache.Begin(m.Address, 8, h.clock()); u == nil {
			return
		}
	}
	h.tell(h.cache.End(u, outcome, bytes))
	h.leave()
}

// left is what an operation that was done has left at its address.
func left(m, a *message.Message) []byte {
	switch {
	case m.Op == message.WRITE:
		return m.Data
	case m.Op == message.ADD:
		return binary.LittleEndian.AppendUint64(nil, a.Value+m.Value)
	case a.Size == 1:
		return binary.LittleEndian.AppendUint64(nil, m.Value)
	}
	return binary.LittleEndian.AppendUint64(nil, a.Value)
}

// flush writes pieces back, and says whether all were.
func (h *holder) flush(pieces []cache.Piece, end func(all bool)) {
	open, all := len(pieces), true
	if open == 0 {
		end(true)
		return
	}
	for _, p := range pieces {
		q := message.New(message.WRITE)
		q.Address, q.Size, q.Data, q.Token, q.Txn = p.Address, uint64(len(p.Data)), p.Data, p.Token, p.Txn
		if !p.Txn.IsZero() {
			q.Flags |= message.PartOf
		}
		h.n.self.do(p.Company, q, attemptLong, func(a *message.Message, sent bool) {
			h.heard(p.Company, a)
			outcome := cache.Written
			if h.n.w.cfg.planted == unfencedFlush && a != nil && a.Status == message.Fenced {
				again := *q
				again.Token, again.Seq = 0, 0
				h.n.self.do(p.Company, &again, attemptLong, func(*message.Message, bool) {})
			}
			switch {
			case a == nil && !sent:
				outcome = cache.Refused
			case a == nil:
				outcome = cache.Unknown
			case a.Status != message.Done:
				outcome = cache.Fenced
			}
			if outcome == cache.Written {
				h.n.w.did(flushed)
			}
			h.tell(h.cache.Flushed(p, outcome))
			h.leave()
			all = all && outcome == cache.Written
			if open--; open == 0 {
				end(all)
			}
		})
	}
}
