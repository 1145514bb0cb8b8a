package node

import (
	"context"
	"time"

	"dmalloc/message"
)

const (
	sumTime     = 30 * time.Second // that summing up may take: all bytes are read
	sumPatience = 2 * time.Second  // that it may wait for an entry, at most
)

// answerVerify sums up what this node's owner of a company holds.
func answerVerify(n *Node, m *message.Message, reply func(*message.Message)) {
	r := n.host.Replica(m.Company)
	if r == nil {
		n.elsewhere(m, reply)
		return
	}
	from, level, patience := m.Index, m.Size, min(time.Duration(min(m.Value, 1<<20))*time.Millisecond, sumPatience)
	n.query(m, reply, sumTime, func(ctx context.Context) (any, error) { return r.Sums(ctx, from, level, patience) })
}
