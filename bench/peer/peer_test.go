package peer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dmalloc/message"
	"dmalloc/owner/raw"
)

// TestMain is also a replica of raw Dragonboat, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "raw-node" {
		var cfg raw.ServerConfig
		err := json.Unmarshal([]byte(os.Args[2]), &cfg)
		if err == nil {
			err = raw.Serve(context.Background(), cfg)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func limit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// started is a peer that is up, if it is installed.
func started(t *testing.T, ctx context.Context, name, dir string) *Server {
	t.Helper()
	s, err := Start(ctx, name, Config{Dir: dir, Replicas: 3, Program: os.Args[0], RawArgs: []string{"raw-node"}, Raft: Raft{30, 10, 2}})
	var m *Missing
	if errors.As(err, &m) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Every peer keeps what is written, as far as it keeps anything, and leaves nothing behind.
func TestPeers(t *testing.T) {
	for _, name := range []string{Etcd, Redis, RedisVolatile, Raw} {
		t.Run(name, func(t *testing.T) {
			ctx, dir := limit(t), t.TempDir()
			s := started(t, ctx, name, dir)
			if name != Raw && (s.Version == "" || strings.Trim(s.Version, "0123456789.") != "") {
				t.Errorf("version %q", s.Version)
			}
			order := Order{Peer: name, Work: "pair", Addresses: s.Addresses, Replicas: 3, Size: 16, Connections: 3, InFlight: 6, Length: 50 * time.Millisecond}
			r, err := Do(ctx, order)
			if err != nil || r.Count == 0 || r.Errors > 0 || r.PerSecond <= 0 || r.P50 <= 0 || r.P50 > r.P99 {
				t.Errorf("%+v, %v", r, err)
			}
			conns, err := dialAll(ctx, &order, dialers()[name])
			for _, c := range conns {
				defer c.Close()
			}
			if err != nil || len(conns) != 3 {
				t.Fatal(err)
			}
			if name != Raw {
				keeps(t, ctx, conns)
			}
			if _, err := conns[0].ReadRegister(ctx, 1); message.CodeOf(err) != message.Unsupported {
				t.Errorf("registers: %v", err)
			}
			if _, err := s.Failover(ctx); name != Etcd && message.CodeOf(err) != message.Unsupported {
				t.Errorf("failover: %v", err)
			}
			s.Close()
			if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
				t.Errorf("%v is left, %v", left, err)
			}
			for _, a := range s.Addresses {
				if c, err := net.Dial("tcp", a); err == nil {
					c.Close()
					t.Errorf("somebody still listens at %s", a)
				}
			}
		})
	}
}

func keeps(t *testing.T, ctx context.Context, conns []Conn) {
	t.Helper()
	for _, size := range []uint64{16, 300, 4096} {
		a, err := conns[0].Malloc(ctx, size)
		if err != nil {
			t.Fatal(err)
		}
		want, got := bytes.Repeat([]byte("\r\n\x00x"), int(size/4)), make([]byte, size)
		if err := conns[1].ReadAt(ctx, got, a.Address); err != nil || !bytes.Equal(got, make([]byte, size)) {
			t.Errorf("%x, %v", got, err)
		}
		if _, err := conns[1].WriteAt(ctx, want, a.Address); err != nil {
			t.Error(err)
		}
		if err := conns[2].ReadAt(ctx, got, a.Address); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q, %v", got, err)
		}
		if err := conns[1].Free(ctx, a.Address); err != nil {
			t.Error(err)
		}
		if err := conns[2].ReadAt(ctx, got, a.Address); message.CodeOf(err) != message.NotAllocated {
			t.Errorf("after the free: %v", err)
		}
	}
}

// etcd loses its leader, goes on, and gets the member back: again and again.
func TestEtcdFailover(t *testing.T) {
	ctx := limit(t)
	s := started(t, ctx, Etcd, t.TempDir())
	for range 2 {
		took, err := s.Failover(ctx)
		if err != nil || took <= 0 {
			t.Fatal(took, err)
		}
		for _, p := range s.processes {
			if err := p.ended(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestRawInside(t *testing.T) {
	ctx := limit(t)
	o := Order{Peer: RawInside, Work: "write", Replicas: 3, Size: 16, Connections: 1, InFlight: 4, Length: 50 * time.Millisecond, Dir: t.TempDir(), Raft: Raft{10, 20, 2}}
	if r, err := Do(ctx, o); err != nil || r.Count == 0 || r.Errors > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	o.Connections = 2
	if _, err := Do(ctx, o); message.CodeOf(err) != message.InvalidArgument {
		t.Errorf("two connections to itself: %v", err)
	}
}

func TestDoRefuses(t *testing.T) {
	for _, o := range []Order{{Peer: "nobody", Work: "read", Connections: 1, InFlight: 1}, {Peer: Etcd, Work: "read", InFlight: 1}, {Peer: Etcd, Work: "read", Connections: 1}} {
		if _, err := Do(t.Context(), o); message.CodeOf(err) != message.InvalidArgument {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// What is not installed is said to be so, with the package that has it.
func TestMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	dir := t.TempDir()
	for _, name := range []string{Etcd, Redis, RedisVolatile} {
		_, err := Start(t.Context(), name, Config{Dir: dir, Replicas: 3})
		var m *Missing
		if !errors.As(err, &m) || m.Peer != name || m.Package == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%v", left)
	}
	if _, err := Start(t.Context(), "nobody", Config{}); message.CodeOf(err) != message.InvalidArgument {
		t.Errorf("%v", err)
	}
}

// A peer that ends instead of starting says why, and is tried again, for its port may have been taken.
func TestStartThatEnds(t *testing.T) {
	dir, times := t.TempDir(), 0
	k := kind{name: "sh", version: func(string) string { return "" }, launch: func(s *Server, _ Config) error {
		times++
		return s.run("a shell", "/bin/sh", "-c", "echo the port is taken; exit 3")
	}, ready: func(context.Context, *Server) error { return errors.New("not yet") }}
	_, err := k.start(limit(t), Config{Dir: dir})
	var e *endedError
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "a shell ended (exit status 3): the port is taken") {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 || times != 3 {
		t.Errorf("%v after %d times", left, times)
	}
}

// Disk and network alone move the bytes that there are.
func TestPlain(t *testing.T) {
	ctx, dir := limit(t), t.TempDir()
	from := filepath.Join(dir, "from")
	want := bytes.Repeat([]byte("0123456"), 500_000)
	if err := os.WriteFile(from, want, 0o600); err != nil {
		t.Fatal(err)
	}
	same := func(name string) {
		t.Helper()
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	copies := t.TempDir()
	if _, err := Do(ctx, Order{Peer: Disk, Replicas: 3, Dir: copies, File: from}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		same(filepath.Join(copies, fmt.Sprint(i)))
	}
	s, err := Send(from)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	to := filepath.Join(dir, "to")
	for _, name := range []string{to, ""} {
		if _, err := Do(ctx, Order{Peer: TCP, Addresses: []string{s.Address()}, Size: uint64(len(want)), File: name}); err != nil {
			t.Error(err)
		}
	}
	same(to)
	if _, err := Do(ctx, Order{Peer: TCP, Addresses: []string{s.Address()}, Size: 1}); err == nil {
		t.Error("too many bytes went unnoticed")
	}
}
