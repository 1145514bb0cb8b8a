package owner

import (
	"fmt"
	"sync"

	"dmalloc/message"
)

const (
	longFrom   = 64 << 10 // bytes of data from which on it is worth knowing whether a copy waits already
	mostCopies = 16       // that wait for one answer
)

// copies are the long messages that have no answer yet. A client that hears nothing for a while sends a copy, which may
// mean that the leader has much to do; a copy that went through the log, too, would have it and everybody else do it twice.
type copies struct {
	mu sync.Mutex
	of map[copyOf][]func(*message.Message)
}

type copyOf struct {
	client message.ClientID
	seq    uint64
}

// join is reply if m is the first of its copies, and otherwise nil: then reply gets the answer that the first one gets.
// What it returns must be called once.
func (c *copies) join(m *message.Message, reply func(*message.Message)) func(*message.Message) {
	if len(m.Data) < longFrom || m.Client == (message.ClientID{}) || m.Seq == 0 {
		return reply
	}
	key := copyOf{m.Client, m.Seq}
	c.mu.Lock()
	waiting, under := c.of[key]
	switch {
	case under && len(waiting) >= mostCopies:
		c.mu.Unlock()
		reply(m.Answer(message.Busy, fmt.Sprintf("%d copies of this request wait for its answer; wait, too", len(waiting))))
		return nil
	case under:
		c.of[key] = append(waiting, reply)
		c.mu.Unlock()
		return nil
	case c.of == nil:
		c.of = map[copyOf][]func(*message.Message){}
	}
	c.of[key] = nil
	c.mu.Unlock()
	return func(a *message.Message) {
		c.mu.Lock()
		waiting := c.of[key]
		delete(c.of, key)
		c.mu.Unlock()
		all := make([]message.Message, len(waiting)) // who gets an answer writes into it where it goes
		for i := range all {
			all[i] = *a
		}
		reply(a)
		for i, r := range waiting {
			r(&all[i])
		}
	}
}
