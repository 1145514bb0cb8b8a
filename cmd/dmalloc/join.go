package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"dmalloc/certs"
	"dmalloc/client"
	"dmalloc/cluster"
	"dmalloc/message"
	"dmalloc/node"
)

// joinFlags are those of a node that joins by itself.
type joinFlags struct {
	address  string // of any node
	data     string
	listen   string
	http     string
	host     string
	memory   size
	certs    string
	tokens   [][]byte
	insecure bool
	debug    bool
}

// joined is join.json: who a directory's node is. It is written before anybody is asked, so that a repetition is
// the same node.
type joined struct {
	Key      uint64           `json:"key"`
	ID       message.NodeID   `json:"id"` // message.NoNode until the cluster has given one
	Settings message.Settings `json:"settings"`
	Hosts    []string         `json:"hosts"` // of the nodes that the cluster was made with
	Memory   uint64           `json:"memory,omitempty"`
	Known    []string         `json:"known,omitempty"` // addresses of nodes, for when the one that is given does not answer
}

const (
	joinFile = "join.json"
	joinTime = 30 * time.Second // for a cluster to answer and to admit
)

// runJoin makes this process a node of the cluster of which a node listens at an address, and serves until it
// is told to stop or has left.
func runJoin(ctx context.Context, f joinFlags, out io.Writer) error {
	runtime.GOMAXPROCS(max(2, min(4, runtime.NumCPU())))
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
	defer stop()
	own, err := asJoiner(f.certs)
	if err != nil {
		return err
	}
	if err := f.places(); err != nil {
		return notStarted(err)
	}
	free, err := f.open()
	if err != nil {
		return exit{exitUsage, err}
	}
	defer free()
	short, cancel := context.WithTimeout(ctx, joinTime)
	me, d, err := f.admit(short, own)
	cancel()
	if err != nil {
		if message.CodeOf(err) == message.InvalidArgument {
			return exit{exitUsage, err}
		}
		return unreached(err, f.certs)
	}
	return f.serve(ctx, me, d, out)
}

// asJoiner is as whom this process asks for admission: a cluster with certificates wants to see a node's, whose id it
// will give. Which one does not matter: the one of the id that it gives is needed to serve.
func asJoiner(dir string) (client.Options, error) {
	if dir != "" {
		if nodes := certs.NodesIn(dir); len(nodes) > 0 {
			return as(dir, certs.Node(nodes[0]))
		}
	}
	return as(dir, certs.Client)
}

// places fills in where to listen: on loopback if the cluster is there, else at the address by which this machine
// reaches it.
func (f *joinFlags) places() error {
	host, _, err := net.SplitHostPort(f.address)
	if err != nil {
		return usage("--join %s is not HOST:PORT; nodes shows the addresses", f.address)
	}
	mine := host
	if f.listen == "" || f.http == "" {
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			c, err := net.DialTimeout("tcp", f.address, joinTime)
			if err != nil {
				return message.Errorf(message.Unavailable, "no node answers at %s: %v", f.address, unwrapped(err))
			}
			mine, _, _ = net.SplitHostPort(c.LocalAddr().String())
			_ = c.Close()
		}
	}
	if f.listen == "" {
		f.listen = net.JoinHostPort(mine, "0")
	}
	if f.http == "" {
		f.http = "127.0.0.1:0"
	}
	host, _, err = net.SplitHostPort(f.listen)
	if ip := net.ParseIP(host); err != nil || host == "" || ip != nil && ip.IsUnspecified() {
		return usage("--listen %s: give the HOST:PORT by which the other nodes reach this one", f.listen)
	}
	if f.host == "" {
		f.host = "localhost"
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			if f.host, err = os.Hostname(); err != nil {
				f.host = host
			}
		}
	}
	c := cluster.NodeConfig{Listen: f.listen, HTTPListen: f.http, Certs: f.certs, Insecure: f.insecure}
	return c.Guarded()
}

