package web

import (
	"bytes"
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
	maxTimeout     = 30 * time.Second // what ?timeout= may ask for, unless the request has more by itself
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
		if c.timeout, err = parseTimeout(v, rt.longest()); err != nil {
			return err
		}
	}
	return nil
}

// parseTimeout reads 2s, 500ms, or a number of seconds.
func parseTimeout(s string, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if n, e := strconv.ParseUint(s, 10, 16); e == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d <= 0 || d > most {
		return 0, message.Errorf(message.InvalidArgument, "the timeout %s is not between 1ms and %v; use 2s or 500ms", message.Quote(s), most)
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

// unkeyed refuses an Idempotency-Key where nobody would remember it: who sends one relies on it.
func (c *call) unkeyed() error {
	if len(c.r.Header.Values("Idempotency-Key")) > 0 {
		return message.Errorf(message.InvalidArgument, "%s %s takes no Idempotency-Key: registers, jobs and leases remember none, so a repetition is done again; send the request without it", c.route.method, c.route.path)
	}
	return nil
}

// upload is the request's body, up to most bytes.
func (c *call) upload(most int64) *upload {
	return &upload{from: http.MaxBytesReader(c.answer.w, c.r.Body, most), control: c.answer.control, stall: c.s.cfg.Limits.Stall}
}

// object reads the body: a JSON object of the route's fields, all of them numbers. Where there are none it may
// be empty.
func (c *call) object() (map[string]uint64, error) {
	b, release, err := c.body()
	if err != nil {
		return nil, err
	}
	defer release()
	if len(c.route.body) == 0 && strings.TrimSpace(string(b)) == "" {
		return nil, nil
	}
	return parseObject(b, c.route.body)
}

// members reads the body: a JSON object of the route's fields. They are good until they are released.
func (c *call) members() (got members, release func(), err error) {
	b, release, err := c.body()
	if err != nil {
		return nil, nil, err
	}
	if got, err = parseMembers(b, c.route.body); err != nil {
		release()
		return nil, nil, err
	}
	return got, release, nil
}

// body reads the body whole, up to what the route takes.
func (c *call) body() (b []byte, release func(), err error) {
	most := c.route.most
	if most == 0 {
		most = c.s.cfg.Limits.JSON
	}
	length := c.r.ContentLength
	if length > most {
		return nil, nil, tooLarge(most)
	}
	body := c.upload(most)
	if length < 0 { // unknown: only what proves to be large needs a slot
		if b, err = io.ReadAll(io.LimitReader(body, progress+1)); err != nil {
			return nil, nil, bodyError(err)
		}
		length = int64(len(b))
		if length > progress {
			length = most
		}
	}
	if release, err = c.slot(int(length)); err != nil {
		return nil, nil, err
	}
	body.resume()
	whole := bytes.NewBuffer(make([]byte, 0, length+bytes.MinRead)) // what ReadFrom fills without growing
	whole.Write(b)
	if _, err = whole.ReadFrom(body); err != nil {
		release()
		return nil, nil, bodyError(err)
	}
	return whole.Bytes(), release, nil
}

func (c *call) json(status int, v any) error { return writeJSON(c.answer, status, v) }

// slot waits for the right to hold a buffer of n bytes, so that many large transfers at once do not fill the
// node's memory (W3): one slot for each MiB begun, all of them for what is larger than there are. Small buffers
// need none.
func (c *call) slot(n int) (release func(), err error) {
	if n <= progress {
		return func() {}, nil
	}
	slots, want, have := c.s.transfers, 1+(n-1)/message.MaxData, 0
	want = min(want, cap(slots))
	ctx, cancel := c.context()
	defer cancel()
	release = func() {
		for range have {
			<-slots
		}
	}
	if want > 1 { // one at a time gathers: two that held a part each would wait for each other
		select {
		case c.s.gathering <- struct{}{}:
			defer func() { <-c.s.gathering }()
		case <-ctx.Done():
			return nil, c.noSlot()
		}
	}
	for have < want {
		select {
		case slots <- struct{}{}:
			have++
		case <-ctx.Done():
			release()
			return nil, c.noSlot()
		}
	}
	return release, nil
}

func (c *call) noSlot() error {
	return message.Errorf(message.Busy, "large transfers are under way on this node, and it takes no more than %d MiB of them; nothing was done; try again or ask another node", cap(c.s.transfers))
}
