package member

import (
	"log"

	"github.com/hashicorp/memberlist"

	"dmalloc/message"
)

// settings make a memberlist that suits tens of processes on one machine or in one room.
func (m *Members) settings() *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name = name(m.cfg.Self)
	c.Transport = m.network
	c.BindPort, c.AdvertisePort = port, port
	c.ProtocolVersion = speaks
	c.ProbeInterval, c.ProbeTimeout = m.cfg.ProbeInterval, m.cfg.ProbeTimeout
	c.IndirectChecks = 3
	// A suspect has 4·log10(n) intervals to refute, at least 4; three times that while fewer than two others confirm it.
	c.SuspicionMult, c.SuspicionMaxTimeoutMult = 4, 3
	// A node that gets no answers at all slows its probes down to a third: it may be the one that is cut off.
	c.AwarenessMaxMultiplier = 3
	c.GossipInterval, c.GossipNodes, c.GossipToTheDeadTime = gossipInterval, 3, gossipToDead
	c.PushPullInterval, c.TCPTimeout = pushPullEvery, streamTime
	c.DisableTcpPings = true
	c.EnableCompression = false
	c.HandoffQueueDepth = maxHandoff
	c.DNSConfigPath = "" // names are never resolved
	c.Logger = log.New(m.logs, "", 0)
	c.Delegate, c.Events, c.Alive = meta{m}, events{m}, bouncer{m}
	return c
}

// meta tells the others this node's load.
type meta struct{ m *Members }

func (d meta) NodeMeta(int) []byte {
	load := d.m.cfg.Load()
	d.m.told.Store(uint32(load))
	return writeMeta(load)
}

func (meta) NotifyMsg([]byte)                {}
func (meta) GetBroadcasts(int, int) [][]byte { return nil }
func (meta) LocalState(bool) []byte          { return nil }
func (meta) MergeRemoteState([]byte, bool)   {}

// events only wake the watcher: memberlist holds its lock while it tells them.
type events struct{ m *Members }

func (e events) NotifyJoin(*memberlist.Node)   { e.m.poke() }
func (e events) NotifyLeave(*memberlist.Node)  { e.m.poke() }
func (e events) NotifyUpdate(*memberlist.Node) { e.m.poke() }

// bouncer keeps nodes out of memberlist's table that the directory does not have (M2).
type bouncer struct{ m *Members }

func (b bouncer) NotifyAlive(n *memberlist.Node) error {
	if id, ok := parseName([]byte(n.Name)); !ok || !b.m.knows(id) {
		return message.Errorf(message.NoSuchNode, "the directory has no node %s", message.Quote(n.Name))
	}
	return nil
}
