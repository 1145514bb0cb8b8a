package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/client"
	"dmalloc/message"
)

// Heap is what is measured.
type Heap interface {
	Malloc(ctx context.Context, size uint64) (message.Allocation, error)
	Free(ctx context.Context, a message.Addr) error
	ReadAt(ctx context.Context, p []byte, a message.Addr) error
	WriteAt(ctx context.Context, p []byte, a message.Addr) (uint64, error)
	ReadRegister(ctx context.Context, address uint64) (client.Register, error)
	WriteRegister(ctx context.Context, address uint64, value []byte) (message.Tag, error)
}

// Mix says how many parts of the operations are of which kind.
type Mix map[string]int

// Kinds of operations, in the order of reports. "pair" is a malloc and the free of what it gave; "regwrite"
// and "regread" are about registers.
var Kinds = []string{"malloc", "free", "write", "read", "pair", "regwrite", "regread"}

// FirstRegister is the first of the registers that measurements write. Registers cannot be deleted, so
// each measurement takes the same ones.
const FirstRegister = 1 << 63

// ParseMix reads "write=70,read=30".
func ParseMix(s string) (Mix, error) {
	m := Mix{}
	for _, part := range strings.Split(s, ",") {
		name, count, found := strings.Cut(strings.TrimSpace(part), "=")
		n := 1
		if found {
			var err error
			if n, err = strconv.Atoi(count); err != nil || n < 0 || n > 1_000_000 {
				return nil, message.Errorf(message.InvalidArgument, "%s in the mix is not a number of parts", message.Quote(count))
			}
		}
		known := false
		for _, k := range Kinds {
			known = known || k == name
		}
		if !known {
			return nil, message.Errorf(message.InvalidArgument, "%s is no operation; a mix is made of %s", message.Quote(name), strings.Join(Kinds, ", "))
		}
		m[name] += n
	}
	return m, nil
}

func (m Mix) String() string {
	var parts []string
	for _, k := range Kinds {
		if m[k] > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", k, m[k]))
		}
	}
	return strings.Join(parts, ",")
}

// Config is one measurement.
type Config struct {
	Mix     Mix
	Size    uint64        // bytes of each allocation, write and read
	Clients int           // operations under way at once
	Warmup  time.Duration // not counted
	Length  time.Duration // counted
	Blocks  int           // allocations that writes and reads are spread over; 0 means 4 a client
	Heaps   []Heap        // client i uses Heaps[i mod len]
}

// Row is the result for one kind of operation, or for all ("total").
type Row struct {
	Operation string  `json:"operation"`
	Count     int     `json:"count"`
	Errors    int     `json:"errors"`
	PerSecond float64 `json:"per_second"`
	MBs       float64 `json:"mb_per_second"` // of data written and read
	P50       float64 `json:"p50_us"`
	P90       float64 `json:"p90_us"`
	P99       float64 `json:"p99_us"`
	Max       float64 `json:"max_us"`
}

// Report is the result of a measurement.
type Report struct {
	Name    string  `json:"name"`
	Mix     string  `json:"mix"`
	Size    uint64  `json:"size"`
	Clients int     `json:"clients"`
	Seconds float64 `json:"seconds"`
	Rows    []Row   `json:"rows"`
	Error   string  `json:"first_error,omitempty"`
}

// worker is one client of a measurement.
type worker struct {
	heap   Heap
	rng    *rand.Rand
	cfg    *Config
	shared []message.Addr // to write and read
	own    []message.Addr // malloced here, for free
	buf    []byte
	took   map[string][]time.Duration
	errors map[string]int
	first  error
}

// Run measures. It leaves the heap as it found it, as far as frees succeed.
func Run(ctx context.Context, cfg Config) (Report, error) {
	if cfg.Clients < 1 || len(cfg.Heaps) == 0 || len(cfg.Mix) == 0 {
		return Report{}, message.Errorf(message.InvalidArgument, "a measurement needs a mix and at least one client")
	}
	if cfg.Blocks == 0 {
		cfg.Blocks = 4 * cfg.Clients
	}
	var shared []message.Addr
	defer func() { giveBack(ctx, cfg, shared) }()
	if cfg.Mix["write"]+cfg.Mix["read"] > 0 {
		var err error
		if shared, err = take(ctx, cfg); err != nil {
			return Report{}, fmt.Errorf("allocate what is written to: %w", err)
		}
	}
	if cfg.Mix["regread"] > 0 {
		if err := fillRegisters(ctx, cfg); err != nil {
			return Report{}, err
		}
	}
	workers := make([]*worker, cfg.Clients)
	for i := range workers {
		workers[i] = &worker{heap: cfg.Heaps[i%len(cfg.Heaps)], rng: rand.New(rand.NewPCG(1, uint64(i))), cfg: &cfg, shared: shared,
			buf: make([]byte, cfg.Size), took: map[string][]time.Duration{}, errors: map[string]int{}}
		for j := range workers[i].buf {
			workers[i].buf[j] = byte(i + j)
		}
	}
	run(ctx, workers, cfg.Warmup, false)
	begin := time.Now()
	run(ctx, workers, cfg.Length, true)
	length := time.Since(begin)
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() {
			for _, a := range w.own {
				_ = w.heap.Free(context.WithoutCancel(ctx), a)
			}
		})
	}
	wg.Wait()
	return report(cfg, workers, length), ctx.Err()
}

