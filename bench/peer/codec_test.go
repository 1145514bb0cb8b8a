package peer

import (
	"bufio"
	"net"
	"strings"
	"testing"

	"dmalloc/message"
)

// Fields are found where they are, and nothing in what is cut short.
func TestFind(t *testing.T) {
	inner := field(nil, 5, []byte("value"))
	whole := append(field(field(nil, 1, []byte("head")), 2, inner), 4<<3, 0x96, 0x01)
	if p, ok := find(whole, 2); !ok || string(p.bytes) != string(inner) {
		t.Errorf("%q", p.bytes)
	}
	if p, ok := find(whole, 4); !ok || p.number != 150 {
		t.Errorf("%d", p.number)
	}
	if _, ok := find(whole, 9); ok {
		t.Error("field 9 is not there")
	}
	for n := range whole {
		if _, ok := find(whole[:n], 4); ok {
			t.Errorf("found in %d bytes", n)
		}
	}
}

// answering is a connection to a Redis that answers with these bytes, whatever it is asked.
func answering(t *testing.T, replicas int, answers string) *redisConn {
	t.Helper()
	here, there := net.Pipe()
	go func() { // ends with the pipe
		_, _ = there.Read(make([]byte, 1<<16))
		_, _ = there.Write([]byte(answers))
		_ = there.Close()
	}()
	t.Cleanup(func() { here.Close(); there.Close() })
	return &redisConn{keys: newKeys(), conn: here, in: bufio.NewReader(here), replicas: replicas}
}

func TestRedisCommand(t *testing.T) {
	if got := string(command(nil, "SET", "k", "a\r\nb")); got != "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\na\r\nb\r\n" {
		t.Errorf("%q", got)
	}
}

// A write is one that enough replicas have.
func TestRedisWrites(t *testing.T) {
	for _, c := range []struct {
		answers, says string
		code          message.Code
	}{
		{"+OK\r\n:2\r\n", "", message.Done},
		{"+OK\r\n:1\r\n", "1 of Redis' 2 replicas have a write", message.Timeout},
		{"-OOM no memory\r\n:2\r\n", "OOM no memory", message.Unavailable},
		{"+OK\r\n", "EOF", 0},
		{"what?\r\n:2\r\n", "answered", message.Unsupported},
		{"$99999999999\r\n:2\r\n", "answered", message.Unsupported},
	} {
		_, err := answering(t, 2, c.answers).WriteAt(t.Context(), []byte("x"), 1)
		switch {
		case c.says == "" && err != nil, c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)), c.code != 0 && message.CodeOf(err) != c.code:
			t.Errorf("%q: %v", c.answers, err)
		}
	}
}

func TestRedisReads(t *testing.T) {
	got := make([]byte, 4)
	if err := answering(t, 2, "$4\r\n\r\n\x00x\r\n").ReadAt(t.Context(), got, 1); err != nil || string(got) != "\r\n\x00x" {
		t.Errorf("%q, %v", got, err)
	}
	for _, answers := range []string{"$-1\r\n", "$3\r\nabc\r\n", "$4\r\nab"} {
		if err := answering(t, 0, answers).ReadAt(t.Context(), got, 1); err == nil {
			t.Errorf("%q was read as %q", answers, got)
		}
	}
}

func TestVersions(t *testing.T) {
	if v := etcdVersion("etcd Version: 3.4.23\nGit SHA: x\n"); v != "3.4.23" {
		t.Error(v)
	}
	if v := redisVersion("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1\n"); v != "7.0.15" {
		t.Error(v)
	}
	if etcdVersion("") != "" || redisVersion("nothing") != "" {
		t.Error("a version of nothing")
	}
}

// What is read under a lease lies within the leased block.
func TestLeasedPlaces(t *testing.T) {
	for _, size := range []uint64{7, 16, 300, 5000, leasedBlock} {
		c := leasedConn{places: &places{block: 1 << 40}}
		for range 3 * leasedBlock / size {
			a, err := c.Malloc(t.Context(), size)
			if err != nil || a.Address < 1<<40 || uint64(a.Address)+size > 1<<40+leasedBlock {
				t.Fatalf("%d bytes at %s, %v", size, a.Address, err)
			}
		}
	}
}
