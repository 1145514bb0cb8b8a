package repl

import (
	"context"
	"time"

	"dmalloc/client"
	"dmalloc/health"
	"dmalloc/message"
)

// Heap is what the shell needs of a cluster's heap. client.Heap has it. Every method returns when its
// context ends; errors are *message.Error where a class is known.
type Heap interface {
	Malloc(ctx context.Context, size uint64) (message.Allocation, error)
	Free(ctx context.Context, a message.Addr) error
	ReadAt(ctx context.Context, p []byte, a message.Addr) error
	Write(ctx context.Context, p []byte, a message.Addr) (client.Written, error)
	CompareAndSwap(ctx context.Context, a message.Addr, old, new uint64) (current uint64, swapped bool, err error)
	FetchAdd(ctx context.Context, a message.Addr, delta uint64) (old uint64, err error)
	Lookup(ctx context.Context, a message.Addr) (message.Allocation, error)                // the allocation that holds a
	Table(ctx context.Context, from message.Addr, limit int) ([]message.Allocation, error) // by address; fewer than limit means the end
	// Lease has the node that the shell is on lease the pages of the block that holds a; a length of 0 is the usual one.
	Lease(ctx context.Context, a message.Addr, mode string, length time.Duration) (message.Lease, error)
	Release(ctx context.Context, a message.Addr) (message.Lease, error) // Fenced if that node has no lease there
	Sync(ctx context.Context, a message.Addr) (bytes uint64, err error) // of the block that holds a; 0: everything
	Leases(ctx context.Context) ([]message.Lease, error)                // of all nodes; beside an error, those that could be had
	Directory(ctx context.Context) (*message.Directory, error)
	Nodes(ctx context.Context) ([]client.Node, error)
	Companies(ctx context.Context) ([]client.Company, error)
	Elections(ctx context.Context) ([]message.Tenure, error)
	SQL(ctx context.Context, query string) (message.Rows, error)
	Log(ctx context.Context, company message.CompanyID, all bool, count int) ([]message.LogLine, error)
	Stats(ctx context.Context) ([]message.NodeStats, error)
	// Status asks every node directly and needs no quorum; an error only means that ctx ended.
	Status(ctx context.Context) (health.Report, error)
	// Ask sends a node a message about what it knows of itself.
	Ask(ctx context.Context, n message.NodeID, m *message.Message) (*message.Message, error)
	// Verify compares what the owners of a company hold, or those of every company: an error is only that it
	// could not be done.
	Verify(ctx context.Context, company message.CompanyID, all bool) ([]client.Verified, error)
	Lead(ctx context.Context, company message.CompanyID, node message.NodeID) error
	// Survey looks at what survives of a company that has no majority, and Recover has it begin anew from that. An
	// error says that it need not or cannot be, or without yes what may be lost.
	Survey(ctx context.Context, company message.CompanyID) (client.Recovery, error)
	Recover(ctx context.Context, company message.CompanyID, yes bool) (client.Recovery, error)

	ReadRegister(ctx context.Context, address uint64) (client.Register, error)                                     // NotWritten if it never was
	WriteRegister(ctx context.Context, address uint64, value []byte) (message.Tag, error)                          // up to message.MaxData bytes
	RegisterAt(ctx context.Context, node message.NodeID, address uint64) (client.Register, error)                  // only what that very node stores; NotWritten also where it is none of its replicas
	ListRegisters(ctx context.Context, node message.NodeID, from uint64, most int) ([]client.RegisterEntry, error) // by address; fewer than most mean the end
	RegisterPlace(ctx context.Context, address uint64) (client.RegisterPlace, error)
	RegisterMembers(ctx context.Context) (message.Registers, error)
	// SpreadRegisters keeps registers on exactly these nodes from now on, and returns when the move is done.
	// progress is called with words for a person.
	SpreadRegisters(ctx context.Context, nodes []message.NodeID, progress func(string)) error

	RunJob(ctx context.Context, q message.JobRequest) (message.JobResult, error)
	AddJob(ctx context.Context, name string, module []byte) (message.Job, error)
	DropJob(ctx context.Context, name string) error
	Jobs(ctx context.Context) ([]message.Job, error) // the modules; built-ins are always there

	Home() message.NodeID        // the node that the shell is on
	SetTrace(func(client.Event)) // called with each message, from any goroutine; nil ends it
	SetNotice(func(string))      // called with what a command waits for, from any goroutine; nil ends it
}

// Control acts on the processes of nodes, their links, disks and clocks. The launcher has it.
type Control interface {
	Kill(ctx context.Context, id message.NodeID) error
	// Revive returns when the node has caught up. progress is called with words for a person.
	Revive(ctx context.Context, id message.NodeID, wipe bool, progress func(string)) error
	// AddNode starts another node, on a host that has room if none is named, and returns when it takes part.
	AddNode(ctx context.Context, host string, progress func(string)) (client.Node, error)
	// RemoveNode drains a node and returns when it is gone. When ctx ends first, the draining goes on.
	RemoveNode(ctx context.Context, id message.NodeID, progress func(string)) (client.Removal, error)
	Pause(ctx context.Context, id message.NodeID) error
	Resume(ctx context.Context, id message.NodeID) error
	// Return has a node that was killed or frozen revived or resumed after a time, unless somebody does it before.
	Return(ctx context.Context, id message.NodeID, after time.Duration) error
	// Fault begins a fault, described as the shell's commands do, which ends by itself after lasts if that is not 0.
	Fault(ctx context.Context, words string, lasts time.Duration) (client.Fault, error)
	Heal(ctx context.Context, words string) (ended []client.Fault, err error) // a number or a kind; empty: all
	Faults(ctx context.Context) ([]client.Fault, error)
	// Corrupt flips bits in the kept files of a node that is down; with seed 0 one is drawn.
	Corrupt(ctx context.Context, id message.NodeID, seed uint64) (client.Damage, error)
}

// Grapher draws "allocations", "cluster" or "elections" as DOT.
type Grapher func(ctx context.Context, what string) (dot string, err error)
