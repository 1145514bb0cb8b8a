package web

import (
	"net/http"
	"time"

	"dmalloc/message"
)

// memberTime is for nodes that come and go: what they hold is copied.
const memberTime = 2 * time.Minute

func (c *call) addNode() error {
	host, err := c.hostAsked()
	if err == nil {
		err = c.launched()
	}
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	n, err := c.s.cfg.Control.AddNode(ctx, host, func(string) {}) // HTTP has nowhere to show progress
	if err != nil {
		return err
	}
	n.Leads, n.Owns = append([]message.CompanyID{}, n.Leads...), append([]message.CompanyID{}, n.Owns...)
	return c.json(http.StatusCreated, n)
}

// hostAsked reads the body of addNode, which may be empty.
func (c *call) hostAsked() (string, error) {
	if c.r.ContentLength == 0 {
		return "", nil
	}
	got, release, err := c.members()
	if err != nil {
		return "", err
	}
	defer release()
	if got["host"] == nil {
		return "", nil
	}
	b, err := c.route.body[0].string(got)
	return string(b), err
}

func (c *call) removeNode() error {
	id, err := c.node()
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
	r, err := c.s.cfg.Control.RemoveNode(ctx, id, func(string) {})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, r)
}