// take allocates what is shared, as many at once as there are clients. What was allocated is returned with an error, too.
func take(ctx context.Context, cfg Config) (all []message.Addr, first error) {
	var mu sync.Mutex // guards the results
	atOnce(cfg, cfg.Blocks, func(i int) bool {
		a, err := cfg.Heaps[i%len(cfg.Heaps)].Malloc(ctx, cfg.Size)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			all = append(all, a.Address)
		} else if first == nil {
			first = err
		}
		return first == nil
	})
	return all, first
}

// Fill allocates count blocks, so many at once, and leaves them.
func Fill(ctx context.Context, heaps []Heap, clients, count int, size uint64) error {
	_, err := take(ctx, Config{Clients: clients, Blocks: count, Size: size, Heaps: heaps})
	return err
}

func giveBack(ctx context.Context, cfg Config, all []message.Addr) {
	ctx = context.WithoutCancel(ctx)
	atOnce(cfg, len(all), func(i int) bool {
		_ = cfg.Heaps[i%len(cfg.Heaps)].Free(ctx, all[i])
		return true
	})
}

// atOnce calls f for each number below n, for as many at once as there are clients; a false ends it.
func atOnce(cfg Config, n int, f func(i int) bool) {
	var wg sync.WaitGroup
	var next atomic.Int64
	var over atomic.Bool
	for range min(cfg.Clients, n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && !over.Load(); i = int(next.Add(1)) - 1 {
				if !f(i) {
					over.Store(true)
				}
			}
		})
	}
	wg.Wait()
}

// run lets all workers work for a while.
func run(ctx context.Context, workers []*worker, length time.Duration, count bool) {
	end := time.Now().Add(length)
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() {
			for ctx.Err() == nil && time.Now().Before(end) {
				w.step(ctx, count)
			}
		})
	}
	wg.Wait()
}

// step does one operation drawn from the mix.
func (w *worker) step(ctx context.Context, count bool) {
	kind := w.draw()
	if kind == "free" && len(w.own) == 0 {
		kind = "malloc"
	}
	begin := time.Now()
	err := w.do(ctx, kind)
	took := time.Since(begin)
	if !count || ctx.Err() != nil {
		return
	}
	if err != nil {
		w.errors[kind]++
		if w.first == nil {
			w.first = err
		}
		return
	}
	w.took[kind] = append(w.took[kind], took)
}

func (w *worker) draw() string {
	total := 0
	for _, k := range Kinds {
		total += w.cfg.Mix[k]
	}
	at := w.rng.IntN(max(total, 1))
	for _, k := range Kinds {
		if at -= w.cfg.Mix[k]; at < 0 {
			return k
		}
	}
	return Kinds[0]
}

func (w *worker) do(ctx context.Context, kind string) error {
	switch kind {
	case "write":
		_, err := w.heap.WriteAt(ctx, w.buf, w.shared[w.rng.IntN(len(w.shared))])
		return err
	case "read":
		return w.heap.ReadAt(ctx, w.buf, w.shared[w.rng.IntN(len(w.shared))])
	case "regwrite":
		_, err := w.heap.WriteRegister(ctx, w.register(), w.buf)
		return err
	case "regread":
		_, err := w.heap.ReadRegister(ctx, w.register())
		return err
	case "free":
		last := len(w.own) - 1
		a := w.own[last]
		w.own = w.own[:last]
		return w.heap.Free(ctx, a)
	}
	a, err := w.heap.Malloc(ctx, w.cfg.Size)
	if err != nil {
		return err
	}
	if kind == "pair" {
		return w.heap.Free(ctx, a.Address)
	}
	w.own = append(w.own, a.Address)
	return nil
}

func report(cfg Config, workers []*worker, length time.Duration) Report {
	r := Report{Mix: cfg.Mix.String(), Size: cfg.Size, Clients: cfg.Clients, Seconds: length.Seconds()}
	var all []time.Duration
	errors := 0
	bytes := 0
	for _, kind := range Kinds {
		var took []time.Duration
		bad := 0
		for _, w := range workers {
			took = append(took, w.took[kind]...)
			bad += w.errors[kind]
			if w.first != nil && r.Error == "" {
				r.Error = w.first.Error()
			}
		}
		if len(took)+bad == 0 {
			continue
		}
		moved := 0
		if kind != "malloc" && kind != "free" && kind != "pair" {
			moved = len(took) * int(cfg.Size)
		}
		r.Rows = append(r.Rows, Sum(kind, took, bad, moved, length))
		all = append(all, took...)
		errors += bad
		bytes += moved
	}
	if len(r.Rows) > 1 {
		r.Rows = append(r.Rows, Sum("total", all, errors, bytes, length))
	}
	return r
}

// Sum makes a row of latencies. It sorts them.
func Sum(name string, took []time.Duration, errors, bytes int, length time.Duration) Row {
	sort.Slice(took, func(i, j int) bool { return took[i] < took[j] })
	at := func(q float64) float64 {
		if len(took) == 0 {
			return 0
		}
		return float64(took[min(len(took)-1, int(q*float64(len(took))))].Nanoseconds()) / 1e3
	}
	return Row{Operation: name, Count: len(took), Errors: errors, PerSecond: float64(len(took)) / length.Seconds(),
		MBs: float64(bytes) / 1e6 / length.Seconds(), P50: at(0.5), P90: at(0.9), P99: at(0.99), Max: at(1)}
}
