package client

import (
	"context"

	"dmalloc/message"
)

// Change has the directory do BOOT, RETIRE or REPLACE with the description v.
func (h *Heap) Change(ctx context.Context, op message.Op, v any) error {
	m := message.New(op)
	m.Data = message.JSON(v)
	a, err := h.do(ctx, 0, m)
	if err == nil {
		err = a.Err()
	}
	return err
}

// Applied is how far a replica on a node has come, 0 if it does not say.
func (h *Heap) Applied(ctx context.Context, node message.NodeID, company message.CompanyID, replica uint64) uint64 {
	for _, r := range h.status(ctx, node).Replicas {
		if r.Company == company && r.Replica == replica {
			return r.Applied
		}
	}
	return 0
}
