package job

import (
	"context"
	"fmt"
	"syscall"

	"github.com/tetratelabs/wazero/experimental"
)

const wasmPage = 64 << 10 // bytes: the unit in which a module asks for memory

// memory gives one job its linear memory: address space of the whole limit at once, so that growing
// copies nothing, outside of Go's heap, so that it is back with the system as soon as the job ends and
// not when the collector comes. One goroutine at a time uses it.
//
// It is also where a module's pauses come (see body.go), and so where a job is stopped.
type memory struct {
	ctx    context.Context
	limit  uint64
	mapped []byte
	size   uint64 // that it has now
	denied bool   // it wanted more than the limit
}

// Allocate is called at most once a job: modules have one memory.
func (m *memory) Allocate(_, most uint64) experimental.LinearMemory {
	if n := min(m.limit, most); n > 0 && m.mapped == nil {
		b, err := syscall.Mmap(-1, 0, int(n), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			panic(fmt.Errorf("the node has no %d bytes of memory for it: %w", n, err))
		}
		m.mapped = b
	}
	return m
}

// Reallocate is the memory at another size, nil if that is over the limit. It panics if the job shall
// end; the engine makes that the module's error.
func (m *memory) Reallocate(size uint64) []byte {
	if m.ctx.Err() != nil {
		panic(context.Cause(m.ctx))
	}
	if size > uint64(len(m.mapped)) {
		m.denied = m.denied || size != m.size+tick*wasmPage
		return nil
	}
	m.size = size
	return m.mapped[:size:size]
}

// Free is the engine's word that it is done. The job itself unmaps: see release.
func (m *memory) Free() {}

// release gives it back. Nothing of the module may run any more.
func (m *memory) release() {
	if m.mapped != nil {
		_ = syscall.Munmap(m.mapped) // fails only for what was never mapped
		m.mapped = nil
	}
}
