package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"dmalloc/bench"
	"dmalloc/bench/compare"
	"dmalloc/bench/peer"
	"dmalloc/client"
	"dmalloc/message"
)

// bulk is the file that is written and read, and where it is on the heap.
type bulk struct {
	name   string
	sender *peer.Sender
	at     message.Addr // 0: not on the heap
}

func (b *bulk) close() {
	if b.sender != nil {
		b.sender.Close()
	}
}

// bulk does a task about the file and says how long its process took, from its start to its end.
func (c *comparison) bulk(ctx context.Context, t compare.Task) (took time.Duration, err error) {
	if c.file.name == "" {
		name := filepath.Join(c.dir, "file")
		if err := fill(name, uint64(c.f.size)); err != nil {
			return 0, err
		}
		if c.file.sender, err = peer.Send(name); err != nil {
			return 0, err
		}
		c.file.name = name
	}
	copies, err := os.MkdirTemp(c.dir, "copies-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(copies) // not timed
	switch {
	case t.Peer == peer.Heap && t.Work == compare.Upload:
		return c.upload(ctx)
	case t.Peer == peer.Heap:
		return c.download(ctx, filepath.Join(copies, "read"))
	}
	o := peer.Order{Peer: t.Peer, Work: t.Work, Addresses: []string{c.file.sender.Address()}, Replicas: c.f.replicas, Size: t.Size, Dir: copies, File: c.file.name}
	if t.Peer == peer.TCP {
		o.File = ""
		if t.Work == compare.Download {
			o.File = filepath.Join(copies, "read")
		}
	}
	begin := time.Now()
	_, err = c.client(ctx, o)
	took = time.Since(begin)
	if err == nil && o.Peer == peer.TCP && o.File != "" {
		err = same(c.file.name, o.File)
	}
	return took, err
}

// shell runs lines in a shell of its own.
func (c *comparison) shell(ctx context.Context, lines string) (out []byte, took time.Duration, err error) {
	begin := time.Now()
	out, err = c.process(ctx, c.dir, nil, "shell", "--connect", c.addresses(peer.Heap)[0], "-o", "json", "--timeout", "10m", "-c", lines)
	return out, time.Since(begin), err
}

func (c *comparison) upload(ctx context.Context) (time.Duration, error) {
	if c.file.at != 0 {
		if err := c.heaps[peer.Heap].heap.Free(ctx, c.file.at); err != nil {
			return 0, fmt.Errorf("free the last file: %w", err)
		}
		c.file.at = 0
	}
	out, took, err := c.shell(ctx, fmt.Sprintf("m %d; w _ ./%s", uint64(c.f.size), filepath.Base(c.file.name)))
	if err != nil {
		return 0, err
	}
	var first struct {
		Address message.Addr `json:"address"`
	}
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&first); err != nil {
		return 0, fmt.Errorf("the shell answered %q: %w", out, err)
	}
	c.file.at = first.Address
	return took, nil
}

func (c *comparison) download(ctx context.Context, to string) (time.Duration, error) {
	if c.file.at == 0 {
		if _, err := c.upload(ctx); err != nil {
			return 0, err
		}
	}
	_, took, err := c.shell(ctx, fmt.Sprintf(`r %s "%s"`, c.file.at, to))
	if err != nil {
		return 0, err
	}
	return took, same(c.file.name, to)
}

// same compares files.
func same(name, other string) error {
	a, err := os.Open(name)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := os.Open(other)
	if err != nil {
		return err
	}
	defer b.Close()
	const step = 1 << 20
	x, y := bufio.NewReaderSize(a, step), bufio.NewReaderSize(b, step)
	p, q := make([]byte, step), make([]byte, step)
	for {
		n, err := io.ReadFull(x, p)
		m, _ := io.ReadFull(y, q)
		if !bytes.Equal(p[:n], q[:m]) {
			return fmt.Errorf("what was read is not what was written")
		}
		if err != nil {
			return nil // both are at their end, or they would differ
		}
	}
}

// failover kills who leads, once.
func (c *comparison) failover(ctx context.Context, t compare.Task) (time.Duration, error) {
	if t.Peer != peer.Heap {
		return c.servers[t.Peer].Failover(ctx)
	}
	// Not the launcher's own client: that one is told who was killed.
	conn, err := client.Dial(ctx, c.addresses(peer.Heap)[0])
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	row, err := bench.Failover(ctx, conn.Heap, leaderOf(conn.Heap), c.heaps[peer.Heap].launcher, 1)
	return time.Duration(row.Max * float64(time.Microsecond)), err
}
