package owner

import "dmalloc/company"

// Memory is what a replica takes of its node's memory, in bytes.
type Memory struct {
	Pages     uint64 // that exist
	Snapshots uint64 // at most: pages that only snapshots which are being written still have
	Tables    uint64 // about: what else its state keeps
	Log       uint64 // requests that wait and entries of this leader that are under way
}

// Memory counts. What Dragonboat keeps of another leader's entries until they are applied, it does not tell.
func (r *Replica) Memory() Memory {
	m := Memory{Log: r.writes.load() + r.reads.load() + uint64(max(0, r.flying.Load()))}
	r.machine.mu.RLock()
	defer r.machine.mu.RUnlock()
	h, ok := r.machine.state.(*Heap)
	if !ok {
		m.Tables = r.machine.state.Bytes()
		return m
	}
	c := h.Company.Memory()
	m.Pages, m.Tables, m.Snapshots = c.Pages, c.Tables, r.machine.saving.held(c)
	return m
}

// saving counts what the snapshots that are being written keep from being freed. Of several at once only the oldest
// counts: what the state has left since then, one of them has.
type saving struct {
	count int    // that are being written
	since uint64 // what the state had left when the oldest was prepared
}

// prepare notes where a snapshot begins. One that is prepared and never written is as if it had not been.
func (s *saving) prepare(m Machine) {
	if h, ok := m.(*Heap); ok && s.count == 0 {
		s.since = h.Company.Memory().Left
	}
}

// held is what only snapshots have. A state that was loaded meanwhile counts from 0 again; that of before, which they
// belong to, is not known any more.
func (s *saving) held(m company.Memory) uint64 {
	if s.count == 0 {
		return 0
	}
	return m.Left - min(m.Left, s.since)
}
