package member

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"dmalloc/message"
)

const patience = 60 * time.Second // for what must happen; nothing asserts how long it takes

// world is a network in memory, with faults.
type world struct {
	t  testing.TB
	wg sync.WaitGroup

	mu        sync.Mutex // guards what follows
	nodes     map[message.NodeID]*inhabitant
	cut       map[[2]message.NodeID]bool
	delay     map[[2]message.NodeID]time.Duration
	frozen    map[message.NodeID]bool
	held      []letter
	loss      float64
	away      map[message.NodeID]func(letter) // where packets of nodes outside of the process go
	strangers bool                            // some nodes do not have others in their directory, and refuse their packets
	sent      int
	bytes     int
	questions map[message.NodeID]int // streams' packets, by who asked
}

type inhabitant struct {
	id    message.NodeID
	m     *Members
	inbox chan letter
	done  chan struct{}

	mu      sync.Mutex
	load    uint16
	history []Status
}

type letter struct {
	from, to message.NodeID
	packet   []byte
}

func newWorld(t testing.TB, count int, edit ...func(*Config)) *world {
	w := &world{t: t, nodes: map[message.NodeID]*inhabitant{}, cut: map[[2]message.NodeID]bool{},
		delay: map[[2]message.NodeID]time.Duration{}, frozen: map[message.NodeID]bool{}, questions: map[message.NodeID]int{}, away: map[message.NodeID]func(letter){}}
	for i := range count {
		w.start(message.NodeID(i), count, edit...)
	}
	t.Cleanup(w.close)
	return w
}

func (w *world) start(id message.NodeID, count int, edit ...func(*Config)) *inhabitant {
	in := &inhabitant{id: id, inbox: make(chan letter, 4096), done: make(chan struct{})}
	cfg := Config{Self: id, Cluster: "0123456789abcdef", Carrier: carrier{w, id}, ProbeInterval: 200 * time.Millisecond, ProbeTimeout: 70 * time.Millisecond,
		Load: func() uint16 { in.mu.Lock(); defer in.mu.Unlock(); return in.load },
		Changed: func(s Status) {
			in.mu.Lock()
			defer in.mu.Unlock()
			in.history = append(in.history, s)
		}}
	for i := range count {
		cfg.Nodes = append(cfg.Nodes, message.NodeID(i))
	}
	for _, e := range edit {
		e(&cfg)
	}
	m, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	in.m = m
	w.mu.Lock()
	w.nodes[id] = in
	w.mu.Unlock()
	w.wg.Go(func() {
		for {
			select {
			case l := <-in.inbox:
				in.m.Receive(l.from, l.packet)
			case <-in.done:
				return
			}
		}
	})
	return in
}

// kill ends a node as SIGKILL would: nobody is told.
func (w *world) kill(id message.NodeID) {
	w.mu.Lock()
	in := w.nodes[id]
	delete(w.nodes, id)
	w.mu.Unlock()
	in.m.Close()
	close(in.done)
}

func (w *world) close() {
	w.mu.Lock()
	var ids []message.NodeID
	for id, in := range w.nodes {
		ids = append(ids, id)
		if s := in.m.Stats(); s.Refused > 0 && !w.strangers {
			w.t.Errorf("node %d refused packets of its like: %+v", id, s)
		}
	}
	w.mu.Unlock()
	for _, id := range ids {
		w.kill(id)
	}
	w.wg.Wait()
}

type carrier struct {
	w  *world
	id message.NodeID
}

func (c carrier) Send(to message.NodeID, packet []byte) error {
	return c.w.send(letter{c.id, to, packet})
}

func (w *world) send(l letter) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent++
	if l.packet[1] == kindQuestion {
		w.questions[l.from]++
	}
	w.bytes += len(l.packet)
	link := [2]message.NodeID{l.from, l.to}
	if away := w.away[l.to]; away != nil {
		away(l)
		return nil
	}
	switch in := w.nodes[l.to]; {
	case w.cut[link]:
		return nil // as a firewall does
	case w.frozen[l.from] || w.frozen[l.to]:
		w.held = append(w.held, l)
	case in == nil:
		return errors.New("connection refused")
	case w.loss > 0 && rand.Float64() < w.loss:
	case w.delay[link] > 0:
		time.AfterFunc(w.delay[link], func() { in.put(l) })
	default:
		in.put(l)
	}
	return nil
}

func (in *inhabitant) put(l letter) {
	select {
	case in.inbox <- l:
	default:
	}
}

func (w *world) freeze(id message.NodeID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frozen[id] = true
}

func (w *world) thaw(id message.NodeID) {
	w.mu.Lock()
	delete(w.frozen, id)
	held := w.held
	w.held = nil
	w.mu.Unlock()
	for _, l := range held {
		w.send(l)
	}
}

func (w *world) setAway(id message.NodeID, send func(letter)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away[id] = send
}

func (w *world) setCut(cut bool, links ...[2]message.NodeID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range links {
		w.cut[l] = cut
	}
}

// await waits until a condition holds, and shows what is believed if it never does.
func (w *world) await(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: not within %v\n%s", what, patience, w.beliefs())
		}
	}
}

func (w *world) beliefs() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for id, in := range w.nodes {
		fmt.Fprintf(&b, "node %d:", id)
		for _, s := range in.m.View() {
			fmt.Fprintf(&b, " %d=%s(%d)", s.Node, s.State, s.Incarnation)
		}
		fmt.Fprintf(&b, " %+v\n", in.m.Stats())
	}
	return b.String()
}

// all says whether each of the watchers believes so of each of the watched.
func (w *world) all(state State, watched []message.NodeID, watchers ...message.NodeID) func() bool {
	return func() bool {
		for _, a := range watchers {
			for _, b := range watched {
				if a != b && w.node(a).m.State(b) != state {
					return false
				}
			}
		}
		return true
	}
}

func (w *world) node(id message.NodeID) *inhabitant {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[id]
}

func (in *inhabitant) saw(of message.NodeID) (states []State) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, s := range in.history {
		if s.Node == of {
			states = append(states, s.State)
		}
	}
	return states
}

func ids(from, to int) (list []message.NodeID) {
	for i := from; i < to; i++ {
		list = append(list, message.NodeID(i))
	}
	return list
}

// awaitNoGoroutines waits until what was started since is gone.
func awaitNoGoroutines(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, before there were %d\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}
