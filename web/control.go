package web

import (
	"context"
	"fmt"
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

// node is the node in the path.
func (c *call) node() (message.NodeID, error) {
	n, err := strconv.ParseUint(c.vars[0], 10, 32)
	if err != nil {
		return 0, message.Errorf(message.InvalidArgument, "%s is not a node; GET /v1/nodes lists their ids", message.Quote(c.vars[0]))
	}
	if n >= message.MaxNodes {
		return 0, message.Errorf(message.NoSuchNode, "there is no node %d; GET /v1/nodes lists their ids", n)
	}
	return message.NodeID(n), nil
}

// launched refuses what only a launcher can do where there is none.
func (c *call) launched() error {
	if c.s.cfg.Control == nil {
		return message.Errorf(message.Unsupported, "this node knows nobody who could do that to a process: the cluster was not started by a launcher")
	}
	return nil
}

// order has the launcher do something to the process of the node in the path.
func (c *call) order(what func(Control, context.Context, message.NodeID) error) error {
	n, err := c.node()
	if err != nil {
		return err
	}
	if _, err := c.object(); err != nil {
		return err
	}
	if err := c.launched(); err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	begin := time.Now()
	if err := what(c.s.cfg.Control, ctx, n); err != nil {
		return err
	}
	return c.json(http.StatusOK, ordered{n, time.Since(begin).Milliseconds()})
}

// backAfter is the member of kill and pause that says when the node is brought back.
var backAfter = field{"for", text, may, "when the node is brought back, such as 5s; not at all if not given"}

func (c *call) kill() error  { return c.orderFor(Control.Kill) }
func (c *call) pause() error { return c.orderFor(Control.Pause) }

// orderFor takes a node out, and has it brought back after the time in the body, which may be empty.
func (c *call) orderFor(what func(Control, context.Context, message.NodeID) error) error {
	n, err := c.node()
	if err != nil {
		return err
	}
	lasts, err := c.backAsked()
	if err == nil {
		err = c.launched()
	}
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	begin := time.Now()
	if err := what(c.s.cfg.Control, ctx, n); err != nil {
		return err
	}
	if lasts > 0 {
		if err := c.s.cfg.Control.Return(ctx, n, lasts); err != nil {
			return fmt.Errorf("node %s is out, but nobody will bring it back: %w", n, err)
		}
	}
	return c.json(http.StatusOK, ordered{n, time.Since(begin).Milliseconds()})
}

// backAsked reads the body of kill and pause, which may be empty.
func (c *call) backAsked() (time.Duration, error) {
	if c.r.ContentLength == 0 {
		return 0, nil
	}
	got, release, err := c.members()
	if err != nil {
		return 0, err
	}
	defer release()
	return c.lasts(c.route.body[0], got)
}

func (c *call) resume() error { return c.order(Control.Resume) }

func (c *call) revive() error {
	return c.order(func(control Control, ctx context.Context, id message.NodeID) error {
		return control.Revive(ctx, id, false, func(string) {}) // HTTP has nowhere to show progress
	})
}
