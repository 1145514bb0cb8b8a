package main

import (
	"context"
	le "encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"dmalloc/client"
	"dmalloc/message"
)

// word is an operation on one 8-byte word, as a client called it and as it ended.
type word struct {
	key  int
	kind string // read, write, cas, add
	arg  uint64 // what is written, swapped in or added
	old  uint64 // what cas expects
}

type outcome struct {
	value   uint64 // what was there
	swapped bool
	unknown bool // it may have happened, now or later
}

// words is an array of independent words.
var words = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[int][]porcupine.Operation{}
		for _, o := range history {
			k := o.Input.(word).key
			byKey[k] = append(byKey[k], o)
		}
		var parts [][]porcupine.Operation
		for _, p := range byKey {
			parts = append(parts, p)
		}
		return parts
	},
	Init: func() any { return uint64(0) },
	Step: func(state, input, output any) (bool, any) {
		s, in, out := state.(uint64), input.(word), output.(outcome)
		switch in.kind {
		case "read":
			return out.value == s, s
		case "write":
			return true, in.arg
		case "add":
			return out.unknown || out.value == s, s + in.arg
		default: // cas
			if out.unknown {
				if s == in.old {
					return true, in.arg
				}
				return true, s
			}
			if s == in.old {
				return out.swapped && out.value == s, in.arg
			}
			return !out.swapped && out.value == s, s
		}
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}

// Clients read, write, swap and add while leaders are killed, frozen, handed over and healed: the whole
// history must be one that a single memory could have had, and nothing may be done twice.
func TestLinearizable(t *testing.T) {
	linearizable(t, [][2]string{{"kill 0", "revive 0"}, {"pause 1", "resume 1"}, {"lead 1 2", "lead 2 0"}, {"kill 1", "revive 1"}, {"pause 0", "resume 0"}, {"kill 2", "revive 2"}},
		func(*rand.Rand, *client.Heap, message.Addr) bool { return false })
}

// linearizable has clients on three nodes work on the same words during faults, each with its end. Before each
// operation lease may do something else with its word, and says whether it did.
func linearizable(t *testing.T, faults [][2]string, lease func(rng *rand.Rand, c *client.Heap, a message.Addr) bool) {
	t.Helper()
	l := start(t, "-n", "3")
	const keys = 6
	var base [keys]message.Addr
	for i := range base {
		a := l.do("m 64")
		if !a.OK {
			t.Fatal(a.Error)
		}
		base[i], _ = message.ParseAddr(a.Address)
	}
	nodes := l.do("nodes").Nodes
	var (
		mu      sync.Mutex
		history []porcupine.Operation
		clients atomic.Int64
		stop    atomic.Bool
		wg      sync.WaitGroup
		begin   = time.Now()
		done    atomic.Int64
	)
	worker := func(n int) {
		c, err := client.Dial(t.Context(), nodes[n%3].Address)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		rng := rand.New(rand.NewPCG(7, uint64(n)))
		id := int(clients.Add(1))
		for i := 0; !stop.Load(); i++ {
			in := word{key: rng.IntN(keys), kind: []string{"read", "read", "write", "cas", "add"}[rng.IntN(5)], arg: uint64(n)<<32 | uint64(i)<<8 | 1, old: 0}
			if lease(rng, c.Heap, base[in.key]) {
				continue
			}
			o, ok := call(t.Context(), c.Heap, base[in.key], in, begin)
			if !ok {
				continue // it told nothing
			}
			o.ClientId = id
			mu.Lock()
			history = append(history, o)
			mu.Unlock()
			if o.Output.(outcome).unknown {
				id = int(clients.Add(1)) // whose call never returns calls nothing else
			}
			done.Add(1)
		}
	}
	for n := range 6 {
		wg.Go(func() { worker(n) })
	}
	// Each fault comes when the clients have done some more, and so does its end.
	progress := func(n int64) {
		for target, deadline := done.Load()+n, time.Now().Add(30*time.Second); done.Load() < target && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
	}
	for i, fault := range faults {
		progress(150)
		for _, line := range fault {
			if a := l.do("%s", line); !a.OK {
				t.Errorf("round %d: %s: %+v", i, line, a.Error)
			}
			progress(100)
		}
	}
	stop.Store(true)
	wg.Wait()
	judge(t, history)
}

// call does an operation and notes it. What ended otherwise than well may have happened, or happen later; of a read
// that tells nothing.
func call(ctx context.Context, c *client.Heap, a message.Addr, in word, begin time.Time) (o porcupine.Operation, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var out outcome
	var err error
	buf := make([]byte, 8)
	o.Call = time.Since(begin).Nanoseconds()
	switch in.kind {
	case "read":
		err = c.ReadAt(ctx, buf, a)
		out.value = le.LittleEndian.Uint64(buf)
	case "write":
		le.LittleEndian.PutUint64(buf, in.arg)
		_, err = c.WriteAt(ctx, buf, a)
	case "add":
		in.arg = 2
		out.value, err = c.FetchAdd(ctx, a, in.arg)
	case "cas":
		if err = c.ReadAt(ctx, buf, a); err != nil {
			return o, false
		}
		in.old = le.LittleEndian.Uint64(buf)
		o.Call = time.Since(begin).Nanoseconds()
		out.value, out.swapped, err = c.CompareAndSwap(ctx, a, in.old, in.arg)
	}
	o.Return = time.Since(begin).Nanoseconds()
	if err != nil {
		if in.kind == "read" {
			return o, false
		}
		out, o.Return = outcome{unknown: true}, math.MaxInt64
	}
	o.Input, o.Output = in, out
	return o, true
}

// judge says whether one array of words could have answered so. What the checker cannot tell in time fails, too.
func judge(t *testing.T, history []porcupine.Operation) {
	t.Helper()
	result, _ := porcupine.CheckOperationsVerbose(words, history, time.Minute)
	unknown := 0
	for _, o := range history {
		if o.Output.(outcome).unknown {
			unknown++
		}
	}
	t.Logf("%d operations, %d of them of unknown outcome: %s", len(history), unknown, result)
	if result != porcupine.Ok {
		t.Errorf("the history is %s", result)
	}
}
