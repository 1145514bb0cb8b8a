package transport

import (
	"fmt"
	"net"

	"dmalloc/message"
)

// Role is as whom a request was sent. Numbers are part of the wire format: append only.
//
// With certificates they say it. Without, nothing is proved: a node is who claims an id and knows the cluster's
// number, the launcher a client that knows the number, and whoever reaches a port can ask for that. It keeps those
// apart that do not lie; against those that do there are certificates.
type Role uint8

const (
	RoleClient    Role = iota // whoever may connect
	RoleCandidate             // a client with a node's certificate: it may be about to become that node
	RoleLauncher              // who starts the processes of nodes
	RoleNode

	roles
)

func (r Role) String() string {
	if r < roles {
		return [...]string{"a client", "a client with a node's certificate", "the launcher", "a node"}[r]
	}
	return fmt.Sprintf("role_%d", uint8(r))
}

// role says as whom the other side of a connection acts, whose hello was found in order.
func (t *Transport) role(nc net.Conn, h hello) Role {
	switch {
	case isNode(h.from):
		return RoleNode
	case t.cfg.TLS == nil && h.cluster != 0:
		return RoleLauncher
	case t.cfg.TLS == nil:
		return RoleClient
	}
	shown := nc.(secure).ConnectionState().PeerCertificates[0]
	if n, err := t.cfg.TLS.Whose(shown); err == nil && n != message.NoNode {
		return RoleCandidate
	}
	if t.cfg.TLS.Launches != nil && t.cfg.TLS.Launches(shown) {
		return RoleLauncher
	}
	return RoleClient
}

// guest takes apart the request of a client that a node passes on: as whom the client acts, and the request.
func guest(f *frame) (Role, []byte, error) {
	if len(f.payload) == 0 || Role(f.payload[0]) >= RoleNode {
		return RoleClient, nil, malformed("a client's request that does not say as whom it was sent")
	}
	return Role(f.payload[0]), f.payload[1:], nil
}
