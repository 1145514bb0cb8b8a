package node

import (
	"context"

	"dmalloc/message"
)

// The messages of leases come in two forms: a client's to the node that is to be the holder, and a holder's to the
// leader. Only the second names a lease, or the session of its holder.

func takeLease(n *Node, m *message.Message, reply func(*message.Message)) {
	if m.Value == 0 {
		n.holder.take(m, reply)
		return
	}
	logged(n, m, reply)
}

func giveLease(n *Node, m *message.Message, reply func(*message.Message)) {
	if m.Token == 0 && m.Value == 0 {
		n.holder.release(m, reply)
		return
	}
	logged(n, m, reply)
}

func revokeLease(n *Node, m *message.Message, reply func(*message.Message)) {
	n.holder.revoke(m, reply)
}

func syncLeases(n *Node, m *message.Message, reply func(*message.Message)) { n.holder.sync(m, reply) }

// readBytes and write are for bytes, of which this node may have leases.
func readBytes(n *Node, m *message.Message, reply func(*message.Message)) {
	n.holder.read(m, reply, func(m *message.Message, reply func(*message.Message)) { read(n, m, reply) })
}

func write(n *Node, m *message.Message, reply func(*message.Message)) {
	if why := malformed(m); why != "" {
		n.stats.refused.Add(1)
		reply(m.Answer(message.InvalidArgument, why))
		return
	}
	n.holder.write(m, reply, func(m *message.Message, reply func(*message.Message)) { logged(n, m, reply) })
}

// leaseCounters count what was done with leases, as their holder and as leader.
func (n *Node) leaseCounters() []message.Counter {
	s := n.holder.cache.Stats()
	return []message.Counter{
		{Name: "leases_granted", Value: n.lessor.granted.Load()},
		{Name: "leases_revoked", Value: n.lessor.revoked.Load()},
		{Name: "leases_expired", Value: n.lessor.expired.Load()},
		{Name: "cache_hits", Value: s.Hits},
		{Name: "cache_misses", Value: s.Misses},
		{Name: "cache_evictions", Value: s.Evictions},
		{Name: "cache_lost_bytes", Value: s.Lost},
	}
}

// leaseGauges are what is kept under leases now.
func (n *Node) leaseGauges() []message.Counter {
	s := n.holder.cache.Stats()
	return []message.Counter{
		{Name: "cache_bytes", Value: s.Bytes},
		{Name: "cache_budget_bytes", Value: s.Budget},
		{Name: "cache_pages", Value: s.Pages},
		{Name: "cache_dirty_bytes", Value: s.Dirty},
		{Name: "leases_held", Value: s.Leases},
	}
}

func (h *holder) status() message.CacheStatus {
	s := h.cache.Stats()
	return message.CacheStatus{Bytes: s.Bytes, Budget: s.Budget, Pages: s.Pages, Dirty: s.Dirty, Leases: s.Leases, Lost: s.Lost}
}

// Held is how many bytes of copies the node keeps.
func (h *holder) Held() uint64 { return h.cache.Stats().Bytes }

// SetBudget bounds what the node keeps. Dirty bytes that have to go are written back in a task.
func (h *holder) SetBudget(bytes uint64) {
	pieces := h.cache.SetBudget(bytes)
	if len(pieces) == 0 {
		return
	}
	h.n.spawn(func() {
		ctx, cancel := context.WithTimeout(h.n.ctx, flushTime)
		defer cancel()
		h.flush(ctx, pieces)
	})
}
