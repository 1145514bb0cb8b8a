package web

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/netutil"

	"dmalloc/message"
)

// Limits bound what strangers can make a node hold. Zero means the default.
type Limits struct {
	Open        int           // requests under way, 256; beyond it the answer is 503. Probes and metrics do not count
	Connections int           // 1024; beyond it new ones wait in the system's queue
	Transfers   int           // MiB of the buffers over 64 KiB that requests hold, 32; beyond it they wait as long as their timeout
	JSON        int64         // bytes of a JSON body, 64 KiB, where the route has no limit of its own; beyond it the answer is 413
	Body        int64         // bytes of one write, 64 MiB; beyond it the answer is 413
	Stall       time.Duration // time for the next 64 KiB of a body or an answer, 10 s; then the connection ends
}

// WithDefaults fills in what is zero and judges the rest.
func (l Limits) WithDefaults() (Limits, error) {
	if l.Open < 0 || l.Connections < 0 || l.Transfers < 0 || l.JSON < 0 || l.Body < 0 || l.Stall < 0 {
		return l, message.Errorf(message.InvalidArgument, "a limit of HTTP is negative in %+v; use 0 for the default", l)
	}
	setDefault(&l.Open, 256)
	setDefault(&l.Connections, 1024)
	setDefault(&l.Transfers, 32)
	setDefault(&l.JSON, 64<<10)
	setDefault(&l.Body, 64<<20)
	setDefault(&l.Stall, 10*time.Second)
	return l, nil
}

func setDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// Config is what a Server needs. Only Heap must be there.
type Config struct {
	Heap     Heap
	Control  Control                                                // nil: kill, revive, pause and resume are unsupported
	Graph    func(ctx context.Context, what string) (string, error) // nil: unsupported
	Thin     func() []Thin                                          // companies with fewer live owners than they should have; may be nil
	Ready    func() error                                           // nil error: ready; otherwise which company has no leader
	Metrics  func(io.Writer)                                        // the node's numbers in the Prometheus text format
	Listener net.Listener                                           // Serve accepts here, and Close closes it
	Names    []string                                               // host names that requests may be for, besides IP addresses and localhost
	TLS      *tls.Config                                            // of what Serve accepts; nil: plain HTTP
	Tokens   [][]byte                                               // SHA-256 of the tokens of which a request must show one; empty: it needs none
	Limits   Limits
	Debug    bool                          // serve /debug/pprof/ and show internal errors to clients
	Report   func(err error, stack []byte) // told of each error that is dmalloc's own fault, with a stack if it was a panic; may be nil
	Node     message.NodeID
}

// Server answers HTTP requests. It is an http.Handler.
type Server struct {
	cfg       Config
	routes    []route
	names     map[string]bool
	gate      *gate
	transfers chan struct{} // a slot for each MiB of large buffers
	gathering chan struct{} // a slot for the one call that takes several of those
	stats     *stats
	debug     http.Handler // nil unless Config.Debug
	http      *http.Server
	end       context.CancelFunc // ends what handlers wait for
}

// New makes a Server. It accepts nothing before Serve.
func New(cfg Config) (*Server, error) {
	if cfg.Heap == nil {
		return nil, message.Errorf(message.InvalidArgument, "web.New needs a heap in Config.Heap")
	}
	for _, d := range cfg.Tokens {
		if len(d) != sha256.Size {
			return nil, message.Errorf(message.InvalidArgument, "a token in Config.Tokens has a digest of %d bytes; SHA-256 has %d", len(d), sha256.Size)
		}
	}
	var err error
	if cfg.Limits, err = cfg.Limits.WithDefaults(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, routes: routes(), names: map[string]bool{"localhost": true}, gate: newGate(cfg.Limits.Open),
		transfers: make(chan struct{}, cfg.Limits.Transfers), gathering: make(chan struct{}, 1)}
	for _, name := range cfg.Names {
		s.names[strings.ToLower(strings.TrimSuffix(name, "."))] = true
	}
	s.stats = newStats(s.routes, s.gate)
	if cfg.Debug {
		s.debug = profiles()
	}
	var base context.Context
	base, s.end = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		// A handler that reads a body moves this deadline with its progress. It stands for bodies that nobody reads.
		ReadTimeout:    cfg.Limits.Stall,
		IdleTimeout:    time.Minute,
		MaxHeaderBytes: 16 << 10,
		BaseContext:    func(net.Listener) context.Context { return base },
		ErrorLog:       log.New(io.Discard, "", 0), // strangers' bad handshakes are not the node's news
	}
	return s, nil
}

// Serve accepts connections until Close, and then returns nil.
func (s *Server) Serve() error {
	if s.cfg.Listener == nil {
		return message.Errorf(message.InvalidArgument, "web.Serve needs Config.Listener")
	}
	l := netutil.LimitListener(s.cfg.Listener, s.cfg.Limits.Connections)
	if s.cfg.TLS != nil {
		l = tls.NewListener(l, s.cfg.TLS) // which shakes hands in the connection's goroutine, within the time for a header
	}
	err := s.http.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Close stops accepting, lets requests end until ctx does, cuts those that are left, and returns when the last
// handler has. It may be called without Serve, and again.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	s.end()
	if err != nil {
		_ = s.http.Close() // the error of interest is that requests were cut
	}
	if s.cfg.Listener != nil {
		_ = s.cfg.Listener.Close() // Serve may never have run
	}
	s.gate.close()
	return err
}
