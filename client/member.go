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
		if r.Text != "" {
			m.Size = 1 // go on waiting: it may have left by now, which is no mistake
		}
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
