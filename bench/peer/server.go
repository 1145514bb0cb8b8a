package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"dmalloc/message"
	"dmalloc/owner/raw"
)

const (
	startLimit = time.Minute // for a peer to be ready
	startTries = 3
	readyEvery = 20 * time.Millisecond
)

// Config is what a peer needs to start.
type Config struct {
	Dir      string   // in which it gets one of its own
	Replicas int      // at least 1
	Program  string   // that is this one
	RawArgs  []string // which make it a replica of raw Dragonboat; a raw.ServerConfig in JSON follows
	Raft     Raft     // its times
}

// kind is a peer that can be started.
type kind struct {
	name    string
	program string // that must be installed; "" where this program is enough
	install string // the package that has it
	version func(output string) string
	launch  func(*Server, Config) error
	ready   func(context.Context, *Server) error
}

func kinds() []kind {
	return []kind{
		{Etcd, "etcd", "etcd-server", etcdVersion, launchEtcd, readyEtcd},
		{Redis, "redis-server", "redis-server", redisVersion, launchRedis, readyRedis},
		{RedisVolatile, "redis-server", "redis-server", redisVersion, launchVolatile, readyRedis},
		{Raw, "", "", func(string) string { return raw.Version() }, launchRaw, readyRaw},
		{RawGroups, "", "", func(string) string { return raw.Version() }, launchRawGroups, readyRawGroups},
	}
}

// Missing is a peer that is not installed.
type Missing struct {
	Peer    string
	Program string
	Package string // of Debian
}

func (m *Missing) Error() string {
	return fmt.Sprintf("%s is not installed: there is no %s in PATH; on Debian: apt-get install %s", m.Peer, m.Program, m.Package)
}

// Server is a peer that is up.
type Server struct {
	Version   string
	Addresses []string // where clients connect

	kind      kind
	dir       string
	processes []*process
}

// Start starts a peer by its name and waits until it can be used.
func Start(ctx context.Context, name string, cfg Config) (*Server, error) {
	for _, k := range kinds() {
		if k.name == name {
			return k.start(ctx, cfg)
		}
	}
	return nil, message.Errorf(message.InvalidArgument, "%s is no peer that can be started", message.Quote(name))
}

// start tries again where a process ends: its port was free, and somebody else may have taken it.
func (k kind) start(ctx context.Context, cfg Config) (*Server, error) {
	version, err := k.installed(ctx)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		s, err := k.startOnce(ctx, cfg)
		if err == nil {
			s.Version = version
			return s, nil
		}
		var ended *endedError
		if try == startTries || ctx.Err() != nil || !errors.As(err, &ended) {
			return nil, fmt.Errorf("start %s: %w", k.name, err)
		}
	}
}

// installed says which version of a peer there is.
func (k kind) installed(ctx context.Context) (string, error) {
	if k.program == "" {
		return k.version(""), nil
	}
	path, err := exec.LookPath(k.program)
	if err != nil {
		return "", &Missing{Peer: k.name, Program: k.program, Package: k.install}
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", path, err)
	}
	return k.version(string(out)), nil
}

func (k kind) startOnce(ctx context.Context, cfg Config) (s *Server, err error) {
	s = &Server{kind: k}
	if s.dir, err = os.MkdirTemp(cfg.Dir, k.name+"-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err := k.launch(s, cfg); err != nil {
		return nil, err
	}
	return s, s.await(ctx, func(ctx context.Context) error { return k.ready(ctx, s) })
}

// await tries until it works, a process of the peer ends, or it takes too long.
func (s *Server) await(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		try, stop := context.WithTimeout(ctx, 2*time.Second)
		err := ready(try)
		stop()
		if err == nil {
			return nil
		}
		for _, p := range s.processes {
			if e := p.ended(); e != nil {
				return e
			}
		}
		select {
		case <-time.After(readyEvery):
		case <-ctx.Done():
			return fmt.Errorf("%w, and it was not ready: %w", context.Cause(ctx), err)
		}
	}
}

// run starts one process of the peer.
func (s *Server) run(name, program string, args ...string) error {
	p := &process{name: name, program: program, args: args, log: s.dir + "/" + strings.ReplaceAll(name, " ", "-") + ".log"}
	if err := p.start(); err != nil {
		return err
	}
	s.processes = append(s.processes, p)
	return nil
}

// Close ends the peer and deletes its files.
func (s *Server) Close() {
	for _, p := range s.processes {
		p.kill()
	}
	_ = os.RemoveAll(s.dir)
}

// freeAddresses are ports of loopback that were free a moment ago.
func freeAddresses(n int) ([]string, error) {
	var all []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close()
		all = append(all, l.Addr().String())
	}
	return all, nil
}

// etcdVersion takes 3.4.23 from "etcd Version: 3.4.23\n…".
func etcdVersion(out string) string {
	line, _, _ := strings.Cut(out, "\n")
	_, v, _ := strings.Cut(line, ": ")
	return strings.TrimSpace(v)
}

// redisVersion takes 7.0.15 from "Redis server v=7.0.15 sha=…".
func redisVersion(out string) string {
	for _, word := range strings.Fields(out) {
		if v, ok := strings.CutPrefix(word, "v="); ok {
			return v
		}
	}
	return ""
}

// readyRaw waits for a proposal.
func readyRaw(ctx context.Context, s *Server) error { return readyGroups(ctx, s, 1) }

func readyRawGroups(ctx context.Context, s *Server) error {
	return readyGroups(ctx, s, len(s.Addresses))
}

func readyGroups(ctx context.Context, s *Server, groups int) error {
	c, err := dialGroups(ctx, &Order{Addresses: s.Addresses}, groups)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.WriteAt(ctx, make([]byte, 16), 0)
	return err
}
