package transport

import (
	"context"
	"testing"

	"dmalloc/certs"
	"dmalloc/message"
)

// from is what Handle was told of who sent a request.
type from struct {
	role   Role
	source message.NodeID
}

// told is a Handle that answers and hands on what it was told.
func told(ch chan from) func(*Config) {
	return func(c *Config) {
		c.Handle = func(ctx context.Context, p Peer, m *message.Message, reply func(*message.Message)) {
			ch <- from{p.Role, m.Source}
			echo(ctx, p, m, reply)
		}
	}
}

// T6: what a node passes on for a client is the client's, over one node and over several, and its answer comes back.
func TestRelayedRequestsAreTheClients(t *testing.T) {
	ch := make(chan from, 10)
	w := newNetwork(t, 4, line(), told(ch))
	stranger := func(n message.NodeID) *Transport {
		c := start(t, Config{Self: message.NoNode})
		c.SetPeers(map[message.NodeID]Peer{n: w.peers[n]})
		return c
	}
	for _, c := range []struct {
		name string
		by   *Transport
		to   message.NodeID
		want from
	}{
		{"a client next to it", stranger(2), 2, from{RoleClient, message.NoNode}},
		{"a client through one node", stranger(1), 2, from{RoleClient, message.NoNode}},
		{"a client through three", stranger(0), 3, from{RoleClient, message.NoNode}},
		{"the launcher next to it", w.client(t, 2), 2, from{RoleLauncher, message.NoNode}},
		{"the launcher through three", w.client(t, 0), 3, from{RoleLauncher, message.NoNode}},
		{"a node", w.nodes[1], 2, from{RoleNode, 1}},
		{"a node through two", w.nodes[0], 3, from{RoleNode, 0}},
	} {
		a := ask(t, c.by, c.to, traced())
		if got := get(t, ch, "the request"); got != c.want {
			t.Errorf("%s: %v as node %v, want %v", c.name, got.role, got.source, c.want)
		}
		if a.Value != 5 || a.Source != c.to || a.Target != c.want.source {
			t.Errorf("%s: answered %v", c.name, a)
		}
	}
}

// With certificates, those say who is the launcher, and not what a client says it knows.
func TestRolesByCertificate(t *testing.T) {
	ch := make(chan from, 10)
	dir := made(t, 2)
	w := newNetwork(t, 2, edges(0, 1), func(c *Config) { secured(t, dir)(c); told(ch)(c) })
	for role, want := range map[certs.Role]Role{certs.Client: RoleClient, certs.Launcher: RoleLauncher, certs.Node(1): RoleCandidate} {
		for to := range message.NodeID(2) {
			c := start(t, Config{Self: message.NoNode, Cluster: testCluster, TLS: as(t, dir, role)})
			c.SetPeers(map[message.NodeID]Peer{0: w.peers[0]})
			ask(t, c, to, request(1, "x"))
			if got := get(t, ch, "the request"); got != (from{want, message.NoNode}) {
				t.Errorf("%s at node %s: %v as node %v, want %v", role, to, got.role, got.source, want)
			}
		}
	}
	ask(t, w.nodes[1], 0, request(1, "x"))
	if got := get(t, ch, "the request"); got != (from{RoleNode, 1}) {
		t.Errorf("node 1: %v", got)
	}
}

// A client cannot claim to pass on, and a node cannot make a client of itself more than it may be.
func TestGuestsThatBreakRules(t *testing.T) {
	w := newNetwork(t, 1, nil, nil)
	for _, c := range []struct {
		name  string
		hello hello
		frame frame
	}{
		{"a client that passes on", clientHello(), frame{kind: kindGuest, src: message.NoNode, dst: 0, payload: []byte{byte(RoleLauncher), 1}}},
		{"no role", nodeHello(1, classMessage, 1), frame{kind: kindGuest, src: 1, dst: 0}},
		{"a node's role", nodeHello(1, classMessage, 1), frame{kind: kindGuest, src: 1, dst: 0, payload: []byte{byte(RoleNode), 1}}},
	} {
		was := stat(w.nodes[0], malformedFrames)
		s := dialRaw(t, w.peers[0].Address)
		s.greet(c.hello)
		s.say(c.frame.append(nil))
		s.ends()
		eventually(t, c.name+" is counted", func() bool { return stat(w.nodes[0], malformedFrames) > was })
	}
}
