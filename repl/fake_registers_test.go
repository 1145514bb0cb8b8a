package repl

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"time"

	"dmalloc/client"
	"dmalloc/message"
)

func (f *fake) tag() message.Tag {
	return message.Tag{TS: f.stamp, Writer: message.ClientID{0xab, 0xcd, 0xef, 0x01, 15: 9}, Op: 1}
}

func (f *fake) ReadRegister(ctx context.Context, address uint64) (client.Register, error) {
	if err := f.wait(ctx); err != nil {
		return client.Register{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	v, ok := f.registers[address]
	if !ok {
		return client.Register{}, message.Errorf(message.NotWritten, "nothing was written to register %d", address)
	}
	return client.Register{Address: address, Value: v, Tag: f.tag(), Rounds: 1}, nil
}

func (f *fake) WriteRegister(ctx context.Context, address uint64, value []byte) (message.Tag, error) {
	if err := f.wait(ctx); err != nil {
		return message.Tag{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stamp++
	f.registers[address] = bytes.Clone(value)
	return f.tag(), nil
}

func (f *fake) RegisterAt(ctx context.Context, node message.NodeID, address uint64) (client.Register, error) {
	switch {
	case node > 2:
		return client.Register{}, message.Errorf(message.NoSuchNode, "node %s does not exist; there are 0 to 2", node)
	case node == 2:
		return client.Register{}, message.Errorf(message.NotWritten, "node 2 is none of the replicas of register %d: they are 0 and 1", address)
	}
	x, err := f.ReadRegister(ctx, address)
	x.Rounds = 0
	return x, err
}

func (f *fake) ListRegisters(ctx context.Context, node message.NodeID, from uint64, most int) ([]client.RegisterEntry, error) {
	if node > 2 {
		return nil, message.Errorf(message.NoSuchNode, "node %s does not exist; there are 0 to 2", node)
	}
	if err := f.wait(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lists++
	var all []client.RegisterEntry
	for a, v := range f.registers {
		if a >= from && node != 2 {
			all = append(all, client.RegisterEntry{Address: a, Size: uint64(len(v)), Tag: f.tag()})
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Address < all[j].Address })
	return all[:min(most, len(all))], nil
}

func (f *fake) RegisterPlace(ctx context.Context, address uint64) (client.RegisterPlace, error) {
	p := client.RegisterPlace{Address: address, Shard: int(address % 1024), Epoch: 4, Nodes: f.members}
	if address == 9 {
		p.Next = []message.NodeID{1, 2}
	}
	return p, f.wait(ctx)
}

func (f *fake) RegisterMembers(ctx context.Context) (message.Registers, error) {
	m := message.Registers{Epoch: 4, Replicas: 3}
	for _, n := range f.members {
		m.Members = append(m.Members, message.Member{Node: n, Incarnation: uint64(n) / 2})
	}
	if len(f.members) == 1 {
		m.Next = []message.Member{{Node: 1}}
	}
	return m, f.wait(ctx)
}

func (f *fake) SpreadRegisters(ctx context.Context, nodes []message.NodeID, progress func(string)) error {
	if err := f.wait(ctx); err != nil {
		return err
	}
	progress("12 of 1024 shards moved")
	f.members = slices.Clone(nodes)
	return nil
}

func (f *fake) RunJob(ctx context.Context, q message.JobRequest) (message.JobResult, error) {
	if err := f.wait(ctx); err != nil {
		return message.JobResult{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = q
	r := message.JobResult{Job: q.Job, Node: 1, RemoteBytes: 3, Holds: map[message.NodeID]int{0: 1, 1: len(q.Addresses)}, Millis: 0.25}
	sum := 0
	for _, a := range q.Addresses {
		r.LocalBytes += uint64(len(f.registers[a.Number]))
		if n, err := strconv.Atoi(string(f.registers[a.Number])); err == nil {
			sum += n
		}
	}
	switch q.Job {
	case "sum":
		r.Result = json.RawMessage(fmt.Sprint(sum))
	case "grep":
		r.Result = json.RawMessage("{\"args\": " + string(q.Args) + ", \"matches\": [\"a\\u001b[31mb\u009b\", \"" + string(bytes.Repeat([]byte("long "), 20)) + "\"]}")
	case "count":
		r.Result = json.RawMessage("\"two\\nlines\\u001b[1m\\n\"")
	case "words":
		r.Result = json.RawMessage("not JSON")
	case "fails":
		return message.JobResult{}, message.Errorf(message.JobFailed, "job fails ended with status 3 on node 1")
	default:
		return message.JobResult{}, message.Errorf(message.NoSuchJob, "there is no job %s; `job ls` lists those that there are", message.Quote(q.Job))
	}
	return r, nil
}

func (f *fake) AddJob(ctx context.Context, name string, module []byte) (message.Job, error) {
	sum := sha256.Sum256(module)
	j := message.Job{Name: name, Size: uint64(len(module)), SHA256: hex.EncodeToString(sum[:])}
	f.modules = append(f.modules, j)
	return j, f.wait(ctx)
}

func (f *fake) DropJob(ctx context.Context, name string) error {
	n := len(f.modules)
	f.modules = slices.DeleteFunc(f.modules, func(j message.Job) bool { return j.Name == name })
	if n == len(f.modules) {
		return message.Errorf(message.NoSuchJob, "there is no module %s", message.Quote(name))
	}
	return f.wait(ctx)
}

func (f *fake) Jobs(ctx context.Context) ([]message.Job, error) { return f.modules, f.wait(ctx) }

// stuck lists the same registers wherever it shall begin.
type stuck struct{ *fake }

func (s *stuck) ListRegisters(ctx context.Context, node message.NodeID, _ uint64, most int) ([]client.RegisterEntry, error) {
	return s.fake.ListRegisters(ctx, node, 0, most)
}

// slow takes an hour to move registers, or never begins.
type slow struct {
	*fake
	begins bool
}

func (s *slow) SpreadRegisters(ctx context.Context, _ []message.NodeID, progress func(string)) error {
	if s.begins {
		progress("moving")
	}
	select {
	case <-time.After(time.Hour):
		return nil
	case <-ctx.Done():
		return message.Errorf(message.Timeout, "no answer")
	}
}
