package web

import (
	"context"
	"time"

	"dmalloc/client"
	"dmalloc/health"
	"dmalloc/message"
)

// Heap is what HTTP needs of a heap. The node's client has it, and so has a map in memory. Errors carry a
// message.Code, which becomes the answer's status. Every method ends soon after its context.
type Heap interface {
	Malloc(ctx context.Context, size uint64) (message.Allocation, error)
	Free(ctx context.Context, a message.Addr) error
	ReadAt(ctx context.Context, p []byte, a message.Addr) error                  // all of p or an error
	Write(ctx context.Context, p []byte, a message.Addr) (client.Written, error) // does not keep p
	CompareAndSwap(ctx context.Context, a message.Addr, old, new uint64) (current uint64, swapped bool, err error)
	FetchAdd(ctx context.Context, a message.Addr, delta uint64) (old uint64, err error)
	Lookup(ctx context.Context, a message.Addr) (message.Allocation, error)
	// Table lists allocations by address, from `from` on, at most limit; fewer mean the end.
	Table(ctx context.Context, from message.Addr, limit int) ([]message.Allocation, error)
	// Lease has this very node lease the pages of the block that holds a; a length of 0 is the usual one. Release
	// gives a lease of this node back, Fenced if it has none there.
	Lease(ctx context.Context, a message.Addr, mode string, length time.Duration) (message.Lease, error)
	Release(ctx context.Context, a message.Addr) (message.Lease, error)
	// Sync writes back what this node has absorbed of the block that holds a, or everything if a is 0.
	Sync(ctx context.Context, a message.Addr) (bytes uint64, err error)
	Leases(ctx context.Context) ([]message.Lease, error) // of all nodes
	Directory(ctx context.Context) (*message.Directory, error)
	Nodes(ctx context.Context) ([]client.Node, error)
	Companies(ctx context.Context) ([]client.Company, error)
	Elections(ctx context.Context) ([]message.Tenure, error)
	// Recover has a company that has no majority begin anew from what survives; without yes it refuses and says what
	// may be lost.
	Recover(ctx context.Context, company message.CompanyID, yes bool) (client.Recovery, error)
	// Status asks every node directly and needs no quorum; an error only means that ctx ended.
	Status(ctx context.Context) (health.Report, error)
	ReadRegister(ctx context.Context, address uint64) (client.Register, error) // NotWritten if it never was
	// WriteRegister writes up to message.MaxData bytes.
	WriteRegister(ctx context.Context, address uint64, value []byte) (message.Tag, error)
	// RegisterAt is only what that very node stores: NotWritten also where it is none of the replicas.
	RegisterAt(ctx context.Context, node message.NodeID, address uint64) (client.Register, error)
	// ListRegisters lists what the node stores, by address, from `from` on, at most `most`; fewer mean the end.
	ListRegisters(ctx context.Context, node message.NodeID, from uint64, most int) ([]client.RegisterEntry, error)
	RegisterPlace(ctx context.Context, address uint64) (client.RegisterPlace, error)
	RegisterMembers(ctx context.Context) (message.Registers, error)
	// SpreadRegisters keeps the registers on exactly these nodes from now on, and returns when they are there.
	SpreadRegisters(ctx context.Context, nodes []message.NodeID, progress func(string)) error
	RunJob(ctx context.Context, q message.JobRequest) (message.JobResult, error)
	AddJob(ctx context.Context, name string, module []byte) (message.Job, error) // in place of one of that name
	DropJob(ctx context.Context, name string) error
	Jobs(ctx context.Context) ([]message.Job, error) // those that were added
	// Idempotent is the same heap, whose next request is known to the cluster as the first of client id:
	// done once, however often it is asked.
	Idempotent(id message.ClientID) Heap
}

// Control ends and starts the processes of nodes, and breaks and heals their links, disks and clocks. Whoever started them serves it.
type Control interface {
	Kill(ctx context.Context, id message.NodeID) error
	// Revive returns when the node has caught up. wipe takes its disk from it; HTTP never asks for that.
	Revive(ctx context.Context, id message.NodeID, wipe bool, progress func(string)) error
	// Return has a node that was killed or frozen come back after a time.
	Return(ctx context.Context, id message.NodeID, after time.Duration) error
	// AddNode starts another node, on a host that has room if none is named, and returns when it takes part.
	AddNode(ctx context.Context, host string, progress func(string)) (client.Node, error)
	// RemoveNode drains a node and returns when it is gone. When ctx ends first, the draining goes on.
	RemoveNode(ctx context.Context, id message.NodeID, progress func(string)) (client.Removal, error)
	Pause(ctx context.Context, id message.NodeID) error
	Resume(ctx context.Context, id message.NodeID) error
	// Fault begins a fault, described as the shell's commands do, which ends by itself after lasts if that is not 0.
	Fault(ctx context.Context, words string, lasts time.Duration) (client.Fault, error)
	Heal(ctx context.Context, words string) (ended []client.Fault, err error) // a number or a kind; empty: all
	Faults(ctx context.Context) ([]client.Fault, error)
	// Corrupt flips bits in the kept files of a node that is down; with seed 0 one is drawn.
	Corrupt(ctx context.Context, id message.NodeID, seed uint64) (client.Damage, error)
}
