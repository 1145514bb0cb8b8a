package peer

import (
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	"dmalloc/message"
)

// etcd's calls, of its file rpc.proto. Their messages have few fields, so they are put together here: the official
// client would bring forty modules for three calls, and do more work for each of them.
const (
	etcdPut    = "/etcdserverpb.KV/Put"
	etcdRange  = "/etcdserverpb.KV/Range"
	etcdDelete = "/etcdserverpb.KV/DeleteRange"
	etcdStatus = "/etcdserverpb.Maintenance/Status"
)

// asBytes has gRPC send and give bytes as they are.
type asBytes struct{}

func (asBytes) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (asBytes) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (asBytes) Name() string { return "proto" }

// etcdConn is one HTTP/2 connection to one member, which carries many calls at once.
type etcdConn struct {
	*keys
	noRegisters
	conn *grpc.ClientConn
}

func dialEtcd(ctx context.Context, o *Order, i int) (Conn, error) {
	return dialMember(ctx, o.Addresses[i%len(o.Addresses)])
}

func dialMember(ctx context.Context, address string) (*etcdConn, error) {
	c, err := grpc.DialContext(ctx, address, grpc.WithInsecure(), grpc.WithBlock(), grpc.WithDefaultCallOptions(grpc.ForceCodec(asBytes{})))
	if err != nil {
		return nil, err
	}
	return &etcdConn{keys: newKeys(), conn: c}, nil
}

func (c *etcdConn) Close() error { return c.conn.Close() }

// key is an address as a key of 8 bytes.
func key(a message.Addr) []byte { return binary.BigEndian.AppendUint64(nil, uint64(a)) }

// field appends one of bytes to a message.
func field(b []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), value)
}

func (c *etcdConn) call(ctx context.Context, method string, request []byte) (answer []byte, err error) {
	err = c.conn.Invoke(ctx, method, &request, &answer)
	return answer, err
}

func (c *etcdConn) put(ctx context.Context, a message.Addr, value []byte) error {
	_, err := c.call(ctx, etcdPut, field(field(make([]byte, 0, 16+len(value)), 1, key(a)), 2, value))
	return err
}

func (c *etcdConn) Malloc(ctx context.Context, size uint64) (message.Allocation, error) {
	a := c.take(size)
	return a, c.put(ctx, a.Address, make([]byte, size))
}

func (c *etcdConn) Free(ctx context.Context, a message.Addr) error {
	_, err := c.call(ctx, etcdDelete, field(nil, 1, key(a)))
	return err
}

func (c *etcdConn) WriteAt(ctx context.Context, p []byte, a message.Addr) (uint64, error) {
	return 0, c.put(ctx, a, p)
}

// ReadAt reads linearizably, as a range does unless it is asked for less.
func (c *etcdConn) ReadAt(ctx context.Context, p []byte, a message.Addr) error {
	answer, err := c.call(ctx, etcdRange, field(nil, 1, key(a)))
	if err != nil {
		return err
	}
	kv, ok := find(answer, 2)
	value, found := find(kv.bytes, 5)
	if !ok || !found || len(value.bytes) != len(p) {
		return message.Errorf(message.NotAllocated, "etcd gave %d bytes for %s, not %d", len(value.bytes), a, len(p))
	}
	copy(p, value.bytes)
	return nil
}

// part is the value of a field.
type part struct {
	bytes  []byte
	number uint64
}

// find looks for a field of a message.
func find(b []byte, want protowire.Number) (part, bool) {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeField(b)
		if n < 0 {
			return part{}, false
		}
		if number == want {
			_, _, head := protowire.ConsumeTag(b)
			switch kind {
			case protowire.BytesType:
				v, _ := protowire.ConsumeBytes(b[head:n])
				return part{bytes: v}, true
			case protowire.VarintType:
				v, _ := protowire.ConsumeVarint(b[head:n])
				return part{number: v}, true
			}
			return part{}, false
		}
		b = b[n:]
	}
	return part{}, false
}

// status asks a member who it is and who leads, both by the members' ids, 0 for nobody.
func (c *etcdConn) status(ctx context.Context) (self, leader uint64, err error) {
	answer, err := c.call(ctx, etcdStatus, nil)
	if err != nil {
		return 0, 0, err
	}
	head, _ := find(answer, 1)
	id, _ := find(head.bytes, 2)
	l, _ := find(answer, 4)
	return id.number, l.number, nil
}

// launchEtcd starts members that know of each other, with etcd's own defaults for all that matters here.
func launchEtcd(s *Server, cfg Config) error {
	ports, err := freeAddresses(2 * cfg.Replicas)
	if err != nil {
		return err
	}
	clients, peers := ports[:cfg.Replicas], ports[cfg.Replicas:]
	var members []string
	for i, p := range peers {
		members = append(members, fmt.Sprintf("m%d=http://%s", i, p))
	}
	for i := range cfg.Replicas {
		name := fmt.Sprintf("m%d", i)
		if err := s.run("etcd "+name, s.kind.program,
			"--name", name, "--data-dir", filepath.Join(s.dir, name), "--logger", "zap", "--log-level", "error",
			"--listen-client-urls", "http://"+clients[i], "--advertise-client-urls", "http://"+clients[i],
			"--listen-peer-urls", "http://"+peers[i], "--initial-advertise-peer-urls", "http://"+peers[i],
			"--initial-cluster", strings.Join(members, ","), "--initial-cluster-state", "new", "--initial-cluster-token", filepath.Base(s.dir)); err != nil {
			return err
		}
	}
	s.Addresses = clients
	return nil
}

// readyEtcd has each member answer a linearizable read, which takes a leader.
func readyEtcd(ctx context.Context, s *Server) error {
	for _, a := range s.Addresses {
		if err := memberReady(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

func memberReady(ctx context.Context, address string) error {
	c, err := dialMember(ctx, address)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.call(ctx, etcdRange, field(nil, 1, key(1)))
	return err
}
