package member

import (
	"slices"
	"time"

	"dmalloc/message"
)

// ask is the question for memberlist's table: a message of type push-pull with the table of nobody.
var ask = append([]byte{typePushPull}, "\x83\xa5Nodes\x00\xacUserStateLen\x00\xa4Join\xc2"...)

// watch looks at memberlist's table whenever it may have changed and, for suspects, of which memberlist tells
// nobody, at an interval.
func (m *Members) watch() {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	spread := spreader{at: time.Now()}
	for last := time.Now(); ; {
		m.see()
		select {
		case <-m.done:
			return
		case <-m.look:
		case <-tick.C:
		}
		now := time.Now()
		if now.Sub(last) > sleepAfter {
			m.slept.Store(true)
			token(m.rejoin)
		}
		last = now
		if spread.due(uint16(m.told.Load()), m.cfg.Load(), now) {
			// It waits for the news to be out; nobody here does.
			m.list.UpdateNode(time.Millisecond)
		}
	}
}

// see takes a look, publishes what is new and tells of changes.
func (m *Members) see() {
	seen, ok := m.entries()
	if !ok {
		return
	}
	old := m.table.Load()
	next, changed := old.next(m.ids(), m.cfg.Self, seen, time.Now())
	if slices.Equal(next.sorted, old.sorted) {
		return
	}
	m.table.Store(next)
	for _, s := range changed {
		m.cfg.Changed(s)
	}
}

// entries is memberlist's table, by a stream from this node to itself.
func (m *Members) entries() (map[message.NodeID]entry, bool) {
	got := make(chan []byte, 1)
	if !m.network.serve(m.cfg.Self, ask, func(answer []byte) error { got <- answer; return nil }) {
		return nil, false
	}
	timeout := time.NewTimer(streamTime)
	defer timeout.Stop()
	select {
	case answer := <-got:
		list, ok := readState(answer)
		seen := make(map[message.NodeID]entry, len(list))
		for _, e := range list {
			seen[e.node] = e
		}
		return seen, ok
	case <-timeout.C:
	case <-m.done:
	}
	return nil, false
}

// spreader decides when a load is told: each telling is gossip to everybody.
type spreader struct{ at time.Time }

func (s *spreader) due(told, load uint16, now time.Time) bool {
	if load == told {
		return false
	}
	wait := loadLater
	if apart := max(load, told) - min(load, told); apart > told/4 {
		wait = loadSoon
	}
	if now.Sub(s.at) < wait {
		return false
	}
	s.at = now
	return true
}
