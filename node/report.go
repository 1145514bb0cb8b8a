package node

import (
	"bytes"
	"context"
	"runtime"
	"syscall"

	"dmalloc/message"
)

// GOROUTINES, METRICS and JOURNAL are texts for a person who looks into what went wrong. They need no company
// and no quorum.

func answerGoroutines(n *Node, m *message.Message, reply func(*message.Message)) {
	n.text(m, reply, func() []byte {
		stacks := make([]byte, message.MaxData)
		return stacks[:runtime.Stack(stacks, true)] // what does not fit is cut off
	})
}

func answerMetrics(n *Node, m *message.Message, reply func(*message.Message)) {
	n.text(m, reply, func() []byte {
		var b bytes.Buffer
		n.writeMetrics(&b)
		return b.Bytes()
	})
}

func answerJournal(n *Node, m *message.Message, reply func(*message.Message)) {
	n.text(m, reply, func() []byte {
		if n.cfg.Journal == nil {
			return nil
		}
		return n.cfg.Journal()
	})
}

// text replies with what f makes, in a slot of the queries.
func (n *Node) text(m *message.Message, reply func(*message.Message), f func() []byte) {
	answer := func(a *message.Message) {
		if a.Status == message.Done {
			b := f()
			a.Data = b[:min(len(b), message.MaxData)]
		}
		reply(a)
	}
	n.query(m, answer, queryTime, func(context.Context) (any, error) { return nil, nil })
}

// diskSpace is what is free, and all, of the file system that holds a directory; 0 where it is not known.
func diskSpace(dir string) (free, total uint64) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0
	}
	return s.Bavail * uint64(s.Bsize), s.Blocks * uint64(s.Bsize)
}
