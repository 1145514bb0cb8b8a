package node

import (
	"testing"
	"time"

	"dmalloc/election"
	"dmalloc/fault"
	"dmalloc/message"
	"dmalloc/transport"
)

// A view takes the place of the one before: what it does not have is over.
func TestSetFaults(t *testing.T) {
	link, err := transport.New(transport.Config{Self: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	n := &Node{cfg: Config{ID: 1, Settings: message.Settings{Nodes: 3}}, transport: link, election: election.New()}
	n.SetFaults(fault.View{DiskFull: true, DiskSlow: time.Second, Clock: time.Hour, Links: map[message.NodeID]fault.Link{0: {Cut: true}, 2: {Delay: time.Second, Drop: 0.5}}})
	if full, slow := n.disk.State(); !full || slow != time.Second {
		t.Errorf("the disk is %v, %v", full, slow)
	}
	if a, b := link.Fault(0), link.Fault(2); a != (transport.LinkFault{Cut: true}) || b != (transport.LinkFault{Delay: time.Second, Drop: 0.5}) {
		t.Errorf("the links are %+v and %+v", a, b)
	}
	begin := time.Now()
	n.led(1, 1, 0) // what this node will tell others of the election
	all := n.election.History()
	if len(all) != 1 || all[0].FromMS < begin.Add(time.Hour).UnixMilli() {
		t.Errorf("with a clock an hour fast: %+v, and it is %v", all, begin)
	}
	n.SetFaults(fault.View{Links: map[message.NodeID]fault.Link{2: {Delay: time.Second}}})
	if full, slow := n.disk.State(); full || slow != 0 {
		t.Errorf("healed, the disk is %v, %v", full, slow)
	}
	if a, b := link.Fault(0), link.Fault(2); a != (transport.LinkFault{}) || b != (transport.LinkFault{Delay: time.Second}) {
		t.Errorf("healed, the links are %+v and %+v", a, b)
	}
	if ahead := time.Until(n.now()); ahead > time.Minute {
		t.Errorf("healed, the clock is %v ahead", ahead)
	}
}
