package register

import (
	"container/heap"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"dmalloc/message"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "tell the story of the simulation with this seed")
	histories = flag.Uint64("histories", 3000, "how many seeds to simulate")
)

// simulate plays one seed to its end: faults, then calm, in which everything must come to an end, then a last
// read of each register.
func simulate(seed uint64, planted variants, telling bool) (*world, error) {
	w := &world{seed: seed, planted: planted, dice: rand.New(rand.NewPCG(seed, 1)), telling: telling}
	w.cast()
	for i := range w.swarm.replicas + 2 {
		w.join(i)
	}
	w.config = message.Registers{Epoch: 1, Replicas: w.swarm.replicas}
	for _, n := range w.nodes[:w.swarm.replicas] {
		w.config.Members = append(w.config.Members, n.mem.Self)
	}
	for _, n := range w.nodes[:w.swarm.replicas] {
		n.mem.Adopt(w.config)
	}
	w.mover = &mover{w: w, id: message.ClientID{255}}
	w.mover.forget()
	w.say("%+v", w.swarm)
	for i := range w.swarm.clients {
		w.in(w.dice.Int64N(30), w.hire(i+1, w.swarm.ops).work)
	}
	w.in(w.dice.Int64N(100), w.fault)
	w.in(w.dice.Int64N(100), w.mover.tick)
	w.in(1500, w.heal)
	if err := w.run(w.idle); err != nil {
		return w, err
	}
	for id := range uint64(w.swarm.registers) {
		c := w.hire(9+int(id), 0)
		c.start(message.RegisterID{Address: id}, false)
		if err := w.run(func() bool { return len(c.running) == 0 }); err != nil {
			return w, err
		}
	}
	return w, linearizable(w.history)
}

var errStuck = errors.New("not everything came to an end")

// run lets things happen until it is over.
func (w *world) run(over func() bool) error {
	for range 200_000 {
		if over() {
			return nil
		}
		h := heap.Pop(&w.queue).(happening)
		w.now = h.at
		h.do()
	}
	return errStuck
}

func (w *world) heal() {
	w.say("calm")
	w.calm = true
	for _, n := range w.nodes {
		n.down = false
		if n.frozen {
			n.thaw()
		}
	}
}

func (w *world) idle() bool {
	if !w.calm || w.config.Next != nil || w.survivors(w.config.Members) < len(w.config.Members) {
		return false
	}
	for _, c := range w.clients {
		if c.left > 0 || len(c.running) > 0 {
			return false
		}
	}
	return true
}

func story(seed uint64, planted variants) string {
	w, err := simulate(seed, planted, true)
	return fmt.Sprintf("%s\nhistory:\n%s%v", strings.Join(w.story, "\n"), tell(w.history), err)
}

// Every history of the right protocol is linearizable, and everything ends once the faults do.
func TestSimulation(t *testing.T) {
	if *seedFlag != 0 {
		t.Log(story(*seedFlag, 0))
	}
	var hash uint64
	var ops int
	for seed := range *histories {
		w, err := simulate(seed, 0, false)
		if err != nil {
			t.Fatalf("seed %d: %v; again with -seed %d\n%s", seed, err, seed, story(seed, 0))
		}
		hash ^= w.hash
		ops += len(w.history)
	}
	t.Logf("%d histories, %d operations, trace %016x", *histories, ops, hash)
}

// A seed is all that a run depends on.
func TestSimulationReplays(t *testing.T) {
	for seed := range uint64(20) {
		a, _ := simulate(seed, 0, false)
		b, _ := simulate(seed, 0, true)
		if a.hash != b.hash || tell(a.history) != tell(b.history) {
			t.Errorf("seed %d: traces %016x and %016x", seed, a.hash, b.hash)
		}
	}
}

// Each shortcut is found by chance, too.
func TestShortcutsFailTheSimulation(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	for v := range variantEnd {
		t.Run(v.String(), func(t *testing.T) {
			for seed := range uint64(20_000) {
				w, err := simulate(seed, 1<<v, false)
				if err != nil && !errors.Is(err, errStuck) {
					t.Logf("seed %d, %d operations: %s", seed, len(w.history), strings.SplitN(err.Error(), "\n", 2)[0])
					return
				}
			}
			t.Errorf("no seed found it")
		})
	}
}
