package web

import (
	"net/http"
	"time"

	"dmalloc/message"
)

// leaseList is the answer of GET /v1/leases.
type leaseList struct {
	Leases []message.Lease `json:"leases"`
}

// synced is the answer to sync: how many bytes were written back.
type synced struct {
	Bytes uint64 `json:"bytes"`
}

func (c *call) leases() error {
	ctx, cancel := c.context()
	defer cancel()
	all, err := c.s.cfg.Heap.Leases(ctx)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, leaseList{list(all)})
}

// leaseAsked is what the body of a request for a lease says.
func (c *call) leaseAsked() (a message.Addr, mode string, length time.Duration, err error) {
	got, release, err := c.members()
	if err != nil {
		return 0, "", 0, err
	}
	defer release()
	fields := c.route.body
	bits, err := fields[0].bits(got)
	if err != nil {
		return 0, "", 0, err
	}
	word, err := fields[1].string(got)
	if err != nil {
		return 0, "", 0, err
	}
	if mode = string(word); mode != "r" && mode != "w" {
		return 0, "", 0, message.Errorf(message.InvalidArgument, "%s is no mode of a lease; use r, to read, or w, to write alone", message.Quote(mode))
	}
	if got[fields[2].name] != nil {
		ms, err := fields[2].bits(got)
		if err != nil {
			return 0, "", 0, err
		}
		if ms == 0 || ms > message.MaxLease {
			return 0, "", 0, message.Errorf(message.InvalidArgument, "a lease of %d ms; \"length_ms\" is 1 to %d, and a lease can be asked for again", ms, message.MaxLease)
		}
		length = time.Duration(ms) * time.Millisecond
	}
	return message.Addr(bits), mode, length, nil
}

func (c *call) lease() error {
	if err := c.unkeyed(); err != nil {
		return err
	}
	a, mode, length, err := c.leaseAsked()
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	l, err := c.s.cfg.Heap.Lease(ctx, a, mode, length)
	if err != nil {
		return err
	}
	c.answer.Header().Set("Location", "/v1/leases/"+l.Address.String())
	return c.json(http.StatusCreated, l)
}

func (c *call) release() error {
	a, err := c.address()
	if err != nil {
		return err
	}
	if err := c.unkeyed(); err != nil {
		return err
	}
	if _, err := c.object(); err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	l, err := c.s.cfg.Heap.Release(ctx, a)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, l)
}

func (c *call) sync() error {
	if err := c.unkeyed(); err != nil {
		return err
	}
	a, err := c.syncAsked()
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	n, err := c.s.cfg.Heap.Sync(ctx, a)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, synced{n})
}

// syncAsked reads the body of sync, which may be empty: 0 is everything.
func (c *call) syncAsked() (message.Addr, error) {
	if c.r.ContentLength == 0 {
		return 0, nil
	}
	got, release, err := c.members()
	if err != nil {
		return 0, err
	}
	defer release()
	f := c.route.body[0]
	if got[f.name] == nil {
		return 0, nil
	}
	bits, err := f.bits(got)
	if err == nil && bits == 0 {
		err = message.Errorf(message.InvalidArgument, "0x0 is in no allocation; without an address everything is written back")
	}
	return message.Addr(bits), err
}
