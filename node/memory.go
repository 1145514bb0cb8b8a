package node

import (
	"cmp"
	"fmt"
	"io"

	"dmalloc/message"
)

// Cached is the cache of copies under leases as the accounts see it.
type Cached interface {
	Held() uint64           // bytes that it keeps
	SetBudget(bytes uint64) // that it may keep from now on; must not wait
}

// budgetStep is by how much the cache's budget must change to be set anew.
const budgetStep = 1 << 20

// memory is what a node compares its use of memory with. Only watch changes it.
type memory struct {
	cached Cached // nil: there is none
	budget uint64 // of the cache, as it was set last
	told   uint64 // the collector's limit, as it was told last
	growth int    // and by how many percent the heap may grow
}

// memoryUse counts what this node holds.
func (n *Node) memoryUse() message.MemoryUse {
	u := message.MemoryUse{Tables: n.table.Bytes(), Registers: n.keeper.Memory()}
	for _, r := range n.host.Replicas() {
		m := r.Memory()
		u.Pages, u.Snapshots, u.Tables, u.Log = u.Pages+m.Pages, u.Snapshots+m.Snapshots, u.Tables+m.Tables, u.Log+m.Log
	}
	if n.memory.cached != nil {
		u.Cache = n.memory.cached.Held()
	}
	return u.WithLimits(n.limits()).WithResident(residentBytes())
}

// limits are what this node gives to the heap and to the cache.
func (n *Node) limits() (heap, cache uint64) {
	return n.directory.Load().Memory(n.cfg.ID), cmp.Or(n.cfg.Settings.Cache, message.DefaultCache)
}

// offHeap is what the collector does not see: the program and the libraries.
const offHeap = 24 << 20

func (n *Node) stayWithin() { n.memory.within(n.memoryUse(), offHeap+n.table.Bytes(), n.cfg.Collect) }

// within tells the collector and the cache how much they may take, where that has changed. The collector works harder
// near its limit rather than the process growing; what is outside of its heap is not its, so its limit is that much
// lower.
func (m *memory) within(u message.MemoryUse, outside uint64, collect func(limit uint64, growth int)) {
	limit, growth := u.Limit-min(u.Limit, outside), growthOf(u)
	if collect != nil && (apart(limit, m.told) || growth != m.growth) {
		m.told, m.growth = limit, growth
		collect(limit, growth)
	}
	if budget := u.CacheBudget(); m.cached != nil && apart(budget, m.budget) {
		m.budget = budget
		m.cached.SetBudget(budget)
	}
}

const (
	freeGarbage = 64 << 20 // bytes of garbage beside the pages; about as much heap has a node that holds none
	growthStep  = 5        // percent
)

// growthOf is by how many percent the heap may grow before it is collected. A collector that goes by percent takes the
// work for proportional to what is kept; but pages and copies have no pointers, and are hardly any. What garbage may
// grow to should not grow with them: it is memory that the system has to find, and to clear, page by page.
func growthOf(u message.MemoryUse) int {
	flat := u.Pages + u.Snapshots + u.Cache
	rest := u.Tables + freeGarbage
	percent := int(100 * (rest + freeGarbage) / (rest + flat))
	return max(growthStep, min(100, percent/growthStep*growthStep))
}

func apart(a, b uint64) bool { return max(a, b)-min(a, b) >= budgetStep }

// writeMemory puts the same out in the Prometheus text format.
func writeMemory(w io.Writer, u message.MemoryUse) {
	for _, p := range u.Parts() {
		fmt.Fprintf(w, "dmalloc_memory_bytes{part=%q} %d\n", p.Name, p.Bytes)
	}
	fmt.Fprintf(w, "dmalloc_memory_resident_bytes %d\ndmalloc_memory_limit_bytes %d\ndmalloc_memory_heap_limit_bytes %d\ndmalloc_memory_cache_limit_bytes %d\n",
		u.Resident, u.Limit, u.HeapLimit, u.CacheLimit)
}
