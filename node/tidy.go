package node

import (
	"runtime/debug"
	"runtime/metrics"

	"dmalloc/message"
)

// idleGarbage is how much an idle node's heap may grow before it is collected. The collector by itself
// waits until the heap has doubled, which for an idle node is most of its memory: Dragonboat's log takes
// 20 MB that are never touched.
const idleGarbage = 6 << 20

// tidy gives an idle node's garbage back to the system. It keeps what it compares with from tick to tick.
type tidy struct {
	heap     []metrics.Sample
	answered uint64 // requests, at the last look
	after    uint64 // bytes of heap after the last collection
}

func newTidy() *tidy {
	return &tidy{heap: []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}}
}

// look collects if nothing was asked since the last look and the heap has grown.
func (t *tidy) look(s *stats) {
	var answered uint64
	for _, c := range message.Codes() {
		answered += s.codes[c].Load()
	}
	idle := answered == t.answered
	t.answered = answered
	metrics.Read(t.heap)
	size := t.heap[0].Value.Uint64()
	if size < t.after {
		t.after = size
	}
	if !idle || size-t.after < idleGarbage {
		return
	}
	debug.FreeOSMemory()
	metrics.Read(t.heap)
	t.after = t.heap[0].Value.Uint64()
}
