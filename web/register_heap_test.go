package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"sync"

	"dmalloc/client"
	"dmalloc/message"
)

// fakeRegisters are registers and jobs in two maps. Register a is kept on nodes a mod 3 and (a + 1) mod 3.
type fakeRegisters struct {
	registersMu sync.Mutex // guards what follows
	registers   map[uint64]client.Register
	members     message.Registers
	modules     map[string][]byte
	asked       []message.JobRequest
	broken      error         // what every method answers, if not nil
	deadline    bool          // whether each context had an end
	held        chan struct{} // if not nil, ReadRegister announces itself here and waits for its context, or
	letGo       chan struct{} // for this to be closed
}

func newFakeRegisters() fakeRegisters {
	return fakeRegisters{registers: map[uint64]client.Register{}, modules: map[string][]byte{}, deadline: true,
		members: message.Registers{Epoch: 1, Replicas: 2, Members: []message.Member{{Node: 0}, {Node: 1}, {Node: 2, Incarnation: 1}}}}
}

// enter locks, and answers the planned failure.
func (r *fakeRegisters) enter(ctx context.Context) error {
	_, ok := ctx.Deadline()
	r.registersMu.Lock()
	r.deadline = r.deadline && ok
	return r.broken
}

func keepers(address uint64) []message.NodeID {
	return []message.NodeID{message.NodeID(address % 3), message.NodeID((address%3 + 1) % 3)}
}

func (r *fakeRegisters) ReadRegister(ctx context.Context, address uint64) (client.Register, error) {
	if r.held != nil {
		r.held <- struct{}{}
		select {
		case <-ctx.Done():
			return client.Register{}, ctx.Err()
		case <-r.letGo:
		}
	}
	err := r.enter(ctx)
	defer r.registersMu.Unlock()
	if err != nil {
		return client.Register{}, err
	}
	got, ok := r.registers[address]
	if !ok {
		return got, message.Errorf(message.NotWritten, "nothing was written to register %d", address)
	}
	return got, nil
}

func (r *fakeRegisters) WriteRegister(ctx context.Context, address uint64, value []byte) (message.Tag, error) {
	err := r.enter(ctx)
	defer r.registersMu.Unlock()
	if err != nil {
		return message.Tag{}, err
	}
	tag := message.Tag{TS: r.registers[address].Tag.TS + 1, Writer: message.ClientID{0xab}, Op: uint64(len(r.registers) + 1)}
	r.registers[address] = client.Register{Address: address, Value: slices.Clone(value), Tag: tag, Rounds: 1}
	return tag, nil
}

func (r *fakeRegisters) RegisterAt(ctx context.Context, node message.NodeID, address uint64) (client.Register, error) {
	err := r.enter(ctx)
	defer r.registersMu.Unlock()
	if err != nil {
		return client.Register{}, err
	}
	got, ok := r.registers[address]
	if !ok || !slices.Contains(keepers(address), node) {
		return got, message.Errorf(message.NotWritten, "node %v has nothing of register %d", node, address)
	}
	return got, nil
}

func (r *fakeRegisters) ListRegisters(ctx context.Context, node message.NodeID, from uint64, most int) ([]client.RegisterEntry, error) {
	err := r.enter(ctx)
	defer r.registersMu.Unlock()
	if err != nil {
		return nil, err
	}
	if node > 2 {
		return nil, message.Errorf(message.NoSuchNode, "there is no node %v", node)
	}
	var out []client.RegisterEntry
	for _, a := range slices.Sorted(maps.Keys(r.registers)) {
		if a >= from && len(out) < most && slices.Contains(keepers(a), node) {
			out = append(out, client.RegisterEntry{Address: a, Size: uint64(len(r.registers[a].Value)), Tag: r.registers[a].Tag})
		}
	}
	return out, nil
}

func (r *fakeRegisters) RegisterPlace(ctx context.Context, address uint64) (client.RegisterPlace, error) {
	err := r.enter(ctx)
	defer r.registersMu.Unlock()
	return client.RegisterPlace{Address: address, Shard: int(address % 1024), Epoch: r.members.Epoch, Nodes: keepers(address)}, err
}

func (r *fakeRegisters) RegisterMembers(ctx context.Context) (message.Registers, error) {
	err := r.enter(ctx)
	defer r.registersMu.Unlock()
	return r.members.Clone(), err
}

func (r *fakeRegisters) SpreadRegisters(ctx context.Context, nodes []message.NodeID, progress func(string)) error {
	progress("moving")
	err := r.enter(ctx)
	defer r.registersMu.Unlock()
	if err != nil {
		return err
	}
	if slices.Max(nodes) > 2 {
		return message.Errorf(message.NoSuchNode, "there is no node %v", slices.Max(nodes))
	}
	r.members.Epoch += 2
	r.members.Members = nil
	for _, n := range nodes {
		r.members.Members = append(r.members.Members, message.Member{Node: n})
	}
	return nil
}

// RunJob answers how many addresses it has. The module "trap" fails.
func (r *fakeRegisters) RunJob(ctx context.Context, q message.JobRequest) (message.JobResult, error) {
	err := r.enter(ctx)
	defer r.registersMu.Unlock()
	if err != nil {
		return message.JobResult{}, err
	}
	r.asked = append(r.asked, q)
	switch {
	case q.Job == "trap":
		return message.JobResult{}, message.Errorf(message.JobFailed, "the job trap failed: unreachable")
	case q.Job != "sum" && r.modules[q.Job] == nil:
		return message.JobResult{}, message.Errorf(message.NoSuchJob, "there is no job %s", q.Job)
	}
	result, err := json.Marshal(map[string]int{"sum": len(q.Addresses)})
	return message.JobResult{Job: q.Job, Node: 1, Result: result, LocalBytes: 3, Millis: 0.5}, err
}

func moduleOf(name string, b []byte) message.Job {
	sum := sha256.Sum256(b)
	return message.Job{Name: name, Size: uint64(len(b)), SHA256: hex.EncodeToString(sum[:])}
}

func (r *fakeRegisters) AddJob(ctx context.Context, name string, module []byte) (message.Job, error) {
	err := r.enter(ctx)
	defer r.registersMu.Unlock()
	if err != nil {
		return message.Job{}, err
	}
	r.modules[name] = slices.Clone(module)
	return moduleOf(name, module), nil
}

func (r *fakeRegisters) DropJob(ctx context.Context, name string) error {
	err := r.enter(ctx)
	defer r.registersMu.Unlock()
	if err == nil && r.modules[name] == nil {
		err = message.Errorf(message.NoSuchJob, "there is no job %s", name)
	}
	delete(r.modules, name)
	return err
}

func (r *fakeRegisters) Jobs(ctx context.Context) ([]message.Job, error) {
	err := r.enter(ctx)
	defer r.registersMu.Unlock()
	var out []message.Job
	for _, name := range slices.Sorted(maps.Keys(r.modules)) {
		out = append(out, moduleOf(name, r.modules[name]))
	}
	return out, err
}
