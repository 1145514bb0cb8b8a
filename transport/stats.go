package transport

import (
	"sync/atomic"

	"dmalloc/message"
)

// counter is one of the numbers that Stats gives.
type counter int

const (
	framesIn counter = iota
	framesOut
	bytesIn
	bytesOut
	relayed
	framesLost        // by a fault of a link
	framesDropped     // Raft's, whose link was down or full
	requestsRefused   // with Busy
	answersDropped    // nobody waits for them any more
	unroutable        // no path, too many hops, or a loop
	otherIncarnation  // Raft's, for or from another life
	malformedFrames   // the connection was closed
	hellosRefused     // or silent
	strangersDropped  // for newer ones
	slowClosed        // connections whose other side did not read
	acceptErrors      // survived
	dials             // tried
	dialsFailed       // and failed
	connectionsOpened // in both directions, after the hello
	connectionsClosed
	handshakesFailed // of TLS, by strangers

	counters
)

var counterNames = [counters]string{
	framesIn: "frames_in", framesOut: "frames_out", bytesIn: "bytes_in", bytesOut: "bytes_out", relayed: "frames_relayed",
	framesLost: "frames_lost_by_fault", framesDropped: "raft_frames_dropped", requestsRefused: "requests_refused_busy",
	answersDropped: "answers_dropped", unroutable: "frames_unroutable", otherIncarnation: "raft_frames_other_incarnation",
	malformedFrames: "frames_malformed", hellosRefused: "hellos_refused", strangersDropped: "strangers_dropped",
	slowClosed: "connections_slow_closed", acceptErrors: "accept_errors", dials: "dials", dialsFailed: "dials_failed",
	connectionsOpened: "connections_opened", connectionsClosed: "connections_closed",
	handshakesFailed: "tls_handshakes_failed",
}

type tally [counters]atomic.Uint64

func (t *Transport) count(c counter) { t.tally[c].Add(1) }

func (t *Transport) add(c counter, n int) { t.tally[c].Add(uint64(n)) }

// Stats are the transport's counters, in a fixed order, and how many connections are open now.
func (t *Transport) Stats() []message.Counter {
	out := make([]message.Counter, 0, counters+1)
	for c := range counters {
		out = append(out, message.Counter{Name: "transport_" + counterNames[c], Value: t.tally[c].Load()})
	}
	// Closed is read first above, so the difference is never negative.
	open := t.tally[connectionsOpened].Load() - out[connectionsClosed].Value
	return append(out, message.Counter{Name: "transport_connections_open", Value: open})
}
