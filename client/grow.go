package client

import (
	"context"
	"encoding/json"

	"dmalloc/message"
)

// Admit has the directory take in a node, described with the key that it drew, and returns its id. Asked again with
// the same key it returns the same.
func (h *Heap) Admit(ctx context.Context, n message.Node) (message.NodeID, error) {
	m := message.New(message.ADMIT)
	m.Data = message.JSON(n)
	a, err := h.do(ctx, 0, m)
	if err == nil {
		err = a.Err()
	}
	if err != nil {
		return message.NoNode, err
	}
	h.refresh(ctx)
	return message.NodeID(a.Value), nil
}

// Dismiss has what a node owns begin to move away from it.
func (h *Heap) Dismiss(ctx context.Context, n message.NodeID) error {
	return h.ofNode(ctx, message.DISMISS, n)
}

// Gone lets a dismissed node go for good: Busy while it still holds something.
func (h *Heap) Gone(ctx context.Context, n message.NodeID) error {
	return h.ofNode(ctx, message.GONE, n)
}

// ofNode has the directory do what concerns one node.
func (h *Heap) ofNode(ctx context.Context, op message.Op, n message.NodeID) error {
	m := message.New(op)
	m.Value = uint64(n)
	return h.directly(ctx, m)
}

// Knows says whether a node goes by a directory at least as new as this one.
func (h *Heap) Knows(ctx context.Context, n message.NodeID, d *message.Directory) bool {
	m := message.New(message.DIRECTORY)
	m.Epoch = d.Epoch
	a, err := h.call(ctx, n, m, statusWait)
	return err == nil && a.Status == message.Done && a.Epoch >= d.Epoch
}

// Member says whether a company counts a replica among its members, with or without a vote, as its leader has it from
// a majority.
func (h *Heap) Member(ctx context.Context, company message.CompanyID, replica uint64) (is bool, err error) {
	m := message.New(message.MEMBER)
	m.Value = replica
	a, err := h.do(ctx, company, m)
	if err == nil {
		err = a.Err()
	}
	if err == nil {
		err = json.Unmarshal(a.Data, &is)
	}
	return is, err
}
