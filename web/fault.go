package web

import (
	"net/http"
	"strconv"
	"time"

	"dmalloc/client"
	"dmalloc/message"
)

type faultList struct {
	Faults []client.Fault `json:"faults"`
}

type healedList struct {
	Healed []client.Fault `json:"healed"`
}

// damaged is what corrupt has done.
type damaged struct {
	Node  message.NodeID `json:"node"`
	Seed  uint64         `json:"seed"`
	Flips []client.Flip  `json:"flips"`
}

func (c *call) faults() error {
	if err := c.launched(); err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	all, err := c.s.cfg.Control.Faults(ctx)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, faultList{append([]client.Fault{}, all...)})
}

func (c *call) beginFault() error {
	words, lasts, err := c.faultAsked()
	if err == nil {
		err = c.launched()
	}
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	f, err := c.s.cfg.Control.Fault(ctx, words, lasts)
	if err != nil {
		return err
	}
	return c.json(http.StatusCreated, f)
}

// faultAsked reads the body of beginFault.
func (c *call) faultAsked() (words string, lasts time.Duration, err error) {
	got, release, err := c.members()
	if err != nil {
		return "", 0, err
	}
	defer release()
	b, err := c.route.body[0].string(got)
	if err != nil {
		return "", 0, err
	}
	lasts, err = c.lasts(c.route.body[1], got)
	return string(b), lasts, err
}

// lasts reads how long a fault shall last; 0 if nobody says.
func (c *call) lasts(f field, got members) (time.Duration, error) {
	if got[f.name] == nil {
		return 0, nil
	}
	b, err := f.string(got)
	if err != nil {
		return 0, err
	}
	lasts, err := time.ParseDuration(string(b))
	if err != nil || lasts <= 0 {
		return 0, message.Errorf(message.InvalidArgument, "%s is not how long a fault can last; use a number above 0 with its unit, such as 5s", message.Quote(string(b)))
	}
	return lasts, nil
}

// heal ends the fault in the path, or all where there is none.
func (c *call) heal() error {
	which := ""
	if len(c.vars) > 0 {
		n, err := strconv.ParseUint(c.vars[0], 10, 64)
		if err != nil || n == 0 {
			return message.Errorf(message.InvalidArgument, "%s is not the number of a fault; GET /v1/faults lists them", message.Quote(c.vars[0]))
		}
		which = strconv.FormatUint(n, 10)
	}
	if _, err := c.object(); err != nil {
		return err
	}
	if err := c.launched(); err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	ended, err := c.s.cfg.Control.Heal(ctx, which)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, healedList{append([]client.Fault{}, ended...)})
}

func (c *call) corrupt() error {
	id, err := c.node()
	if err != nil {
		return err
	}
	seed, err := c.seedAsked()
	if err == nil {
		err = c.launched()
	}
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	d, err := c.s.cfg.Control.Corrupt(ctx, id, seed)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, damaged{id, d.Seed, append([]client.Flip{}, d.Flips...)})
}

// seedAsked reads the body of corrupt, which may be empty.
func (c *call) seedAsked() (uint64, error) {
	if c.r.ContentLength == 0 {
		return 0, nil
	}
	got, release, err := c.members()
	if err != nil {
		return 0, err
	}
	defer release()
	if got["seed"] == nil {
		return 0, nil
	}
	return c.route.body[0].bits(got)
}
