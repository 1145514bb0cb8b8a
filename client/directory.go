package client

import (
	"context"

	"dmalloc/message"
	"dmalloc/ring"
)

// Change has the directory do BOOT, RETIRE or REPLACE with the description v.
func (h *Heap) Change(ctx context.Context, op message.Op, v any) error {
	m := message.New(op)
	m.Data = message.JSON(v)
	return h.directly(ctx, m)
}

// directly has the directory do a message.
func (h *Heap) directly(ctx context.Context, m *message.Message) error {
	a, err := h.do(ctx, 0, m)
	if err == nil {
		err = a.Err()
	}
	return err
}

// Carry has the directory make a change that was planned for it.
func (h *Heap) Carry(ctx context.Context, c ring.Change) error {
	switch c.Op {
	case message.MOVE:
		return h.Change(ctx, c.Op, c.Move)
	case message.FOUND:
		return h.Change(ctx, c.Op, c.Company)
	case message.REGCHANGE:
		m := message.New(c.Op)
		m.Data, m.Value, m.Size = message.JSON(c.Nodes), 1, c.Epoch
		return h.directly(ctx, m)
	case message.GONE:
		return h.Gone(ctx, c.Node)
	}
	return nil
}

// decided is the directory as its company has it now: one consistent read of it.
func (h *Heap) decided(ctx context.Context) (*message.Directory, error) {
	m := message.New(message.DIRECTORY)
	m.Value = 1
	a, err := h.do(ctx, 0, m)
	if err == nil {
		err = a.Err()
	}
	if err != nil {
		return nil, err
	}
	d, err := decodeDirectory(a.Data)
	if err == nil {
		h.setDirectory(d)
	}
	return d, err
}

// current takes in the directory before a view of all companies is put together: which of them there are is part of the
// answer. Where its company cannot say so soon, the newest that any node has must do: the others may serve.
func (h *Heap) current(ctx context.Context) *message.Directory {
	soon, cancel := context.WithTimeout(ctx, statusWait)
	defer cancel()
	if _, err := h.decided(soon); err != nil {
		h.newest(ctx)
	}
	return h.directory()
}

// Applied is how far a replica on a node has come, 0 if it does not say.
func (h *Heap) Applied(ctx context.Context, node message.NodeID, company message.CompanyID, replica uint64) uint64 {
	return h.Replica(ctx, node, company, replica).Applied
}

// Replica is what a replica on a node says of itself, nothing if it does not answer.
func (h *Heap) Replica(ctx context.Context, node message.NodeID, company message.CompanyID, replica uint64) (said message.ReplicaStatus) {
	for _, r := range h.status(ctx, node).Replicas {
		if r.Company == company && r.Replica == replica {
			return r
		}
	}
	return said
}
