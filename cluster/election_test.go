package cluster

import (
	"testing"
	"time"

	"dmalloc/message"
)

// Elections take as long as ever where nodes are near, and a multiple of the way there and back where they are not.
func TestElectionGoesByTheTopology(t *testing.T) {
	for latency, want := range map[time.Duration]int{0: 10, 20 * time.Millisecond: 10, 60 * time.Millisecond: 12, 150 * time.Millisecond: 30} {
		c := Config{Nodes: 3}
		for _, e := range [][2]message.NodeID{{0, 1}, {1, 2}, {0, 2}} {
			c.Topology = append(c.Topology, message.Edge{A: e[0], B: e[1], LatencyUS: latency.Microseconds()})
		}
		s, err := c.settle(nil)
		if err != nil {
			t.Fatal(err)
		}
		if s.Election != want {
			t.Errorf("%v one way: election of %d ticks, want %d", latency, s.Election, want)
		}
		if s.LongestRoundTrip() < 2*latency {
			t.Errorf("%v one way is longer than an election bears: %v", latency, s.LongestRoundTrip())
		}
	}
	c := Config{Nodes: 3, Election: 15, Topology: []message.Edge{{A: 0, B: 1, LatencyUS: 150_000}, {A: 1, B: 2}}}
	if s, err := c.settle(nil); err != nil || s.Election != 15 {
		t.Errorf("what was asked for became %d, %v", s.Election, err)
	}
}
