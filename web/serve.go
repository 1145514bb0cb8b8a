package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"dmalloc/message"
)

// failure is an error that HTTP knows and the heap does not.
type failure struct {
	status int
	code   string
	text   string
}

func (f *failure) Error() string { return f.text }

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	a := newAnswer(w, s.cfg.Limits.Stall)
	a.Header().Set("X-Content-Type-Options", "nosniff")
	a.Header().Set("Cache-Control", "no-store")
	rt, err := s.serve(a, r)
	// What fails after its first bytes were sent is cut: fewer bytes came than Content-Length said, so net/http
	// closes the connection, and the client knows.
	cut := err != nil && a.status != 0
	if err != nil && !cut {
		s.fail(a, err)
	}
	s.stats.observe(rt, a.status, time.Since(begin), cut)
}

// serve judges a request and runs its route, which is nil where there is none.
func (s *Server) serve(a *answer, r *http.Request) (*route, error) {
	if err := s.sameSite(r); err != nil {
		return nil, err
	}
	if err := s.admit(a, r); err != nil {
		return nil, err
	}
	if s.debug != nil && strings.HasPrefix(r.URL.Path, "/debug/pprof/") {
		return nil, s.run(&call{s: s, route: &route{always: true, handle: (*call).profile}, answer: a, r: r})
	}
	rt, vars, err := s.find(a, r)
	if err != nil {
		return nil, err
	}
	c := &call{s: s, route: rt, answer: a, r: r, vars: vars}
	if err := c.parseQuery(); err != nil {
		return rt, err
	}
	return rt, s.run(c)
}

// run lets a handler work, within the bounds of W3 and with what W6 promises.
func (s *Server) run(c *call) (err error) {
	counts := !c.route.always
	if err := s.gate.enter(counts); err != nil {
		return err
	}
	defer s.gate.leave(counts)
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		s.stats.panics.Inc()
		err = fmt.Errorf("panic: %v", cause)
		s.report(err, debug.Stack())
	}()
	if err = c.route.handle(c); message.CodeOf(err) == message.Internal {
		var known *failure
		if !errors.As(err, &known) && c.r.Context().Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
			s.report(err, nil)
		}
	}
	return err
}

func (s *Server) report(err error, stack []byte) {
	if s.cfg.Report != nil {
		s.cfg.Report(err, stack)
	}
}

// fail writes the answer to a request that did not succeed.
func (s *Server) fail(a *answer, err error) {
	f := s.judge(err)
	if f.status == http.StatusServiceUnavailable {
		a.Header().Set("Retry-After", "1")
	}
	var body struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	body.Error.Code, body.Error.Message = f.code, f.text
	_ = writeJSON(a, f.status, body) // who does not take an error cannot be told one
}

// judge finds the status, the code and the words of an error.
func (s *Server) judge(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	code := message.CodeOf(err)
	if code == message.Internal {
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			code, err = message.Timeout, errors.New("no answer in time; whether it happened is not known; ask again, with an Idempotency-Key where the request takes one")
		case errors.Is(err, context.Canceled):
			code, err = message.Canceled, errors.New("the request was given up; whether it happened is not known")
		case !s.cfg.Debug:
			err = errors.New("a defect in dmalloc; please report what was asked")
		}
	}
	return &failure{code.HTTPStatus(), code.String(), err.Error()}
}

// writeJSON sends a value whole: its length is known before the first byte.
func writeJSON(a *answer, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	return writeWhole(a, status, "application/json", append(b, '\n'))
}

func writeWhole(a *answer, status int, contentType string, b []byte) error {
	a.Header().Set("Content-Type", contentType)
	a.Header().Set("Content-Length", fmt.Sprint(len(b)))
	a.WriteHeader(status)
	_, err := a.Write(b)
	return err
}
