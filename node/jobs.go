package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"dmalloc/client"
	"dmalloc/job"
	"dmalloc/message"
	"dmalloc/ring"
)

const (
	jobTime   = 35 * time.Second // for a job and its way, where the asker names no shorter one
	jobAddSum = 10 * time.Second // for reading and judging a module that is added
	placeTime = 2 * time.Second  // for finding out who holds the addresses
)

// addJob judges a module before the directory gets its name, whoever wrote its pieces.
func addJob(n *Node, m *message.Message, reply func(*message.Message)) {
	started := n.spawn(func() {
		ctx, cancel := context.WithTimeout(n.ctx, jobAddSum)
		defer cancel()
		if err := n.judgeJob(ctx, m.Data); err != nil {
			reply(m.Fail(err))
			return
		}
		directoryLogged(n, m, reply)
	})
	if !started {
		reply(m.Answer(message.Unavailable, "node is stopping"))
	}
}

func (n *Node) judgeJob(ctx context.Context, data []byte) error {
	var j message.Job
	if err := json.Unmarshal(data, &j); err != nil {
		return message.Errorf(message.InvalidArgument, "the description of a job is not JSON")
	}
	if job.Builtin(j.Name) {
		return message.Errorf(message.InvalidArgument, "%s is built in; give the module another name", j.Name)
	}
	module, err := n.heap.JobModule(ctx, j)
	if err != nil {
		return err
	}
	return job.Check(module)
}

// runJob has a job done: where most of what it is about lies, or as near to that as can be.
func runJob(n *Node, m *message.Message, reply func(*message.Message)) {
	n.jobTask(m, reply, func(ctx context.Context, q message.JobRequest) (message.JobResult, bool, error) {
		holders, err := n.holders(ctx, q.Addresses)
		if err != nil {
			return message.JobResult{}, false, err
		}
		loads := map[message.NodeID]int{}
		for _, b := range n.members.View() {
			loads[b.Node] = int(b.Load)
		}
		loads[n.cfg.ID] = n.jobs.Running()
		d := n.directory.Load()
		nodes := make([]message.NodeID, len(d.Nodes))
		for i := range nodes {
			nodes[i] = d.Nodes[i].ID
		}
		order := job.Place(holders, nodes, func(id message.NodeID) int { return loads[id] }, func(id message.NodeID) bool { return id == n.cfg.ID || !n.doubt(id) })
		var last error
		for _, to := range order {
			var out message.JobResult
			begun := false
			if to == n.cfg.ID {
				out, begun, err = n.doJob(ctx, q, holders)
			} else {
				out, begun, err = n.sendJob(ctx, to, q)
			}
			if err == nil || ctx.Err() != nil || begun && !(job.Builtin(q.Job) && went(err)) {
				return out, begun, err
			}
			last = err
		}
		return message.JobResult{}, false, last
	})
}

// went says whether an error is that of a node that went away or had no room: another one may do better.
func went(err error) bool {
	var link interface{ MaybeSent() bool }
	return errors.As(err, &link) || message.CodeOf(err) == message.Busy
}

// notBegun is the value of an answer to JOB and JOBRUN that says so: the job may be given to another node.
// Without it a job that failed may have written something.
const notBegun = 1

// jobHere does a job on this node, which another one has chosen.
func jobHere(n *Node, m *message.Message, reply func(*message.Message)) {
	n.jobTask(m, reply, func(ctx context.Context, q message.JobRequest) (message.JobResult, bool, error) {
		holders, err := n.holders(ctx, q.Addresses)
		if err != nil {
			return message.JobResult{}, false, err
		}
		return n.doJob(ctx, q, holders)
	})
}

// jobTask answers a request about a job from a task of its own. How many there are is bounded by the
// transport's limit on open requests, how many run by the runner.
func (n *Node) jobTask(m *message.Message, reply func(*message.Message), do func(ctx context.Context, q message.JobRequest) (out message.JobResult, begun bool, err error)) {
	var q message.JobRequest
	if err := json.Unmarshal(m.Data, &q); err != nil {
		reply(m.Answer(message.InvalidArgument, fmt.Sprintf("the description of a job is not what it should be: %v", err)))
		return
	}
	if len(q.Addresses) > message.MaxJobAddresses || len(q.Args) > message.MaxJobArgs {
		reply(m.Answer(message.InvalidArgument, fmt.Sprintf("a job has at most %d addresses and %d bytes of arguments", message.MaxJobAddresses, message.MaxJobArgs)))
		return
	}
	limit := jobTime
	if m.Value > 0 && m.Value < uint64(limit.Milliseconds()) {
		limit = time.Duration(m.Value) * time.Millisecond
	}
	started := n.spawn(func() {
		ctx, cancel := context.WithTimeout(n.ctx, limit)
		defer cancel()
		out, begun, err := do(ctx, q)
		if err != nil {
			a := m.Fail(err)
			if !begun {
				a.Value = notBegun
			}
			reply(a)
			return
		}
		a := m.Answer(message.Done, "")
		a.Data = message.JSON(out)
		reply(a)
	})
	if !started {
		reply(m.Answer(message.Unavailable, "node is stopping"))
	}
}

// sendJob has another node do it, and waits.
func (n *Node) sendJob(ctx context.Context, to message.NodeID, q message.JobRequest) (out message.JobResult, begun bool, err error) {
	m := message.New(message.JOBRUN)
	m.Data = message.JSON(q)
	if deadline, ok := ctx.Deadline(); ok {
		m.Value = uint64(max(time.Until(deadline).Milliseconds(), 1))
	}
	a, err := asker{carrier{n}}.Ask(ctx, to, m)
	if err != nil {
		var link interface{ MaybeSent() bool }
		begun = !errors.As(err, &link) || link.MaybeSent()
		return out, begun, &message.Error{Code: message.Unavailable, Text: fmt.Sprintf("node %s went away while it did the job; what the job wrote may be there", to), Err: err}
	}
	if err := a.Err(); err != nil {
		return out, a.Value != notBegun, err
	}
	err = json.Unmarshal(a.Data, &out)
	return out, true, err
}

