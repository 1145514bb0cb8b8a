package peer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/bench"
	"dmalloc/client"
	"dmalloc/message"
)

// Conn is a connection to a peer. All but register operations work with every one, concurrently where the peer can,
// one after the other where not.
type Conn interface {
	bench.Heap
	Close() error
}

// Names of what can be dialed.
const (
	Heap          = "dmalloc"
	HeapOne       = "dmalloc, one company" // all of it in one Raft group, as peers that have only one
	Etcd          = "etcd"
	Redis         = "redis"          // durable: append-only files, synced at once, and replicas that are waited for
	RedisVolatile = "redis-volatile" // one process without files
	Raw           = "raw"            // Dragonboat, a process a replica
	RawGroups     = "raw-groups"     // as many groups of it as replicas, led by different ones
	RawInside     = "raw-in-process" // the same in the client's process; needs no server
	Disk          = "disk"           // files, written and synced
	TCP           = "tcp"            // bytes through a connection
)

// Works that are reads under other conditions; all others are the kinds of package bench.
const (
	LeasedRead    = "leased read"    // of one block, under a lease that the connections' nodes hold
	ConfirmedRead = "confirmed read" // which a majority confirms, whatever lease the leader has
)

// Order is one measurement, as a client process is told it.
type Order struct {
	Peer        string        `json:"peer"`
	Work        string        `json:"work"`
	Addresses   []string      `json:"addresses,omitempty"`
	Replicas    int           `json:"replicas"`
	Size        uint64        `json:"size"`
	Connections int           `json:"connections"`
	InFlight    int           `json:"in_flight"`
	Warmup      time.Duration `json:"warmup"`
	Length      time.Duration `json:"length"`
	Dir         string        `json:"dir,omitempty"`  // for files of the measurement
	File        string        `json:"file,omitempty"` // what disk copies, or where tcp puts what it gets; "": nowhere
	Raft        Raft          `json:"raft"`
}

// Raft has the times of raw Dragonboat: ms, ticks, ticks.
type Raft struct {
	Tick      int `json:"tick"`
	Election  int `json:"election"`
	Heartbeat int `json:"heartbeat"`
}

// Result is what a client process answers.
type Result struct {
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
	Count     int     `json:"count"`
	Errors    int     `json:"errors"`
	Error     string  `json:"first_error,omitempty"`
}

// dialers make the i-th connection of an order.
func dialers() map[string]func(ctx context.Context, o *Order, i int) (Conn, error) {
	return map[string]func(context.Context, *Order, int) (Conn, error){
		Heap: dialHeap, HeapOne: dialHeap, Etcd: dialEtcd, Redis: dialRedis, RedisVolatile: dialRedis, Raw: dialRaw, RawGroups: dialRawGroups, RawInside: startRaw,
	}
}

// Do measures as ordered.
func Do(ctx context.Context, o Order) (Result, error) {
	switch o.Peer {
	case Disk:
		return Result{}, copyFile(ctx, &o)
	case TCP:
		return Result{}, receive(ctx, &o)
	}
	dial := dialers()[o.Peer]
	if dial == nil || o.Connections < 1 || o.InFlight < 1 {
		return Result{}, message.Errorf(message.InvalidArgument, "%d connections to %s with %d operations are no measurement", o.Connections, message.Quote(o.Peer), o.InFlight)
	}
	conns, err := dialAll(ctx, &o, dial)
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	if err != nil {
		return Result{}, err
	}
	if o.Work == LeasedRead {
		under, release, err := lease(ctx, &o, conns)
		if err != nil {
			return Result{}, err
		}
		defer release()
		return measure(ctx, &o, "read", under)
	}
	if o.Work == ConfirmedRead {
		return measure(ctx, &o, "read", conns)
	}
	return measure(ctx, &o, o.Work, conns)
}

// measure does work of package bench.
func measure(ctx context.Context, o *Order, work string, conns []Conn) (Result, error) {
	if !slices.Contains(bench.Kinds, work) {
		return Result{}, message.Errorf(message.InvalidArgument, "%s is no work that can be measured", message.Quote(work))
	}
	heaps := make([]bench.Heap, len(conns))
	for i, c := range conns {
		heaps[i] = c
	}
	r, err := bench.Run(ctx, bench.Config{Mix: bench.Mix{work: 1}, Size: o.Size, Clients: o.InFlight, Warmup: o.Warmup, Length: o.Length,
		Blocks: min(4*o.InFlight, 1024), Heaps: heaps})
	if err != nil {
		return Result{}, err
	}
	if len(r.Rows) == 0 {
		return Result{}, message.Errorf(message.Timeout, "no %s came to an end within %v", work, o.Length)
	}
	row := r.Rows[len(r.Rows)-1]
	return Result{PerSecond: row.PerSecond, P50: row.P50, P99: row.P99, Count: row.Count, Errors: row.Errors, Error: r.Error}, nil
}

// dialAll makes the connections, a few at a time. Those that were made are returned with an error, too.
func dialAll(ctx context.Context, o *Order, dial func(context.Context, *Order, int) (Conn, error)) ([]Conn, error) {
	var (
		mu    sync.Mutex // guards what follows
		made  []Conn
		first error
		wg    sync.WaitGroup
		next  atomic.Int64
	)
	for range min(o.Connections, 8) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < o.Connections; i = int(next.Add(1)) - 1 {
				c, err := dial(ctx, o, i)
				mu.Lock()
				if err == nil {
					made = append(made, c)
				} else if first == nil {
					first = fmt.Errorf("connect to %s at %s: %w", o.Peer, strings.Join(o.Addresses, ", "), err)
				}
				failed := first != nil
				mu.Unlock()
				if failed {
					return
				}
			}
		})
	}
	wg.Wait()
	return made, first
}

// keys gives out addresses as a peer without any needs them: numbers that no other connection gives.
type keys struct{ next atomic.Uint64 }

func newKeys() *keys {
	k := &keys{}
	k.next.Store(rand.Uint64() >> 8 << 8)
	return k
}

func (k *keys) take(size uint64) message.Allocation {
	return message.Allocation{Address: message.Addr(k.next.Add(1)), Size: size}
}

// noRegisters is for peers that have none.
type noRegisters struct{}

func (noRegisters) ReadRegister(context.Context, uint64) (client.Register, error) {
	return client.Register{}, message.Errorf(message.Unsupported, "there are no registers here")
}

func (noRegisters) WriteRegister(context.Context, uint64, []byte) (message.Tag, error) {
	return message.Tag{}, message.Errorf(message.Unsupported, "there are no registers here")
}
