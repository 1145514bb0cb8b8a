package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"dmalloc/message"
)

const (
	redisPatience = 10 * time.Second // for an answer where the caller has no limit
	redisWait     = "5000"           // ms that WAIT waits for replicas
	redisMost     = 64 << 20         // bytes of an answer
)

// redisConn is a connection on which one operation at a time is under way: Redis answers in order, and WAIT holds up
// whatever comes behind it.
type redisConn struct {
	*keys
	noRegisters
	replicas int // that a write waits for
	conn     net.Conn
	mu       sync.Mutex // guards what follows
	in       *bufio.Reader
	out      []byte
}

func dialRedis(ctx context.Context, o *Order, _ int) (Conn, error) {
	replicas := 0
	if o.Peer == Redis {
		replicas = o.Replicas - 1
	}
	return dialOneRedis(ctx, o.Addresses[0], replicas)
}

func dialOneRedis(ctx context.Context, address string, replicas int) (*redisConn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &redisConn{keys: newKeys(), conn: c, in: bufio.NewReader(c), replicas: replicas}, nil
}

func (c *redisConn) Close() error { return c.conn.Close() }

// command appends one in Redis' protocol.
func command(b []byte, words ...string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(words))
	for _, w := range words {
		b = strconv.AppendInt(append(b, '$'), int64(len(w)), 10)
		b = append(append(append(b, "\r\n"...), w...), "\r\n"...)
	}
	return b
}

// answer is one of Redis: a string, nil where there is none, or a number.
type answer struct {
	text   []byte
	number int64
	absent bool
}

func (c *redisConn) answer() (a answer, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return a, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return a, message.Errorf(message.Unsupported, "Redis answered %q", line)
	}
	kind, rest := line[0], string(line[1:len(line)-2])
	switch kind {
	case '+':
		return answer{text: []byte(rest)}, nil
	case '-':
		return a, message.Errorf(message.Unavailable, "Redis: %s", rest)
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	switch {
	case err != nil, kind != ':' && kind != '$', kind == '$' && n > redisMost:
		return a, message.Errorf(message.Unsupported, "Redis answered %q", line)
	case kind == ':':
		return answer{number: n}, nil
	case n < 0:
		return answer{absent: true}, nil
	}
	a.text = make([]byte, n+2)
	_, err = io.ReadFull(c.in, a.text)
	a.text = a.text[:n]
	return a, err
}

// do sends a command, for a write with WAIT behind it in the same packet, and takes the answer.
func (c *redisConn) do(ctx context.Context, write bool, words ...string) (answer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	until, ok := ctx.Deadline()
	if !ok {
		until = time.Now().Add(redisPatience)
	}
	if err := c.conn.SetDeadline(until); err != nil {
		return answer{}, err
	}
	c.out = command(c.out[:0], words...)
	wait := write && c.replicas > 0
	if wait {
		c.out = command(c.out, "WAIT", strconv.Itoa(c.replicas), redisWait)
	}
	if _, err := c.conn.Write(c.out); err != nil {
		return answer{}, err
	}
	a, err := c.answer()
	if !wait {
		return a, err
	}
	var refused *message.Error
	if err != nil && !errors.As(err, &refused) {
		return a, err // the connection is of no use any more
	}
	got, waited := c.answer()
	if waited == nil && int(got.number) < c.replicas {
		waited = message.Errorf(message.Timeout, "%d of Redis' %d replicas have a write", got.number, c.replicas)
	}
	return a, errors.Join(err, waited)
}

func (c *redisConn) Malloc(ctx context.Context, size uint64) (message.Allocation, error) {
	a := c.take(size)
	_, err := c.WriteAt(ctx, make([]byte, size), a.Address)
	return a, err
}

func (c *redisConn) Free(ctx context.Context, a message.Addr) error {
	_, err := c.do(ctx, true, "DEL", string(key(a)))
	return err
}

func (c *redisConn) WriteAt(ctx context.Context, p []byte, a message.Addr) (uint64, error) {
	_, err := c.do(ctx, true, "SET", string(key(a)), string(p))
	return 0, err
}

func (c *redisConn) ReadAt(ctx context.Context, p []byte, a message.Addr) error {
	got, err := c.do(ctx, false, "GET", string(key(a)))
	if err != nil {
		return err
	}
	if got.absent || len(got.text) != len(p) {
		return message.Errorf(message.NotAllocated, "Redis gave %d bytes for %s, not %d", len(got.text), a, len(p))
	}
	copy(p, got.text)
	return nil
}

// launchRedis starts a master and its replicas, all of which sync each write.
func launchRedis(s *Server, cfg Config) error {
	return launchRedisAs(s, cfg.Replicas, "--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0")
}

// launchVolatile starts one process that keeps nothing.
func launchVolatile(s *Server, _ Config) error { return launchRedisAs(s, 1, "--appendonly", "no") }

func launchRedisAs(s *Server, count int, words ...string) error {
	ports, err := freeAddresses(count)
	if err != nil {
		return err
	}
	for i, a := range ports {
		dir := filepath.Join(s.dir, fmt.Sprint(i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		host, port, _ := net.SplitHostPort(a)
		args := append([]string{"--bind", host, "--port", port, "--dir", dir, "--save", "", "--daemonize", "no"}, words...)
		if i > 0 {
			_, master, _ := net.SplitHostPort(ports[0])
			args = append(args, "--replicaof", host, master)
		}
		if err := s.run(fmt.Sprintf("Redis %d", i), s.kind.program, args...); err != nil {
			return err
		}
	}
	s.Addresses = ports
	return nil
}

// readyRedis waits for a write that all replicas have.
func readyRedis(ctx context.Context, s *Server) error {
	replicas := len(s.Addresses) - 1
	c, err := dialOneRedis(ctx, s.Addresses[0], 0)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.conn.SetDeadline(time.Now().Add(redisPatience)); err != nil {
		return err
	}
	info, err := c.do(ctx, false, "INFO", "replication")
	if err != nil {
		return err
	}
	if online := strings.Count(string(info.text), "state=online"); online < replicas {
		return message.Errorf(message.Unavailable, "%d of %d replicas of Redis are online", online, replicas)
	}
	c.replicas = replicas
	_, err = c.do(ctx, true, "SET", "ready", "yes")
	return err
}
