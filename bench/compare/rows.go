package compare

import (
	"fmt"
	"slices"
	"strings"

	"dmalloc/bench/peer"
	"dmalloc/message"
)

// Unit is what a task gives.
type Unit string

const (
	PerSecond    Unit = "ops/s"
	Microseconds Unit = "µs (p50)"
	Seconds      Unit = "s"
)

// Works that are not those of package peer.
const (
	Inside   = "leased read in a node" // by a program that has a node in it
	Upload   = "write a file"          // through the shell; the peer copies and syncs it
	Download = "read into a file"      // through the shell; the peer gets it through a connection
	Receive  = "receive"               // through a connection, into nothing
	Failover = "failover"
)

// Task is one measurement.
type Task struct {
	Peer        string
	Work        string
	Size        uint64
	Connections int
	InFlight    int
}

// Row is one comparison.
type Row struct {
	Name    string
	Work    string // as the table says it
	Against string
	Group   string // of --peers
	Server  string // of package peer, that has to be up; "" for none
	Heap    string // likewise, of ours
	Unit    Unit
	Aim     float64 // 0: none
	Most    bool    // the ratio is to be at most the aim, not at least
	Ours    Task
	Theirs  Task
	Rounds  int // at most; 0: as many as there are
}

// Groups are what --peers takes.
var Groups = []string{"etcd", "raw", "redis", "machine", "dmalloc"}

// fewRounds is for work that takes long.
const fewRounds = 3

// in is a task of 16 bytes with so many operations under way.
func in(who, work string, size uint64, connections, inFlight int) Task {
	return Task{Peer: who, Work: work, Size: size, Connections: connections, InFlight: inFlight}
}

