package member

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"dmalloc/message"
)

// A node that is killed is suspected, then dead; started anew, it is alive to all, and they to it.
func TestDeadAndBack(t *testing.T) {
	for _, count := range []int{2, 3, 10} {
		t.Run(fmt.Sprint(count, " nodes"), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, count)
			everyone, last := ids(0, count), message.NodeID(count-1)
			w.await("all alive", w.all(Alive, everyone, everyone...))
			w.kill(last)
			w.await("killed node dead", w.all(Dead, []message.NodeID{last}, ids(0, count-1)...))
			suspected := false
			for _, id := range ids(0, count-1) {
				suspected = suspected || slices.Contains(w.node(id).saw(last), Suspect)
			}
			if !suspected {
				t.Errorf("nobody suspected node %d before it was dead", last)
			}
			w.start(last, count)
			w.await("node back", w.all(Alive, everyone, everyone...))
		})
	}
}

// A node whose packets are held, as a frozen process's are, is found; once released, all is well again on both sides (M5).
func TestFrozen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5)
	everyone, rest := ids(0, 5), ids(0, 4)
	w.await("all alive", w.all(Alive, everyone, everyone...))
	w.freeze(4)
	w.await("frozen node dead", w.all(Dead, ids(4, 5), rest...))
	w.await("the frozen node believes all dead", w.all(Dead, rest, 4))
	w.thaw(4)
	w.await("all alive again", w.all(Alive, everyone, everyone...))
}

// Both halves of a cluster believe the other dead, and find each other when the cut heals.
func TestPartition(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6)
	everyone, left, right := ids(0, 6), ids(0, 3), ids(3, 6)
	w.await("all alive", w.all(Alive, everyone, everyone...))
	var between [][2]message.NodeID
	for _, a := range left {
		for _, b := range right {
			between = append(between, [2]message.NodeID{a, b}, [2]message.NodeID{b, a})
		}
	}
	w.setCut(true, between...)
	w.await("left believes right dead", w.all(Dead, right, left...))
	w.await("right believes left dead", w.all(Dead, left, right...))
	w.setCut(false, between...)
	w.await("all alive again", w.all(Alive, everyone, everyone...))
}

// A node that slept asks others for their tables, for only there it learns that it was given up (M5).
func TestAskAround(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5)
	w.await("all alive", w.all(Alive, ids(0, 5), ids(0, 5)...))
	asked := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.questions[0]
	}
	before := asked()
	w.node(0).m.askAround()
	if got := asked() - before; got < sleeperAsks {
		t.Errorf("it asked %d others, not %d", got, sleeperAsks)
	}
}

// Flapping: whatever was believed meanwhile, the end is the truth.
func TestFlapping(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	everyone := ids(0, 4)
	w.await("all alive", w.all(Alive, everyone, everyone...))
	for range 3 {
		w.freeze(3)
		w.await("somebody doubts", func() bool {
			return w.node(0).m.State(3) != Alive || w.node(1).m.State(3) != Alive || w.node(2).m.State(3) != Alive
		})
		w.thaw(3)
		w.await("alive again", w.all(Alive, everyone, everyone...))
	}
}

// A link that is cut one way, or slow, accuses nobody: others are asked to probe. Rounds of probes are counted
// instead of seconds: when each has been probed several times, nobody must have doubted anybody for good.
func TestBadLinkAccusesNobody(t *testing.T) {
	links := map[string]func(*world){
		"cut one way": func(w *world) { w.setCut(true, [2]message.NodeID{0, 1}) },
		"cut":         func(w *world) { w.setCut(true, [2]message.NodeID{0, 1}, [2]message.NodeID{1, 0}) },
		"slow": func(w *world) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.delay[[2]message.NodeID{0, 1}] = time.Second
		},
	}
	for name, break_ := range links {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Long timeouts: a machine that is busy with other tests must not look like a network that is.
			w := newWorld(t, 5, func(c *Config) { c.ProbeInterval, c.ProbeTimeout = time.Second, 300*time.Millisecond })
			everyone := ids(0, 5)
			w.await("all alive", w.all(Alive, everyone, everyone...))
			break_(w)
			w.mu.Lock()
			from := w.sent
			w.mu.Unlock()
			w.await("enough probes", func() bool {
				w.mu.Lock()
				defer w.mu.Unlock()
				return w.sent > from+5*2*10 // five nodes, ping and answer, ten rounds
			})
			for _, id := range everyone {
				for _, of := range everyone {
					if saw := w.node(id).saw(of); slices.Contains(saw, Dead) || slices.Contains(saw, Suspect) {
						t.Errorf("node %d believed of %d: %v", id, of, saw)
					}
				}
			}
		})
	}
}

