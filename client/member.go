package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dmalloc/message"
)

// Removal is how far a node is on its way out.
type Removal struct {
	Node message.NodeID `json:"node"`
	Done bool           `json:"done"`
	Left int            `json:"left"`           // companies that it still owns, the directory counted
	Of   int            `json:"of"`             // that it owned when it was told to leave
	Text string         `json:"text"`           // the same for a person
	Note string         `json:"note,omitempty"` // what is not as before without it
}

// AddRequest is the Data of NODEADD.
type AddRequest struct {
	Host string `json:"host,omitempty"` // empty: one that has room
}

// Admit has the directory give a node that comes its id. Repeated with the same Key it gives the same one.
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
	return message.NodeID(a.Value), nil
}

// Dismiss has a node leave: what it holds moves to others.
func (h *Heap) Dismiss(ctx context.Context, id message.NodeID) error {
	return h.aboutNode(ctx, message.DISMISS, id)
}

// Gone ends the membership of a node that holds nothing any more.
func (h *Heap) Gone(ctx context.Context, id message.NodeID) error {
	return h.aboutNode(ctx, message.GONE, id)
}

func (h *Heap) aboutNode(ctx context.Context, op message.Op, id message.NodeID) error {
	m := message.New(op)
	m.Value = uint64(id)
	a, err := h.do(ctx, 0, m)
	if err == nil {
		err = a.Err()
	}
	return err
}

// AddNode has the launcher start another node, on a host that has room if none is named, and returns when it
// takes part.
func (c *Control) AddNode(ctx context.Context, host string, _ func(string)) (n Node, err error) {
	m := message.New(message.NODEADD)
	m.Data = message.JSON(AddRequest{host})
	err = joinable(c.ask(ctx, m, &n))
	return n, err
}

// joinable says how nodes come where there is no launcher.
func joinable(err error) error {
	if message.CodeOf(err) == message.Unsupported {
		return message.Errorf(message.Unsupported, "%v; `dmalloc node --join HOST:PORT` adds a node without one", err)
	}
	return err
}

const removeEvery = 100 * time.Millisecond

// RemoveNode drains a node and returns when it is gone. When ctx ends first, the draining goes on.
func (c *Control) RemoveNode(ctx context.Context, id message.NodeID, progress func(string)) (Removal, error) {
	var r Removal
	for {
		m := message.New(message.NODEREMOVE)
		m.Value = uint64(id)
		var now Removal
		err := c.ask(ctx, m, &now)
		if ctx.Err() != nil && r.Node == id && r.Text != "" {
			return r, StillLeaving(ctx, r)
		}
		if err != nil || now.Done {
			return now, err
		}
		if r = now; progress != nil {
			progress(r.Text)
		}
		select {
		case <-time.After(removeEvery):
		case <-ctx.Done():
			return r, StillLeaving(ctx, r)
		}
	}
}

// StillLeaving says what goes on although nobody waits for it any more.
func StillLeaving(ctx context.Context, r Removal) error {
	code := message.Timeout
	if errors.Is(ctx.Err(), context.Canceled) {
		code = message.Canceled
	}
	return &message.Error{Code: code, Err: ctx.Err(), Text: fmt.Sprintf("%s; it goes on leaving, and `node remove %s` waits for it again", r.Text, r.Node)}
}
