package quorum

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"dmalloc/message"
	"dmalloc/ring"
)

// conf sends a configuration to a node, as a node or as a client.
func (w *net) conf(to message.NodeID, c message.Registers, source message.NodeID) message.Code {
	w.t.Helper()
	m := message.New(message.REGCONF)
	m.Source, m.Data = source, message.JSON(c)
	got := make(chan *message.Message, 1)
	w.nodes[to].Handle(m, func(a *message.Message) { got <- a })
	return (<-got).Status
}

// Nobody is believed who might be wrong: a configuration of another cluster, a malformed one, or one that only
// a client tells of changes nothing; and what a node tells of makes nobody forget.
func TestConfigurationsOfOthers(t *testing.T) {
	w := newNet(t, 3, 3)
	if code := w.put(member(0, 0), 1, 7, 1, "kept"); code != message.Done {
		t.Fatal(code)
	}
	good := w.config.Clone()
	good.Epoch, good.Members = 9, []message.Member{member(2, 0)}
	bad := map[string]func(c *message.Registers){
		"another cluster": func(c *message.Registers) { c.Cluster = "d" },
		"no members":      func(c *message.Registers) { c.Members = nil },
		"no replicas":     func(c *message.Registers) { c.Replicas = 0 },
		"many replicas":   func(c *message.Registers) { c.Replicas = 1 << 30 },
		"no epoch":        func(c *message.Registers) { c.Epoch = 0 },
		"not in order":    func(c *message.Registers) { c.Members = []message.Member{member(2, 0), member(1, 0)} },
		"twice":           func(c *message.Registers) { c.Next = []message.Member{member(2, 0), member(2, 1)} },
		"no such node":    func(c *message.Registers) { c.Next = []message.Member{member(1<<20, 0)} },
		"too many":        func(c *message.Registers) { c.Members = make([]message.Member, 5000) },
	}
	for name, change := range bad {
		c := good.Clone()
		change(&c)
		if code := w.conf(0, c, 1); code != message.InvalidArgument && code != message.Forbidden {
			t.Errorf("%s: %v", name, code)
		}
	}
	if code := w.conf(0, good, message.NoNode); code != message.Done || w.nodes[0].Registers().Epoch != 1 {
		t.Errorf("a client is believed: %v, epoch %d", code, w.nodes[0].Registers().Epoch)
	}
	if code := w.conf(0, good, 1); code != message.Done || w.nodes[0].Registers().Epoch != 9 {
		t.Errorf("a node is not believed: %v, epoch %d", code, w.nodes[0].Registers().Epoch)
	}
	w.nodes[0].poke()
	later := good.Clone() // the sweeper has had its turn when a second configuration is on the disk
	later.Epoch = 10
	w.conf(0, later, 1)
	if w.has(0, 7) != 1 {
		t.Error("what only another node has said made this one forget")
	}
	w.nodes[0].Learn(later)
	eventually(t, "what the directory says has effect", func() bool { return w.has(0, 7) == -1 })
}

// A member that loses its disk between fence and list tells nothing of what it acknowledged: the copy must not
// be done by its list.
func TestMoveAndLostDisk(t *testing.T) {
	w := newNet(t, 4, 3)
	start := w.config.Clone()
	start.Epoch, start.Members = 2, w.config.Members[:3]
	for _, k := range w.nodes {
		k.Learn(start)
	}
	joint := start.Clone()
	joint.Epoch, joint.Next = 3, w.config.Members[1:]
	var address uint64
	for address = range uint64(10_000) { // one whose replicas go from 0,1,2 to 1,2,3
		if g := ring.Place(joint).Groups(ring.Shard(message.RegisterID{Address: address})); len(g) == 2 {
			break
		}
	}
	for _, n := range []message.NodeID{0, 2} {
		if code := w.put(member(n, 0), 2, address, 4, "acknowledged"); code != message.Done {
			t.Fatal(code)
		}
	}
	w.stop(2)
	var once sync.Once
	fresh := t.TempDir()
	w.lose = func(to message.NodeID, m *message.Message) bool {
		if m.Op == message.REGLIST && to == 0 {
			once.Do(func() { // node 0 comes back without its disk, and is asked for its list then
				old := w.nodes[0]
				k, err := Open(Config{Self: member(0, 1), Cluster: "c", Dir: fresh, Registers: joint, Ask: w, Log: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Error(err)
					return
				}
				w.nodes[0] = k
				go old.Close()
			})
		}
		return false
	}
	if err := w.nodes[1].Move(t.Context(), joint); err == nil {
		t.Fatal("the list of another incarnation was taken for that of the one that acknowledged")
	}
}

// K3: what is acknowledged under a newer configuration is not forgotten by an older one.
func TestSweeperAndNewEpoch(t *testing.T) {
	w := newNet(t, 2, 1)
	k := w.nodes[0]
	with, without := w.config.Clone(), w.config.Clone()
	without.Members = []message.Member{member(1, 0)}
	var mine []uint64
	place := ring.Place(with)
	for a := uint64(0); len(mine) < 20; a++ {
		if place.Holds(ring.Shard(message.RegisterID{Address: a}), member(0, 0)) {
			mine = append(mine, a)
		}
	}
	for epoch := uint64(2); epoch < 200; epoch += 2 {
		gone, back := without.Clone(), with.Clone()
		gone.Epoch, back.Epoch = epoch, epoch+1
		k.Learn(gone) // the sweeper begins
		k.Learn(back)
		address := mine[epoch%20]
		if code := w.put(member(0, 0), epoch+1, address, epoch, fmt.Sprint(epoch)); code != message.Done {
			t.Fatal(epoch, code)
		}
		if w.has(0, address) != int(epoch) {
			t.Fatalf("K3: register %d was acknowledged in epoch %d and is forgotten", address, epoch+1)
		}
	}
}
