package transport

import (
	"encoding/binary"
	"testing"
	"time"

	"dmalloc/message"
)

func TestCutLink(t *testing.T) {
	batches := make(chan string, 100)
	w := newNetwork(t, 2, nil, func(c *Config) {
		c.Raft = func(_ message.NodeID, _ uint64, p []byte) { batches <- string(p) }
	})
	ask(t, w.nodes[0], 1, request(1, "x"))
	w.nodes[0].SetFault(1, LinkFault{Cut: true})
	if !w.nodes[0].Fault(1).Cut || w.nodes[0].Fault(9).Cut {
		t.Fatal("Fault does not tell what was set")
	}
	cancel := w.nodes[0].Start(1, request(2, "y"), nil, func(*message.Message, error) { t.Error("something came over a cut link") })
	if err := w.nodes[0].SendRaft(1, 1, []byte("lost")); err != nil {
		t.Fatal(err) // as on a real wire
	}
	if got := stat(w.nodes[0], framesLost); got != 2 {
		t.Fatalf("%d frames lost", got)
	}
	cancel()
	w.nodes[0].SetFault(1, LinkFault{})
	ask(t, w.nodes[0], 1, request(3, "z"))
	if err := w.nodes[0].SendRaft(1, 1, []byte("arrives")); err != nil {
		t.Fatal(err)
	}
	if got := get(t, batches, "a batch"); got != "arrives" {
		t.Fatal(got)
	}

	// The other way round: the request arrives, its answer is lost.
	w.nodes[1].SetFault(0, LinkFault{Cut: true})
	cancel = w.nodes[0].Start(1, request(4, "a"), nil, func(*message.Message, error) { t.Error("an answer came over a cut link") })
	eventually(t, "the answer is lost", func() bool { return stat(w.nodes[1], framesLost) == 1 })
	cancel()
}

// What is lost by a fault ends with its connection, like all that was under way (T5).
func TestLostRequestsEnd(t *testing.T) {
	w := newNetwork(t, 2, nil, nil)
	w.nodes[0].SetFault(1, LinkFault{Cut: true})
	got := make(chan error, 1)
	w.nodes[0].Start(1, request(1, "x"), nil, func(_ *message.Message, err error) { got <- err })
	_ = w.nodes[0].Close()
	linkError(t, get(t, got, "the failure"))
}

func TestDrops(t *testing.T) {
	n := 0
	done := make(chan int, 1)
	w := newNetwork(t, 2, nil, func(c *Config) {
		c.Raft = func(_ message.NodeID, _ uint64, p []byte) {
			if n++; string(p) == "end" {
				done <- n - 1
			}
		}
		c.Chunk = func(message.NodeID, uint64, []byte) bool { return true }
	})
	w.nodes[0].SetFault(1, LinkFault{Drop: 0.5})
	for range 2000 {
		_ = w.nodes[0].SendRaft(1, 1, []byte("x"))
	}
	for range 20 {
		if err := w.nodes[0].SendChunk(within(t), 1, 1, []byte("x")); err != nil {
			t.Fatal(err) // chunks are spared
		}
	}
	w.nodes[0].SetFault(1, LinkFault{})
	_ = w.nodes[0].SendRaft(1, 1, []byte("end"))
	if got := get(t, done, "the end"); got < 700 || got > 1300 {
		t.Fatalf("%d of 2000 arrived at a loss of one half", got)
	}
}

func TestLatencyKeepsOrder(t *testing.T) {
	arrived := make(chan uint64, 10000)
	const delay = 30 * time.Millisecond
	w := newNetwork(t, 2, []message.Edge{{A: 0, B: 1, LatencyUS: delay.Microseconds()}}, func(c *Config) {
		c.Raft = func(_ message.NodeID, _ uint64, p []byte) { arrived <- binary.LittleEndian.Uint64(p) }
	})
	ask(t, w.nodes[0], 1, request(1, "x")) // connects
	start := time.Now()
	ask(t, w.nodes[0], 1, request(1, "x"))
	if took := time.Since(start); took < 2*delay { // a lower bound cannot fail on a slow machine
		t.Fatalf("there and back over %v each way took %v", delay, took)
	}
	const n = 3000
	for i := range uint64(n) {
		switch i {
		case n / 3:
			w.nodes[0].SetFault(1, LinkFault{Delay: delay})
		case 2 * n / 3:
			w.nodes[0].SetTopology(2, nil) // and now without any
			w.nodes[0].SetFault(1, LinkFault{})
		}
		if err := w.nodes[0].SendRaft(1, 1, binary.LittleEndian.AppendUint64(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint64(n) {
		if got := get(t, arrived, "a batch"); got != i {
			t.Fatalf("batch %d came as number %d", got, i)
		}
	}
}

func TestDelaysAreBounded(t *testing.T) {
	tr := start(t, Config{Self: 0})
	tr.SetFault(1, LinkFault{Delay: 1 << 62})
	if due, _ := tr.link(1).judge(kindRaft); due > tr.now()+int64(maxDelay) {
		t.Fatalf("due in %v", time.Duration(due-tr.now()))
	}
	tr.SetFault(1, LinkFault{Delay: -time.Second})
	if due, lost := tr.link(1).judge(kindRaft); due != 0 || lost {
		t.Fatal("a negative delay does something")
	}
}