// open takes the data directory, or a temporary one.
func (f *joinFlags) open() (free func(), err error) {
	if f.data == "" {
		if f.data, err = os.MkdirTemp("", "dmalloc-*"); err != nil {
			return nil, message.Errorf(message.InvalidArgument, "no temporary directory can be made: %v; set TMPDIR, or give --data", err)
		}
		dir := f.data
		return func() { _ = os.RemoveAll(dir) }, nil
	}
	if f.data, err = filepath.Abs(f.data); err == nil {
		err = os.MkdirAll(f.data, 0o700)
	}
	if err != nil {
		return nil, message.Errorf(message.InvalidArgument, "the data directory cannot be used: %v; give a directory that can be written", err)
	}
	lock := flock.New(filepath.Join(f.data, "join.lock"))
	got, err := lock.TryLock()
	if err != nil || !got {
		return nil, message.Errorf(message.InvalidArgument, "%s is in use by another node; end that one, or give another directory", f.data)
	}
	return func() { _ = lock.Unlock() }, nil
}

// admit finds the cluster and has its directory take this node in, unless it has done so before.
func (f *joinFlags) admit(ctx context.Context, own client.Options) (me joined, d *message.Directory, err error) {
	if me, err = f.read(); err != nil {
		return me, nil, err
	}
	c, err := f.dial(ctx, me.Known, own)
	if err != nil {
		return me, nil, err
	}
	defer c.Close()
	if d, err = c.Directory(ctx); err != nil {
		return me, nil, err
	}
	if me.ID != message.NoNode && me.Settings.Cluster != d.Settings.Cluster {
		return me, nil, message.Errorf(message.InvalidArgument, "%s holds node %s of cluster %s, and at %s is cluster %s; give another directory, or the address of a node of that one",
			f.data, me.ID, me.Settings.Cluster, f.address, d.Settings.Cluster)
	}
	if me.ID == message.NoNode {
		me.Memory = uint64(f.memory)
		if err = f.save(me); err != nil { // the key, before anybody has seen it
			return me, nil, err
		}
		if me.ID, err = c.Admit(ctx, message.Node{ID: message.NoNode, Host: f.host, Memory: me.Memory, Key: me.Key}); err != nil {
			return me, nil, fmt.Errorf("join the cluster at %s: %w", f.address, err)
		}
		me.Settings, me.Hosts = d.Settings, nil
		for _, n := range d.Nodes[:min(d.Settings.Nodes, len(d.Nodes))] {
			me.Hosts = append(me.Hosts, n.Host)
		}
		if d, err = c.Directory(ctx); err != nil {
			return me, nil, err
		}
	} else if f.memory != 0 && uint64(f.memory) != me.Memory {
		return me, nil, message.Errorf(message.InvalidArgument, "node %s joined with --memory %s, which cannot change; leave the option out", me.ID, message.FormatSize(me.Memory))
	}
	me.Settings.ReplaceAfter, me.Settings.Cache, me.Settings.WriteBack, me.Settings.Runs = d.Settings.ReplaceAfter, d.Settings.Cache, d.Settings.WriteBack, d.Settings.Runs
	if n := d.Node(me.ID); n != nil && n.Gone {
		return me, nil, message.Errorf(message.InvalidArgument, "node %s has left the cluster, and %s is of no more use; give another directory to join anew", me.ID, f.data)
	}
	me.Known = nil
	for _, n := range d.Present() {
		if n.Address != "" && n.ID != me.ID {
			me.Known = append(me.Known, n.Address)
		}
	}
	return me, d, f.save(me)
}

// dial tries the address that was given, and then those that were known at the last start.
func (f *joinFlags) dial(ctx context.Context, known []string, own client.Options) (*client.Conn, error) {
	c, first := client.DialWith(ctx, f.address, own)
	if first == nil {
		return c, nil
	}
	for _, address := range known {
		if c, err := client.DialWith(ctx, address, own); err == nil {
			return c, nil
		}
	}
	return nil, first
}

