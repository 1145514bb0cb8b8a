package client

import (
	"testing"

	"dmalloc/message"
	"dmalloc/register"
)

// Only so many requests to a replica are waited for. A pause after a refusal is none of them: without its end the replica
// would not be asked again at all.
func TestPausesAreNotGivenUp(t *testing.T) {
	r := newKeepers(t, 3, 3).client().newRun(message.RegisterID{Address: 7})
	q := register.Request{Kind: register.Put, To: message.Member{Node: 1}}
	r.later(q)
	pause := r.asks[0]
	defer pause.pause.Stop()
	for range 2 * mostSent {
		r.room(q)
	}
	given := 0
	for _, k := range r.asks {
		if k.given {
			given++
		}
	}
	if pause.given || given != mostSent {
		t.Errorf("%d of %d requests are given up; the pause is: %v", given, 2*mostSent, pause.given)
	}
}
