package node

import (
	"context"
	"testing"
	"time"

	"dmalloc/client"
	"dmalloc/message"
	"dmalloc/transport"
)

// Whoever adds a handler says who may use it: what has no row is for nodes alone.
func TestEveryHandlerHasSenders(t *testing.T) {
	for op := range handlers {
		if _, ok := senders[op]; !ok {
			t.Errorf("%s has no row in the table of senders", op)
		}
	}
	if _, ok := senders[message.TERM]; ok || senders[message.TERM] != nodesOnly {
		t.Error("TERM must not be anybody's")
	}
}

func TestSenders(t *testing.T) {
	all := []transport.Role{transport.RoleClient, transport.RoleCandidate, transport.RoleLauncher, transport.RoleNode}
	for s, want := range map[sender]string{nodesOnly: "...x", anybody: "xxxx", launcherOrNode: "..xx", joinerOrNode: ".xxx"} {
		got := ""
		for _, r := range all {
			if s.mayBe(r, true) {
				got += "x"
			} else {
				got += "."
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", s, got, want)
		}
	}
	if !joinerOrNode.mayBe(transport.RoleClient, false) {
		t.Error("without certificates nobody could join")
	}
}

// What changes the directory behind users' backs is refused from a client, also through another node.
func TestClientsCannotPlan(t *testing.T) {
	h := newHerd(t, 3, 60000)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	before := h.any().directory.Load()
	owner := before.Company(1).Owners[0]
	planned := message.New(message.REGCHANGE)
	planned.Data, planned.Value = message.JSON([]message.NodeID{0}), 1
	size := message.New(message.CAPACITY)
	size.Company, size.Value = 1, 4096
	dismiss := message.New(message.DISMISS)
	dismiss.Value = 1
	describing := func(op message.Op, v any) *message.Message {
		m := message.New(op)
		m.Data = message.JSON(v)
		return m
	}
	for _, m := range []*message.Message{
		describing(message.REPLACE, message.Move{Company: 1, Node: message.NoNode, Replica: owner.Replica}),
		describing(message.MOVE, message.Move{Company: 1, Node: message.NoNode, From: owner.Replica, Epoch: before.Epoch}),
		describing(message.FOUND, message.Company{ID: 9, Owners: []message.Owner{{Node: 0}}}),
		describing(message.RETIRE, message.Node{ID: 1, Incarnation: 7}),
		describing(message.BOOT, message.Node{ID: 1, Boot: 99, Address: "127.0.0.1:1"}),
		planned, size, dismiss, message.New(message.REGDONE), message.New(message.GONE), message.New(message.GOSSIP),
	} {
		for entry := range message.NodeID(2) {
			c, err := transport.New(transport.Config{Self: message.NoNode})
			if err != nil {
				t.Fatal(err)
			}
			c.SetPeers(map[message.NodeID]transport.Peer{entry: {Address: h.nodes[entry].cfg.Listener.Addr().String()}})
			again := *m
			a, err := c.Call(ctx, 0, &again, nil)
			if err != nil || a.Status != message.Forbidden {
				t.Errorf("%s through node %s: %v, %v", m.Op, entry, a, err)
			}
			_ = c.Close()
		}
	}
	// Who starts the nodes may, where it says so; users may join, and choose where registers are kept.
	for _, launcher := range []bool{false, true} {
		c, err := client.Connect(before, 0, nil, nil, client.Options{Launcher: launcher})
		if err != nil {
			t.Fatal(err)
		}
		c.SetPeers(h.peers())
		if err := c.Dismiss(ctx, 99); message.CodeOf(err) != map[bool]message.Code{false: message.Forbidden, true: message.NoSuchNode}[launcher] {
			t.Errorf("launcher %v: %v", launcher, err)
		}
		_ = c.Close()
	}
	c, err := client.Dial(ctx, h.nodes[1].cfg.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if id, err := c.Admit(ctx, message.Node{Key: 3}); err != nil || id != 3 {
		t.Errorf("admitted as %s, %v", id, err)
	}
	if err := c.Change(ctx, message.REGCHANGE, []message.NodeID{0, 1, 2}); err != nil {
		t.Error(err)
	}
}