// read gives who this directory's node is, or a new one with a key of its own.
func (f *joinFlags) read() (me joined, err error) {
	path := filepath.Join(f.data, joinFile)
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return joined{Key: rand.Uint64() | 1, ID: message.NoNode}, nil
	case err != nil:
		return me, message.Errorf(message.InvalidArgument, "%s cannot be read: %v", path, err)
	}
	if err := json.Unmarshal(b, &me); err != nil || me.Key == 0 {
		return me, message.Errorf(message.InvalidArgument, "%s is damaged (%v); bring it back from a copy, or give another directory", path, err)
	}
	return me, nil
}

func (f *joinFlags) save(me joined) error {
	path := filepath.Join(f.data, joinFile)
	b, err := json.MarshalIndent(me, "", "  ")
	if err == nil {
		err = cluster.ReplaceFile(path, append(b, '\n'))
	}
	if err != nil {
		return message.Errorf(message.InvalidArgument, "%s cannot be written: %v", path, err)
	}
	return nil
}

// named is a listener that says of itself the name by which it is reached.
type named struct {
	net.Listener
	address string
}

type nameAddr string

func (a nameAddr) Network() string { return "tcp" }
func (a nameAddr) String() string  { return string(a) }

func (l named) Addr() net.Addr { return nameAddr(l.address) }

// onlyErrors lets lines of errors through: who started the node by hand need not read warnings, which JOURNAL has.
type onlyErrors struct{ w io.Writer }

func (o onlyErrors) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(" level=ERROR ")) {
		return o.w.Write(line)
	}
	return len(line), nil
}

// listenAs listens at an address and goes by its host's name.
func listenAs(what, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, message.Errorf(message.InvalidArgument, "this node cannot listen at %s for %s: %v", address, what, unwrapped(err))
	}
	host, _, _ := net.SplitHostPort(address)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return named{l, net.JoinHostPort(host, port)}, nil
}

// serve runs the node until it is told to stop, fails, or has left the cluster.
func (f *joinFlags) serve(ctx context.Context, me joined, d *message.Directory, out io.Writer) error {
	own, err := as(f.certs, certs.Node(me.ID))
	if err != nil {
		return exit{exitUsage, fmt.Errorf("this is node %s: %w; dmalloc certs %s --renew --nodes %d makes its certificate", me.ID, err, f.certs, me.ID+1)}
	}
	messages, err := listenAs("messages", f.listen)
	if err != nil {
		return exit{exitUsage, err}
	}
	pages, err := listenAs("HTTP", f.http)
	if err != nil {
		_ = messages.Close()
		return exit{exitUsage, err}
	}
	incarnation := uint64(0)
	if n := d.Node(me.ID); n != nil {
		incarnation = n.Incarnation
	}
	kept := &journal{}
	n, err := node.Start(node.Config{Collect: collectWithin, ID: me.ID, Settings: me.Settings, Hosts: me.Hosts, Host: f.host, Dir: f.data, Listener: messages, HTTP: pages, Incarnation: incarnation,
		Join: true, Found: d, Version: version(), Debug: f.debug, Certs: own.Certs, Tokens: f.tokens,
		Journal: kept.Last, Log: slog.New(slog.NewTextHandler(io.MultiWriter(onlyErrors{os.Stderr}, kept), &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		return exit{exitFailed, err}
	}
	defer n.Close()
	scheme := "http"
	if own.Certs != nil {
		scheme = "https"
	}
	fmt.Fprintf(out, "node %s of cluster %s: messages at %s, HTTP at %s://%s\n", me.ID, me.Settings.Cluster, messages.Addr(), scheme, pages.Addr())
	ready := make(chan error, 1)
	go func() { ready <- n.Ready(ctx) }() // ends with ctx
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-n.Failed():
			return exit{exitFailed, err}
		case err := <-ready:
			if err == nil {
				fmt.Fprintf(out, "node %s is ready\n", me.ID)
			}
		case <-n.Left():
			fmt.Fprintf(out, "node %s has left the cluster\n", me.ID)
			return nil
		}
	}
}
