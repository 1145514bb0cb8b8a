package node

import "dmalloc/message"

// The messages of leases come in two forms: a client's to the node that is to be the holder, and a holder's to the
// leader. Only the second names a lease, or the session of its holder.

func takeLease(n *Node, m *message.Message, reply func(*message.Message)) {
	if m.Value == 0 {
		n.holder.take(m, reply)
		return
	}
	logged(n, m, reply)
}

func giveLease(n *Node, m *message.Message, reply func(*message.Message)) {
	if m.Token == 0 && m.Value == 0 {
		n.holder.release(m, reply)
		return
	}
	logged(n, m, reply)
}

func revokeLease(n *Node, m *message.Message, reply func(*message.Message)) {
	n.holder.revoke(m, reply)
}

func syncLeases(n *Node, m *message.Message, reply func(*message.Message)) { n.holder.sync(m, reply) }

// readBytes and write are for bytes, of which this node may have leases.
func readBytes(n *Node, m *message.Message, reply func(*message.Message)) {
	n.holder.read(m, reply, func(m *message.Message, reply func(*message.Message)) { read(n, m, reply) })
}

func write(n *Node, m *message.Message, reply func(*message.Message)) {
	if why := malformed(m); why != "" {
		n.stats.refused.Add(1)
		reply(m.Answer(message.InvalidArgument, why))
		return
	}
	n.holder.write(m, reply, func(m *message.Message, reply func(*message.Message)) { logged(n, m, reply) })
}
