package message

import "cmp"

// MemoryUse is what a node holds in memory by what it is for, in bytes, and what it is to stay within.
//
//	limit = heap + cache + Overhead            docs/design/memory.md
//	resident = the parts + other
type MemoryUse struct {
	Limit      uint64 `json:"limit"`       // for all of the process
	HeapLimit  uint64 `json:"heap_limit"`  // for pages: what the node gives
	CacheLimit uint64 `json:"cache_limit"` // for copies under leases
	Pages      uint64 `json:"pages"`       // of the companies that it owns
	Snapshots  uint64 `json:"snapshots"`   // at most: pages that only snapshots which are being written still have
	Cache      uint64 `json:"cache"`       // copies of pages under leases
	Log        uint64 `json:"log"`         // requests that wait, and entries that are under way
	Tables     uint64 `json:"tables"`      // about: allocations, transactions, answers that are kept, and the page table in SQL
	Registers  uint64 `json:"registers"`   // the index, and what waits for the disk
	Other      uint64 `json:"other"`       // the program, buffers, garbage that is not collected yet
	Resident   uint64 `json:"resident"`    // as the system counts
}

// Overhead is what a node may take besides pages and cache: about 35 MiB for an idle process, what waits and is under
// way of the log and of registers, tables, and garbage between two collections.
const Overhead = 192 << 20

// WithLimits fills in what a node that gives so much to the heap, and so much to the cache, stays within.
func (u MemoryUse) WithLimits(heap, cache uint64) MemoryUse {
	u.HeapLimit, u.CacheLimit = heap, cache
	u.Limit = heap + cache + Overhead
	if u.Limit < heap {
		u.Limit = 1<<64 - 1
	}
	return u
}

// WithResident fills in what the process takes, and so what nobody has counted.
func (u MemoryUse) WithResident(bytes uint64) MemoryUse {
	u.Resident = bytes
	u.Other = bytes - min(bytes, u.Pages+u.Snapshots+u.Cache+u.Log+u.Tables+u.Registers)
	return u
}

// MemoryPart is one row of MemoryUse.
type MemoryPart struct {
	Name  string
	Bytes uint64
}

// Parts lists what sums to resident, as long as what is counted has been touched.
func (u MemoryUse) Parts() []MemoryPart {
	return []MemoryPart{{"pages", u.Pages}, {"snapshots", u.Snapshots}, {"cache", u.Cache}, {"log", u.Log}, {"tables", u.Tables},
		{"registers", u.Registers}, {"other", u.Other}}
}

// Full says whether more is resident than should be.
func (u MemoryUse) Full() bool { return u.Limit > 0 && u.Resident > u.Limit }

// CacheBudget is how much the cache may keep now: its limit, and less where what cannot be given up, the pages and all
// that is counted, comes near the limit of the process. Half of Overhead is left for what is not counted.
func (u MemoryUse) CacheBudget() uint64 {
	need := u.Pages + u.Snapshots + u.Log + u.Tables + u.Registers + Overhead/2
	return min(u.CacheLimit, u.Limit-min(u.Limit, need))
}

// Memory is the memory that a node gives to the heap.
func (d *Directory) Memory(id NodeID) uint64 {
	if n := d.Node(id); n != nil {
		return cmp.Or(n.Memory, d.Settings.Memory)
	}
	return d.Settings.Memory
}
