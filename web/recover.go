package web

import (
	"net/http"
	"strconv"

	"dmalloc/message"
)

// recover has a company begin anew, if the body says yes.
func (c *call) recover() error {
	id, err := strconv.ParseUint(c.vars[0], 10, 32)
	if err != nil || id > message.MaxCompany {
		return message.Errorf(message.InvalidArgument, "%s is not a company; there are at most %d", message.Quote(c.vars[0]), message.MaxCompany)
	}
	yes, err := c.saidYes()
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	r, err := c.s.cfg.Heap.Recover(ctx, message.CompanyID(id), yes)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, r)
}

// saidYes reads the body, which may be empty.
func (c *call) saidYes() (bool, error) {
	if c.r.ContentLength == 0 {
		return false, nil
	}
	got, release, err := c.members()
	if err != nil {
		return false, err
	}
	defer release()
	v := got["yes"]
	if v == nil {
		return false, nil
	}
	yes, err := strconv.ParseBool(string(v))
	if err != nil || string(v) != strconv.FormatBool(yes) {
		return false, c.route.body[0].wrong(v)
	}
	return yes, nil
}
