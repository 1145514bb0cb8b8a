package web

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"dmalloc/message"
)

const (
	defaultTimeout = 5 * time.Second  // what a request gives the heap
	maxTimeout     = 30 * time.Second // what ?timeout= may ask for
	maxKey         = 255              // bytes of an Idempotency-Key
)

// call is one request on its way through a handler.
type call struct {
	s       *Server
	route   *route
	answer  *answer
	r       *http.Request
	vars    []string // what the braces of the pattern stand for, in order
	query   url.Values
	timeout time.Duration
}

// parseQuery takes the parameters that the route knows, each at most once.
func (c *call) parseQuery() (err error) {
	rt := c.route
	if c.query, err = url.ParseQuery(c.r.URL.RawQuery); err != nil {
		return message.Errorf(message.InvalidArgument, "the query %s cannot be read: %v", message.Quote(c.r.URL.RawQuery), err)
	}
	for name, values := range c.query {
		if name != "timeout" && !slices.ContainsFunc(rt.query, func(p param) bool { return p.name == name }) {
			return message.Errorf(message.InvalidArgument, "%s takes no parameter %s; it takes %s", rt.path, message.Quote(name), rt.parameters())
		}
		if len(values) > 1 {
			return message.Errorf(message.InvalidArgument, "the parameter %s is given %d times; give it once", message.Quote(name), len(values))
		}
	}
	c.timeout = defaultTimeout
	if rt.patience > 0 {
		c.timeout = rt.patience
	}
	if v := c.query.Get("timeout"); v != "" {
		if c.timeout, err = parseTimeout(v); err != nil {
			return err
		}
	}
	return nil
}

// parseTimeout reads 2s, 500ms, or a number of seconds.
func parseTimeout(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if n, e := strconv.ParseUint(s, 10, 16); e == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d <= 0 || d > maxTimeout {
		return 0, message.Errorf(message.InvalidArgument, "the timeout %s is not between 1ms and %v; use 2s or 500ms", message.Quote(s), maxTimeout)
	}
	return d, nil
}

// context is for what the request asks of the heap. It is asked for after the body was read, whose time is
// bounded by progress.
func (c *call) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.r.Context(), c.timeout)
}

// address is the address in the path.
func (c *call) address() (message.Addr, error) { return message.ParseAddr(c.vars[0]) }

// number reads a parameter that is a whole number; what is not given is absent.
func (c *call) number(name string, absent, least, most uint64) (uint64, error) {
	v := c.query.Get(name)
	if v == "" {
		return absent, nil
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil || n < least || n > most {
		return 0, message.Errorf(message.InvalidArgument, "the parameter %s=%s must be a whole number from %d to %d", name, message.Quote(v), least, most)
	}
	return n, nil
}

// key is the Idempotency-Key, "" if there is none.
func (c *call) key() (string, error) {
	keys := c.r.Header.Values("Idempotency-Key")
	if len(keys) == 0 {
		return "", nil
	}
	if len(keys) > 1 || keys[0] == "" || len(keys[0]) > maxKey {
		return "", message.Errorf(message.InvalidArgument, "an Idempotency-Key is one header of 1 to %d bytes; use a random one for each request and the same for its repetitions", maxKey)
	}
	return keys[0], nil
}

// heap is the heap that changes go to: by the Idempotency-Key, if there is one, known to the cluster as the
// request that they are. What tells the request from others, its arguments too, belongs to its name, so that a
// key that is used for something else does not get the answer of this.
func (c *call) heap(arguments ...any) (Heap, error) {
	key, err := c.key()
	if err != nil || key == "" {
		return c.s.cfg.Heap, err
	}
	h := sha256.New()
	for _, part := range append([]any{key, c.r.Method, c.r.URL.Path}, arguments...) {
		fmt.Fprintf(h, "%q\n", fmt.Sprint(part))
	}
	return c.s.cfg.Heap.Idempotent(message.ClientID(h.Sum(nil)[:len(message.ClientID{})])), nil
}

// upload is the request's body, up to most bytes.
func (c *call) upload(most int64) *upload {
	return &upload{from: http.MaxBytesReader(c.answer.w, c.r.Body, most), control: c.answer.control, stall: c.s.cfg.Limits.Stall}
}

// object reads the body: a JSON object of exactly the route's fields. Where there are none it may be empty.
func (c *call) object() (map[string]uint64, error) {
	fields, most := c.route.body, c.s.cfg.Limits.JSON
	if c.r.ContentLength > most {
		return nil, tooLarge(most)
	}
	b, err := io.ReadAll(c.upload(most))
	if err != nil {
		return nil, bodyError(err)
	}
	if len(fields) == 0 && strings.TrimSpace(string(b)) == "" {
		return nil, nil
	}
	return parseObject(b, fields)
}

func (c *call) json(status int, v any) error { return writeJSON(c.answer, status, v) }

// slot waits for the right to hold a buffer of n bytes, so that many large transfers at once do not fill the
// node's memory (W3). Small buffers need none.
func (c *call) slot(n int) (release func(), err error) {
	if n <= progress {
		return func() {}, nil
	}
	ctx, cancel := c.context()
	defer cancel()
	select {
	case c.s.transfers <- struct{}{}:
		return func() { <-c.s.transfers }, nil
	case <-ctx.Done():
		return nil, message.Errorf(message.Busy, "%d large transfers are under way on this node, and it takes no more; nothing was done; try again or ask another node", cap(c.s.transfers))
	}
}