// holders lists, for each address, the nodes that hold it.
func (n *Node) holders(ctx context.Context, addresses []message.JobAddress) ([][]message.NodeID, error) {
	ctx, cancel := context.WithTimeout(ctx, placeTime)
	defer cancel()
	all := make([][]message.NodeID, len(addresses))
	for i, a := range addresses {
		if !a.Heap {
			all[i] = n.registerNodes(a.Register())
			continue
		}
		allocation, err := n.heap.Lookup(ctx, message.Addr(a.Number))
		if err != nil {
			return nil, fmt.Errorf("address %s: %w", a, err)
		}
		for _, b := range allocation.Blocks {
			all[i] = append(all[i], b.Nodes...)
		}
	}
	return all, nil
}

// registerNodes are the nodes that keep a register now, its replicas to come last.
func (n *Node) registerNodes(id message.RegisterID) (nodes []message.NodeID) {
	for _, g := range ring.Groups(n.keeper.Registers(), ring.Shard(id)) {
		for _, m := range g {
			if !slices.Contains(nodes, m.Node) {
				nodes = append(nodes, m.Node)
			}
		}
	}
	return nodes
}

// doJob does a job here. begun says whether it had its turn: only then can it have written anything.
func (n *Node) doJob(ctx context.Context, q message.JobRequest, holders [][]message.NodeID) (_ message.JobResult, begun bool, _ error) {
	var module job.Module
	if !job.Builtin(q.Job) {
		j, err := n.heap.FindJob(ctx, q.Job)
		if err != nil {
			return message.JobResult{}, false, err
		}
		module = func(ctx context.Context) (string, []byte, error) {
			begun = true
			bytes, err := n.modules.get(j.SHA256, func() ([]byte, error) { return n.heap.JobModule(ctx, j) })
			return j.SHA256, bytes, err
		}
	}
	begin := time.Now()
	data := &jobData{heap: n.near}
	result, read, err := n.jobs.Run(ctx, q, module, data)
	begun = begun || data.touched
	if err != nil {
		return message.JobResult{}, begun, err
	}
	out := message.JobResult{Job: q.Job, Node: n.cfg.ID, Result: result, Holds: job.Holds(holders), Millis: float64(time.Since(begin).Microseconds()) / 1000}
	for i, bytes := range read {
		if slices.Contains(holders[i], n.cfg.ID) {
			out.LocalBytes += bytes
		} else {
			out.RemoteBytes += bytes
		}
	}
	return out, true, nil
}

// modules keeps the bytes of modules that were read. Which it keeps is of no matter: what is not there is
// read again.
type modules struct {
	mu  sync.Mutex
	all map[string][]byte // by digest
	sum int               // bytes
}

const modulesMost = 2 * message.MaxJobModule // bytes that are kept

func (m *modules) get(digest string, read func() ([]byte, error)) ([]byte, error) {
	m.mu.Lock()
	have, ok := m.all[digest]
	m.mu.Unlock()
	if ok {
		return have, nil
	}
	have, err := read()
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sum+len(have) > modulesMost || m.all == nil {
		m.all, m.sum = map[string][]byte{}, 0
	}
	if _, ok := m.all[digest]; !ok {
		m.all[digest] = have
		m.sum += len(have)
	}
	return have, nil
}

// jobData is how a job reaches its addresses: through a client that prefers this node's own replicas. A
// register is read once and then served from what was read, so that a job that reads it in pieces sees
// one value.
type jobData struct {
	heap    *client.Heap
	touched bool
	at      message.JobAddress // of the register that was read last
	have    *client.Register
}

func (d *jobData) register(ctx context.Context, a message.JobAddress, offset uint64) (*client.Register, error) {
	if d.have == nil || d.at != a || offset == 0 {
		r, err := d.heap.ReadRegister(ctx, a.Number)
		if err != nil {
			return nil, err
		}
		d.at, d.have = a, &r
	}
	return d.have, nil
}

func (d *jobData) Size(ctx context.Context, a message.JobAddress) (uint64, error) {
	d.touched = true
	if !a.Heap {
		r, err := d.register(ctx, a, 0)
		if err != nil {
			return 0, err
		}
		return uint64(len(r.Value)), nil
	}
	allocation, err := d.heap.Lookup(ctx, message.Addr(a.Number))
	if err != nil {
		return 0, err
	}
	return allocation.Size - (a.Number - uint64(allocation.Address)), nil
}

func (d *jobData) ReadAt(ctx context.Context, p []byte, a message.JobAddress, offset uint64) (int, error) {
	if !a.Heap {
		r, err := d.register(ctx, a, offset)
		if err != nil {
			return 0, err
		}
		if offset >= uint64(len(r.Value)) {
			return 0, io.EOF
		}
		return copy(p, r.Value[offset:]), nil
	}
	size, err := d.Size(ctx, a)
	if err != nil {
		return 0, err
	}
	if offset >= size {
		return 0, io.EOF
	}
	p = p[:min(uint64(len(p)), size-offset)]
	if err := d.heap.ReadAt(ctx, p, message.Addr(a.Number+offset)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (d *jobData) WriteAt(ctx context.Context, p []byte, a message.JobAddress, offset uint64) error {
	d.touched = true
	if a.Heap {
		_, err := d.heap.WriteAt(ctx, p, message.Addr(a.Number+offset))
		return err
	}
	d.have = nil
	_, err := d.heap.WriteRegister(ctx, a.Number, p)
	return err
}
