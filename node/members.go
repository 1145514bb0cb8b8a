package node

import (
	"fmt"
	"time"

	"dmalloc/member"
	"dmalloc/message"
)

// gossipTime is how long the transport remembers a packet whose answer nobody waits for.
const gossipTime = 2 * time.Second

// gossiper carries the failure detector's packets: requests whose answers say nothing.
type gossiper struct{ n *Node }

func (g gossiper) Send(to message.NodeID, packet []byte) error {
	m := message.New(message.GOSSIP)
	m.Target, m.Final, m.Data = to, to, packet
	cancel := g.n.transport.Start(to, m, func() {}, func(*message.Message, error) {})
	time.AfterFunc(gossipTime, cancel) // a frozen node answers nothing, and must not fill the table of requests
	return nil
}

// openMembers starts the failure detector.
func (n *Node) openMembers(d *message.Directory) (err error) {
	nodes := make([]message.NodeID, len(d.Nodes))
	for i := range nodes {
		nodes[i] = d.Nodes[i].ID
	}
	n.members, err = member.New(member.Config{Self: n.cfg.ID, Cluster: n.cfg.Settings.Cluster, Carrier: gossiper{n}, Nodes: nodes, Log: n.cfg.Log,
		Load: func() uint16 {
			if n.jobs == nil {
				return 0
			}
			return uint16(n.jobs.Running())
		}})
	if err != nil {
		return fmt.Errorf("start the failure detector: %w", err)
	}
	return nil
}

func gossip(n *Node, m *message.Message, reply func(*message.Message)) {
	reply(m.Answer(message.Done, ""))
	n.members.Receive(m.Source, m.Data)
}

// doubt says whether a node is believed dead or frozen. Only whom to ask first may depend on it.
func (n *Node) doubt(id message.NodeID) bool {
	s := n.members.State(id)
	return s == member.Suspect || s == member.Dead
}

// beliefs are what the failure detector says, for STATUS.
func (n *Node) beliefs() []message.Belief {
	now := time.Now()
	var all []message.Belief
	for _, s := range n.members.View() {
		if s.Node != n.cfg.ID {
			all = append(all, message.Belief{Node: s.Node, State: s.State.String(), ForMS: now.Sub(s.Since).Milliseconds()})
		}
	}
	return all
}
