package client

import (
	"sync/atomic"

	"dmalloc/message"
)

// leaders are who is believed to lead each company. Each request looks here, and nearly none of them changes anything:
// so there is no lock.
type leaders [message.MaxCompany + 1]atomic.Pointer[leader]

type leader struct {
	node message.NodeID
	term uint64
}

// get is who leads a company, if that is known.
func (l *leaders) get(c message.CompanyID) (leader, bool) {
	if int(c) < len(l) {
		if x := l[c].Load(); x != nil {
			return *x, true
		}
	}
	return leader{}, false
}

// learn keeps the leader of the greatest term.
func (l *leaders) learn(c message.CompanyID, n message.NodeID, term uint64) {
	if int(c) >= len(l) {
		return
	}
	for {
		old := l[c].Load()
		if old != nil && (old.term > term || *old == leader{n, term}) || l[c].CompareAndSwap(old, &leader{n, term}) {
			return
		}
	}
}

// forget drops a node that is believed to lead.
func (l *leaders) forget(c message.CompanyID, n message.NodeID) {
	if int(c) >= len(l) {
		return
	}
	for {
		old := l[c].Load()
		if old == nil || old.node != n || l[c].CompareAndSwap(old, nil) {
			return
		}
	}
}
