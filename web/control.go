package web

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"dmalloc/message"
)

// ordered is the answer when a node's process was told something.
type ordered struct {
	Node message.NodeID `json:"node"`
	MS   int64          `json:"ms"` // how long it took
}

// order has the launcher do something to the process of the node in the path.
func (c *call) order(what func(Control, context.Context, message.NodeID) error) error {
	n, err := strconv.ParseUint(c.vars[0], 10, 32)
	if err != nil {
		return message.Errorf(message.InvalidArgument, "%s is not a node; GET /v1/nodes lists their ids", message.Quote(c.vars[0]))
	}
	if n >= message.MaxNodes {
		return message.Errorf(message.NoSuchNode, "there is no node %d; GET /v1/nodes lists their ids", n)
	}
	if _, err := c.object(); err != nil {
		return err
	}
	if c.s.cfg.Control == nil {
		return message.Errorf(message.Unsupported, "this node knows nobody who could do that to a process: the cluster was not started by a launcher")
	}
	ctx, cancel := c.context()
	defer cancel()
	begin := time.Now()
	if err := what(c.s.cfg.Control, ctx, message.NodeID(n)); err != nil {
		return err
	}
	return c.json(http.StatusOK, ordered{message.NodeID(n), time.Since(begin).Milliseconds()})
}

func (c *call) kill() error   { return c.order(Control.Kill) }
func (c *call) pause() error  { return c.order(Control.Pause) }
func (c *call) resume() error { return c.order(Control.Resume) }

func (c *call) revive() error {
	return c.order(func(control Control, ctx context.Context, id message.NodeID) error {
		return control.Revive(ctx, id, false, func(string) {}) // HTTP has nowhere to show progress
	})
}
