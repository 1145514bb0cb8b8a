package client

import (
	"sync"
	"testing"

	"dmalloc/message"
)

// Of what many learn at once the greatest term stays, and who is forgotten is who was believed to lead.
func TestLeadersKeepTheGreatestTerm(t *testing.T) {
	var all leaders
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			for term := g; term <= 1000; term += 4 {
				all.learn(1, message.NodeID(term%7), term)
			}
		})
	}
	wg.Wait()
	want := leader{1000 % 7, 1000}
	if got, ok := all.get(1); !ok || got != want {
		t.Fatalf("%+v, want %+v", got, want)
	}
	all.forget(1, want.node+1)
	if got, _ := all.get(1); got != want {
		t.Errorf("forgotten with another node: %+v", got)
	}
	all.learn(1, want.node+1, want.term)
	if got, _ := all.get(1); got.node != want.node+1 {
		t.Errorf("of the same term what was heard last counts: %+v", got)
	}
	all.forget(1, want.node+1)
	if got, ok := all.get(1); ok {
		t.Errorf("%+v was to be forgotten", got)
	}
	all.learn(message.MaxCompany+1, 1, 1)
	all.forget(message.MaxCompany+1, 1)
	if _, ok := all.get(message.MaxCompany + 1); ok {
		t.Error("there is no such company")
	}
}
