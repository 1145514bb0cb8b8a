package node

import (
	"runtime/debug"
	"runtime/metrics"
)

// idleGarbage is how much an idle node's heap may grow before it is collected. The collector by itself
// waits until the heap has doubled, which for an idle node is most of its memory: Dragonboat's log takes
// 20 MB that are never touched, and what a large transfer left behind would stay for minutes.
const idleGarbage = 6 << 20

// idleWork is how many bytes an idle node allocates between two looks at most. Requests do not tell: replicas that
// follow answer none, and nodes that nobody uses still ask each other.
const idleWork = 16 << 20

// tidy gives an idle node's garbage back to the system. It keeps what it compares with from tick to tick.
type tidy struct {
	heap      []metrics.Sample
	allocated uint64 // bytes ever, at the last look
	after     uint64 // bytes of heap after the last collection
}

func newTidy() *tidy {
	return &tidy{heap: []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/allocs:bytes"}}}
}

// look collects if little was done since the last look and the heap has grown.
func (t *tidy) look() {
	metrics.Read(t.heap)
	size, allocated := t.heap[0].Value.Uint64(), t.heap[1].Value.Uint64()
	idle := allocated-t.allocated < idleWork
	t.allocated = allocated
	t.after = min(t.after, size)
	if !idle || size-t.after < idleGarbage {
		return
	}
	debug.FreeOSMemory()
	metrics.Read(t.heap)
	t.after = t.heap[0].Value.Uint64()
}
