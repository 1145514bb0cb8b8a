package member

import (
	"math/rand/v2"
	"time"

	"dmalloc/message"
)

// bringBack joins nodes that are not alive: at the start everybody, later those that died or are new (M5). It
// goes round one at a time, so that a cluster of n finds a node that is back n times in an interval.
func (m *Members) bringBack() {
	at := rand.IntN(len(m.ids())) // a cluster that starts at once shall not ask the same node
	for pause := time.Duration(0); ; {
		timer := time.NewTimer(pause)
		select {
		case <-m.done:
			timer.Stop()
			return
		case <-m.rejoin:
			timer.Stop()
		case <-timer.C:
		}
		if m.slept.Swap(false) {
			m.askAround()
		}
		gone, alone := m.missing()
		pause = returnInterval/2 + rand.N(returnInterval)
		if alone {
			pause = m.cfg.ProbeInterval
		}
		if len(gone) > 0 {
			at++
			m.join(gone[at%len(gone)])
		}
	}
}

// missing are the nodes that are not alive, and whether no other is.
func (m *Members) missing() (gone []message.NodeID, alone bool) {
	alone = true
	for _, id := range m.ids() {
		switch s := m.State(id); {
		case id == m.cfg.Self:
		case s == Alive || s == Suspect:
			alone = false
		default:
			gone = append(gone, id)
		}
	}
	return gone, alone
}

// join exchanges tables with a node. When each believes the other dead, the first exchange has both refute
// and the second tells so, because memberlist answers before it takes in what it is told.
func (m *Members) join(id message.NodeID) {
	for range 2 {
		if !m.exchange(id) {
			return
		}
		seen, ok := m.entries()
		if e, is := seen[id]; !ok || is && e.state != Dead {
			return
		}
	}
}

func (m *Members) exchange(id message.NodeID) bool {
	n, err := m.list.Join([]string{name(id) + "/" + hostport(id)})
	return err == nil && n > 0
}

// askAround exchanges tables with nodes believed alive, after a sleep: they may have given this node up, and it
// learns only by their tables that it has to refute.
func (m *Members) askAround() {
	ids := m.ids()
	left := sleeperAsks
	for _, i := range rand.Perm(len(ids)) {
		if s := m.State(ids[i]); left > 0 && ids[i] != m.cfg.Self && (s == Alive || s == Suspect) {
			left--
			m.exchange(ids[i])
		}
	}
}
