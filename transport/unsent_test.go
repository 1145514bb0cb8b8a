package transport

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"dmalloc/message"
)

// T5, from the other side: what never left is told as not sent, also when the connection fails between a request's
// registration and its place in the queue.
func TestWhatNeverLeftIsTold(t *testing.T) {
	const transports, callers = 300, 8
	for range transports {
		goOn := make(chan struct{})
		tr := start(t, Config{Self: message.NoNode, Cluster: testCluster, Dial: func(context.Context, string) (net.Conn, error) {
			<-goOn
			return nil, errors.New("nobody is there")
		}})
		tr.SetPeers(map[message.NodeID]Peer{0: {Address: "nowhere:1", Incarnation: 1}})
		var all sync.WaitGroup
		for i := range callers {
			all.Go(func() {
				if i == callers/2 {
					close(goOn)
				}
				_, err := tr.Call(within(t), 0, request(1, "x"), nil)
				var e *LinkError
				if !errors.As(err, &e) || e.MaybeSent() {
					t.Errorf("%v", err)
				}
			})
		}
		all.Wait()
		if err := tr.Close(); err != nil || t.Failed() {
			t.Fatal(err)
		}
	}
}
