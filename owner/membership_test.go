package owner

import (
	"math"
	"testing"

	"dmalloc/message"
)

// What replicas know of themselves names the entry that changed their members last, and another replica costs what a
// replica costs, however many there are: many nodes ask each other all the time while owners change.
func TestStatusOfAll(t *testing.T) {
	const few, many, each = 2, 24, 5 // each: allocations for one
	cfg := alone(t.TempDir())
	cfg.Settings.Tick = 100 // little else is to go on
	h, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	start := func(from, to message.CompanyID) {
		for id := from; id <= to; id++ {
			seat := Seat{Company: id, Replica: 1, Voting: true, Founders: []message.Founder{{Node: 0, Replica: 1}}}
			if _, err := h.Start(seat, &numbers{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	cost := func() float64 {
		least := math.Inf(1) // others allocate now and then
		for range 100 {
			least = min(least, testing.AllocsPerRun(5, func() { h.Status() }))
		}
		return least
	}
	start(1, few)
	before := cost()
	start(few+1, many)
	if now := cost(); now-before > each*(many-few) {
		t.Errorf("what %d replicas know takes %v allocations, what %d do %v", few, before, many, now)
	}
	r := h.Replica(few)
	caughtUp(t, r)
	_, order, err := r.Members(soon(t), &message.Directory{})
	if err != nil {
		t.Fatal(err)
	}
	all := h.Status()
	if s := all[few-1]; len(all) != many || s.Company != few || s.Replica != 1 || order == 0 || s.Members != order {
		t.Errorf("%d replicas; company %d says that its members changed last at %d, and that was at %d", len(all), s.Company, s.Members, order)
	}
}
