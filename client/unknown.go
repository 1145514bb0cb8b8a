package client

import (
	"context"

	"dmalloc/message"
)

// window is the company in whose window an address lies. Nodes that come bring companies, of which this client may not
// have heard: that it knows of none is no answer yet. So it asks all nodes first, of which those that own the company
// know it.
func (h *Heap) window(ctx context.Context, a message.Addr) (message.CompanyID, error) {
	c, ok := a.Company()
	if ok && h.directory().Company(c) == nil {
		h.newest(ctx)
		if err := ctx.Err(); err != nil {
			return 0, message.Errorf(message.Unavailable, "%s is in no company that is known here, and nobody was heard who may know more: %v", a, err)
		}
	}
	if !ok || h.directory().Company(c) == nil {
		return 0, h.outside(a)
	}
	return c, nil
}

// newest takes in the newest directory that any node has.
func (h *Heap) newest(ctx context.Context) {
	var best *message.Directory
	h.everyone(ctx, message.DIRECTORY, func(_ message.NodeID, a *message.Message) {
		if len(a.Data) == 0 {
			return
		}
		if d, err := decodeDirectory(a.Data); err == nil && (best == nil || d.Epoch > best.Epoch) {
			best = d
		}
	})
	h.setDirectory(best)
}

// find is locate, but asks for companies that are not known.
func (h *Heap) find(ctx context.Context, a message.Addr) (place, error) {
	p, err := h.locate(a)
	if err == nil {
		return p, nil
	}
	if _, err := h.window(ctx, a); err != nil {
		return place{}, err
	}
	return h.locate(a)
}
