package client

import (
	"testing"

	"dmalloc/message"
)

// A MALLOC that has a key goes to the same companies in the same order whatever their capacities are: these change as
// nodes come and go, and a repetition elsewhere would be another allocation.
func TestKeyedRequestsIgnoreCapacities(t *testing.T) {
	d := three()
	h, err := New(Config{Carrier: asked{&keepers{}}, Directory: d})
	if err != nil {
		t.Fatal(err)
	}
	for i := range d.Companies {
		d.Companies[i].Capacity = uint64(i) << 20 // the last has most room
	}
	k := h.Idempotent(message.ClientID{1})
	tried := map[message.CompanyID]bool{}
	for want := message.CompanyID(1); int(want) < len(d.Companies); want++ {
		if got, ok := k.roomiest(100<<20, tried); !ok || got != want {
			t.Fatalf("company %s comes first, want %s", got, want)
		}
		tried[want] = true
	}
}
