package node

import (
	"fmt"
	"math"

	"dmalloc/message"
	"dmalloc/transport"
)

// sender is who may send an op to a node. What a node passes on for a client is the client's.
type sender uint8

const (
	nodesOnly      sender = iota // nodes among themselves; also what has no row
	anybody                      // shells, programs, users by whatever way
	launcherOrNode               // who starts the processes, and nodes
	joinerOrNode                 // also who is about to be a node: with certificates one that has a node's
)

// senders is the table. Without certificates it keeps nobody out who says that it is a node: see transport.Role.
var senders = map[message.Op]sender{
	message.MALLOC: anybody, message.FREE: anybody, message.WRITE: anybody, message.CAS: anybody, message.ADD: anybody,
	message.RESERVE: anybody, message.COMMIT: anybody, message.CONFIRM: anybody, message.ABORT: anybody,
	message.OUTCOME: anybody, message.DROP: anybody, message.FINISH: anybody,
	message.READ: anybody, message.DUMP: anybody, message.TABLE: anybody,
	message.LEASE: anybody, message.RELEASE: anybody, message.SYNC: anybody, message.LEASES: anybody, message.REVOKE: nodesOnly,
	message.TAKE: anybody, message.TELL: anybody, message.RUN: nodesOnly, message.CLAIM: nodesOnly, message.SETTLE: nodesOnly,
	message.TEST: anybody, message.NONE: anybody,
	message.DIRECTORY: anybody, message.STATUS: anybody, message.STATS: anybody, message.ELECTIONS: anybody,
	message.WHOISLEADER: anybody, message.LEADER: anybody, message.SQL: anybody, message.LOG: anybody, message.VERIFY: anybody,
	message.GOROUTINES: anybody, message.METRICS: anybody, message.JOURNAL: anybody,
	message.REGTAG: anybody, message.REGGET: anybody, message.REGPUT: anybody, message.REGCONF: anybody, message.REGLIST: anybody,
	message.REGDIGEST: nodesOnly,
	message.JOB:       anybody, message.JOBADD: anybody, message.JOBDROP: anybody, message.JOBRUN: nodesOnly,
	message.GOSSIP: nodesOnly, message.MEMBER: nodesOnly,

	// The directory. What a user asks is anybody's; what was planned, or tells what has become of a plan, is a node's.
	message.REGCHANGE: anybody, message.RECOVER: anybody,
	message.ADMIT:  joinerOrNode,
	message.RETIRE: launcherOrNode, message.DISMISS: launcherOrNode, message.GONE: launcherOrNode,
	message.BOOT: nodesOnly, message.MOVE: nodesOnly, message.REPLACE: nodesOnly, message.FOUND: nodesOnly,
	message.REGDONE: nodesOnly, message.CAPACITY: nodesOnly,

	// The launcher judges for itself.
	message.DIE: anybody, message.REVIVE: anybody, message.PAUSE: anybody, message.RESUME: anybody,
	message.NODEADD: anybody, message.NODEREMOVE: anybody,
	message.FAULT: anybody, message.HEAL: anybody, message.FAULTS: anybody, message.CORRUPT: anybody,
}

// senderOf is the same by number, for there is a look for each request.
var senderOf [math.MaxUint8 + 1]sender

func init() {
	for op, s := range senders {
		senderOf[op] = s
	}
}

func (s sender) String() string {
	return [...]string{"nodes", "anybody", "nodes and the launcher", "nodes, the launcher, and who shows a node's certificate"}[s]
}

// mayBe says whether a role is among the senders.
func (s sender) mayBe(r transport.Role, certificates bool) bool {
	switch s {
	case anybody:
		return true
	case launcherOrNode:
		return r == transport.RoleNode || r == transport.RoleLauncher
	case joinerOrNode:
		return r != transport.RoleClient || !certificates
	}
	return r == transport.RoleNode
}

// sendersOf is who may send a message.
func sendersOf(m *message.Message) sender {
	if m.Op == message.REGCHANGE && m.Value != 0 || byHolder(m) {
		return nodesOnly // as planned, or as the holder of a lease or of a run
	}
	return senderOf[m.Op]
}

// byHolder says whether a message is what the holder of a lease or of a run asks of the company's leader, in its own
// name.
func byHolder(m *message.Message) bool {
	switch m.Op {
	case message.RUN, message.CLAIM, message.SETTLE:
		return true
	case message.FREE:
		return m.Value != 0
	}
	return m.Op == message.LEASE && m.Value != 0 || m.Op == message.RELEASE && (m.Token != 0 || m.Value != 0)
}

// forbidden says why a message is not taken from whom it comes, empty if it is.
func (n *Node) forbidden(from transport.Role, m *message.Message) string {
	s := sendersOf(m)
	if s.mayBe(from, n.cfg.Certs != nil) {
		if byHolder(m) && m.Final != m.Source {
			return fmt.Sprintf("node %s asked for %s in the name of node %s; a lease is its holder's, and so is a run", m.Source, m.Op, m.Final)
		}
		return ""
	}
	return fmt.Sprintf("node %s takes %s from %s only, and it came from %s; ask for what you want with a command of the shell, or show the certificate of whom you act for",
		n.cfg.ID, m.Op, s, from)
}

// take is Handle for what came over the network.
func (n *Node) take(from transport.Role, m *message.Message, reply func(*message.Message)) {
	if handlerOf[m.Op] != nil {
		if why := n.forbidden(from, m); why != "" {
			n.stats.refused.Add(1)
			reply(m.Answer(message.Forbidden, why))
			return
		}
	}
	n.Handle(m, reply)
}