// Rows are all comparisons; bulk is the size of the file.
func Rows(bulk uint64) []Row {
	const heap, word = peer.Heap, 16
	rate := func(name, work, against, group, server string, aim float64, ours, theirs Task) Row {
		return Row{Name: name, Work: work, Against: against, Group: group, Server: server, Unit: PerSecond, Aim: aim, Ours: ours, Theirs: theirs}
	}
	size := message.FormatSize(bulk)
	rows := []Row{
		rate("writes-etcd", "durable 16 B writes, 256 in flight", "etcd put", "etcd", peer.Etcd, 8,
			in(heap, "write", word, 8, 256), in(peer.Etcd, "write", word, 8, 256)),
		rate("pairs-etcd", "malloc+free pairs, 256 in flight", "etcd put+delete", "etcd", peer.Etcd, 8,
			in(heap, "pair", word, 8, 256), in(peer.Etcd, "pair", word, 8, 256)),
		rate("reads-etcd", "linearizable 16 B reads, 256 in flight", "etcd get, linearizable", "etcd", peer.Etcd, 10,
			in(heap, "read", word, 8, 256), in(peer.Etcd, "read", word, 8, 256)),
		rate("pages-etcd", "durable 4 KiB writes, 64 in flight", "etcd put", "etcd", peer.Etcd, 4,
			in(heap, "write", 4096, 8, 64), in(peer.Etcd, "write", 4096, 8, 64)),
		rate("writes-etcd-one", "durable 16 B writes, 256 in flight, all in one company", "etcd put", "etcd", peer.Etcd, 8,
			in(peer.HeapOne, "write", word, 8, 256), in(peer.Etcd, "write", word, 8, 256)),
		rate("pairs-etcd-one", "malloc+free pairs, 256 in flight, all in one company", "etcd put+delete", "etcd", peer.Etcd, 8,
			in(peer.HeapOne, "pair", word, 8, 256), in(peer.Etcd, "pair", word, 8, 256)),
		rate("reads-etcd-one", "linearizable 16 B reads, 256 in flight, all from one company", "etcd get, linearizable", "etcd", peer.Etcd, 10,
			in(peer.HeapOne, "read", word, 8, 256), in(peer.Etcd, "read", word, 8, 256)),
		rate("pages-etcd-one", "durable 4 KiB writes, 64 in flight, all in one company", "etcd put", "etcd", peer.Etcd, 4,
			in(peer.HeapOne, "write", 4096, 8, 64), in(peer.Etcd, "write", 4096, 8, 64)),

		rate("writes-raw", "durable 16 B writes, 256 in flight", "raw Dragonboat, one proposal each", "raw", peer.Raw, 1.3,
			in(heap, "write", word, 8, 256), in(peer.Raw, "write", word, 8, 256)),
		{Name: "latency-raw", Work: "durable 16 B write, 1 in flight", Against: "raw Dragonboat", Group: "raw", Server: peer.Raw,
			Unit: Microseconds, Aim: 1.25, Most: true, Ours: in(heap, "write", word, 1, 1), Theirs: in(peer.Raw, "write", word, 1, 1)},
		rate("writes-raw-groups", "durable 16 B writes, 256 in flight", "raw Dragonboat, as many groups as the heap has companies", "raw", peer.RawGroups, 1.3,
			in(heap, "write", word, 8, 256), in(peer.RawGroups, "write", word, 8, 256)),
		rate("writes-raw-one", "durable 16 B writes, 256 in flight, all in one company", "raw Dragonboat, one proposal each", "raw", peer.Raw, 1.3,
			in(peer.HeapOne, "write", word, 8, 256), in(peer.Raw, "write", word, 8, 256)),
		rate("writes-raw-in-process", "durable 16 B writes, 256 in flight", "raw Dragonboat, clients and replicas in one process", "raw", "", 0,
			in(heap, "write", word, 8, 256), in(peer.RawInside, "write", word, 1, 256)),
		{Name: "latency-raw-in-process", Work: "durable 16 B write, 1 in flight", Against: "raw Dragonboat, client and replicas in one process", Group: "raw",
			Unit: Microseconds, Most: true, Ours: in(heap, "write", word, 1, 1), Theirs: in(peer.RawInside, "write", word, 1, 1)},

		rate("writes-redis", "durable 16 B writes, 256 in flight", "Redis SET+WAIT, appendfsync always", "redis", peer.Redis, 0,
			in(heap, "write", word, 8, 256), in(peer.Redis, "write", word, 256, 256)),
		rate("reads-redis", "linearizable 16 B reads, 64 connections, 1 in flight each", "Redis GET, volatile", "redis", peer.RedisVolatile, 0.7,
			in(heap, "read", word, 64, 64), in(peer.RedisVolatile, "read", word, 64, 64)),
		rate("leased-remote-redis", "16 B reads under a shared lease of the node asked, 64 connections, 1 in flight each", "Redis GET, volatile", "redis", peer.RedisVolatile, 0,
			in(heap, peer.LeasedRead, word, 64, 64), in(peer.RedisVolatile, "read", word, 64, 64)),
		rate("reads-redis-one", "linearizable 16 B reads, 64 connections, 1 in flight each, all from one company", "Redis GET, volatile", "redis", peer.RedisVolatile, 0.7,
			in(peer.HeapOne, "read", word, 64, 64), in(peer.RedisVolatile, "read", word, 64, 64)),
		rate("leased-redis", "16 B reads under a shared lease, by a program with a node in it", "Redis GET, volatile, 64 connections", "redis", peer.RedisVolatile, 20,
			in(heap, Inside, word, 1, 0), in(peer.RedisVolatile, "read", word, 64, 64)),

		rate("register-reads", "register reads, 16 B, 256 in flight", "the same through Raft", "dmalloc", "", 1.5,
			in(heap, "regread", word, 8, 256), in(heap, "read", word, 8, 256)),
		rate("register-reads-quorum", "register reads, 16 B, 256 in flight", "the same through Raft, each confirmed by a majority", "dmalloc", "", 0,
			in(heap, "regread", word, 8, 256), in(heap, peer.ConfirmedRead, word, 8, 256)),
		rate("register-writes", "register writes, 16 B, 256 in flight", "the same through Raft", "dmalloc", "", 0,
			in(heap, "regwrite", word, 8, 256), in(heap, "write", word, 8, 256)),

		{Name: "file-write", Work: size + " file written through the shell", Against: "dd conv=fsync of as many copies", Group: "machine",
			Unit: Seconds, Aim: 2, Most: true, Rounds: fewRounds, Ours: in(heap, Upload, bulk, 1, 1), Theirs: in(peer.Disk, Upload, bulk, 1, 1)},
		{Name: "file-read", Work: "the same read back, into a file", Against: "one loopback TCP connection, into a file", Group: "machine",
			Unit: Seconds, Aim: 2, Most: true, Rounds: fewRounds, Ours: in(heap, Download, bulk, 1, 1), Theirs: in(peer.TCP, Download, bulk, 1, 1)},
		{Name: "file-read-discard", Work: "the same read back, into a file", Against: "one loopback TCP connection, thrown away", Group: "machine",
			Unit: Seconds, Most: true, Rounds: fewRounds, Ours: in(heap, Download, bulk, 1, 1), Theirs: in(peer.TCP, Receive, bulk, 1, 1)},

		// Last, for it leaves other leaders behind than the rest was measured with.
		{Name: "failover-etcd", Work: "SIGKILL of a leader to the next acknowledged write, default settings", Against: "etcd", Group: "etcd", Server: peer.Etcd,
			Unit: Seconds, Aim: 0.5, Most: true, Ours: in(heap, Failover, word, 1, 1), Theirs: in(peer.Etcd, Failover, word, 1, 1)},
	}
	for i := range rows {
		if rows[i].Ours.Work != Inside { // which has a cluster of its own
			rows[i].Heap = rows[i].Ours.Peer
		}
	}
	return rows
}

// Select keeps the rows with these names and groups; none means all.
func Select(all []Row, names, groups []string) ([]Row, error) {
	var known []string
	for _, r := range all {
		known = append(known, r.Name)
	}
	for _, c := range []struct {
		what        string
		asked, have []string
	}{{"row", names, known}, {"peer", groups, Groups}} {
		for _, a := range c.asked {
			if !slices.Contains(c.have, a) {
				return nil, message.Errorf(message.InvalidArgument, "%s is no %s; there are %s", message.Quote(a), c.what, strings.Join(c.have, ", "))
			}
		}
	}
	kept := slices.DeleteFunc(slices.Clone(all), func(r Row) bool {
		return len(names) > 0 && !slices.Contains(names, r.Name) || len(groups) > 0 && !slices.Contains(groups, r.Group)
	})
	if len(kept) == 0 {
		return nil, message.Errorf(message.InvalidArgument, "none of the rows %s is about %s", strings.Join(names, ", "), strings.Join(groups, ", "))
	}
	return kept, nil
}

// aim says what a ratio should be.
func (r *Row) aim() string {
	switch {
	case r.Aim == 0:
		return "-"
	case r.Most:
		return fmt.Sprintf("at most %g", r.Aim)
	}
	return fmt.Sprintf("at least %g", r.Aim)
}
