package node

import (
	"testing"

	"dmalloc/message"
)

// The log may still have the addresses of an earlier start. What the launcher says is newer, but for a node
// that has lost its disk since.
func TestAddressesOfLauncherStand(t *testing.T) {
	n := &Node{}
	d := &message.Directory{Nodes: []message.Node{{ID: 0, Address: "old:0"}, {ID: 1, Address: "old:1", Incarnation: 2}, {ID: 2, Address: "old:2"}}}
	n.directory.Store(&message.Directory{Nodes: make([]message.Node, 3)})
	n.learn(d)
	if got := n.directory.Load().Nodes[0].Address; got != "old:0" {
		t.Fatal("without a launcher the log's address stands:", got)
	}
	n.told.Store(&[]message.Node{{ID: 0, Address: "new:0"}, {ID: 1, Address: "new:1", Incarnation: 1}, {ID: 2}, {ID: 9, Address: "new:9"}})
	n.learn(d)
	for i, want := range []string{"new:0", "old:1", "old:2"} {
		if got := n.directory.Load().Nodes[i].Address; got != want {
			t.Errorf("node %d is at %s, want %s", i, got, want)
		}
	}
}
