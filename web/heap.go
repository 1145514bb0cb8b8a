package web

import (
	"context"

	"dmalloc/client"
	"dmalloc/message"
)

// Heap is what HTTP needs of a heap. The node's client has it, and so has a map in memory. Errors carry a
// message.Code, which becomes the answer's status. Every method ends soon after its context.
type Heap interface {
	Malloc(ctx context.Context, size uint64) (message.Allocation, error)
	Free(ctx context.Context, a message.Addr) error
	ReadAt(ctx context.Context, p []byte, a message.Addr) error                      // all of p or an error
	WriteAt(ctx context.Context, p []byte, a message.Addr) (index uint64, err error) // does not keep p
	CompareAndSwap(ctx context.Context, a message.Addr, old, new uint64) (current uint64, swapped bool, err error)
	FetchAdd(ctx context.Context, a message.Addr, delta uint64) (old uint64, err error)
	Lookup(ctx context.Context, a message.Addr) (message.Allocation, error)
	// Table lists allocations by address, from `from` on, at most limit; fewer mean the end.
	Table(ctx context.Context, from message.Addr, limit int) ([]message.Allocation, error)
	Directory(ctx context.Context) (*message.Directory, error)
	Nodes(ctx context.Context) ([]client.Node, error)
	Companies(ctx context.Context) ([]client.Company, error)
	Elections(ctx context.Context) ([]message.Tenure, error)
	// Idempotent is the same heap, whose next request is known to the cluster as the first of client id:
	// done once, however often it is asked.
	Idempotent(id message.ClientID) Heap
}

// Control ends and starts the processes of nodes. Whoever started them serves it.
type Control interface {
	Kill(ctx context.Context, id message.NodeID) error
	// Revive returns when the node has caught up. wipe takes its disk from it; HTTP never asks for that.
	Revive(ctx context.Context, id message.NodeID, wipe bool, progress func(string)) error
	Pause(ctx context.Context, id message.NodeID) error
	Resume(ctx context.Context, id message.NodeID) error
}