// With a fifth of all packets lost nobody stays dead, and the dead are found.
func TestLoss(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6)
	w.mu.Lock()
	w.loss = 0.2
	w.mu.Unlock()
	everyone := ids(0, 6)
	w.await("all alive", w.all(Alive, everyone, everyone...))
	w.kill(5)
	w.await("killed node dead", w.all(Dead, ids(5, 6), ids(0, 5)...))
	w.await("others alive", w.all(Alive, ids(0, 5), ids(0, 5)...))
}

func TestSetNodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.strangers = true
	w.await("all alive", w.all(Alive, ids(0, 3), ids(0, 3)...))
	w.node(0).m.SetNodes(ids(0, 2))
	w.await("removed node forgotten", func() bool { return len(w.node(0).m.View()) == 2 })
	if s := w.node(0).m.State(2); s != Unknown {
		t.Errorf("a removed node is %v", s)
	}
	for _, id := range ids(0, 3) {
		w.node(id).m.SetNodes(ids(0, 4))
	}
	w.start(3, 4)
	w.await("removed node back, new node there", w.all(Alive, ids(0, 4), ids(0, 4)...))
	for i, s := range w.node(1).m.View() {
		if s.Node != message.NodeID(i) || s.Since.IsZero() || s.Incarnation == 0 {
			t.Errorf("view at %d: %+v", i, s)
		}
	}
	if s := w.node(1).m.State(99); s != Unknown {
		t.Errorf("a node of no directory is %v", s)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	load := func(of message.NodeID) func() bool {
		want := w.node(of).m.cfg.Load()
		return func() bool {
			for _, id := range ids(0, 3) {
				if w.node(id).m.View()[of].Load != want {
					return false
				}
			}
			return true
		}
	}
	for _, n := range []uint16{7, 500, 0} {
		in := w.node(1)
		in.mu.Lock()
		in.load = n
		in.mu.Unlock()
		w.await("load known", load(1))
	}
}

// Since is when the state began: it stays while the state does.
func TestSince(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.await("all alive", w.all(Alive, ids(0, 3), ids(0, 3)...))
	before := w.node(0).m.View()[1].Since
	w.kill(2)
	w.await("dead", w.all(Dead, ids(2, 3), 0, 1))
	if after := w.node(0).m.View()[1].Since; !after.Equal(before) {
		t.Errorf("since %v, then %v, and the state did not change", before, after)
	}
	if dead := w.node(0).m.View()[2].Since; !dead.After(before) {
		t.Errorf("dead since %v, before others were alive (%v)", dead, before)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	w := newWorld(t, 4)
	w.await("all alive", w.all(Alive, ids(0, 4), ids(0, 4)...))
	w.setCut(true, [2]message.NodeID{0, 1}, [2]message.NodeID{2, 1}) // so that exchanges are under way
	in := w.node(0)
	w.close()
	in.m.Close()
	in.m.Receive(1, packetFrame(in.m.network.cluster, []byte{typePing}))
	if s := in.m.State(0); s != Alive {
		t.Errorf("what a closed detector last believed of itself is %v", s)
	}
	awaitNoGoroutines(t, before)
}

// Close breaks off an exchange with a node that does not answer.
func TestCloseWhileJoining(t *testing.T) {
	before := runtime.NumGoroutine()
	w := newWorld(t, 1)
	w.freeze(1)
	w.node(0).m.SetNodes(ids(0, 2))
	w.await("a question was sent", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.held) > 0 })
	w.close()
	awaitNoGoroutines(t, before)
}

func TestConfig(t *testing.T) {
	fits := Config{Self: 1, Carrier: carrier{}}
	for name, edit := range map[string]func(*Config){
		"no carrier":            func(c *Config) { c.Carrier = nil },
		"node id too large":     func(c *Config) { c.Self = maxID + 1 },
		"timeout does not fit":  func(c *Config) { c.ProbeInterval, c.ProbeTimeout = time.Second, 501*time.Millisecond },
		"timeout below nothing": func(c *Config) { c.ProbeTimeout = -1 },
	} {
		c := fits
		edit(&c)
		if _, err := New(c); message.CodeOf(err) != message.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c, err := fits.WithDefaults(); err != nil || c.ProbeInterval != defaultProbeInterval || c.ProbeTimeout != defaultProbeTimeout {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestStateNames(t *testing.T) {
	for s, want := range map[State]string{Unknown: "unknown", Alive: "alive", Suspect: "suspect", Dead: "dead", 9: "state_9"} {
		if s.String() != want {
			t.Errorf("%d prints as %q, want %q", s, s, want)
		}
	}
}
